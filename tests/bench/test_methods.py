"""``repro methods --measure``: what is timed beside what, and that every method can be."""

import json
import math
from pathlib import Path

import pytest
import torch

from repro.bench import methods
from repro.bench.inputs import Inputs
from repro.bench.methods import PairSteps, Plan, Round, beside, logit_methods, ratios
from repro.losses import METHODS
from repro.outputs import Batch, Outputs
from repro.train.student import Student
from tests.bench.conftest import numbers

PAIR = "resnet8:resnet8"
PLAN = Plan(
    methods=("kd", "cmkd", "sp"), pair=PAIR, cohort_pairs=(PAIR,), rounds=1, cohort_rounds=1
)


class Learner(Student):
    """Students that are remembered, and what they were given."""

    made: list["Learner"]

    def learn(self, batch: Batch, teacher: Outputs) -> None:
        self.made.append(self)
        self.given = batch, teacher
        super().learn(batch, teacher)


@pytest.fixture
def learners(monkeypatch: pytest.MonkeyPatch) -> list[Learner]:
    monkeypatch.setattr(Learner, "made", [], raising=False)
    monkeypatch.setattr(methods, "Student", Learner)
    return Learner.made


@pytest.fixture(scope="module")
def steps(inputs: Inputs) -> PairSteps:
    return PairSteps(PAIR, inputs)


class Clock:
    """Steps that take as long as they say."""

    def __init__(self) -> None:
        self.now, self.order = 0.0, list[str]()

    def perf_counter(self) -> float:
        return self.now

    def step(self, name: str, *seconds: float) -> methods.Step:
        left = list(seconds)

        def step() -> None:
            self.order.append(name)
            self.now += left.pop(0) if len(left) > 1 else left[0]

        return step


def test_a_step_stands_between_two_of_kd_s(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(methods, "time", clock)
    kd = clock.step("kd", 9, 9, 1, 2, 4, 8, 10, 12)
    others = {"a": clock.step("a", 7, 7, 3, 5), "b": clock.step("b", 7, 7, 6, 11)}
    found = beside(kd, others, 2, lambda: None)
    assert clock.order[6:] == ["kd", "a", "kd", "b", "kd"] * 2  # after two steps of each
    assert found == {
        "a": [Round(seconds=3, kd_seconds=1.5), Round(seconds=5, kd_seconds=9)],
        "b": [Round(seconds=6, kd_seconds=3), Round(seconds=11, kd_seconds=11)],
    }


def test_a_ratio_is_the_median_of_the_rounds_own_ratios() -> None:
    pairs = [(2.0, 1.0), (30.0, 10.0), (8.0, 2.0), (1.0, 1.0), (5.0, 1.0)]
    found = ratios([Round(seconds=own, kd_seconds=kd) for own, kd in pairs])
    assert (found["ratio"], found["quartiles"]) == (3.0, [2.0, 4.0])  # of 1, 2, 3, 4, 5
    assert (found["step_seconds"], found["kd_step_seconds"]) == (5.0, 1.0)
    assert found["rounds"][1] == {"step_seconds": 30.0, "kd_step_seconds": 10.0}


def test_logit_methods_learn_from_logits_of_the_standard_stream() -> None:
    found = logit_methods(METHODS)
    assert {"kd", "dkd", "dist", "cmkd", "kd+ls"} <= set(found)
    assert not {"ce", "mlkd", "simkd", "fitnet", "crd", "sp"} & set(found)


def test_the_file_says_what_was_measured_where(
    inputs: Inputs, learners: list[Learner], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(methods, "Plan", lambda methods: PLAN)  # noqa: ARG005
    monkeypatch.setattr(methods, "random_inputs", lambda device: inputs)  # noqa: ARG005
    monkeypatch.setattr(methods, "WARM_UP_STEPS", 1)
    told: list[str] = []
    methods.measure_to(tmp_path / "methods.json", told.append)
    found = json.loads((tmp_path / "methods.json").read_text())
    assert found.keys() == {"hardware", "settings", "methods", "cohorts"}
    assert found["hardware"].keys() >= {"device", "cores", "threads", "torch", "python", "date"}
    assert found["settings"]["images"] == "192 images, random uint8, seed 0"
    assert [row["method"] for row in found["methods"]] == list(PLAN.methods)
    assert all(len(row["rounds"]) == PLAN.rounds for row in found["methods"])
    (cohort,) = found["cohorts"]
    assert (cohort["pair"], cohort["methods"]) == (PAIR, ["kd", "cmkd"])
    values = numbers(found["methods"]) + numbers(found["cohorts"])
    assert all(math.isfinite(value) and value > 0 for value in values)
    assert [line for line in told if line.startswith("cmkd: ")]
    alone, beside_kd = 1 + len(PLAN.methods), ["cmkd", "kd", "kd", "kd"]  # two, and two of KD
    cohorts = [learner.run for learner in dict.fromkeys(learners)][alone:]
    assert sorted(run.method for run in cohorts) == beside_kd
    assert sorted(run.trial for run in cohorts) == [0, 0, 0, 1]


@pytest.mark.parametrize("method", ["kd+ls", "mlkd", "crd", "simkd"])
def test_methods_learn_with_adapters_and_second_views(
    method: str, steps: PairSteps, learners: list[Learner]
) -> None:
    step = steps.step(method)
    step()
    (learner,) = learners
    before = {name: p.detach().clone() for name, p in learner.parameters.items()}
    step()
    assert learners == [learner, learner]
    after = learner.parameters
    assert all(parameter.isfinite().all() for parameter in after.values())
    assert not torch.equal(before["stages.0.0.weight"], after["stages.0.0.weight"])
    batch, teacher = learner.given
    assert len(batch.labels) == len(teacher.logits) == 64
    assert (batch.second is not None) == (teacher.second is not None) == (method == "mlkd")
