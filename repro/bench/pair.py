"""One pair: the usual loop and every case in alternation, then the parts of their steps."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from statistics import median

from repro.bench import engine, parts, reference
from repro.bench.cases import Case
from repro.bench.ceilings import Ceilings, floor_images_per_second
from repro.bench.inputs import Inputs
from repro.bench.parts import PartSeconds
from repro.bench.results import Repeat, Result
from repro.bench.timing import Block, Pace, Work, time_block
from repro.errors import UserError
from repro.spec import Precision

REFERENCE = "usual loop"
PART_SHARE = 0.15  # of a block's seconds, for each part and each ceiling

Round = dict[str, Block]  # a repeat's blocks, by label


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How cases are measured. ``reference``: with the usual loop beside them."""

    reference: bool = True
    repeats: int = 3
    pace: Pace = field(default_factory=Pace)

    def __post_init__(self) -> None:
        if self.repeats < 1:
            raise UserError(f"--repeats must be at least 1, not {self.repeats}")

    @property
    def part_pace(self) -> Pace:
        return Pace(seconds=PART_SHARE * self.pace.seconds)


def measure_pair(
    cases: Sequence[Case],
    inputs: Inputs,
    ceilings: Ceilings,
    plan: Plan,
    tell: Callable[[str], None],
) -> list[Result]:
    """A result for each of a pair's cases; ``tell`` gets a line a repeat."""
    rounds = []
    for number in range(1, plan.repeats + 1):
        rounds.append(measure_round(cases, inputs, plan))
        speeds = ", ".join(f"{n} {b.images_per_second:,.0f}" for n, b in rounds[-1].items())
        tell(f"{cases[0].pair} {number}/{plan.repeats}, student images/s: {speeds}")
    seconds = part_seconds(cases, rounds, inputs, plan.part_pace)
    return [
        Result(
            case=case,
            repeats=tuple(repeat_of(case, blocks) for blocks in rounds),
            peak_bytes=max(blocks[case.label].peak_bytes or 0 for blocks in rounds) or None,
            floor_images_per_second=floor_images_per_second(case, ceilings),
            shares=parts.shares(seconds[case], case.cohort),
        )
        for case in cases
    ]


def measure_round(cases: Sequence[Case], inputs: Inputs, plan: Plan) -> Round:
    """A block each of the usual loop, of one student alone in each precision, of every case."""

    def block(start: Callable[[], Work], warm_up_steps: int = 1) -> Block:
        return time_block(start, inputs.device, plan.pace, warm_up_steps=warm_up_steps)

    found: Round = {}
    if plan.reference:
        loop = partial(reference.usual_loop, cases[0].pair, inputs)
        found[REFERENCE] = block(loop, reference.WARM_UP_STEPS)
    for precision, case in one_a_precision(cases).items():
        found[alone(precision)] = block(partial(engine.student_alone, case, inputs))
    for case in cases:
        found[case.label] = block(partial(engine.train_cohort, case, inputs))
    return found


def one_a_precision(cases: Sequence[Case]) -> dict[Precision, Case]:
    return {case.precision: case for case in cases}


def alone(precision: Precision) -> str:
    return f"one alone {precision}"


def repeat_of(case: Case, blocks: Round) -> Repeat:
    beside = blocks.get(REFERENCE)
    return Repeat(
        student=blocks[case.label].images_per_second,
        alone=blocks[alone(case.precision)].images_per_second,
        reference=beside.images_per_second if beside else None,
    )


def part_seconds(
    cases: Sequence[Case], rounds: Sequence[Round], inputs: Inputs, pace: Pace
) -> dict[Case, PartSeconds]:
    """The parts of each case's step; what cases share is measured once."""
    data, loss = parts.data_seconds(inputs, pace), parts.loss_seconds(inputs, pace)
    logging = parts.logging_seconds(cases[0], inputs)
    sources = {(case.precision, case.teacher): case for case in cases}
    teachers = {key: parts.teacher_seconds(case, inputs, pace) for key, case in sources.items()}
    return {
        case: PartSeconds(
            data=data,
            teacher=teachers[case.precision, case.teacher],
            student=median(blocks[alone(case.precision)].step_seconds for blocks in rounds),
            loss=loss,
            logging=logging,
        )
        for case in cases
    }
