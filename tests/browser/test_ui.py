"""MLflow's pages of a finished demo, at the addresses that ``repro ui`` prints."""

from pathlib import Path

import pytest
from selenium.webdriver.remote.webdriver import WebDriver

from tests.browser import served
from tests.browser.chromium import resize, script, shoot, until

CHARTS = "&compareRunsMode=CHART"
TEXT = "return document.body.innerText"
BARS = "return document.querySelectorAll('.js-plotly-plot .barlayer .point path').length"
LINES = """
const plots = document.querySelectorAll(".js-plotly-plot");  // further ones are drawn on the way
if (plots.length) plots[plots.length - 1].scrollIntoView();
return [...document.querySelectorAll(".js-plotly-plot .scatterlayer path.js-line")]
  .filter(line => (line.getAttribute("d") || "").includes("L")).length;
"""
TABLES = """
return [...document.querySelectorAll("table")].map(table => [
  [...table.querySelectorAll("th")].map(cell => cell.innerText.trim()),
  table.querySelectorAll("tbody tr").length]);
"""
PICTURES = """
return [...document.images].filter(image => image.src.startsWith("blob:"))
  .map(image => [image.naturalWidth, image.getBoundingClientRect().width]);
"""


@pytest.fixture
def page(driver: WebDriver) -> WebDriver:
    """A browser that has left the page before."""
    resize(driver, "wide")
    driver.get("about:blank")
    return driver


def test_runs_are_listed(page: WebDriver, addresses: dict[str, str], runs_dir: Path) -> None:
    names = served.named_runs(runs_dir, served.TRAINED)
    assert len(names) >= 11
    page.get(addresses[served.TRAINED])
    until("the number of runs", lambda: f"{len(names)} matching runs" in script(page, TEXT))
    newest = set(names[:10])  # rows further down are made when one scrolls to them
    until(f"the rows {newest}", lambda: newest <= set(script(page, TEXT).split("\n")))
    shoot(page, "ui-runs")


def test_charts_are_drawn(page: WebDriver, addresses: dict[str, str]) -> None:
    page.get(addresses[served.TRAINED] + CHARTS)
    until("bars of final numbers", lambda: script(page, BARS) > 10)
    shoot(page, "ui-charts")
    until("curves over the epochs", lambda: script(page, LINES) > 5)
    shoot(page, "ui-curves")


def test_the_note_is_rendered(page: WebDriver, addresses: dict[str, str], runs_dir: Path) -> None:
    rows = [line for line in served.note(runs_dir, served.SUMMARY).split("\n") if line[:1] == "|"]
    header = [cell.strip() for cell in rows[0].strip("|").split("|")]
    page.get(addresses[served.SUMMARY])
    found = until("a table in the note", lambda: script(page, TABLES))
    assert header in [names for names, _ in found]
    assert "| --- |" not in script(page, TEXT)
    shoot(page, "ui-note")


def test_a_figure_is_visible(page: WebDriver, addresses: dict[str, str], runs_dir: Path) -> None:
    drawn = served.drawn_figures(runs_dir)
    assert drawn, f"experiment {served.SUMMARY} has no run {served.DRAWN} with figures"
    run_id, path = drawn[0]
    place = addresses[served.SUMMARY].partition("/runs?")[0]
    page.get(f"{place}/runs/{run_id}/artifacts/{path}")
    found = until("the picture", lambda: [p for p in script(page, PICTURES) if min(p) > 0])
    assert found[0][0] >= 600
    shoot(page, "ui-artifact")
