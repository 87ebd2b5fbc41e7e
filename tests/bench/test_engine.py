"""The suite's side of the bench: it trains every student of the case, on whole batches."""

from dataclasses import replace
from itertools import islice

import pytest
import torch

from repro.bench import engine, parts
from repro.bench.cases import Case
from repro.bench.inputs import Inputs, settle
from repro.bench.timing import Pace
from repro.losses import KD
from repro.spec import key
from repro.train.student import Student
from repro.train.weights import initial
from tests.tiny import CPU

CASE = Case(pair="resnet8:resnet8", cohort=3)
SHORT = Pace(seconds=0.0, least_steps=1)


def test_students_differ_in_their_weights_alone() -> None:
    runs = CASE.runs()
    assert len({key(run) for run in runs}) == 3
    assert {replace(run, trial=0) for run in runs} == {runs[0]}
    assert runs[0].loss == KD()
    assert (runs[0].stream.batch_size, runs[0].stream.epochs) == (64, 240)
    assert runs[0].optim.lr == 0.05
    light = Case(pair="resnet8:MobileNetV2", cohort=1).runs()[0]
    assert light.optim.lr == 0.01


def test_a_cohorts_step_gives_64_images_to_each_student(
    inputs: Inputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Student] = []
    students_of = engine.students_of

    def remembered(case: Case, device: torch.device) -> list[Student]:
        made.extend(students_of(case, device))
        return made

    monkeypatch.setattr(engine, "students_of", remembered)
    work = engine.train_cohort(CASE, inputs)
    assert list(islice(work, 4)) == [3 * 64] * 4  # an epoch has three steps
    work.close()
    assert len(made) == 3
    for student in made:
        before = initial(student.run, CPU).state_dict()
        after = student.model.state_dict()
        assert not torch.equal(before["classifier.weight"], after["classifier.weight"])
        assert all(torch.isfinite(tensor).all() for tensor in after.values())


def test_a_banks_outputs_are_looked_up(inputs: Inputs) -> None:
    work = engine.train_cohort(replace(CASE, cohort=1, teacher="bank"), inputs)
    assert next(work) == 64
    work.close()


@pytest.mark.parametrize("network", ["resnet8", "resnet56", "resnet32x4", "wrn_16_2"])
def test_an_untrained_teacher_has_moderate_logits(network: str, inputs: Inputs) -> None:
    run = Case(pair=f"{network}:resnet8", cohort=1).teacher_run()
    teacher = settle(initial(run, CPU), inputs, CPU)
    with torch.no_grad():
        logits = teacher(engine.ready(inputs).batch.images).logits
    assert not teacher.training
    assert logits.isfinite().all()
    assert logits.std() < 20


def test_every_part_takes_time(inputs: Inputs) -> None:
    case = replace(CASE, cohort=1)
    assert next(engine.student_alone(case, inputs)) == 64
    seconds = [
        parts.data_seconds(inputs, SHORT),
        parts.teacher_seconds(case, inputs, SHORT),
        parts.loss_seconds(inputs, SHORT),
        parts.logging_seconds(case, inputs),
    ]
    assert all(0 < value < 5 for value in seconds)
