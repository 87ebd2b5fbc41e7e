"""Debian's Chromium without a window, and what the checks ask a page for."""

import base64
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.remote.webdriver import WebDriver

OUT = Path(__file__).parent / "out"  # screenshots, not kept in the repository
PATIENCE_SECONDS = 60.0  # for a page of MLflow's on a busy machine
FLAGS = (
    "--headless",
    "--no-sandbox",  # a container's root has none
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
SIZES = {"phone": (390, 844), "desktop": (1280, 900), "wide": (1680, 1000)}


@contextmanager
def chromium(profile: Path) -> Iterator[WebDriver]:
    """``profile``: an empty directory. CHROMIUM and CHROMEDRIVER name other programs."""
    options = webdriver.ChromeOptions()
    options.binary_location = program("CHROMIUM", "chromium")
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    # The driver is named, so that selenium does not look for one on the network.
    driver = webdriver.Chrome(options=options, service=Service(program("CHROMEDRIVER")))
    try:
        yield driver
    finally:
        driver.quit()


def program(variable: str, name: str = "") -> str:
    """Where a program is. Raises FileNotFoundError with the way out."""
    wanted = os.environ.get(variable) or name or variable.lower()
    found = shutil.which(wanted)
    if not found:
        raise FileNotFoundError(
            f"no {wanted}: install Debian's chromium and chromium-driver, or name it in {variable}"
        )
    return found


def resize(driver: WebDriver, size: str) -> int:
    """As a phone or a desktop shows it. Returns the width in CSS pixels."""
    width, height = SIZES[size]
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == "phone"}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    return width


def until(what: str, condition: Callable[[], Any], seconds: float = PATIENCE_SECONDS) -> Any:
    """The first true value of ``condition``; TimeoutError names what was waited for."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.1)  # between two looks
    raise TimeoutError(f"not within {seconds:.0f} s: {what}")


def script(driver: WebDriver, code: str, *given: Any) -> Any:
    return driver.execute_script(code, *given)


def errors(driver: WebDriver) -> list[str]:
    """What the console calls severe since the last time that it was asked."""
    return [e["message"] for e in driver.get_log("browser") if e["level"] == "SEVERE"]


def captured(driver: WebDriver, height: int = 0) -> bytes:
    """A PNG of what is shown, or of the first ``height`` pixels of the page."""
    asked: dict[str, Any] = {"format": "png"}
    if height:
        width = script(driver, "return innerWidth")
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        asked |= {"captureBeyondViewport": True, "clip": clip}
    return base64.b64decode(driver.execute_cdp_cmd("Page.captureScreenshot", asked)["data"])


def shoot(driver: WebDriver, name: str, height: int = 0) -> Path:
    """``captured`` as a file to look at."""
    OUT.mkdir(exist_ok=True)
    path = OUT / f"{name}.png"
    path.write_bytes(captured(driver, height))
    return path


def printed(driver: WebDriver, name: str) -> bytes:
    """The page as a PDF of A4."""
    size = {"paperWidth": 8.27, "paperHeight": 11.69, "printBackground": True}
    pdf = base64.b64decode(driver.execute_cdp_cmd("Page.printToPDF", size)["data"])
    OUT.mkdir(exist_ok=True)
    (OUT / f"{name}.pdf").write_bytes(pdf)
    return pdf
