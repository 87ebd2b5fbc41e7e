"""``repro claims`` and ``repro report``: which results they take."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from repro import judging
from repro.errors import UserError
from tests.cli.invoke import repro


@pytest.mark.parametrize("verb", ["claims", "report"])
def test_imported_teachers_are_passed_on(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def found(grid: str, profile: str, runs_dir: Path, imported: Sequence[str]) -> Any:
        asked.append((grid, profile, runs_dir, imported))
        raise UserError("enough")

    monkeypatch.setattr(judging, "finished_grids", found)
    words = ("cifar-same", "--profile", "paper", "--imported", "5ac01f82", "--runs-dir", tmp_path)
    assert "enough" in repro(verb, *words).output
    assert asked == [("cifar-same", "paper", tmp_path, ("5ac01f82",))]
