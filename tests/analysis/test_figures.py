"""The scripts of figures/ that measure networks, on small made-up results."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from figures import (
    ablation,
    decision_regions,
    dynamic_weights,
    embedding,
    inter_class_correlation,
    loss_landscape,
    rank_agreement,
    robustness,
    teacher_strength,
    training_curves,
)
from repro.analysis.measured import planes_of
from repro.grid import Choice, expand
from repro.profiles import PROFILES
from repro.spec import Run, key
from tests.analysis.made_up import PROFILE, demo, made_up
from tests.made_results import finished, results_of


@pytest.fixture
def titles(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found = []
    monkeypatch.setattr(Figure, "suptitle", lambda _, text, **__: found.append(text))
    return found


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


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([94, 132, 170], "132 ± 38"),
        ([0.109, 0.120, 0.131], "0.120 ± 0.011"),
        ([86.4, 87.6, 88.8], "87.6 ± 1.2"),
        ([99_000, 100_000, 101_000], "100000 ± 1000"),
        ([0.5], "0.5"),
        ([2, 2, 2], "2"),
    ],
)
def test_a_spread_is_written_to_its_second_digit(values: list[float], words: str) -> None:
    assert inter_class_correlation.spread(pd.Series(values)) == words


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
    assert "means over 3 planes" in titles[2]


def test_decision_regions_thin_out_their_csv_and_keep_the_numbers(tmp_path):
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
    results.loaded.clear()
    (again,) = decision_regions.numbers(
        results, decision_regions.compared(results, "resnet14:resnet8"), tmp_path / "again"
    )[2:]
    assert read(again).equals(summary)
    assert not results.loaded


def test_decision_numbers_are_means_over_all_trials(tmp_path):
    results = made_up(tmp_path, *demo(("kd",)))
    *_, numbers = decision_regions.write(results, tmp_path)
    summary = read(numbers).set_index(["name", "number"])
    assert summary.loc[("teacher", "agreement"), "trials"] == 1
    assert summary.loc[("kd", "agreement"), "trials"] == 2
    rows = planes_of(results)
    expected = rows[rows["method"] == "kd"]["agreement"].mean()
    assert summary.loc[("kd", "agreement"), "mean"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("script", "stem", "columns"),
    [
        (robustness, "robustness", ["corruption", "severity", "top1", "images", "radius"]),
        (rank_agreement, "rank-agreement", ["bin", "difficulty", "images", "entropy"]),
        (loss_landscape, "loss-landscape", ["alpha", "beta", "loss", "top1", "network"]),
        (embedding, "embedding", ["label", "x", "y", "knn_top1", "silhouette", "network"]),
    ],
)
def test_a_measured_figure_comes_with_its_data_and_is_drawn_from_what_is_kept(
    tmp_path, titles, script, stem, columns
):
    results = made_up(tmp_path, *demo(("kd", "cmkd")))
    written = script.write(results, tmp_path)
    name = f"{stem}-resnet14-resnet8"
    assert [path.name for path in written] == [f"{name}{s}" for s in (".pdf", ".png", ".csv")]
    table = read(written[2])
    assert list(table)[: 4 + len(columns)] == ["key", "pair", "method", "trial", *columns]
    assert {"kd", "cmkd"} <= set(table["method"])
    assert PROFILE.mark in written[2].read_text()
    assert titles[0].startswith("resnet14:resnet8: ")
    results.loaded.clear()
    first = [written[2].read_bytes(), written[1].read_bytes()]
    again = script.write(results, tmp_path)
    assert [again[2].read_bytes(), again[1].read_bytes()] == first
    assert not results.loaded


def test_pictures_of_networks_say_which_trials_they_show(tmp_path, titles):
    results = made_up(tmp_path, *demo(("kd", "cmkd")))
    loss_landscape.write(results, tmp_path)
    embedding.write(results, tmp_path)
    assert [title.splitlines()[-1] for title in titles] == ["trial 0", "trial 0"]


def test_without_the_teacher_there_is_no_rank_agreement(tmp_path):
    students = [run for run in demo(("kd",)) if run.teacher]
    assert rank_agreement.write(made_up(tmp_path, *students), tmp_path) == []


def ablated(tmp_path: Path, tops: dict[str, list[float]]) -> list[Path]:
    profile = replace(PROFILES["demo"], trials=3)
    runs = [run for run in expand("ablation", profile) if run.method in (*tops, "teacher")]
    table = finished(*runs).assign(top1_last10=0.0)
    for method, values in tops.items():
        table.loc[table["method"] == method, "top1_last10"] = values
    return ablation.write(results_of("ablation", profile, table), tmp_path)


def test_ablation_bars_are_paired_differences_to_cmkd(tmp_path):
    tops = {"kd": [70.0, 71.0, 72.0], "cmkd": [71.0, 72.5, 72.0], "cmkd/reversed": [71, 72, 74]}
    *_, path = ablated(tmp_path, tops)
    table = read(path).set_index("method")
    assert list(table.index) == ["cmkd/reversed", "kd"]
    assert table.loc["kd", "difference"] == pytest.approx((-1 - 1.5 + 0) / 3)
    assert table.loc["kd", "label"] == "71.00 % (n=3)"
    assert table.loc["kd", "low"] < table.loc["kd", "difference"] < table.loc["kd", "high"]


def test_without_cmkd_or_beside_nothing_there_is_no_ablation(tmp_path):
    assert ablated(tmp_path, {"kd": [70.0, 71.0, 72.0]}) == []
    assert ablated(tmp_path, {"cmkd": [70.0, 71.0, 72.0]}) == []
    assert ablation.write(made_up(tmp_path, *demo()), tmp_path) == []


def recorded(folder: Path, run: Run, histogram: list[list[int]]) -> None:
    """A history of three epochs, each with a histogram of difficulty."""
    directory = folder / "records" / key(run)
    directory.mkdir(parents=True)
    lines = [
        {"epoch": e, "histograms": {"difficulty": counts} if "cmkd" in run.method else {}}
        | {"metrics": {"weight/pearson": 0.2 * e, "weight/spearman": 1 - 0.2 * e}}
        | {"seconds": 1.0, "students": 1}
        for e, counts in enumerate(histogram)
    ]
    for line in lines:
        line["metrics"] |= {"test/top1": 50.0 + line["epoch"], "test/loss": 2.0 - line["epoch"] / 2}
    (directory / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_difficulty_is_a_share_of_images_at_each_recorded_epoch(tmp_path, titles):
    runs = demo(("kd", "cmkd"))
    for run in runs:
        recorded(tmp_path, run, [[1, 1, 2, 0], [0, 1, 1, 2], [3, 1, 0, 0]])
    *_, path = dynamic_weights.write(made_up(tmp_path, *runs), tmp_path)
    table = read(path)
    assert set(table["method"]) == {"cmkd"}
    shares = table.dropna(subset=["share"]).groupby(["epoch", "bin"])["share"].mean()
    assert shares.loc[0].tolist() == [0.25, 0.25, 0.5, 0]
    assert shares.loc[2].tolist() == [0.75, 0.25, 0, 0]
    weights = table.dropna(subset=["weight"])
    assert weights.loc[weights["term"] == "pearson", "weight"].tolist() == [0, 0.2, 0.4] * 2
    assert dynamic_weights.uniform_words(table) == ""
    assert "weights and difficulty" in titles[0]


def test_a_rank_as_difficulty_is_said_to_be_one(tmp_path):
    (run,) = (run for run in demo(("cmkd",)) if run.teacher and run.trial == 0)
    recorded(tmp_path, run, [[1, 1], [1, 1], [1, 1]])
    _, difficulty = dynamic_weights.measured(made_up(tmp_path, run), run.pair)
    assert "rank within the batch" in dynamic_weights.uniform_words(difficulty)
    assert dynamic_weights.write(made_up(tmp_path, *demo(("kd",))), tmp_path) == []


def test_variants_with_another_difficulty_have_rows_of_their_own(tmp_path):
    profile = replace(PROFILES["demo"], trials=1)
    runs = [run for run in expand("ablation", profile) if run.teacher]
    results = replace(made_up(tmp_path, *runs), grid="ablation", profile=profile)
    names = dynamic_weights.moving(results, "resnet14:resnet8")
    assert names[0] == "cmkd"
    assert {"cmkd/teacher-entropy", "cmkd/label-probability"} <= set(names)
    assert not {"cmkd/fixed-half", "cmkd/temperature-4", "kd"} & set(names)


def test_training_curves_come_with_every_trial(tmp_path, titles):
    runs = demo(("kd", "cmkd"))
    for run in runs:
        recorded(tmp_path, run, [[1], [1], [1]])
    *_, path = training_curves.write(made_up(tmp_path, *runs), tmp_path)
    table = read(path)
    assert len(table) == 2 * 2 * 3
    assert set(table["test_loss"]) == {2.0, 1.5, 1.0}
    assert "trials thin" in titles[0]


def test_accuracy_against_a_teacher_s_strength_and_its_size(tmp_path, titles):
    profile = replace(PROFILES["demo"], trials=2)
    runs = [r for r in expand("stronger-teacher", profile) if r.method in ("teacher", "kd", "cmkd")]
    alone = Choice(pairs=("resnet14:resnet8",), methods=("nkd",))  # one teacher's: no trend
    runs += [r for r in expand("stronger-teacher", profile, alone) if r.method == "nkd"]
    table = finished(*runs).assign(top1_last10=range(len(runs)), grid="stronger-teacher")
    *_, path = teacher_strength.write(results_of("stronger-teacher", profile, table), tmp_path)
    found = read(path)
    assert path.name == "teacher-strength-resnet8.csv"
    assert set(found["method"]) == {"kd", "cmkd"}
    sizes = dict(zip(found["teacher"], found["teacher_params"], strict=True))
    assert sizes == {"resnet14": 175_258, "resnet20": 272_474, "resnet32": 466_906}
    assert set(found["n"]) == {2}
    assert titles[0].startswith("resnet8 under stronger teachers")
