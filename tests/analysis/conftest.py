from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from torch import Tensor, nn

from repro.analysis.published import load_published
from repro.outputs import Outputs

PUBLISHED = Path(__file__).parents[2] / "paper_tables" / "published.csv"


class LinearNetwork(nn.Module):
    """A classifier that is linear in the image, with dropout that must be off when measured."""

    def __init__(self, num_classes: int, size: int = 4) -> None:
        super().__init__()
        self.dropout = nn.Dropout(0.5)
        self.classifier = nn.Linear(3 * size * size, num_classes)

    def forward(self, images: Tensor) -> Outputs:
        pooled = self.dropout(images.flatten(1))
        return Outputs(self.classifier(pooled), pooled=pooled)


@pytest.fixture(scope="session")
def published() -> pd.DataFrame:
    return load_published(PUBLISHED)


def make_runs(pair: str, method: str, top1: list[float]) -> pd.DataFrame:
    """One finished run a value; last, best = last + 0.5, mean of the last ten = last - 0.1."""
    teacher, _, student = pair.rpartition(":")
    values = np.array(top1)
    return pd.DataFrame(
        {
            "run_id": [f"run-{pair}-{method}-{i}" for i in range(len(top1))],
            "key": [f"key-{pair}-{method}-{i}" for i in range(len(top1))],
            "dataset": "cifar100",
            "profile": "paper",
            "pair": pair,
            "teacher": teacher,
            "student": student,
            "method": method,
            "trial": range(len(top1)),
            "top1_last": values,
            "top1_best": values + 0.5,
            "top1_last10": values - 0.1,
        }
    )


@pytest.fixture
def results() -> pd.DataFrame:
    return pd.concat(
        [
            make_runs("resnet56", "teacher", [72.4]),
            make_runs("resnet56:resnet20", "ce", [69.0, 69.2, 69.4]),
            make_runs("resnet56:resnet20", "kd", [70.6, 70.8, 71.0]),
            make_runs("resnet56:resnet20", "dkd", [71.5, 71.7]),
            make_runs("resnet32x4", "teacher", [79.4]),
            make_runs("resnet32x4:resnet8x4", "kd", [73.3]),
        ],
        ignore_index=True,
    )
