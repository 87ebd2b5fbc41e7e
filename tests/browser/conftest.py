"""One browser, one finished demo and one MLflow server for all checks: ``make test-browser``."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver.remote.webdriver import WebDriver

from repro.environment import ROOT
from tests.browser import served
from tests.browser.chromium import chromium

REPORT = ROOT / "paper_tables" / "out" / "report.html"


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDriver]:
    with chromium(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture(scope="session")
def runs_dir() -> Path:
    """``REPRO_BROWSER_RUNS``, by default runs/, with the demo finished, drawn and reported."""
    found = Path(os.environ.get("REPRO_BROWSER_RUNS", ROOT / "runs")).absolute()
    served.finish_demo(found)
    return found


@pytest.fixture(scope="session")
def report(runs_dir: Path) -> Path:  # noqa: ARG001
    return REPORT


@pytest.fixture(scope="session")
def addresses(runs_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Those that ``repro ui`` prints, by experiment."""
    with served.ui(runs_dir, tmp_path_factory.mktemp("ui") / "log") as found:
        yield found
