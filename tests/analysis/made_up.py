"""Results whose networks nobody trained: random logits and a linear network for every run."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from repro.data.dataset import Dataset, Images, sort_images
from repro.grid import Choice, expand
from repro.profiles import PROFILES
from repro.results import GridResults
from repro.spec import Run, key, seed
from tests.analysis.conftest import LinearNetwork

CLASSES = tuple(f"class {c}" for c in "abcdefg")
PROFILE = replace(
    PROFILES["demo"],
    triplets=3,
    resolution=6,
    picture=301,
    landscape_side=3,
    landscape_images=10,
    corruption_images=14,
    attack_images=7,
    embedding_images=21,
)


@dataclass(frozen=True, eq=False)
class MadeUp(GridResults):
    """Images of 4 x 4 pixels, five of each class in either split.

    ``loaded``: the runs whose networks were asked for, in order. ``missing``: keys of runs whose
    networks are not here; ``bare``: of those whose networks came without logits.
    """

    superclasses: tuple[int, ...] = ()
    loaded: list[Run] = field(default_factory=list)
    weights: dict[str, str] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    bare: set[str] = field(default_factory=set)

    @property
    def class_names(self) -> tuple[str, ...]:
        return CLASSES

    @property
    def superclass_of(self) -> tuple[int, ...]:
        return self.superclasses

    @property
    def dataset(self) -> Dataset:
        return Dataset(
            name="digits",
            train=images(1),
            test=images(0),
            class_names=CLASSES,
            superclass_of=self.superclasses,
            mean=(0.5, 0.5, 0.5),
            std=(0.25, 0.25, 0.25),
        )

    def test_logits(self, run: Run) -> np.ndarray:
        self.loaded.append(run)
        start = seed("logits", run.network, run.method, run.trial)
        logits = np.random.default_rng(start).normal(size=(35, len(CLASSES)))
        return logits.astype(np.float32)

    def has_network(self, run: Run) -> bool:
        return key(run) not in self.missing

    def has_logits(self, run: Run) -> bool:
        return key(run) not in self.bare

    def network(self, run: Run) -> LinearNetwork:
        self.loaded.append(run)
        torch.manual_seed(seed("network", run.network, run.method, run.trial))
        return LinearNetwork(len(CLASSES)).to(self.device)

    def weights_digest(self, run: Run) -> str:
        return self.weights.get(key(run), "digest")


def images(start: int) -> Images:
    generator = torch.Generator().manual_seed(start)
    pixels = torch.randint(256, (35, 4, 4, 3), generator=generator, dtype=torch.uint8)
    return sort_images(pixels, torch.arange(7).repeat_interleave(5))


def made_up(folder: Path, *runs: Run, superclasses: tuple[int, ...] = ()) -> MadeUp:
    return MadeUp("demo", PROFILE, runs, pd.DataFrame(), folder, folder, superclasses)


def demo(methods: tuple[str, ...] = ()) -> tuple[Run, ...]:
    return expand("demo", PROFILE, Choice(trials=2, methods=methods))
