"""Medians, ratios, shares and projections from given numbers."""

import pytest

from repro.bench.cases import Case
from repro.bench.parts import PartSeconds, shares
from repro.bench.projection import macs_per_second, projections
from repro.bench.results import Repeat, Result
from repro.models import count_macs

CASE = Case(pair="resnet56:resnet20", cohort=8)


def result(*repeats: tuple[float, float, float | None], case: Case = CASE) -> Result:
    return Result(
        case=case,
        repeats=[Repeat(student=s, alone=a, reference=r) for s, a, r in repeats],
        peak_bytes=None,
        floor_images_per_second=3000.0,
        shares={},
    )


def test_speeds_are_medians() -> None:
    found = result((900.0, 1000.0, 500.0), (1000.0, 1100.0, 300.0), (200.0, 1200.0, 400.0))
    assert found.images_per_second == 900
    assert found.alone_images_per_second == 1100
    assert found.reference_images_per_second == 400


def test_ratios_are_medians_of_ratios_within_a_repeat() -> None:
    # a slow second minute: it halves both sides, and the ratio stays
    found = result((900.0, 1000.0, 300.0), (450.0, 500.0, 150.0), (1000.0, 1250.0, 250.0))
    assert found.ratio == 3  # of 3, 3, 4; the medians' own ratio is 900 / 250
    assert found.fraction_of_student_alone == pytest.approx(0.9)


def test_without_a_reference_there_is_no_ratio() -> None:
    found = result((900.0, 1000.0, None), (800.0, 1000.0, None))
    assert found.ratio is None
    assert found.reference_images_per_second is None
    assert found.images_per_second == 850


def test_seconds_are_those_of_one_student_of_the_cohort() -> None:
    found = result((1000.0, 1000.0, None))
    assert found.epoch_seconds == 50  # of 50,000 images
    assert found.run_seconds == 240 * 50
    assert found.times_above_floor == 3


def test_shares_are_those_of_the_cohorts_step() -> None:
    parts = PartSeconds(data=1.0, teacher=3.0, student=2.5, loss=0.5, logging=782.0)
    assert shares(parts, cohort=1) == {
        "data": 1 / 7.5,
        "teacher": 3 / 7.5,
        "student": 2 / 7.5,
        "loss": 0.5 / 7.5,
        "logging": 1 / 7.5,  # 782 steps an epoch
    }
    of_four = shares(parts, cohort=4)
    assert of_four["data"] == 1 / 18  # 1 + 3 + 4 * (2 + 0.5 + 1)
    assert of_four["student"] == 8 / 18


def test_a_loss_slower_than_the_step_leaves_no_negative_share() -> None:
    parts = PartSeconds(data=1.0, teacher=0.0, student=1.0, loss=2.0, logging=0.0)
    assert shares(parts, cohort=1)["student"] == 0


def test_the_grid_goes_at_the_median_speed_of_the_largest_cohort() -> None:
    other = Case(pair="resnet32x4:resnet8x4", cohort=8)
    small = Case(pair="resnet56:resnet20", cohort=1)
    banked = Case(pair="resnet56:resnet20", cohort=16, teacher="bank")
    found = [
        result((800.0, 1.0, None)),
        result((400.0, 1.0, None), case=other),
        result((9999.0, 1.0, None), case=small),
        result((9999.0, 1.0, None), case=banked),
    ]
    speed = macs_per_second(found[0])
    assert speed == 100 * (3 * 8 * count_macs("resnet20") + count_macs("resnet56"))
    (projection,) = projections(found)
    assert (projection.precision, projection.cohort) == ("fp32", 8)
    assert projection.macs_per_second == (speed + macs_per_second(found[1])) / 2


def test_the_grid_takes_half_the_time_at_twice_the_speed() -> None:
    (slow,), (fast,) = (projections([result((s, 1.0, None))]) for s in (500.0, 1000.0))
    assert slow.seconds == pytest.approx(2 * fast.seconds)
    assert slow.runs == 590
