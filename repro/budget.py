"""``repro budget``: GPU hours and wall time of whole grids on several GPUs, before any is used."""

import heapq
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from repro.environment import device_name
from repro.errors import UserError
from repro.estimate import ASSUMED_SPEED, BEST_COHORT, cost, estimates, machine_speed
from repro.grid import GRIDS, Choice, expand
from repro.notes import markdown
from repro.plan import largest_first, plan
from repro.profiles import profile_named
from repro.records import Records
from repro.spec import key


@dataclass(frozen=True)
class Job:
    """A cohort on one GPU: ``makes`` these networks (keys) and needs another one before."""

    seconds: float
    makes: frozenset[str]
    needs: str = ""


@dataclass(frozen=True)
class Speed:
    """Multiply-accumulates a second on one GPU; ``source``: where the number comes from."""

    macs: float
    source: str


def wall_seconds(jobs: Iterable[Job], gpus: int) -> float:
    """How long ``gpus`` take for all jobs by the launcher's rule: one that is free takes the first
    job of the list whose teacher is finished (``execute.board``)."""
    waiting, coming = list(jobs), {k for job in jobs for k in job.makes}
    busy: list[tuple[float, int, Job]] = []  # when it ends; a number, for jobs have no order
    now, started = 0.0, 0
    while waiting or busy:
        job = _first(waiting, coming) if len(busy) < gpus else None
        if job:
            waiting.remove(job)
            heapq.heappush(busy, (now + job.seconds, started, job))
            started += 1
        elif busy:
            now, _, done = heapq.heappop(busy)
            coming -= done.makes
        else:
            raise ValueError("the jobs wait for each other")
    return now


def _first(waiting: Sequence[Job], coming: set[str]) -> Job | None:
    return next((job for job in waiting if job.needs not in coming), None)


def jobs_of(grid: str, choice: Choice, *, profile: str, max_cohort: int, speed: float) -> list[Job]:
    """What a launch on GPUs would do from nothing, in its order."""
    runs = expand(grid, profile_named(profile, grid, cuda=True), choice)
    waves = largest_first(plan(runs, set(), {}, max_cohort), cost)
    return [
        Job(
            seconds,
            frozenset(key(run) for run in cohort.runs),
            key(cohort.teacher) if cohort.teacher else "",
        )
        for _, cohort, seconds in estimates(waves, speed, "auto")
    ]


def speed_on_gpus(given: float | None, runs_dir: Path) -> Speed:
    """The given one, else what the records say of this machine's GPU, else the assumed one."""
    if given is not None:
        return Speed(given, "given with --speed")
    if torch.cuda.is_available():
        gpu = torch.device("cuda", 0)
        if measured := machine_speed(Records(runs_dir), gpu):
            return Speed(measured, f"measured on {device_name(gpu)}, in the records of {runs_dir}")
    return Speed(ASSUMED_SPEED["cuda"], "assumed: a guess, nothing is measured here")


def page(
    *,
    profile: str,
    choice: Choice,
    gpus: Sequence[int],
    max_cohort: int = BEST_COHORT["cuda"],
    speed: Speed,
) -> str:
    """Every grid but the demo as a table in Markdown, and what it rests on."""
    if min(gpus, default=0) < 1 or max_cohort < 1 or not speed.macs > 0:
        raise UserError("--gpus, --max-cohort and --speed are numbers above 0")
    header = ["grid", "runs", "cohorts", "GPU hours", *(f"on {count}" for count in gpus)]
    rows = []
    for grid in (name for name in GRIDS if name != "demo"):
        jobs = jobs_of(grid, choice, profile=profile, max_cohort=max_cohort, speed=speed.macs)
        counts = [str(sum(len(job.makes) for job in jobs)), str(len(jobs))]
        walls = [hours(wall_seconds(jobs, count)) for count in gpus]
        rows.append([grid, *counts, hours(sum(job.seconds for job in jobs)), *walls])
    return "\n\n".join(
        (
            markdown(header, rows),
            f"Profile {profile}, from nothing, cohorts of {max_cohort} at most; wall time on so "
            "many GPUs, each taking the costliest cohort whose teacher is finished.",
            f"Speed: {speed.macs:.3g} multiply-accumulates a second on a GPU, {speed.source}.",
        )
    )


def hours(seconds: float) -> str:
    return f"{seconds / 3600:,.1f} h"


def numbers(words: Sequence[str]) -> tuple[int, ...]:
    """Raises UserError for what is no whole number."""
    try:
        return tuple(int(word) for word in words)
    except ValueError as error:
        raise UserError(
            f"--gpus are whole numbers, such as 1,8,64, not {','.join(words)}"
        ) from error


def tell(
    say: Callable[[str], None],
    runs_dir: Path,
    *,
    gpus: Sequence[str],
    speed: float | None,
    methods: tuple[str, ...],
    **given: Any,
) -> None:
    """Print ``page``. ``given``: its profile and max_cohort."""
    known = speed_on_gpus(speed, runs_dir)
    say(page(gpus=numbers(gpus), choice=Choice(methods=methods), speed=known, **given))
