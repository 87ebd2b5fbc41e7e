"""The README's picture of the report: ``make picture`` draws it of the finished demo."""

import io
import os
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from repro.environment import ROOT
from repro.files import write_atomically
from tests.browser.chromium import captured, chromium, resize
from tests.browser.served import finish_demo

PICTURE = ROOT / "figures" / "report.png"
REPORT = ROOT / "paper_tables" / "out" / "report.html"
HEIGHT = 1000  # the claims with their verdicts
COLOURS = 64  # of letters and badges
MOST_BYTES = 300_000


def draw(report: Path, path: Path) -> int:
    """As a desktop shows the top of ``report``. Returns the file's bytes."""
    with TemporaryDirectory() as profile, chromium(Path(profile)) as driver:
        resize(driver, "desktop")
        driver.get(report.as_uri())
        shot = Image.open(io.BytesIO(captured(driver, HEIGHT))).convert("RGB")
    packed = io.BytesIO()
    shot.quantize(COLOURS, dither=Image.Dither.NONE).save(packed, "PNG", optimize=True)
    if packed.tell() > MOST_BYTES:
        raise ValueError(f"{packed.tell()} bytes are more than {MOST_BYTES}: lower HEIGHT")
    write_atomically(path, packed.getvalue())
    return packed.tell()


if __name__ == "__main__":
    finish_demo(Path(os.environ.get("REPRO_BROWSER_RUNS", ROOT / "runs")).absolute())
    print(f"{PICTURE.relative_to(ROOT)}: {draw(REPORT, PICTURE) / 1000:.0f} kB")
