"""The report as a browser shows it, on a phone, on a desktop and on paper."""

import json
import re
from itertools import pairwise
from pathlib import Path

import pytest
from selenium.webdriver.remote.webdriver import WebDriver

from repro.environment import ROOT
from tests.browser.chromium import SIZES, errors, printed, resize, script, shoot

VERDICTS = {"supported", "refuted", "inconclusive", "not-run"}
LOADED = """
const done = arguments[0];
const words = image => (image.closest("figure") || image).textContent;
document.querySelectorAll("img").forEach(image => { image.loading = "eager"; });
Promise.all([...document.images].map(image => image.decode().catch(() => null))).then(
  () => done([...document.images].map(image => [image.alt, image.naturalWidth, words(image)])));
"""
TITLES = "return [...document.querySelectorAll('#tables h3')].map(title => title.textContent)"
BROKEN_LINKS = """
return [...document.querySelectorAll("a[href]")].map(a => a.getAttribute("href"))
  .filter(to => !(to.startsWith("#") && document.getElementById(decodeURIComponent(to.slice(1)))));
"""
WIDER = """
const shown = document.documentElement.clientWidth;
const inside = e => e.closest(".scroll, pre, nav, details:not([open])");
return [...document.querySelectorAll("body *")]
  .filter(e => e.getBoundingClientRect().right > shown + 1 && !inside(e))
  .map(e => e.outerHTML.slice(0, 100));
"""
SMALL_TARGETS = """
return [...document.querySelectorAll("nav a, summary")].filter(e => e.getClientRects().length)
  .filter(e => e.getBoundingClientRect().height < 24).map(e => e.outerHTML);
"""
# Every text beside what lies under it: WCAG's ratio of luminances, AA.
FAINT = """
const numbers = c => (c.match(/[\\d.]+/g) || []).map(Number);
const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
  .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const under = e => { for (; e; e = e.parentElement) {
  const c = numbers(getComputedStyle(e).backgroundColor);
  if (c.length === 3 || c[3] > 0) return c; } return [255, 255, 255]; };
const own = e => [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
return [...document.querySelectorAll("body *")].filter(own).filter(e => e.getClientRects().length)
  .map(e => {
    const style = getComputedStyle(e), svg = e.namespaceURI.endsWith("svg");
    const [a, b] = [light(numbers(svg ? style.fill : style.color)), light(under(e))];
    const large = parseFloat(style.fontSize) >= 24 ? 3 : 4.5;
    return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), large, e.textContent.slice(0, 60)];
  }).filter(([ratio, least]) => ratio < least);
"""


OWN = "The paper's claims"  # a table that the report makes itself


def written(folder: str, suffix: str) -> list[str]:
    """The names, without it, of the demo's files that were written last."""
    out = ROOT / folder / "out" / "demo"
    names = json.loads((out / "manifest.json").read_text())["files"]
    found = sorted(Path(name).stem for name in names if name.endswith(suffix))
    assert len(found) > 3, f"the demo has few files in {out}"
    return found


def titled(folder: str, stem: str) -> str:
    """A table's title, as its file has it."""
    text = (ROOT / folder / "out" / "demo" / f"{stem}.md").read_text()
    return text.partition("# ")[2].partition("\n")[0]


@pytest.fixture(params=["phone", "desktop"])
def shown(request: pytest.FixtureRequest, driver: WebDriver, report: Path) -> tuple[WebDriver, str]:
    """The report, just opened."""
    resize(driver, request.param)
    errors(driver)  # of pages before
    driver.get(report.as_uri())
    return driver, request.param


def test_it_shows_all_of_itself(shown: tuple[WebDriver, str]) -> None:
    driver, size = shown
    images = driver.execute_async_script(LOADED)
    assert [alt for alt, width, _ in images if not width] == []
    alts = [alt for alt, _, _ in images]
    assert len(set(alts)) == len(alts)
    assert all(alt.startswith("demo: ") for alt in alts)
    told = [re.findall(r"figures/out/demo/([\w.+-]+)", words) for _, _, words in images]
    assert sorted(told) == [[stem] for stem in written("figures", ".png")]
    titles = [titled("paper_tables", stem) for stem in written("paper_tables", ".md")]
    assert script(driver, TITLES) == [title for title in titles if title != OWN]
    assert errors(driver) == []
    shoot(driver, f"report-{size}", height=2600)
    script(driver, "document.getElementById('figures').scrollIntoView()")
    shoot(driver, f"report-figures-{size}")


def test_nothing_is_wider_than_the_screen(shown: tuple[WebDriver, str]) -> None:
    driver, size = shown
    width = script(driver, "return document.documentElement.scrollWidth")
    assert width <= SIZES[size][0]
    assert script(driver, WIDER) == []
    script(driver, "document.querySelectorAll('details').forEach(d => { d.open = true; })")
    assert script(driver, "return document.documentElement.scrollWidth") <= SIZES[size][0]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_word_stands_out_from_its_ground(shown: tuple[WebDriver, str], scheme: str) -> None:
    driver, size = shown
    asked = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", asked)
    script(driver, "document.querySelectorAll('details').forEach(d => { d.open = true; })")
    try:
        assert script(driver, FAINT) == []
        shoot(driver, f"report-{scheme}-{size}")
    finally:
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_the_menu_stays_and_can_be_touched(shown: tuple[WebDriver, str]) -> None:
    driver, _ = shown
    assert script(driver, SMALL_TARGETS) == []
    for name in script(driver, "return [...document.querySelectorAll('nav a')].map(a => a.hash)"):
        script(driver, "document.querySelector(`nav a[href='${arguments[0]}']`).click()", name)
        top = "return document.querySelector(arguments[0]).getBoundingClientRect().top"
        bottom = "return document.querySelector('nav').getBoundingClientRect().bottom"
        heading = script(driver, top, f"{name} > h2")
        assert 0 < script(driver, bottom) <= heading + 1, f"the menu covers {name}"


def test_every_link_leads_somewhere_within(shown: tuple[WebDriver, str]) -> None:
    driver, _ = shown
    assert script(driver, BROKEN_LINKS) == []


def test_every_claim_has_a_verdict_that_programs_read(shown: tuple[WebDriver, str]) -> None:
    driver, _ = shown
    code = "return document.getElementById(`claim-C${arguments[0]}`).dataset.verdict"
    found = {script(driver, code, number) for number in range(1, 8)}
    assert found <= VERDICTS
    assert found - {"not-run"}, "no claim has enough trials: does the demo train 3 or more?"


def test_headings_are_in_order_and_the_language_is_told(shown: tuple[WebDriver, str]) -> None:
    driver, _ = shown
    assert script(driver, "return document.documentElement.lang") == "en"
    code = "return [...document.querySelectorAll('h1,h2,h3,h4,h5,h6')].map(h => +h.tagName[1])"
    levels = script(driver, code)
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_it_asks_the_network_for_nothing(shown: tuple[WebDriver, str]) -> None:
    driver, _ = shown
    code = "return performance.getEntriesByType('resource').map(entry => entry.name)"
    assert [name for name in script(driver, code) if not name.startswith("data:")] == []


def test_it_prints(driver: WebDriver, report: Path) -> None:
    resize(driver, "desktop")
    driver.get(report.as_uri())
    pages = len(re.findall(rb"/Type\s*/Page\b", printed(driver, "report")))
    assert 4 <= pages <= 100
