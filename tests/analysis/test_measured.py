"""Measured once for each run and setting; frames with a row for everything measured.

``results.loaded`` names every network and every file of logits that was asked for: without them
there is no forward pass.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from repro.analysis import measured
from repro.analysis.boundary import NUMBERS
from repro.analysis.correlation import differences, summary_numbers
from repro.analysis.measuring import evaluated_logits
from repro.analysis.ranks import by_difficulty, rank_agreement
from repro.data.dataset import Dataset
from repro.errors import UserError
from repro.records import TAKEN
from repro.spec import key
from tests.analysis.made_up import PROFILE, MadeUp, demo, made_up

LABELS = ["key", "pair", "method", "trial"]
COLUMNS = {
    "corruption": ["corruption", "severity", "top1", "images"],
    "attack": ["radius", "top1", "images"],
    "planes": ["triplet", *NUMBERS, "censored"],
    "regions": ["plane", "side", "num_classes", "labels", "anchors", "predicted", "probability"],
    "relations": ["form", "mean", "max", "frobenius"],
    "matrices": ["form", "matrix"],
    "ranks": ["bin", "difficulty", "images", "entropy", "spearman", "kendall"],
    "landscape": ["alpha", "beta", "loss", "top1"],
    "embedding": ["label", "x", "y", "knn_top1", "silhouette"],
}
STUDENTS_ONLY = ("relations", "matrices", "ranks")
EVERY = pytest.mark.parametrize("name", COLUMNS)


def measure(name: str, results: MadeUp, **given: object) -> pd.DataFrame:
    return getattr(measured, f"{name}_of")(results, **given)


@EVERY
def test_a_frame_has_every_finished_run_and_is_read_without_a_network(tmp_path, name):
    results = made_up(tmp_path, *demo(("kd", "cmkd")))
    first = measure(name, results)
    assert list(first)[: 4 + len(COLUMNS[name])] == LABELS + COLUMNS[name]
    expected = {key(run) for run in results.runs if run.teacher or name not in STUDENTS_ONLY}
    assert set(first["key"]) == expected
    assert results.loaded
    results.loaded.clear()
    pd.testing.assert_frame_equal(measure(name, results), first, check_exact=True)
    assert not results.loaded


@EVERY
def test_the_order_of_runs_does_not_matter_and_bits_are_the_same_again(tmp_path, name):
    runs = demo(("kd", "cmkd"))
    first = measure(name, made_up(tmp_path / "a", *runs))
    again = measure(name, made_up(tmp_path / "b", *reversed(runs)))
    assert set(first["key"]) == set(again["key"])
    for k, rows in first.groupby("key"):
        other = again[again["key"] == k]
        pd.testing.assert_frame_equal(
            rows.reset_index(drop=True), other.reset_index(drop=True), check_exact=True
        )


@EVERY
def test_a_new_run_is_measured_alone_and_a_narrower_call_gives_its_rows(tmp_path, name):
    runs = demo(("kd", "cmkd"))
    measure(name, made_up(tmp_path, *runs[:-1]))
    results = made_up(tmp_path, *runs)
    frame = measure(name, results)
    teacher = next(run for run in runs if run.method == "teacher")
    assert set(results.loaded) <= {runs[-1], teacher}
    assert runs[-1] in results.loaded
    some = measure(name, results, runs=[runs[-1]])
    expected = frame[frame["key"] == key(runs[-1])].reset_index(drop=True)
    pd.testing.assert_frame_equal(some, expected)


@EVERY
def test_a_damaged_file_is_measured_again(tmp_path, name):
    results = made_up(tmp_path, *demo(("kd",)))
    first = measure(name, results)
    student = results.students("resnet14:resnet8")[0]
    (path,) = (tmp_path / "measured" / key(student)).iterdir()
    assert path.name.startswith(f"{name}-")
    path.write_text(path.read_text()[:40])
    results.loaded.clear()
    pd.testing.assert_frame_equal(measure(name, results), first, check_exact=True)
    assert student in results.loaded


@EVERY
def test_weights_that_were_trained_again_are_measured_again(tmp_path, name):
    results = made_up(tmp_path, *demo(("kd",)))
    measure(name, results)
    student = results.students("resnet14:resnet8")[0]
    results.weights[key(student)] = "others"
    results.loaded.clear()
    measure(name, results)
    assert student in results.loaded
    results.weights.clear()
    results.loaded.clear()
    measure(name, results)
    assert not results.loaded


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("planes", {"triplets": 4}),
        ("planes", {"resolution": 7}),
        ("corruption", {"corruption_images": 7}),
        ("attack", {"attack_images": 14}),
        ("landscape", {"landscape_side": 5}),
        ("landscape", {"landscape_images": 7}),
        ("embedding", {"embedding_images": 14}),
    ],
)
def test_a_setting_that_matters_is_measured_apart(tmp_path, name, changes):
    results = made_up(tmp_path, *demo(("kd",)))
    measure(name, results)
    other = replace(results, profile=replace(PROFILE, **changes), loaded=[])
    measure(name, other)
    assert other.loaded


def test_a_teacher_is_evaluated_once_for_all_its_students(tmp_path):
    results = made_up(tmp_path, *demo(("ce", "kd", "cmkd")))
    frame = measured.planes_of(results)
    assert len(results.loaded) == len(set(results.loaded)) == 1 + 3 * 2
    assert len(frame) == 7 * PROFILE.triplets
    teacher = frame[frame["method"] == "teacher"]
    assert (teacher["agreement"] == 1).all()
    assert frame.groupby("key")["triplet"].apply(list).map(lambda t: t == [0, 1, 2]).all()


def test_a_baseline_of_two_pairs_is_evaluated_once_and_has_rows_beside_each_teacher(tmp_path):
    runs = demo(("ce", "kd"))
    teacher = next(run for run in runs if run.method == "teacher")
    student = next(run for run in runs if run.method == "ce")
    other_teacher = replace(teacher, network="resnet20")
    other = replace(student, teacher=other_teacher)
    assert key(other) == key(student)
    results = made_up(tmp_path, teacher, other_teacher, student, other)
    frame = measured.planes_of(results)
    assert len(results.loaded) == 3
    ours = frame[frame["key"] == key(student)]
    assert ours["pair"].drop_duplicates().tolist() == ["resnet14:resnet8", "resnet20:resnet8"]
    first, second = (rows.reset_index() for _, rows in ours.groupby("pair"))
    assert first["ambiguity"].equals(second["ambiguity"])
    assert not first["agreement"].equals(second["agreement"])
    assert len(list((tmp_path / "measured" / key(student)).iterdir())) == 2
    assert len(measured.corruption_of(results)) == 4 * 31
    assert len(list((tmp_path / "measured" / key(student)).iterdir())) == 3


def test_relations_and_ranks_are_those_of_the_logits(tmp_path):
    results = made_up(tmp_path, *demo(("kd",)))
    student = results.students("resnet14:resnet8")[0]
    teacher = results.teacher("resnet14:resnet8")
    both = results.test_logits(student), results.test_logits(teacher)
    rows = measured.relations_of(results, [student]).set_index("form")
    for form, matrix in differences(*both, results.test_labels).items():
        assert rows.loc[form, ["mean", "max", "frobenius"]].tolist() == pytest.approx(
            list(summary_numbers(matrix).values())
        )
    found = measured.ranks_of(results, [student])
    expected = by_difficulty(rank_agreement(*both))
    assert found["kendall"].tolist() == pytest.approx(expected["kendall"].tolist())
    assert np.isfinite(found["spearman"]).all()


def test_a_network_that_came_without_logits_is_evaluated_again(tmp_path):
    """As those do that are taken in from recorded results."""
    results = made_up(tmp_path, *demo(("kd",)))
    run = results.students("resnet14:resnet8")[0]
    np.testing.assert_array_equal(evaluated_logits(results, run), results.test_logits(run))
    results.bare.add(key(run))
    found = evaluated_logits(results, run)
    shown = results.test_images(range(len(results.test_labels)))
    with torch.inference_mode():
        expected = results.network(run).eval()(shown).logits.numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_without_images_what_was_recorded_is_read_and_they_are_asked_for(tmp_path):
    """A campaign that took recorded runs in, some with their networks, tells of them."""
    results = made_up(tmp_path, *demo(("kd", "cmkd")))
    before = measured.attack_of(results)
    for run in results.runs[:-1]:
        directory = results.record(run).directory
        directory.mkdir(parents=True)
        (directory / TAKEN).touch()
    taken = replace(results, runs=results.runs[:-1])
    gone = Without("demo", PROFILE, taken.runs, pd.DataFrame(), tmp_path, tmp_path)
    pd.testing.assert_frame_equal(measured.attack_of(gone), measured.attack_of(taken))
    assert len(measured.attack_of(gone)) < len(before)
    with pytest.raises(UserError, match="no images"):  # what was trained here is measured here
        measured.attack_of(replace(gone, runs=results.runs))
    with pytest.raises(UserError, match="no images"):
        measured.corruption_of(gone)


class Without(MadeUp):
    @property
    def dataset(self) -> Dataset:
        raise UserError("no images")


def test_without_its_teacher_a_student_has_no_rows_beside_it(tmp_path):
    students = [run for run in demo(("kd",)) if run.teacher]
    results = made_up(tmp_path, *students)
    for name in ("planes", "relations", "ranks"):
        frame = measure(name, results)
        assert list(frame) == LABELS
        assert len(frame) == 0
    assert len(measured.corruption_of(results)) == 2 * 31


def test_progress_counts_runs(tmp_path):
    told = []
    results = made_up(tmp_path, *demo(("kd",)))
    measured.attack_of(results, progress=lambda *words: told.append(words))
    assert told == [("attack", done, 3) for done in range(4)]
