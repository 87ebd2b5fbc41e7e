"""torchvision's weights as teachers on ImageNet, and on folders that are not."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from repro import importing
from repro.data.torchvision_cure import import_torchvision
from repro.errors import UserError
from repro.folders import on_folder
from repro.grid import Choice, expand
from repro.imported import imported_teachers
from repro.profiles import IMAGENET_PROFILES
from repro.records import Records
from repro.request import Request
from repro.spec import Run, key
from tests import photographs


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    paper = IMAGENET_PROFILES["paper"]
    monkeypatch.setitem(
        IMAGENET_PROFILES, "paper", replace(paper, stream=replace(paper.stream, side=32))
    )


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "resnet34-b627a593.pth"
    torchvision = import_torchvision()
    with torch.random.fork_rng():
        torch.manual_seed(1)
        torch.save(torchvision.models.get_model("resnet34").state_dict(), path)
    return path


@pytest.fixture(scope="module")
def thousand(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A thousand classes of one image each."""
    root = tmp_path_factory.mktemp("thousand")
    random = np.random.default_rng(0)
    for split in ("train", "val"):
        for i in range(1000):
            folder = root / split / f"n{i:04d}"
            folder.mkdir(parents=True)
            pixels = random.integers(0, 256, (40, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "one.png")
    return root


def imported(
    path: Path,
    photos: Path,
    tmp_path: Path,
    expect: float | None = None,
    say: Callable[[str], None] = print,
) -> Run:
    request = Request(
        grid=importing.GRID,
        profile="paper",
        source=photos,
        runs_dir=tmp_path / "runs",
        data_dir=tmp_path / "data",
    )
    return importing.import_teacher(path, "resnet34", request=request, expect=expect, say=say)


def test_a_folder_of_fewer_classes_is_refused(weights: Path, tmp_path: Path) -> None:
    photos = photographs.write(tmp_path / "photos", train=1, val=1)
    with pytest.raises(UserError, match="resnet34 answers 1,000 classes, the folder of images has"):
        imported(weights, photos, tmp_path)
    assert not (tmp_path / "runs").exists()


def test_weights_are_measured_kept_and_found(weights: Path, thousand: Path, tmp_path: Path) -> None:
    """Untrained ones, so far from what torchvision says of its own."""
    with pytest.raises(UserError, match=r"but expected 73\.31 \(torchvision\.models, IMAGENET1K"):
        imported(weights, thousand, tmp_path)
    run = imported(weights, thousand, tmp_path, expect=0.1)
    assert Records(tmp_path / "runs").state(key(run)) == "FINISHED"
    found = imported_teachers(("torchvision",), tmp_path / "runs", "imagenet")
    assert [key(one) for one in found] == [key(run)]

    profile = on_folder(IMAGENET_PROFILES["paper"], tmp_path / "data")
    assert profile.stream.classes == 1000
    assert profile.stream.images
    runs = expand("imagenet", profile, Choice(imported=found, methods=("kd",)))
    assert run in runs
    assert any(student.teacher == run for student in runs)
    few = replace(profile, stream=replace(profile.stream, classes=6))
    with pytest.raises(UserError, match="answers 1,000 classes, the folder of images has 6: leave"):
        expand("imagenet", few, Choice(imported=found, methods=("kd",)))


def test_images_that_cannot_be_decoded_are_told(
    weights: Path, thousand: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(thousand, tmp_path / "folder")
    broken = folder / "val/n0007/one.png"
    broken.write_bytes(b"no image")
    lines: list[str] = []
    imported(weights, folder, tmp_path, expect=0.1, say=lines.append)
    assert any(line.startswith(f"{broken} cannot be decoded (") for line in lines)
    assert "1 image could not be decoded and was shown black, 1 times in this launch" in lines


def test_without_one_the_way_to_it_is_told(tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    with pytest.raises(UserError, match="`repro import-teacher torchvision --network resnet34"):
        imported_teachers(("torchvision",), tmp_path, "imagenet")


def test_torchvision_is_asked_for_its_first_weights(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str]] = []

    def load(url: str, folder: str, **how: bool) -> None:
        assert how == {"check_hash": True, "weights_only": True}
        asked.append((url, folder))

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", load)
    path = importing.downloaded("resnet34", tmp_path)
    assert asked == [(f"https://download.pytorch.org/models/{weights.name}", str(path.parent))]
    assert path == tmp_path / "torchvision" / weights.name
    with pytest.raises(UserError, match="unknown network of torchvision 'resnet56'"):
        importing.downloaded("resnet56", tmp_path)

    def fail(*_: str, **__: bool) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", fail)
    with pytest.raises(UserError, match=r"cannot be had .no route to host.; download it elsewhere"):
        importing.downloaded("resnet34", tmp_path)
