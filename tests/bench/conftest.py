from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from repro.bench import run
from repro.bench.ceilings import Sizes
from repro.bench.inputs import Inputs, random_inputs
from tests.cli.invoke import repro
from tests.tiny import CPU

WORDS = ("bench", "--pairs", "resnet8:resnet8", "--precision", "fp32", "--seconds", "0")


@pytest.fixture(scope="session")
def inputs() -> Inputs:
    return random_inputs(CPU, count=200)


@pytest.fixture(scope="package", autouse=True)
def small() -> Iterator[None]:
    """Few images and small products: the numbers mean nothing here."""
    sizes = Sizes(matrix=64, images=2, channels=16, copied=1 << 20)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "random_inputs", partial(random_inputs, count=200))
        patch.setattr(run, "SIZES", {"cpu": sizes})
        patch.delenv("REPRO_CIFAR100", raising=False)
        yield


@dataclass(frozen=True)
class Told:
    """What a command wrote."""

    stdout: str
    stderr: str


@pytest.fixture(scope="package")
def told(small: None) -> Told:  # noqa: ARG001
    """Two cohort sizes in two rounds, as JSON on stdout."""
    result = repro(*WORDS, "--cohorts", "1,2", "--repeats", "2", "--json", "-")
    assert result.exit_code == 0, result.output
    return Told(result.stdout, result.stderr)


def numbers(data: Any) -> list[float]:
    """Every number in JSON data."""
    if isinstance(data, dict):
        data = list(data.values())
    if isinstance(data, list):
        return [number for item in data for number in numbers(item)]
    return [data] if isinstance(data, int | float) and not isinstance(data, bool) else []
