"""One cohort, apart from the others: an error of it is told and recorded, the others go on."""

import gc
from collections import defaultdict
from collections.abc import Iterable
from contextlib import ExitStack

import torch

from repro.entries import run_tags
from repro.errors import LeaseLost, UserError
from repro.jobs import run_cohort
from repro.mending import mend
from repro.plan import Cohort, even_parts
from repro.records import ENDED, Records
from repro.resume import resume_point
from repro.runtime import Runtime, Stopped
from repro.spec import Run, key


def train_apart(cohort: Cohort, runtime: Runtime, *, partly: bool = True) -> tuple[Run, ...]:
    """Train what is left of a cohort and nobody else trains. Returns what another process has.

    ``partly``: also where another process has some of its runs; otherwise they stay together, to
    share a teacher. The runs are held while they train. Raises what ``run_cohort`` raises, except
    errors of the cohort alone: they are told, and it is added to ``runtime.broken``.
    """
    with ExitStack() as held:
        mine, lost = hold(cohort, runtime, held, partly=partly)
        for part in as_they_stand(mine, runtime.records):
            lost += _guarded(part, runtime)
    return tuple(lost)


def hold(
    cohort: Cohort, runtime: Runtime, held: ExitStack, *, partly: bool
) -> tuple[list[Run], list[Run]]:
    """What is left of a cohort, held until the end of ``held``; and what another process has."""
    mine: list[Run] = []
    lost: list[Run] = []
    for run in cohort.runs:
        lease = held.enter_context(ExitStack())
        if not _ready(run, runtime, lease):
            lost.append(run)
            if not partly:
                return [], list(cohort.runs)
        elif runtime.records.state(key(run)) in ENDED:
            lease.close()  # another process may have to mirror it
        else:
            mine.append(run)
    return mine, lost


def _ready(run: Run, runtime: Runtime, stack: ExitStack) -> bool:
    """Is the run held, until the end of ``stack``, and its record mended?"""
    own = stack.enter_context(runtime.leases.holding(runtime.records.own(key(run)), "training"))
    if own is None:
        return False
    try:
        lines = mend(own, run, run_tags(run) | runtime.tags)
    except LeaseLost:
        return False
    for line in lines:
        runtime.progress.line(line)
    return True


def as_they_stand(runs: Iterable[Run], records: Records) -> list[Cohort]:
    """The runs that have not ended, by the epoch at which they go on: other processes may have
    trained them since they were planned."""
    groups: dict[tuple[int, int], list[Run]] = defaultdict(list)
    for run in runs:
        record = records.of(key(run))
        if records.state(key(run)) not in ENDED:
            point = resume_point(record)
            groups[point.next_epoch, point.next_part].append(run)
    return [Cohort(tuple(members), *place) for place, members in sorted(groups.items())]


def _guarded(cohort: Cohort, runtime: Runtime) -> list[Run]:
    """A cohort for which there is no memory is trained in halves. Returns what was taken over."""
    try:
        return list(run_cohort(cohort, runtime))
    except (UserError, Stopped):
        raise
    except LeaseLost:
        return list(cohort.runs)
    except Exception as error:
        if runtime.ranks.at_work:  # the other processes are in the middle of it
            raise
        too_large = out_of_memory(error) and len(cohort.runs) > 1
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
    if not too_large:
        runtime.progress.line(f"{cohort.label}: {reason}")
        runtime.broken.append(cohort)
        return []
    runtime.progress.line(
        f"{cohort.label}: out of memory with {len(cohort.runs)} students; in two halves"
    )
    free_memory(runtime)
    halves = even_parts(cohort.runs, -(-len(cohort.runs) // 2))
    parts = [part for half in halves for part in as_they_stand(half, runtime.records)]
    return [run for part in parts for run in _guarded(part, runtime)]


def out_of_memory(error: BaseException) -> bool:
    """On a GPU, or on a CPU, where PyTorch has no type of its own for it."""
    types = (torch.OutOfMemoryError, MemoryError)
    return isinstance(error, types) or "can't allocate memory" in str(error)


def free_memory(runtime: Runtime) -> None:
    """Of the cohort that failed; only after its error and its frames are gone."""
    gc.collect()
    if runtime.device.type == "cuda":
        torch.cuda.empty_cache()
