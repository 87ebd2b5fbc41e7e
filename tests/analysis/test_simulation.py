"""A small run of ``make statistics``: every rule has the error and power that it should."""

from tests.analysis.simulate import measure
from tests.analysis.simulation import Rate, report


def test_every_rule_has_its_error_and_power() -> None:
    rates = measure(400)
    assert len(rates) > 300
    assert {rate.place for rate in rates} == {"A", "B", "C", "D", "E", "F", "G", "S5", "own"}
    assert [rate for rate in rates if not rate.holds] == []


def test_a_rate_that_differs_is_marked() -> None:
    rates = [
        Rate(place="A", what="", expected=0.05, measured=measured, grids=2000)
        for measured in (0.06, 0.09)
    ]
    assert [rate.holds for rate in rates] == [True, False]
    assert [line.endswith("differs") for line in report(rates)] == [False, False, True]
