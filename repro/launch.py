"""From a command's words to trained runs: grid, plan, runtime, execution, summary."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import torch
from rich.console import Console

from repro import filled
from repro.backends import train
from repro.choice import ALL
from repro.data import imagenet, load
from repro.data.cifar100 import FILE, fetch, import_path
from repro.data.dataset import Dataset
from repro.environment import prepare
from repro.errors import UserError
from repro.estimate import cohort_size, machine_speed
from repro.execute.followers import Silent, follow
from repro.files import make_directory
from repro.leases import Leases
from repro.limits import Limits, OutOfTime
from repro.live import Live, open_mirror
from repro.losses.protocol import keeps_memory
from repro.plan import Cohort, Wave
from repro.planned import folder_words, time_words, waves_of
from repro.profiles import IMAGENET_GRIDS
from repro.progress import TerminalProgress
from repro.records import Records
from repro.request import Request, find_device
from repro.runtime import Outcome, Progress, RecordsOnly, Runtime, Tracker
from repro.spec import Run, key
from repro.stale import close_stale
from repro.train.ranks import ALONE, Ranks, joined, under_torchrun


def run(request: Request, console: Console) -> int:
    """Train what is left of a grid, or have SLURM do it. Returns the exit code: 0, or 1 where runs
    failed. Under torchrun every process calls this; rank 0 writes and tells."""
    filled.check_not(request.runs_dir)
    if request.placement.backend == "slurm" and not under_torchrun():
        from repro.submission import submit

        return submit(request, console)
    ranks = joined(find_device(request.device)) if under_torchrun() else ALONE
    if ranks.size > 1 and request.placement.backend not in ("auto", "inline"):
        raise UserError("under torchrun the processes are there already: leave out --backend")
    if ranks.rank:
        prepare(find_device(request.device))
        follow(runtime_of(request, RecordsOnly(), Silent(), ranks))
        ranks.part()
        return 0
    limits = Limits(request.max_seconds)
    try:
        return int(train_grid(request, console, limits, ranks).failed)
    finally:
        if not ranks.at_work:  # else they wait in a step, and end with this process
            with suppress(RuntimeError):  # they are gone already
                ranks.said(None)  # nothing is left to follow
                ranks.part()


def train_grid(request: Request, console: Console, limits: Limits, ranks: Ranks = ALONE) -> Outcome:
    """Train what is left of a grid here. Raises Interrupted after a signal."""
    if request.grid in IMAGENET_GRIDS:
        console.print(folder_words(request), highlight=False, markup=False)
    profile, runs, devices = request.resolve()
    if ranks.size > 1:
        runs = shareable(runs, request, console)
    records = Records(request.runs_dir)
    size = request.max_cohort or cohort_size(runs, devices[0], ranks.size)
    waves, states = waves_of(runs, records, size)
    done = sum(state == "FINISHED" for state in states.values())
    console.print(f"grid {request.grid}, profile {profile.name}: {len(runs)} runs, {done} finished")
    outcome = Outcome(failed=False)
    if waves:
        if not request.placement.elsewhere:
            prepare(devices[0])
        console.print(time_words(waves, request, records, devices, ranks.size), highlight=False)
        with limits.signals():
            work = Work(profile.name, waves, devices)
            outcome = _train(request, work, limits, console, ranks)
    failed = report_failures(runs, records, console)
    return replace(outcome, failed=outcome.failed or failed)


def shareable(runs: tuple[Run, ...], request: Request, console: Console) -> tuple[Run, ...]:
    """Those that several processes can train together. Raises UserError for others, unless all
    methods were asked for: then they are left out."""
    apart = list(dict.fromkeys(run.method for run in runs if keeps_memory(run.loss)))
    if not apart:
        return runs
    if request.choice.methods != ALL:
        raise UserError(f"{apart[0]} keeps a memory of all images: train it without torchrun")
    console.print(f"left out, as they keep a memory of all images: {', '.join(apart)}")
    return tuple(run for run in runs if not keeps_memory(run.loss))


class Work(NamedTuple):
    """What is left of a grid under a profile, and where it is trained."""

    profile: str
    waves: tuple[Wave, ...]
    devices: tuple[torch.device, ...]


def runtime_of(
    request: Request, tracker: Tracker, progress: Progress, ranks: Ranks, **more: Any
) -> Runtime:
    """What the request says of where and how cohorts run."""
    return Runtime(
        runs_dir=request.runs_dir,
        data_dir=request.data_dir,
        device=more.pop("device", None) or find_device(request.device),
        tracker=tracker,
        progress=progress,
        tags=more.pop("tags", {}),
        engine=request.engine,
        teacher=request.teacher if ranks.size == 1 else "live",
        workers=request.workers,
        checkpoint_seconds=request.checkpoint_seconds,
        ranks=ranks,
        **more,
    )


def _train(request: Request, work: Work, limits: Limits, console: Console, ranks: Ranks) -> Outcome:
    """Train the waves."""
    waves, devices = work.waves, work.devices
    cohorts = [cohort for wave in waves for cohort in wave]
    datasets = load_datasets(request, cohorts)  # bad data is told before anything is written
    make_directory(make_directory(request.runs_dir) / "records")
    bars, leases = TerminalProgress(console, len(cohorts)), Leases()
    speed = machine_speed(Records(request.runs_dir), devices[0])  # of one device
    with ExitStack() as stack:
        stack.callback(leases.release_all)  # also what MLflow still hangs in
        progress = stack.enter_context(bars)
        tracked = tracker_of(request.runs_dir, progress.line, leases)
        tracker = stack.enter_context(tracked if request.tracked else nullcontext(RecordsOnly()))
        runtime = runtime_of(
            request,
            tracker,
            progress,
            ranks,
            device=devices[0],
            tags={"profile": work.profile, "grid": request.grid},
            tick=limits.tick,
            before_epoch=limits.before_epoch,
            deadline=limits.deadline,
            datasets=datasets,
            speed=speed and speed * ranks.size,
            teacher_passes=dict(request.part.passes) if request.part else {},
            leases=leases,
        )
        close_stale(runtime)
        try:
            blocked = train(waves, runtime, devices, request.placement)
        except OutOfTime as error:
            progress.line(how_to_go_on(error, runtime.gained))
            return Outcome(failed=bool(runtime.broken), gained=runtime.gained, out_of_time=True)
    for cohort in blocked:
        console.print(f"{cohort.label}: not started, its teacher is not finished")
    return Outcome(failed=bool(runtime.broken or blocked))


def tracker_of(
    runs_dir: Path, say: Callable[[str], None], leases: Leases | None = None
) -> AbstractContextManager[Tracker]:
    """MLflow's, live; where MLflow is not installed, none: the records hold everything."""
    if find_spec("mlflow") is None:
        say("mlflow is not installed: records only; `repro sync` adds them where it is")
        return nullcontext(RecordsOnly())
    return Live(lambda: open_mirror(runs_dir, leases), say)


