"""What a step of each method costs beside KD's, and a cohort of all logit methods: ``repro methods
--measure``.

A step is one student's: forward, loss, backward, update, on a ready batch with a teacher's ready
outputs. So the teacher's own pass and the making of batches and second views are not in it.
"""

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from repro.bench.cases import PROFILE, Case
from repro.bench.engine import STREAM, TRIAL, Ready, teacher_of
from repro.bench.inputs import Inputs, random_inputs
from repro.bench.machine import hardware, synchronize
from repro.bench.run import BUSY
from repro.data.batches import batches
from repro.environment import keep_freed_memory
from repro.files import write_atomically
from repro.grid import loss_for
from repro.losses import METHODS, named
from repro.losses.protocol import second_view, uses_features, uses_teacher
from repro.train.adapters import initial_adapter
from repro.train.student import Student
from repro.train.weights import initial

PAIR = "resnet32x4:resnet8x4"
SMALL_PAIR = "resnet56:resnet20"  # a loss weighs more beside a small student
ROUNDS, COHORT_ROUNDS = 9, 7
WARM_UP_STEPS = 2
LAST_EPOCH = STREAM.epochs - 1  # after every warm-up
QUARTILES = (25, 75)

NOTES = {
    "step": "one student's forward, loss, backward and update on a ready batch; the teacher's pass "
    "and the making of batches and second views are not in it",
    "ratio": "median over the rounds of step_seconds / kd_step_seconds, the latter the mean of a "
    "KD student's steps right before and right after; quartiles of the same",
    "cohorts": "a step of every logit method on the standard stream beside as many KD students",
}

Step = Callable[[], None]
Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Round:
    """Seconds of a step, and of KD's steps around it."""

    seconds: float
    kd_seconds: float


def ratios(rounds: Sequence[Round]) -> dict[str, Any]:
    """The median of each round's own ratio, as slow moments hit both; and what it is made of."""
    each = [found.seconds / found.kd_seconds for found in rounds]
    return {
        "ratio": median(each),
        "quartiles": [float(value) for value in np.percentile(each, QUARTILES)],
        "step_seconds": median(found.seconds for found in rounds),
        "kd_step_seconds": median(found.kd_seconds for found in rounds),
        "rounds": [
            {"step_seconds": found.seconds, "kd_step_seconds": found.kd_seconds} for found in rounds
        ],
    }


@dataclass(frozen=True, kw_only=True)
class Plan:
    """``cohort_pairs``: on which the cohort is measured, beside the methods alone on ``pair``."""

    methods: tuple[str, ...]
    pair: str = PAIR
    cohort_pairs: tuple[str, ...] = (PAIR, SMALL_PAIR)
    rounds: int = ROUNDS
    cohort_rounds: int = COHORT_ROUNDS


def measure(plan: Plan, inputs: Inputs, tell: Tell) -> dict[str, Any]:
    """Everything as JSON-ready data. ``tell`` gets lines of progress.

    On a CPU; a GPU's engine replays recorded steps, and here every operation is started alone.
    """
    keep_freed_memory()
    machine = hardware(inputs.device)
    if os.getloadavg()[0] > BUSY:
        tell(f"this machine is busy (load {os.getloadavg()[0]:.1f}): the numbers will mean little")
    pair_steps = PairSteps(plan.pair, inputs)
    steps = {method: pair_steps.step(method) for method in plan.methods}
    tell(f"{plan.pair}: {len(steps)} methods, {plan.rounds} rounds")
    found = beside(pair_steps.step("kd"), steps, plan.rounds, pair_steps.wait)
    methods = [{"method": method} | ratios(rounds) for method, rounds in found.items()]
    for row in methods:
        tell(f"{row['method']}: {row['ratio']:.2f} x KD, {row['step_seconds']:.3f} s a step")
    return {
        "hardware": machine,
        "settings": {
            "images": inputs.what,
            "profile": PROFILE.name,
            "pair": plan.pair,
            "batch_size": STREAM.batch_size,
            "rounds": plan.rounds,
            "cohort_rounds": plan.cohort_rounds,
            "notes": NOTES,
        },
        "methods": methods,
        "cohorts": [measure_cohort(pair, plan, inputs, tell) for pair in plan.cohort_pairs],
    }


