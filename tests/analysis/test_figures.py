"""The scripts of figures/ that measure networks, on small made-up results."""

from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure

from figures import decision_regions, inter_class_correlation
from repro.grid import Choice, expand
from repro.profiles import PROFILES
from repro.results import GridResults
from repro.spec import Run, seed
from tests.analysis.conftest import LinearNetwork

CLASSES = tuple(f"class {c}" for c in "abcdefg")
LABELS = np.repeat(np.arange(7), 5)
PROFILE = replace(PROFILES["demo"], triplets=3, resolution=6, picture=301)


@dataclass(frozen=True)
class MadeUp(GridResults):
    """Every run has random logits and a linear network of its own."""

    superclasses: tuple[int, ...] = ()

    @property
    def dataset(self) -> SimpleNamespace:
        return SimpleNamespace(class_names=CLASSES, superclass_of=self.superclasses)

    @property
    def test_labels(self) -> np.ndarray:
        return LABELS

    def test_images(self, indices: list[int]) -> torch.Tensor:
        images = torch.randn(len(LABELS), 3, 4, 4, generator=torch.Generator().manual_seed(0))
        return images[torch.as_tensor(indices)]

    def test_logits(self, run: Run) -> np.ndarray:
        start = seed("logits", run.network, run.method, run.trial)
        return np.random.default_rng(start).normal(size=(len(LABELS), len(CLASSES)))

    def network(self, run: Run) -> LinearNetwork:
        torch.manual_seed(seed("network", run.network, run.method, run.trial))
        return LinearNetwork(len(CLASSES)).to(self.device)


@pytest.fixture
def titles(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found = []
    monkeypatch.setattr(Figure, "suptitle", lambda _, text, **__: found.append(text))
    return found


def made_up(folder: Path, *runs: Run, superclasses: tuple[int, ...] = ()) -> MadeUp:
    return MadeUp("demo", PROFILE, runs, pd.DataFrame(), folder, folder, superclasses)


def demo(methods: tuple[str, ...] = ()) -> tuple[Run, ...]:
    return expand("demo", PROFILE, Choice(trials=2, methods=methods))


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, comment="#")


def test_the_matrices_drawn_are_written_beside_the_numbers_of_all_trials(tmp_path, titles):
    results = made_up(tmp_path, *demo(), superclasses=(1, 0, 1, 0, 2, 2, 2))
    *_, png, numbers, matrices = inter_class_correlation.write(results, tmp_path)
    assert png.exists()
    assert set(read(numbers)["form"]) == {"raw", "zscored", "correlation", "probabilities"}
    assert set(read(numbers)["trial"]) == {0, 1}
    rows = read(matrices)
    assert matrices.name == numbers.stem + "-matrices.csv"
    assert matrices.read_text().startswith(f"# {PROFILE.mark}\nform,method,row_class,column_class")
    assert len(rows) == 4 * 5 * 7 * 7
    assert rows["row_class"].drop_duplicates().str[-1].str.cat() == "bdacefg"
    one = rows[(rows["form"] == "raw") & (rows["method"] == "cmkd")]["value"].to_numpy()
    stated = read(numbers).set_index(["form", "method", "trial"]).loc[("raw", "cmkd", 0)]
    assert np.linalg.norm(one) == pytest.approx(stated["frobenius"], rel=1e-4)
    assert "trial 0 drawn" in titles[0]
    assert "first" not in titles[0]


def test_more_than_six_methods_are_not_all_drawn_and_the_figure_says_so(tmp_path, titles):
    methods = ("ce", "kd", "dkd", "dist", "cmkd", "kd+ls", "dkd+ls")
    results = made_up(tmp_path, *demo(methods))
    *_, numbers, matrices = inter_class_correlation.write(results, tmp_path)
    assert titles[0].endswith("the first 6 of 7 methods; the CSV has numbers of all")
    assert list(read(matrices)["method"].drop_duplicates()) == list(methods[:6])
    assert set(read(numbers)["method"]) == set(methods)


def test_the_title_names_the_trials_that_are_drawn(tmp_path, titles):
    runs = [run for run in demo(("ce", "kd")) if (run.method, run.trial) != ("kd", 0)]
    inter_class_correlation.write(made_up(tmp_path, *runs), tmp_path)
    decision_regions.write(made_up(tmp_path, *runs), tmp_path)
    assert "trials: ce 0, kd 1 drawn" in titles[0]
    assert titles[1].endswith("\ntrials: teacher 0, ce 0, kd 1")
    assert "mean over 3 planes" in titles[2]


def test_decision_regions_thin_out_their_csv_and_keep_the_numbers(tmp_path, monkeypatch):
    results = made_up(tmp_path, *demo(("kd", "cmkd")))
    written = decision_regions.write(results, tmp_path)
    points, numbers = (path for path in written if path.suffix == ".csv")
    first, second, *_ = points.read_text().splitlines()
    assert first == "# one point in 3 along each side of the picture's 301 x 301"
    assert second == f"# {PROFILE.mark}"
    assert len(read(points)) == 2 * 3 * 101**2
    summary = read(numbers)
    assert list(summary["name"].drop_duplicates()) == ["teacher", "kd", "cmkd"]
    assert summary.set_index(["name", "number"]).loc[("cmkd", "margin"), "minus_kd"]
    (stored,) = (tmp_path / "derived").iterdir()
    assert len(read(stored)) == 3 * 3
    monkeypatch.setattr(decision_regions, "plane_numbers", None)
    decision_regions.write(results, tmp_path)
    pd.testing.assert_frame_equal(read(numbers), summary)
