"""What the command line asks of a grid: its runs, and where and how they are trained."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast, get_args

import torch

from repro.backends import Placement
from repro.data import imagenet
from repro.environment import ROOT
from repro.errors import UserError, choose
from repro.folders import on_folder
from repro.grid import Choice, expand
from repro.plan import Part, TeacherChoice
from repro.profiles import IMAGENET_GRIDS, Profile, profile_named
from repro.spec import Precision, Run, key
from repro.train.ranks import local_rank, under_torchrun
from repro.train.step import ENGINES, Engine

RUNS_DIR, DATA_DIR = ROOT / "runs", ROOT / "data"


@dataclass(frozen=True, kw_only=True)
class Request:
    """What ``repro run`` and ``repro plan`` were asked for. ``part``: one job's share of it;
    ``tracked``: live in MLflow, too."""

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
    workers: int | None = None  # that decode images; None: what suits the device
    checkpoint_seconds: float | None = None
    placement: Placement = field(default_factory=Placement)
    part: Part | None = None
    tracked: bool = True

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 0:
            raise UserError(f"--workers must be at least 0, not {self.workers}")
        if self.source and not self.source.exists():
            raise UserError(
                f"{self.source} does not exist: --data (DATA= of make), REPRO_CIFAR100 and "
                "REPRO_IMAGENET name the images: a folder or, of CIFAR-100, an .npz"
            )
        if self.max_cohort is not None and self.max_cohort < 1:
            raise UserError(f"--max-cohort must be at least 1, not {self.max_cohort}")
        if self.teacher not in get_args(TeacherChoice):
            raise choose("--teacher", self.teacher, get_args(TeacherChoice))
        if self.engine not in ENGINES:
            raise choose("--engine", self.engine, ENGINES)

    @property
    def devices(self) -> tuple[torch.device, ...]:
        """This machine's, or where the backend trains."""
        return self.placement.devices(self.device) or find_devices(self.device)

    def resolve(self) -> tuple[Profile, tuple[Run, ...], tuple[torch.device, ...]]:
        devices = self.devices
        if self.engine == "graph" and devices[0].type != "cuda":
            raise UserError("--engine graph needs CUDA; use --engine eager or auto")
        if self.engine == "graph" and (under_torchrun() or self.grid in IMAGENET_GRIDS):
            raise UserError(
                "--engine graph is for one process with its images on the device, not for torchrun "
                "or folders of images; leave it out"
            )
        profile = profile_named(self.profile, self.grid, cuda=devices[0].type == "cuda")
        if self.grid in IMAGENET_GRIDS and self.source:
            imagenet.use(self.source, self.data_dir)
        profile = on_folder(profile, self.data_dir)
        runs = expand(self.grid, profile, self.choice)
        if self.part:
            runs = tuple(run for run in runs if key(run) in self.part.keys)
            if len(runs) < len(self.part.keys):
                raise UserError("the code has changed since this job was submitted: submit again")
        return profile, runs, devices


def request_of(
    *,
    trials: int | None,
    pairs: tuple[str, ...],
    methods: tuple[str, ...],
    precision: str,
    held_out: bool,
    source: Path | None = None,
    **given: Any,
) -> Request:
    """A Request from the command line's words and the environment. Raises UserError on a wrong
    one."""
    if precision not in ("auto", *get_args(Precision)):
        raise choose("precision", precision, ("auto", *get_args(Precision)))
    choice = Choice(
        trials=trials,
        pairs=pairs,
        methods=methods,
        precision=None if precision == "auto" else cast(Precision, precision),
        split="tune" if held_out else "full",
    )
    return Request(choice=choice, source=source or given_source(given["grid"]), **given)


def given_source(grid: str) -> Path | None:
    """Where the environment says that the grid's images are."""
    name = "REPRO_IMAGENET" if grid in IMAGENET_GRIDS else "REPRO_CIFAR100"
    return Path(path) if (path := os.environ.get(name)) else None


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
        if not under_torchrun():
            return there
        if local_rank() >= count:
            raise UserError(f"{count} GPUs for more processes: torchrun --nproc-per-node {count}")
        return (there[local_rank()],)
    if name == "cuda":
        raise UserError("no CUDA device is available; use --device cpu or auto")
    if under_torchrun():
        raise UserError("under torchrun each process takes its own device: leave out --device")
    known = {str(device): device for device in there}
    words = name.split(",")
    unknown = [word for word in words if word not in known]
    if unknown:
        raise choose("device", unknown[0], ("auto", "cpu", "cuda", *known))
    return tuple(known[word] for word in words)
