"""How long cohorts take, from what was recorded on this machine."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from statistics import median
from typing import NamedTuple

import torch

from repro.data import imagenet
from repro.data.augment import num_views
from repro.data.sizes import classes_of, images_of, side_of
from repro.environment import device_name
from repro.errors import UserError
from repro.models import constructor, count_activations, count_macs, num_params
from repro.plan import (
    Cohort,
    TeacherChoice,
    TeacherUse,
    Wave,
    bank_pays,
    epoch_macs,
    epochs_left,
    teacher_passes,
    teacher_use,
)
from repro.records import MALFORMED, Records
from repro.spec import Run, Stream

# Students side by side. On two cores 2, 4, 8 and 16 of resnet56:resnet20 ran at 0.72, 0.82, 0.95
# and 0.93 of the speed of a student step alone (n = 3); for a GPU it is a guess.
BEST_COHORT = {"cpu": 8, "cuda": 8}
RECORDINGS = 4  # of a student: full and last batches, each in the two places of a step's ring
BYTES = {"fp32": 4, "bf16": 2}  # of an activation
ROOM = 0.8  # of a GPU's free memory is for students; the rest for data, teacher and libraries
# Where no epoch was recorded on this machine yet: multiply-accumulates a second.
ASSUMED_SPEED = {"cpu": 1.2e11, "cuda": 5e12}  # measured on 2 cores; the GPU's is a guess
ESTIMATE_RECORDS = 50  # the speed is a median over the newest so many records


def cohort_size(runs: Iterable[Run], device: torch.device, processes: int = 1) -> int:
    """How many students a cohort holds: what measured best, or on a GPU as many as there is memory
    for. ``processes`` share each batch. (Teachers are few, and each has a cohort of its own.)"""
    best = BEST_COHORT[device.type]
    runs = tuple(runs)
    runs = tuple(run for run in runs if run.method != "teacher") or runs
    if device.type != "cuda" or not runs or not torch.cuda.is_available():
        return best  # without a GPU here: for a job's node, which takes halves where it must
    of_a_kind = {(run.network, run.stream): run for run in runs}.values()  # few among thousands
    bank = max(map(bank_bytes, of_a_kind))
    room = ROOM * (torch.cuda.mem_get_info(device)[0] - bank)
    needs = [memory_of(run, processes) for run in of_a_kind]
    return max(1, min(best, *(int((room - need.once) / need.each) for need in needs)))


def bank_bytes(run: Run) -> int:
    """Memory of a teacher bank for the run's images, in half precision."""
    images, classes = images_of(run.stream)[0], classes_of(run.stream)
    return 2 * num_views(run.stream.augment) * images * classes


class Need(NamedTuple):
    """Bytes of a cohort of like students: ``each`` of them keeps, ``once`` one uses in its turn."""

    each: int
    once: int


def memory_of(run: Run, processes: int = 1) -> Need:
    """Of a student in training: parameters, gradients and momentum, and a batch's activations with
    their gradients.

    Where steps are recorded each student keeps the activations of every recording; images that are
    decoded on the way come in steps that are not.
    """
    with torch.device("meta"):
        parameters = num_params(constructor(run.network)(classes_of(run.stream)))
    batch = -(-run.stream.batch_size // processes)
    elements = 2 * batch * count_activations(run.network, side_of(run.stream))
    if run.stream.dataset == imagenet.NAME:
        return Need(each=4 * 3 * parameters, once=BYTES[run.precision] * elements)
    return Need(each=4 * (RECORDINGS * elements + 3 * parameters), once=0)


def macs_on(stream: Stream) -> Callable[[str], int]:
    """Multiply-accumulates of a network, by its name, for one image of the stream."""
    return partial(count_macs, side=side_of(stream))


def cost(cohort: Cohort) -> float:
    """Multiply-accumulates that are left, for the order of cohorts."""
    return estimate_seconds(cohort, 1.0)


def estimate_seconds(
    cohort: Cohort, speed: float, *, live_teacher: bool = True, new_views: int = 0
) -> float:
    """Seconds at ``speed`` multiply-accumulates a second; ``new_views``: that it adds to a bank."""
    stream = cohort.runs[0].stream
    macs, (images, evaluated) = macs_on(stream), images_of(stream)
    epoch = epoch_macs(cohort, macs, images, evaluated, live_teacher=live_teacher)
    teacher = macs(cohort.teacher.network) if cohort.teacher else 0
    return (epochs_left(cohort) * epoch + new_views * images * teacher) / speed


def estimates(
    waves: Iterable[Wave], speed: float, choice: TeacherChoice
) -> Iterator[tuple[int, Cohort, float]]:
    """Each cohort with the number of its wave and its seconds.

    As if no bank were there yet and each had room: the first cohort that looks its teacher's
    outputs up makes the bank.
    """
    waves = tuple(waves)
    passes = teacher_passes(waves)
    made: set[TeacherUse] = set()
    for number, cohort in ((n, cohort) for n, wave in enumerate(waves) for cohort in wave):
        use, banked, new = teacher_use(cohort), False, 0
        if use and choice != "live":
            views = num_views(use.augment)
            banked = choice == "bank" or bank_pays(passes[use], views)
            new = views if banked and use not in made else 0
            made |= {use} if banked else set()
        seconds = estimate_seconds(cohort, speed, live_teacher=not banked, new_views=new)
        yield number, cohort, seconds


def machine_speed(records: Records, device: torch.device) -> float | None:
    """Multiply-accumulates a second as recorded on this device; None if nothing was."""
    name = device_name(device)
    found = []
    for record in sorted(records, key=lambda r: r.directory.stat().st_mtime)[-ESTIMATE_RECORDS:]:
        try:
            environment, history = record.environment(), record.history()
            if environment.get("device") == name and history:
                found.append(float(history[-1].get("macs_per_second", 0)))
        except (UserError, *MALFORMED):  # damaged: its run says so when it goes on
            continue
    return median(speeds) if (speeds := [speed for speed in found if speed > 0]) else None


def share_left(cohort: Cohort, epoch: int, images: int) -> float:
    """Of an epoch's ``images`` what was left of it, where a cohort went on within it."""
    if epoch > cohort.first_epoch or not cohort.first_part:
        return 1.0
    return max(0.0, 1 - cohort.first_part * cohort.runs[0].stream.batch_size / images)


def clock(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
