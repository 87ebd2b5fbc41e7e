"""From a command's words to trained runs: grid, plan, runtime, execution, summary."""

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast, get_args

import torch
from rich.console import Console
from rich.table import Table

from repro.backends import Backend, Placement, train
from repro.data import load
from repro.data.cifar100 import FILE, fetch, import_path
from repro.data.dataset import Dataset
from repro.environment import ROOT, device_name, prepare
from repro.errors import UserError, choose
from repro.estimate import (
    ASSUMED_SPEED,
    clock,
    cohort_size,
    cost,
    estimates,
    machine_speed,
)
from repro.files import make_directory
from repro.grid import Choice, expand
from repro.leases import Leases
from repro.limits import Limits, OutOfTime
from repro.live import Live, open_mirror
from repro.plan import Cohort, TeacherChoice, Wave, epochs_left, largest_first, plan
from repro.profiles import Profile, profile_named
from repro.progress import TerminalProgress
from repro.records import Records
from repro.resume import resume_point
from repro.runtime import RecordsOnly, Runtime, Tracker
from repro.spec import Precision, Run, key
from repro.stale import close_stale
from repro.train.step import ENGINES, Engine

RUNS_DIR, DATA_DIR = ROOT / "runs", ROOT / "data"


@dataclass(frozen=True, kw_only=True)
class Request:
    """What ``repro run`` and ``repro plan`` were asked for."""

    grid: str
    profile: str = "auto"
    choice: Choice = field(default_factory=Choice)
    device: str = "auto"
    runs_dir: Path = RUNS_DIR
    data_dir: Path = DATA_DIR
    source: Path | None = None
    max_cohort: int | None = None  # None: what suits the device
    max_seconds: float | None = None
    teacher: TeacherChoice = "auto"
    engine: Engine = "auto"
    placement: Placement = field(default_factory=Placement)

    def __post_init__(self) -> None:
        if self.source and not self.source.exists():
            raise UserError(
                f"{self.source} does not exist: --data and REPRO_CIFAR100 name an .npz or a folder"
            )
        if self.max_cohort is not None and self.max_cohort < 1:
            raise UserError(f"--max-cohort must be at least 1, not {self.max_cohort}")
        if self.teacher not in get_args(TeacherChoice):
            raise choose("--teacher", self.teacher, get_args(TeacherChoice))
        if self.engine not in ENGINES:
            raise choose("--engine", self.engine, ENGINES)

    def resolve(self) -> tuple[Profile, tuple[Run, ...], tuple[torch.device, ...]]:
        devices = find_devices(self.device)
        if self.engine == "graph" and devices[0].type != "cuda":
            raise UserError("--engine graph needs CUDA; use --engine eager or auto")
        profile = profile_named(self.profile, self.grid, cuda=devices[0].type == "cuda")
        return profile, expand(self.grid, profile, self.choice), devices


def request_of(
    *,
    trials: int | None,
    pairs: tuple[str, ...],
    methods: tuple[str, ...],
    precision: str,
    held_out: bool,
    backend: str = "auto",
    **given: Any,
) -> Request:
    """A Request from the command line's words. Raises UserError on a wrong one."""
    if precision not in get_args(Precision):
        raise choose("precision", precision, get_args(Precision))
    choice = Choice(
        trials=trials,
        pairs=pairs,
        methods=methods,
        precision=cast(Precision, precision),
        split="tune" if held_out else "full",
    )
    placement = Placement(backend=cast(Backend, backend))
    return Request(choice=choice, placement=placement, **given)


def find_device(name: str) -> torch.device:
    """The first of ``find_devices``."""
    return find_devices(name)[0]


def find_devices(name: str) -> tuple[torch.device, ...]:
    """``cpu``; ``cuda``: all GPUs that CUDA shows; ``cuda:0,cuda:2``: these; ``auto``: GPUs or CPU.

    Raises UserError for another word, or a GPU that is not there.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    there = tuple(torch.device("cuda", number) for number in range(count))
    if name == "cpu" or (name == "auto" and not there):
        return (torch.device("cpu"),)
    if name in ("auto", "cuda") and there:
        return there
    if name == "cuda":
        raise UserError("no CUDA device is available; use --device cpu or auto")
    known = {str(device): device for device in there}
    words = name.split(",")
    unknown = [word for word in words if word not in known]
    if unknown:
        raise choose("device", unknown[0], ("auto", "cpu", "cuda", *known))
    return tuple(known[word] for word in words)


def waves_of(
    runs: Iterable[Run], records: Records, max_cohort: int
) -> tuple[tuple[Wave, ...], dict[str, str]]:
    """What is left, costly cohorts first; and every run's state ("" for none) by key."""
    there, keys = records.keys(), [key(run) for run in runs]
    states: dict[str, str] = {k: (k in there and records.state(k)) or "" for k in keys}
    ended = {k for k, state in states.items() if state in ("FINISHED", "FAILED")}
    open_keys = there & states.keys() - ended
    begun = [k for k in open_keys if records.of(k).exists()]
    next_epoch = {k: resume_point(records.of(k)).next_epoch for k in begun}
    return largest_first(plan(runs, ended, next_epoch, max_cohort), cost), states


