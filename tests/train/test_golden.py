"""A refactor leaves these curves as they are. To record them anew: python -m tests.train.golden"""

import json

import pytest

from tests.train.golden import FILE, METHODS, TOLERANCE, curve

RECORDED = json.loads(FILE.read_text())


@pytest.mark.parametrize("method", METHODS)
def test_twenty_steps_follow_the_recorded_curve(method: str) -> None:
    found = curve(method)
    assert len(found) == 20
    assert found == pytest.approx(RECORDED[method], rel=TOLERANCE)


def test_every_method_has_a_curve_of_its_own() -> None:
    assert sorted(RECORDED) == sorted(METHODS)
    assert len({tuple(losses) for losses in RECORDED.values()}) == len(METHODS)
