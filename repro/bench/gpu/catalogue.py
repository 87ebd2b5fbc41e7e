"""Every experiment by name, in order of value. Standard library only."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from repro.errors import choose

# Hardware queues: with the default of 8 the replays of more streams wait for one another.
CONNECTIONS = {"CUDA_DEVICE_MAX_CONNECTIONS": "32"}


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """``module`` of ``repro.bench.gpu.experiments`` measures it.

    It begins no further variant after ``budget_seconds`` (the process's start included) and is
    killed after ``timeout_seconds``. ``environment`` is set before CUDA starts.
    """

    name: str
    title: str
    module: str
    budget_seconds: float
    environment: Mapping[str, str] = field(default_factory=lambda: CONNECTIONS)

    @property
    def timeout_seconds(self) -> float:
        """Half as long again, and 20 s for a variant that began just before the budget's end."""
        return 1.5 * self.budget_seconds + 20


def _experiment(name: str, module: str, budget_seconds: float, title: str) -> Experiment:
    return Experiment(name=name, title=title, module=module, budget_seconds=budget_seconds)


CATALOGUE: tuple[Experiment, ...] = (
    _experiment("E0", "environment", 20, "versions, clocks, copying rates"),
    _experiment("E2", "one_student", 70, "one student: precision, layout, correctness"),
    _experiment("E3", "cohorts", 110, "cohorts: lanes, fork-join, serial"),
    _experiment("E13", "training", 80, "two epochs of train_cohort beside the usual loop"),
    _experiment("E9", "losses", 75, "losses: cost over KD, eager and compiled"),
    _experiment("E11", "epoch_end", 35, "evaluation, snapshots, recording"),
    _experiment("E1", "null_graphs", 30, "empty kernels: gap and front-end rate"),
    _experiment("E8", "teachers", 50, "live teacher, bank look-up, bank building"),
    _experiment("E7", "networks", 80, "other networks, 1, 8 and 4 students"),
    _experiment("E10", "updates", 20, "the update: fused, flat, foreach"),
    _experiment("E6", "compiled", 100, "torch.compile, then recorded"),
    _experiment("E5", "stacked", 60, "students stacked by vmap"),
    _experiment("E4", "operators", 60, "convolutions and BatchNorm of 16 students"),
    _experiment("E12", "processes", 50, "several processes, with and without MPS"),
    Experiment(
        name="E14",
        title="E1's branches and E3's lanes with CUDA's default connections",
        module="connections",
        budget_seconds=30,
        environment={},
    ),
)
BY_NAME = {experiment.name: experiment for experiment in CATALOGUE}


def chosen(words: str) -> tuple[Experiment, ...]:
    """The experiments of ``E1,E3`` in order of value, all for no words. Raises UserError."""
    names = [word for word in words.split(",") if word]
    for name in names:
        if name not in BY_NAME:
            raise choose("experiment", name, BY_NAME)
    return tuple(e for e in CATALOGUE if not names or e.name in names)