def run(request: Request, console: Console) -> int:
    """Train what is left of a grid. Returns the exit code: 0, or 1 where runs failed."""
    profile, runs, devices = request.resolve()
    records = Records(request.runs_dir)
    size = request.max_cohort or cohort_size(runs, devices[0])
    waves, states = waves_of(runs, records, size)
    done = sum(state == "FINISHED" for state in states.values())
    console.print(f"grid {request.grid}, profile {profile.name}: {len(runs)} runs, {done} finished")
    limits = Limits(request.max_seconds)
    broken = False
    if waves:
        prepare(devices[0])
        with limits.signals():
            broken = _train(request, profile, waves, devices, limits, console)
    return 1 if _report_failures(runs, records, console) or broken else 0


def _train(
    request: Request,
    profile: Profile,
    waves: tuple[Wave, ...],
    devices: tuple[torch.device, ...],
    limits: Limits,
    console: Console,
) -> bool:
    """Train the waves; True where a cohort ended by an error."""
    cohorts = [cohort for wave in waves for cohort in wave]
    datasets = load_datasets(request, cohorts)  # bad data is told before anything is written
    make_directory(make_directory(request.runs_dir) / "records")
    bars, leases = TerminalProgress(console, len(cohorts)), Leases()
    with ExitStack() as stack:
        stack.callback(leases.release_all)  # also what MLflow still hangs in
        progress = stack.enter_context(bars)
        runtime = Runtime(
            runs_dir=request.runs_dir,
            data_dir=request.data_dir,
            device=devices[0],
            tracker=stack.enter_context(tracker_of(request.runs_dir, progress.line, leases)),
            progress=progress,
            tags={"profile": profile.name, "grid": request.grid},
            tick=limits.tick,
            before_epoch=limits.before_epoch,
            deadline=limits.deadline,
            datasets=datasets,
            engine=request.engine,
            speed=machine_speed(Records(request.runs_dir), devices[0]),
            teacher=request.teacher,
            leases=leases,
        )
        close_stale(runtime)
        try:
            blocked = train(waves, runtime, devices, request.placement)
        except OutOfTime as error:
            progress.line(how_to_go_on(error, runtime.epochs_done + runtime.views_done))
            return bool(runtime.broken)
    for cohort in blocked:
        console.print(f"{cohort.label}: not started, its teacher is not finished")
    return bool(runtime.broken)


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
    if request.source and "cifar100" in names:
        import_path(request.source, request.data_dir)
    elif "cifar100" in names and not (request.data_dir / FILE).exists():
        fetch(request.data_dir)
    return {name: load(name, request.data_dir) for name in names}


def how_to_go_on(error: OutOfTime, done: int) -> str:
    """``done``: epochs and views of teacher banks, which are all kept."""
    if done:
        return f"{error}; give the same command again to go on"
    return (
        f"not even one epoch fits ({error}): nothing was gained; "
        "give more time or a smaller --max-cohort"
    )


def _report_failures(runs: Iterable[Run], records: Records, console: Console) -> int:
    failed = 0
    for item in runs:
        record = records.of(key(item))
        status = record.status() if records.state(record.key) == "FAILED" else None
        if status:
            failed += 1
            console.print(
                f"failed: {item.pair} {item.method} trial {item.trial}: {status.reason}; "
                f"remove {record.directory} to try it again",
                markup=False,
            )
    return 1 if failed else 0


def show_plan(request: Request, console: Console) -> None:
    """Print what would run, what is done, and an estimate of the time."""
    profile, runs, devices = request.resolve()
    device, records = devices[0], Records(request.runs_dir)
    waves, states = waves_of(runs, records, request.max_cohort or cohort_size(runs, device))
    measured = machine_speed(records, device)
    speed = measured or ASSUMED_SPEED[device.type]
    table = Table("wave", "cohort", "methods", "epochs left", "estimate")
    total = 0.0
    for number, cohort, seconds in estimates(waves, speed, request.teacher):
        total += seconds
        methods = " ".join(run.method for run in cohort.runs)
        table.add_row(str(number), cohort.label, methods, str(epochs_left(cohort)), clock(seconds))
    counts = Counter(state or "new" for state in states.values())
    shown = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
    console.print(f"grid {request.grid}, profile {profile.name}: {len(runs)} runs: {shown}")
    console.print(table)
    basis = "measured in these records" if measured else "assumed, nothing measured here yet"
    total /= len(devices)
    count = f"{len(devices)} x " if len(devices) > 1 else ""
    console.print(f"about {clock(total)} on {count}{device_name(device)} ({basis})")
