"""What limits the training on a folder of images: decoding, or the step."""

import io
from pathlib import Path

import pytest
import torch
from rich.console import Console

from repro.bench import folder
from repro.bench.folder import Rate, verdict, worker_counts
from repro.errors import UserError
from repro.profiles import IMAGENET_PROFILES
from tests import photographs

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("trains", "name", "times"), [(20.0, "training", "5.0"), (400.0, "decoding", "4.0")]
)
def test_the_slower_one_is_named(
    trains: float, name: str, times: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "workers_of", lambda _device: 1)
    loaders = [Rate("loader alone", 50.0, 0), Rate("loader alone", 100.0, 1)]
    loaders.append(Rate("loader alone", 150.0, 2))
    profile = IMAGENET_PROFILES["quick"]
    first, *rest = verdict(loaders, Rate("step", trains), profile, CPU, 3600)
    assert first.startswith(f"bottleneck: {name}, {times} times slower than the other")
    slower = min(trains, 100.0)
    assert f"an epoch of 3,600 images takes {folder.clock(3600 / slower)} or more" in first
    assert rest == (["--workers 2 decodes 150 images/s"] if name == "decoding" else [])


def test_what_the_suite_takes_is_among_the_measured() -> None:
    assert folder.workers_of(CPU) in worker_counts(CPU)


def test_a_folder_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[int] = []

    def rate(batches: object, seconds: float, device: torch.device, ahead: int = 0) -> float:  # noqa: ARG001
        measured.append(len(next(batches).labels))  # type: ignore[call-overload]
        return 10.0 * len(measured)

    monkeypatch.setattr(folder, "rate_of", rate)
    monkeypatch.setattr(folder, "worker_counts", lambda _device: [0, folder.workers_of(CPU)])
    photos = photographs.write(tmp_path / "photos", train=3, val=1)
    stream = io.StringIO()
    folder.bench(photos, tmp_path / "data", CPU, Console(file=stream, width=200))
    assert measured == [8, 8, 8]
    assert f"{photos}: 6 classes, 18 + 6 images" in stream.getvalue()
    assert "resnet18:MobileNetV1 trial 0: step of 5 students" in stream.getvalue()
    assert "bottleneck: decoding" in stream.getvalue()


def test_without_a_folder_the_way_out_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no folder of images is known here"):
        folder.bench(None, tmp_path, CPU, Console(file=io.StringIO()))
