"""How often a cohort is begun again, and what travels between machines."""

from pathlib import Path

import pytest

from repro.errors import UserError
from repro.execute.archive import packed, take_in_bytes
from repro.execute.retries import Retries
from repro.leases import Leases
from repro.plan import Cohort
from repro.records import Records
from repro.spec import key
from tests import tiny

RUNS = tuple(tiny.run("kd", trial=trial) for trial in (1, 2))


def test_a_cohort_has_two_retries() -> None:
    retries = Retries()
    assert [retries.again(Cohort(RUNS)) for _ in range(4)] == [True, True, False, False]


def test_the_parts_of_a_cohort_remember_its_deaths() -> None:
    retries = Retries()
    assert retries.again(Cohort(RUNS))
    assert retries.again(Cohort(RUNS[:1], first_epoch=2))
    assert not retries.again(Cohort(RUNS))
    assert retries.again(Cohort((tiny.TEACHER,)))


def test_records_travel_whole(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    tiny.train((tiny.TEACHER,), here)
    records = [tiny.record(run, here) for run in (tiny.TEACHER, *RUNS)]
    assert take_in_bytes(packed(records), there, Leases()) == []
    assert tiny.results((tiny.TEACHER,), here) == tiny.results((tiny.TEACHER,), there)
    assert [record.key for record in Records(there)] == [key(tiny.TEACHER)]


def test_nothing_makes_no_archive(tmp_path: Path) -> None:
    assert packed([tiny.record(tiny.TEACHER, tmp_path)]) == b""
    assert take_in_bytes(b"", tmp_path, Leases()) == []


def test_what_is_no_archive_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no directory and no \.tar"):
        take_in_bytes(b"nonsense", tmp_path, Leases())