def load_datasets(request: Request, cohorts: Iterable[Cohort]) -> dict[str, Dataset]:
    """What the cohorts need. CIFAR-100 comes from ``request.source``, else from ``data/``, else
    from torchvision's download."""
    names = {run.stream.dataset for cohort in cohorts for run in cohort.runs}
    if "imagenet" in names:
        return {"imagenet": imagenet.load(request.data_dir)}
    if request.source and "cifar100" in names:
        import_path(request.source, request.data_dir)
    elif "cifar100" in names and not (request.data_dir / FILE).exists():
        fetch(request.data_dir)
    return {name: load(name, request.data_dir) for name in names}


def how_to_go_on(error: OutOfTime, gained: int) -> str:
    """``gained``: as a ``Runtime`` counts it."""
    if gained:
        return f"{error}; give the same command again to go on"
    return (
        f"not even one epoch fits ({error}): nothing was gained; "
        "give more time or a smaller --max-cohort"
    )


def report_failures(runs: Iterable[Run], records: Records, console: Console) -> bool:
    """Print those that failed; are there any?"""
    failed = False
    for item in runs:
        record = records.of(key(item))
        status = record.status() if records.state(record.key) == "FAILED" else None
        if status:
            failed = True
            console.print(
                f"failed: {item.pair} {item.method} trial {item.trial}: {status.reason}; "
                f"remove {record.directory} to try it again",
                markup=False,
            )
    return failed
