"""What a finished run's network and its training cost: sizes from shapes, times from its record."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import Any

import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

from repro.collector import without_collector
from repro.data.sizes import NUM_IMAGES, classes_of, images_of, side_of
from repro.history import Entry, read_on
from repro.models import count_macs, num_params, places, shapes
from repro.outputs import Outputs
from repro.records import Record
from repro.results import GridResults
from repro.spec import Run, key, uses_teacher
from repro.train.adapters import deploying, initial_adapter

CPU = torch.device("cpu")


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Numbers trained: ``parameters`` of the network that answers, adapter and all, and ``beside``
    it those thrown away after training. ``untrained``: what the adapter keeps otherwise (memories,
    copies). ``macs``: multiply-accumulates of one forward pass of what answers, for one image.
    """

    parameters: int
    beside: int = 0
    untrained: int = 0
    macs: int


def sizes_of(run: Run) -> Sizes:
    """From shapes alone: nothing is loaded."""
    return _sizes(replace(run, trial=0))  # trials differ in their values


@cache
def _sizes(run: Run) -> Sizes:
    classes, side = classes_of(run.stream), side_of(run.stream)
    own = sum(p.numel() for p in places(run.network, classes).values() if p.requires_grad)
    macs = count_macs(run.network, classes, side)
    adapter = _adapter(run) if run.teacher else None
    if adapter is None:
        return Sizes(parameters=own, macs=macs)
    part = deploying(adapter)
    kept = num_params(part) if part else 0
    return Sizes(
        parameters=own + kept,
        beside=num_params(adapter) - kept,
        untrained=sum(buffer.numel() for buffer in adapter.buffers()),
        macs=macs + (_macs(part, shapes(run.network, classes, side)) if part else 0),
    )


def _adapter(run: Run) -> torch.nn.Module | None:
    """Beside a teacher whose outputs are zeros: sizes are all that counts."""
    assert run.teacher
    classes, side = classes_of(run.stream), side_of(run.stream)
    teacher = zeros(shapes(run.teacher.network, classes, side))
    return initial_adapter(run, teacher, training_labels(run.stream.dataset, classes), CPU)


@torch.no_grad()
def _macs(part: torch.nn.Module, outputs: Outputs) -> int:
    """Of an adapter that replaces the classifier; the classifier's own, unused, stay counted."""
    with FlopCounterMode(display=False) as counter:
        part.to("meta").eval().deploy(outputs)  # type: ignore[operator]
    return counter.get_total_flops() // 2


def zeros(value: Any) -> Any:
    """Outputs, a tuple or a tensor with zeros in the place of its numbers."""
    if isinstance(value, Outputs):
        return Outputs(**{name: zeros(item) for name, item in vars(value).items()})
    if isinstance(value, tuple):
        return tuple(zeros(item) for item in value)
    return None if value is None else torch.zeros(value.shape)


@cache
def training_labels(dataset: str, classes: int) -> torch.Tensor:
    """As many as the training set has, evenly over its classes."""
    return torch.arange(NUM_IMAGES[dataset][0]) % classes


def costs_of(results: GridResults) -> pd.DataFrame:
    """A row a finished run of the grid: key, pair, method, trial, ``Sizes`` and ``times``."""
    with without_collector():  # one of a baseline that stands in several pairs
        read = {
            key(run): asdict(sizes_of(run)) | times(run, results.record(run))
            for run in {key(run): run for run in results.runs}.values()
        }
    rows = [
        {"key": key(run), "pair": run.pair, "method": run.method, "trial": run.trial}
        | read[key(run)]
        for run in results.runs
    ]
    return pd.DataFrame(rows)


def times(run: Run, record: Record) -> dict[str, Any]:
    """``cohort_seconds``: of its epochs, evaluation included, for all ``students`` that shared
    them; ``seconds``: its share; ``images_per_second``: training images of all of them.

    ``device``: with the threads of its host. ``teacher``: "live" or "bank" where the loss asks one.
    NaN and "" where nothing is recorded.
    """
    entries, environment = read_on(record)[0], record.environment()
    threads = f", threads: {environment['threads']}" if "threads" in environment else ""
    known = {"device": f"{environment.get('device', '')}{threads}", "epochs": len(entries)}
    known["teacher"] = str(environment.get("teacher_outputs", "")) if taught(run) else ""
    return known | _seconds(entries, images_of(run.stream)[0])


def taught(run: Run) -> bool:
    return run.teacher is not None and uses_teacher(run.loss)


def _seconds(entries: Sequence[Entry], images: int) -> dict[str, float]:
    if not entries:
        return dict.fromkeys(
            ("cohort_seconds", "students", "seconds", "images_per_second"), math.nan
        )
    whole = sum(entry["seconds"] for entry in entries)
    trained = sum(images * entry["students"] for entry in entries)
    return {
        "cohort_seconds": whole,
        "students": sum(entry["students"] for entry in entries) / len(entries),
        "seconds": sum(entry["seconds"] / entry["students"] for entry in entries),
        "images_per_second": trained / whole if whole else math.nan,
    }
