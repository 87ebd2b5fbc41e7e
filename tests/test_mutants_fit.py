"""The faults that ``make mutants`` plants fit the sources as they are: each line is there once."""

import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
sys.path.insert(0, str(TESTS))  # mutants.py is a script: what it imports lies beside it

from mutants import MUTANTS  # noqa: E402


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_fits_its_source(mutant) -> None:  # type: ignore[no-untyped-def]
    assert (TESTS.parent / mutant.file).read_text().count(mutant.old) == 1
