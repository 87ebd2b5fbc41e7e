"""What the draw of the test images adds, from the answers of made-up networks."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from repro.analysis.claims import judge
from repro.analysis.evidence import Evidence
from repro.analysis.image_error import image_error
from repro.grid import Choice, expand
from repro.results import GridResults
from repro.spec import key
from tests.analysis.made_up import PROFILE, MadeUp, made_up
from tests.made_results import finished

ARMS = (("cmkd",), ("kd",))


@pytest.fixture
def results(tmp_path: Path) -> MadeUp:
    """Three trials, each with its answers."""
    chosen = Choice(trials=3, methods=("kd", "dkd", "dist", "cmkd"))
    runs = expand("demo", PROFILE, chosen)
    found = made_up(tmp_path, *runs)
    rows = finished(*runs, grid="demo").assign(dataset="digits", top1_best=60.0)
    return replace(found, table=rows)


def test_it_is_the_spread_over_images_of_the_difference_of_trial_means(
    results: GridResults,
) -> None:
    correct = {
        method: np.array(
            [
                results.test_logits(run).argmax(1) == results.test_labels
                for run in results.runs
                if run.method == method
            ]
        )
        for method in ("cmkd", "kd")
    }
    difference = 100 * (correct["cmkd"].mean(0) - correct["kd"].mean(0))
    expected = np.std(difference, ddof=1) / np.sqrt(35)
    assert image_error(Evidence((results,)), ("demo",), ARMS) == pytest.approx(expected)


def test_it_stands_beside_a_claim_about_accuracy(results: GridResults) -> None:
    found = {one.claim.name: one for one in judge(Evidence((results,)))}
    assert any("draw of the test images" in note for note in found["C4"].notes)
    assert not any("draw of the test images" in note for note in found["C2"].notes)


def test_without_the_answers_of_every_run_it_is_unknown(results: MadeUp) -> None:
    results.bare.add(key(results.runs[-1]))
    assert np.isnan(image_error(Evidence((results,)), ("demo",), ARMS))
