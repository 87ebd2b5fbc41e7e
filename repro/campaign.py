"""``repro campaign``: the grids in the order of what they tell, for as long as there is time.

Each step is a pair of a grid: its teacher is trained just before its first student. After every
step of a grid, and when the time is up within one, tables and claims are brought up to date.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from rich.console import Console

from repro import filled, judging, output
from repro.choice import ALL
from repro.data.cifar100 import import_path
from repro.errors import UserError, choose
from repro.estimate import clock
from repro.grid import names, pairs_of
from repro.launch import run
from repro.profiles import PROFILES, Profile
from repro.request import Request
from repro.taken import take_recorded
from repro.train.ranks import under_torchrun
from repro.variants import TUNED, TUNING_TRIALS

TRIALS = 5  # claim C3 needs them
LEAST_SECONDS = 60.0  # with less left nothing is begun


@dataclass(frozen=True)
class Step:
    """Some pairs of a grid, all where none are named, with the grid's own methods or ``methods``.

    ``student``: only pairs that end in it. ``trials``: unless others are asked for.
    """

    grid: str
    pairs: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    student: str = ""
    trials: int = TRIALS


TUNING = Step("tuning", trials=TUNING_TRIALS)
# What decides most for its cost comes first; what is known of one step is not trained in another.
STEPS: dict[str, tuple[Step, ...]] = {
    "paper": (
        Step("cifar-same", ("resnet56:resnet20",)),
        Step("stronger-teacher", student="resnet20"),
        Step("cifar-same", ("wrn_40_2:wrn_16_2", "wrn_40_2:wrn_40_1")),
        Step("cifar-different", ("wrn_40_2:ShuffleV1",)),
        Step("cifar-same", ("resnet32x4:resnet8x4",)),
        TUNING,
        Step("tuned"),
        Step("ablation"),
        Step("cifar-same"),
        Step("cifar-different"),
        Step("stronger-teacher"),
        Step("plug-in"),
        Step("cifar-same", methods=ALL),
        Step("cifar-different", methods=ALL),
    ),
    "quick": (
        Step("cifar-same"),
        Step("stronger-teacher"),
        TUNING,
        Step("tuned"),
        Step("ablation"),
        Step("cifar-different"),
        Step("plug-in"),
        Step("cifar-same", methods=ALL),
    ),
    "demo": (
        Step("demo"),
        Step("ablation"),
        Step("stronger-teacher"),
        Step("plug-in"),
    ),
}


def campaign(request: Request, console: Console) -> int:
    """Train step after step, with the request's device, directories and time. Returns the exit
    code: 0, or 1 where runs failed.

    ``request.grid`` is not looked at. Raises UserError for a profile without steps, and what
    ``launch.run`` raises.
    """
    if under_torchrun():
        raise UserError("a campaign runs without torchrun: give its grids to `repro run` there")
    filled.check_not(request.runs_dir)
    name = request.profile
    if name == "auto":
        name = "paper" if request.devices[0].type == "cuda" else "quick"
    if name not in STEPS:
        raise choose("profile of a campaign", name, STEPS)
    ends = None if request.max_seconds is None else time.monotonic() + request.max_seconds
    failed = 0
    request = replace(request, profile=name)
    every = [asked for step in STEPS[name] for asked in requests_of(step, request)]
    runs = [run for asked in every for run in asked.resolve()[1]]
    for line in take_recorded(runs, request.runs_dir):
        console.print(line, highlight=False, markup=False)
    have_images(request)
    for step in STEPS[name]:
        begun = False
        for asked in requests_of(step, request):
            left = None if ends is None else ends - time.monotonic()
            if left is not None and left < LEAST_SECONDS:
                if begun:
                    tell(step.grid, name, request, console)
                console.print(f"{clock(max(left, 0))} left: the same command goes on")
                return failed
            begun = True
            console.print(f"{step.grid}: {', '.join(asked.choice.pairs)}", highlight=False)
            failed |= run(replace(asked, max_seconds=left), console)
        tell(step.grid, name, request, console)
    return failed


def requests_of(step: Step, request: Request) -> Iterator[Request]:
    """One a pair of the step, of five trials unless others are asked for."""
    for pair in pairs(step, PROFILES[request.profile]):
        choice = replace(
            request.choice,
            pairs=(pair,),
            methods=request.choice.methods or step.methods,
            trials=request.choice.trials or step.trials,
        )
        yield replace(request, grid=step.grid, choice=choice)


def pairs(step: Step, profile: Profile) -> Sequence[str]:
    return [
        pair
        for pair in step.pairs or names(pairs_of(step.grid, profile))
        if pair.endswith(f":{step.student}") or not step.student
    ]


def have_images(request: Request) -> None:
    """Those of ``request.source`` in ``data/``: tables measure networks, though nothing is
    trained."""
    if request.source and PROFILES[request.profile].stream.dataset == "cifar100":
        import_path(request.source, request.data_dir)


def tell(grid: str, profile: str, request: Request, console: Console) -> None:
    """Tables of the grid, and the claims that all grids so far decide."""
    quiet = Console(quiet=True)  # its files are many
    given: dict[str, Any] = {"profile": profile, "runs_dir": request.runs_dir}
    where = f"tables: paper_tables/out/{grid}/"
    for told, words in (
        (partial(output.tables, quiet, grid, **given), where),
        (partial(judging.claims, console, None, short=True, **given), ""),
    ):
        try:
            told()
            console.print(words, end="\n" if words else "", highlight=False)
        except UserError as error:  # nothing is finished yet; the next one is told all the same
            console.print(str(error), highlight=False, markup=False)
    if grid == TUNING.grid and profile not in TUNED:
        console.print(
            f"nothing is chosen under profile {profile}: `repro tables tuning` shows the "
            "candidates, TUNED in repro/variants.py takes the best, which grid tuned then trains"
        )