def measure_to(path: Path, tell: Tell) -> None:
    """Every method on random images, as a JSON file: about 4 minutes on two cores."""
    found = measure(Plan(methods=METHODS), random_inputs(torch.device("cpu")), tell)
    write_atomically(path, json.dumps(found, indent=1) + "\n")


def measure_cohort(pair: str, plan: Plan, inputs: Inputs, tell: Tell) -> dict[str, Any]:
    """All logit methods side by side, beside as many KD students."""
    methods, pair_steps = logit_methods(plan.methods), PairSteps(pair, inputs)
    mixed = one_after_another([pair_steps.step(method) for method in methods])
    alike = one_after_another([pair_steps.step("kd", trial) for trial in range(len(methods))])
    (rounds,) = beside(alike, {"cohort": mixed}, plan.cohort_rounds, pair_steps.wait).values()
    found = {"pair": pair, "methods": list(methods)} | ratios(rounds)
    tell(f"{pair}: a cohort of {len(methods)} logit methods {found['ratio']:.3f} x KD")
    return found


def logit_methods(methods: Sequence[str]) -> tuple[str, ...]:
    """Those that learn from a teacher's logits for the standard stream's images."""
    losses = {method: named(method) for method in methods}
    return tuple(
        method
        for method, loss in losses.items()
        if uses_teacher(loss) and not uses_features(loss) and not second_view(loss)
    )


class PairSteps:
    """A pair's ready batch and teacher outputs, and the steps of students that learn from them."""

    def __init__(self, pair: str, inputs: Inputs) -> None:
        self.case, self.inputs = Case(pair=pair, cohort=1), inputs
        stream = replace(STREAM, second_view="strong")
        batch = next(batches(inputs.training, stream, TRIAL, epoch=0))
        self.twice = Ready(batch, teacher_of(self.case, inputs)(batch))
        self.once = Ready(replace(batch, second=None), replace(self.twice.outputs, second=None))

    def wait(self) -> None:
        synchronize(self.inputs.device)

    def step(self, method: str, trial: int = TRIAL) -> Step:
        """A new student's step; each call is the next."""
        loss = loss_for(method, self.case.networks, PROFILE)
        given = self.twice if second_view(loss) else self.once
        (kd,) = self.case.runs()
        run = replace(kd, loss=loss, method=method, trial=trial)
        training, device = self.inputs.training, self.inputs.device
        adapter = initial_adapter(run, given.outputs, training.labels, device)
        student = Student(run, initial(run, device), adapter)
        student.begin_epoch(LAST_EPOCH)
        return lambda: student.learn(given.batch, given.outputs)


def one_after_another(steps: Sequence[Step]) -> Step:
    def step() -> None:
        for each in steps:
            each()

    return step


def beside(
    kd: Step, steps: Mapping[str, Step], rounds: int, wait: Callable[[], None]
) -> dict[str, list[Round]]:
    """Every step in turn with KD's before and after it, ``rounds`` times, after warming up."""

    def seconds(step: Step) -> float:
        wait()
        began = time.perf_counter()
        step()
        wait()
        return time.perf_counter() - began

    for step in (kd, *steps.values()):
        for _ in range(WARM_UP_STEPS):
            step()
    found: dict[str, list[Round]] = {name: [] for name in steps}
    for _ in range(rounds):
        before = seconds(kd)
        for name, step in steps.items():
            own, after = seconds(step), seconds(kd)
            found[name].append(Round(seconds=own, kd_seconds=(before + after) / 2))
            before = after
    return found
