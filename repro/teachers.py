"""Which of its teacher's outputs a cohort learns from: the live network's, or a bank's.

An execution choice: no run's key knows it; a record's ``environment.json`` says what it was.
"""

import gc
import hashlib
import time
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

from repro.data.batches import TrainingImages
from repro.data.sizes import classes_of
from repro.errors import UserError
from repro.outputs import Outputs
from repro.plan import Cohort, TeacherChoice, Wave, bank_pays, epochs_left, tabled, teacher_use
from repro.runtime import Runtime
from repro.spec import Run, key, uses_features, uses_teacher
from repro.train.adapters import probe_batch
from repro.train.bank import Bank, BankTeacher, NoBank, check_room, empty_table, fill
from repro.train.cohort import CohortData
from repro.train.step import Teacher
from repro.train.teacher import NO_TEACHER, LiveTeacher, no_teacher

LINE_SECONDS = 10.0  # between two lines on a bank in the making


def teacher_for(cohort: Cohort, runtime: Runtime, data: CohortData) -> tuple[Teacher, str]:
    """The cohort's teacher, and what it is: "live", "bank" or "none".

    Raises NoBank (a UserError) where ``runtime.teacher`` is "bank" and there can be none, UserError
    for a teacher that is not finished, and what ``runtime.tick`` raises.
    """
    if cohort.teacher is None or not epochs_left(cohort):
        return no_teacher, "none"
    if runtime.teacher != "live" and tabled(cohort.runs[0].stream):
        bank = bank_of(cohort, runtime, data)
        if _wanted(cohort, runtime, bank):
            try:
                return _bank_teacher(bank, cohort, runtime, data), "bank"
            except NoBank as error:
                if runtime.teacher == "bank":
                    raise
                runtime.progress.line(f"{error.reason}: the teacher runs live")
    runtime.banks.clear()
    return live_teacher(cohort, runtime), "live"


def probe(cohort: Cohort, runtime: Runtime, data: CohortData, teacher: Teacher) -> Outputs:
    """The teacher's outputs for ``probe_batch``, where a loss makes an adapter of them."""
    if cohort.teacher is None or not any(hasattr(r.loss, "make_adapter") for r in cohort.runs):
        return NO_TEACHER
    if not epochs_left(cohort):
        teacher = live_teacher(cohort, runtime)
    return teacher(probe_batch(data.training, cohort.runs[0].stream))


def outputs_word(run: Run, cohort: Cohort, source: str, runtime: Runtime) -> str:
    """For the run's record: "none", "live", "bank", or "bank+live" where it began with the other.

    ``source``: as ``teacher_for`` says.
    """
    if not uses_teacher(run.loss):
        return "none"
    begun = cohort.first_epoch or cohort.first_part
    before = _recorded(run, runtime) if begun else source
    return before if source in (before, "none") else "bank+live"


def processes_word(run: Run, cohort: Cohort, runtime: Runtime) -> dict[str, str]:
    """For the run's record, where several processes trained it: "2", or "2, then 1", since each of
    their BatchNorms sees a share of the batch."""
    now = str(runtime.ranks.size)
    environment = runtime.records.of(key(run)).environment()
    before = str(environment.get("processes", "1"))
    begun = cohort.first_epoch or cohort.first_part
    words = now if not begun or before.split()[-1] == now else f"{before}, then {now}"
    if begun and before.split()[-1] == now:
        words = before
    return {"processes": words} if words != "1" else {}


def bank_of(cohort: Cohort, runtime: Runtime, data: CohortData) -> Bank:
    """The bank that would serve the cohort; its views may or may not be there."""
    assert cohort.teacher is not None
    stream = cohort.runs[0].stream
    return Bank(
        root=runtime.runs_dir / "banks",
        teacher=key(cohort.teacher),
        weights=_digest(runtime.finished_weights(cohort.teacher)),
        images=data.fingerprint,
        num_images=len(data.training.labels),
        num_classes=classes_of(stream),
        augment=stream.augment,
        precision=cohort.runs[0].precision,
    )


def check_choice(waves: Iterable[Wave], choice: TeacherChoice) -> None:
    """Raises UserError where "bank" is chosen for a loss that one cannot serve."""
    for run in (run for wave in waves for cohort in wave for run in cohort.runs):
        if choice != "bank" or not uses_teacher(run.loss):
            continue
        more = "features" if uses_features(run.loss) else "answers to views without number"
        if uses_features(run.loss) or not tabled(run.stream):
            raise UserError(
                f"{run.method} learns from the teacher's {more}, but a bank holds its logits "
                "alone; give --teacher auto or live"
            )


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}); remove {path.parent} and run its grid again"
        ) from error


def _wanted(cohort: Cohort, runtime: Runtime, bank: Bank) -> bool:
    """Who goes on after an interruption keeps the source: else the bits would be others."""
    if runtime.teacher == "bank":
        return True
    use = teacher_use(cohort)
    if use is None:
        return False
    if cohort.first_epoch or cohort.first_part:
        taught = [run for run in cohort.runs if uses_teacher(run.loss)]
        return {_recorded(run, runtime) for run in taught} != {"live"}
    missing = 0 if bank.key in runtime.banks else bank.missing()
    return bank_pays(runtime.teacher_passes.get(use, 0), missing)


def _recorded(run: Run, runtime: Runtime) -> str:
    """What an earlier launch learned from; records older than banks were taught live."""
    environment = runtime.records.of(key(run)).environment()
    return str(environment.get("teacher_outputs", "live"))


def live_teacher(cohort: Cohort, runtime: Runtime) -> LiveTeacher:
    assert cohort.teacher is not None
    return LiveTeacher(runtime.load_finished(cohort.teacher), cohort.runs[0].precision)


def _bank_teacher(bank: Bank, cohort: Cohort, runtime: Runtime, data: CohortData) -> BankTeacher:
    """The table that the process has, else a new one in its place."""
    if bank.key not in runtime.banks:
        runtime.banks.clear()
        gc.collect()
        if runtime.device.type == "cuda":
            torch.cuda.empty_cache()  # else the old table does not count as free
        check_room(bank, runtime.device)
        runtime.banks[bank.key] = BankTeacher(_filled(bank, cohort, runtime, data))
    return runtime.banks[bank.key]


def _filled(bank: Bank, cohort: Cohort, runtime: Runtime, data: CohortData) -> Tensor:
    """The bank's table, from its files and, where they are missing, from the teacher."""
    assert cohort.teacher is not None
    assert isinstance(data.training, TrainingImages)
    name, views = f"teacher bank of {cohort.teacher.network}", bank.shape[0]
    line = runtime.progress.line
    line(f"{name}: {views} views of {bank.num_images:,} images, {bank.missing()} to make")
    began = told = time.monotonic()
    made = 0
    try:
        table = empty_table(bank, runtime.device)
        filling = fill(
            table,
            bank,
            data.training,
            make_teacher=lambda: live_teacher(cohort, runtime),
            tick=runtime.tick,
            line=line,
        )
        for done, is_new in enumerate(filling, start=1):
            made += is_new
            runtime.gained += is_new
            now = time.monotonic()
            if now - told >= LINE_SECONDS:
                told, left = now, (now - began) * (views / done - 1)
                line(f"{name}: {done}/{views} views, {left:.0f} s left")
    except torch.OutOfMemoryError as error:
        raise NoBank(f"the memory of {runtime.device} is too small for a teacher bank") from error
    how = f"made ({made} views)" if made else "read"
    line(f"{name}: {how} in {time.monotonic() - began:.1f} s; kept in {bank.path(0).parent}")
    return table
