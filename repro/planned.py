"""``repro plan``: what a grid would run, what is done, and how long the rest takes."""

from collections import Counter
from collections.abc import Iterable, Sequence

import torch
from rich.console import Console
from rich.table import Table

from repro.data import imagenet
from repro.environment import device_name
from repro.estimate import ASSUMED_SPEED, clock, cohort_size, cost, estimates, machine_speed
from repro.plan import Wave, epochs_left, largest_first, plan
from repro.profiles import IMAGENET_GRIDS
from repro.records import Records
from repro.request import Request
from repro.resume import resume_point
from repro.spec import Run, key


def waves_of(
    runs: Iterable[Run], records: Records, max_cohort: int
) -> tuple[tuple[Wave, ...], dict[str, str]]:
    """What is left, costly cohorts first; and every run's state ("" for none) by key."""
    there, keys = records.keys(), [key(run) for run in runs]
    states: dict[str, str] = {k: (k in there and records.state(k)) or "" for k in keys}
    ended = {k for k, state in states.items() if state in ("FINISHED", "FAILED")}
    open_keys = there & states.keys() - ended
    points = {k: resume_point(records.of(k)) for k in open_keys if records.of(k).exists()}
    next_epoch = {k: point.next_epoch for k, point in points.items()}
    next_part = {k: point.next_part for k, point in points.items()}
    return largest_first(plan(runs, ended, next_epoch, max_cohort, next_part), cost), states


def show_plan(request: Request, console: Console) -> None:
    """Print what would run, what is done, and an estimate of the time."""
    if request.grid in IMAGENET_GRIDS and (
        request.source or imagenet.class_names(request.data_dir)
    ):
        console.print(folder_words(request), highlight=False, markup=False)
    profile, runs, devices = request.resolve()
    device, records = devices[0], Records(request.runs_dir)
    waves, states = waves_of(runs, records, request.max_cohort or cohort_size(runs, device))
    speed = machine_speed(records, device) or ASSUMED_SPEED[device.type]
    table = Table("wave", "cohort", "methods", "epochs left", "estimate")
    for number, cohort, seconds in estimates(waves, speed, request.teacher):
        methods = " ".join(run.method for run in cohort.runs)
        table.add_row(str(number), cohort.label, methods, str(epochs_left(cohort)), clock(seconds))
    counts = Counter(state or "new" for state in states.values())
    shown = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
    console.print(f"grid {request.grid}, profile {profile.name}: {len(runs)} runs: {shown}")
    console.print(table)
    console.print(time_words(waves, request, records, devices))


def time_words(
    waves: tuple[Wave, ...],
    request: Request,
    records: Records,
    devices: Sequence[torch.device],
    ranks: int = 1,
) -> str:
    """Such as ``about 3.4 h on 8 x NVIDIA H100, 27 device hours (measured in these records)``."""
    measured = machine_speed(records, devices[0])
    speed = measured or ASSUMED_SPEED[devices[0].type]
    total = sum(seconds for _, _, seconds in estimates(waves, speed, request.teacher))
    count = len(devices) * ranks
    where = f"{count} x {device_name(devices[0])}" if count > 1 else device_name(devices[0])
    hours = f", {total / 3600:.3g} device hours" if count > 1 else ""
    basis = "measured in these records" if measured else "assumed, nothing measured here yet"
    return f"about {clock(total / count)} on {where}{hours} ({basis})"


def folder_words(request: Request) -> str:
    """Where the images of a grid on ImageNet are, and how many; read through where that is new.

    Raises UserError where there is no such folder.
    """
    found = (
        imagenet.use(request.source, request.data_dir)
        if request.source
        else imagenet.load(request.data_dir)
    )
    return imagenet.words(found)
