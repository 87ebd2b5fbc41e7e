"""The runner: a process and a line an experiment, resumed, in time, whatever happens."""

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from repro.bench.gpu import __main__ as command
from repro.bench.gpu import runner, summary
from repro.bench.gpu.catalogue import BY_NAME, CATALOGUE, chosen
from repro.bench.gpu.runner import Request, left_to_do, measure, read, run
from repro.errors import UserError
from tests.bench_gpu.made_up import cohort, line

NO_TORCH = "import sys, repro.bench.gpu.__main__; sys.exit('torch' in sys.modules)"


def request(out: Path, only: str = "E1", **more: object) -> Request:
    given = {"experiments": chosen(only), "out": out, "seconds": 100.0, "rehearse": True}
    return Request(**given | more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """E1, rehearsed through the runner, and what it told."""
    out, told = tmp_path_factory.mktemp("runner") / "new" / "lines.jsonl", []
    run(request(out), told.append)
    return out, told


def test_an_experiment_leaves_a_line(rehearsed: tuple[Path, list[str]]) -> None:
    out, told = rehearsed
    (found,) = read(out)
    assert found["experiment"] == "E1"
    assert found["rehearsal"] is True
    assert "error" not in found
    assert found["rows"][0]["part"] == "machine"
    assert found["rows"][1]["shape"] == "chain"
    assert len(told) == 2


def test_what_is_in_the_file_is_not_done_again(rehearsed: tuple[Path, list[str]]) -> None:
    out, _ = rehearsed
    told: list[str] = []
    assert run(request(out), told.append) == read(out)
    assert not told


def test_failed_experiments_come_again_but_last_and_rehearsals_are_apart(tmp_path: Path) -> None:
    lines = [line("E2", error="made up"), line("E3"), line("E0", rehearsal=True)]
    wanted = request(tmp_path / "out", "E0,E2,E3,E1", rehearse=False)
    assert [e.name for e in left_to_do(wanted, lines)] == ["E0", "E1", "E2"]
    assert [e.name for e in left_to_do(replace(wanted, rehearse=True), lines)] == ["E2", "E3", "E1"]


def test_what_does_not_fit_is_left_out_and_something_shorter_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = []

    def instant(experiment, _request, timeout_seconds):
        measured.append((experiment.name, timeout_seconds))
        return line(experiment.name)

    monkeypatch.setattr(runner, "measure", instant)
    told: list[str] = []
    run(request(tmp_path / "out", "E0,E2,E3", seconds=50.0), told.append)
    assert [name for name, _ in measured] == ["E0"]
    assert measured[0][1] <= 50.0  # its own timeout is 50
    assert [text for text in told if "left out" in text] == [
        "E2 left out: its 70 s do not fit in 50 s",
        "E3 left out: its 110 s do not fit in 50 s",
    ]


def test_a_timeout_is_an_error_with_the_rows_so_far(tmp_path: Path) -> None:
    found = measure(BY_NAME["E1"], request(tmp_path / "out"), 0.0)
    assert found["error"] == "timed out after 0 s"
    assert {"rows", "stderr"} <= found.keys()  # how far it got is the machine's matter


def test_a_process_that_fails_tells_its_last_words(tmp_path: Path) -> None:
    unknown = replace(BY_NAME["E1"], name="E99")
    found = measure(unknown, request(tmp_path / "out"), 60)
    assert found["error"] == "exit code 2"
    assert "invalid choice: 'E99'" in found["stderr"][-1]


def test_what_an_experiment_started_ends_with_it(tmp_path: Path) -> None:
    """The shell answers SIGINT; what it started in the background does not."""
    script = f"sleep 60 & echo $! > {tmp_path}/pid; wait"
    process = subprocess.Popen(["bash", "-c", script], start_new_session=True)
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().strip():
        time.sleep(0.01)
    runner._end(process)
    status = Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}/status")
    deadline = time.monotonic() + 10
    while is_running(status) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_running(status)


def is_running(status: Path) -> bool:
    """Whether the process of this file under /proc has not ended; nobody may reap it."""
    try:
        return "State:\tZ" not in status.read_text()
    except OSError:
        return False


def test_without_a_gpu_the_runner_ends_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no CUDA device here; --rehearse"):
        run(request(tmp_path / "out", "E0", rehearse=False), lambda _text: None)
    assert read(tmp_path / "out") == []


def test_a_line_cut_off_by_a_kill_is_no_line(tmp_path: Path) -> None:
    (tmp_path / "out").write_text(json.dumps(line("E0")) + '\n{"experiment": "E1", "ro')
    assert [found["experiment"] for found in read(tmp_path / "out")] == ["E0"]


def test_unknown_experiments_are_refused() -> None:
    with pytest.raises(UserError, match="unknown experiment 'E99'; known: E0, E2"):
        chosen("E1,E99")
    assert chosen("") == CATALOGUE
    assert [experiment.name for experiment in chosen("E1,E0")] == ["E0", "E1"]


def test_the_runner_starts_without_torch() -> None:
    assert subprocess.run([sys.executable, "-c", NO_TORCH], check=False).returncode == 0


def test_the_command_shows_a_file_without_measuring(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    rows = cohort("lanes", 0.3), cohort("serial", 1.0)
    out.write_text(json.dumps(line("E3", *rows)) + "\n")
    words = ["bench", "--seconds", "0", "--out", str(out), "--rows"]
    monkeypatch.setattr(sys, "argv", words)
    monkeypatch.setattr(command.signal, "signal", lambda *_: None)
    assert command.main() == 0
    shown = capsys.readouterr().out
    assert "E3 form=lanes students=8 precision=fp32 ms_per_student=0.3" in shown
    assert "R2 how students run side by side: lanes: a graph each  [lanes 0.3" in shown
    assert "R5 block-diagonal packs of convolutions: not measured" in shown


def test_the_table_has_a_line_for_every_experiment() -> None:
    failed = line("E3", {"error": "made up"}, {"left_out": "x"}, error="timed out after 60 s")
    shown = summary.table([failed, line("E1", rehearsal=True)])
    assert len(shown) == 1 + len(CATALOGUE)
    by_name = {text.split()[0]: text for text in shown[1:]}
    assert "ERROR timed out after 60 s (1 left out)" in by_name["E3"]
    assert by_name["E3"].split()[1:4] == ["1.0", "2", "1"]
    assert by_name["E1"].endswith("(rehearsal)")
    assert by_name["E0"].split()[1:4] == ["-", "-", "-"]
