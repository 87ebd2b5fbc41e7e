"""A grid on a folder of images, with networks of ImageNet, as small as can be."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from repro import launch
from repro.errors import UserError
from repro.grid import Choice
from repro.profiles import IMAGENET_PROFILES
from repro.records import Records
from repro.request import Request
from tests import photographs
from tests.launch.several import by_two

SMALL = IMAGENET_PROFILES["quick"]


TINY = replace(
    SMALL,
    stream=replace(SMALL.stream, side=32, batch_size=8, epochs=2),
    teacher_epochs=0,
    trials=1,
)


@pytest.fixture(autouse=True)
def tiny_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(IMAGENET_PROFILES, "quick", TINY)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return photographs.write(tmp_path / "photos", train=2, val=1)


def run(photos: Path | None, runs_dir: Path, **more: object) -> str:
    stream = io.StringIO()
    choice = Choice(methods=("kd",))
    request = Request(
        grid="imagenet",
        profile="quick",
        choice=choice,
        source=photos,
        runs_dir=runs_dir,
        data_dir=runs_dir.parent / "data",
        **more,  # type: ignore[arg-type]
    )
    assert launch.run(request, Console(file=stream, width=400)) == 0
    return stream.getvalue()


def test_a_folder_is_trained_on_told_and_remembered(photos: Path, runs_dir: Path) -> None:
    broken = photos / "train/roof/roof_001.jpg"
    broken.write_bytes(b"")
    said = run(photos, runs_dir)
    assert said.startswith(f"{photos}: 6 classes, 12 + 6 images, ")
    assert "grid imagenet, profile quick: 2 runs, 0 finished" in said
    assert f"{broken} cannot be decoded (" in said
    assert "about " in said
    records = list(Records(runs_dir))
    assert [record.status().state for record in records] == ["FINISHED"] * 2  # type: ignore[union-attr]
    history = records[0].history()
    assert len(history) == 2
    assert {"test/top1", "test/top5", "train/loss"} <= history[0]["metrics"].keys()
    final = dict(records[0].status().final)  # type: ignore[union-attr]
    assert "final/top5_last" in final
    assert "2 runs, 2 finished" in run(None, runs_dir)  # the folder is remembered

    (photos / "train/sky/one_more.jpg").write_bytes((photos / "val/sky/sky_000.jpg").read_bytes())
    assert "2 runs, 0 finished" in run(None, runs_dir)  # another folder: other runs


def test_without_a_folder_the_way_out_is_told(runs_dir: Path) -> None:
    with pytest.raises(UserError, match="no folder of images is known here; give the folder that"):
        run(None, runs_dir)
    assert not list(Records(runs_dir))


def process(rank: int, photos: Path, runs_dir: Path) -> None:
    IMAGENET_PROFILES["quick"] = TINY
    (runs_dir / f"said-{rank}").write_text(run(photos, runs_dir, workers=0))


def test_two_processes_share_its_images_and_tell_of_all_that_are_broken(
    photos: Path, runs_dir: Path
) -> None:
    """The last evaluated image is the second process's."""
    broken = photos / "val/wall/wall_000.jpg"
    assert broken == sorted(photos.glob("val/*/*"))[-1]
    broken.write_bytes(b"no image")
    runs_dir.mkdir(exist_ok=True)
    by_two(process, photos, runs_dir)
    said = (runs_dir / "said-0").read_text()
    assert f"{broken} cannot be decoded (" in said
    assert "1 image could not be decoded and was shown black, " in said
    records = list(Records(runs_dir))
    assert [record.status().state for record in records] == ["FINISHED"] * 2  # type: ignore[union-attr]
    assert [record.environment()["processes"] for record in records] == ["2"] * 2
    assert {len(np.load(record.test_logits)["logits"]) for record in records} == {6}
