"""What times tables and report of many runs, on few of them."""

from pathlib import Path

import pytest

from repro import judging
from repro.grid import Choice, expand
from repro.spec import key
from tests.analysis import many_runs


def test_tables_and_report_of_made_up_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One pair with every trial; what is written is not left in the repository."""
    pair = expand("cifar-same", many_runs.PROFILE, Choice(pairs=("resnet56:resnet20",)))
    few = {key(run): ("cifar-same", run) for run in pair}
    monkeypatch.setattr(many_runs, "made_runs", lambda _: few)
    monkeypatch.setattr(many_runs.tempfile, "tempdir", str(tmp_path))
    before = judging.REPORT.stat() if judging.REPORT.exists() else None
    read: list[str] = []
    write = judging.write_atomically
    monkeypatch.setattr(
        judging, "write_atomically", lambda path, text: read.append(text) or write(path, text)
    )
    (found,) = many_runs.measure(len(few), epochs=2, rounds=1)
    assert found.keys() == {"tables", "report"}
    assert "26 runs" in capsys.readouterr().out
    (page,) = read
    assert page.count('data-verdict="not-run"') == 3  # C1, C5, C6 have no grid here
    assert page.count("<svg") == 4
    assert (judging.REPORT.stat() if judging.REPORT.exists() else None) == before


def test_two_thousand_runs_are_of_every_grid_of_the_paper() -> None:
    runs = many_runs.made_runs(2_000)
    assert len(runs) == 2_000
    assert {grid for grid, _ in runs.values()} == {
        *("cifar-same", "cifar-different", "stronger-teacher", "ablation", "plug-in")
    }
