"""Words that are wrong: one clear line, exit code 2, and nothing written."""

from pathlib import Path

import pytest
import torch

from repro.execute import slurm
from repro.losses import METHODS
from repro.request import request_of
from tests.cli.invoke import error_of, repro, usage_error_of


@pytest.mark.parametrize("command", ["run", "plan"])
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nope",), "unknown grid 'nope'; known: demo, cifar, cifar-same, cifar-different,"),
        (("demo", "--pairs", "a:b"), "unknown pair of grid demo 'a:b'; known: resnet14:resnet8"),
        (
            ("cifar", "--profile", "quick", "--pairs", "resnet20:resnet8,b"),
            "unknown pair of grid cifar 'b'; known:",
        ),
        (("demo", "--methods", "kd,atkd"), "unknown method 'atkd'; known: ce, kd, dkd, dist, cmkd"),
        (("demo", "--profile", "full"), "unknown profile 'full'; known: paper, quick, demo, auto"),
        (("demo", "--device", "tpu"), "unknown device 'tpu'; known: auto, cpu, cuda"),
        (("demo", "--precision", "fp16"), "unknown precision 'fp16'; known: auto, fp32, bf16"),
        (("demo", "--teacher", "foo"), "unknown --teacher 'foo'; known: auto, live, bank"),
        (("demo", "--trials", "0"), "--trials must be at least 1, not 0"),
        (("demo", "--trials", "-1"), "--trials must be at least 1, not -1"),
        (("demo", "--engine", "graph"), "--engine graph needs CUDA; use --engine eager or auto"),
        (("demo", "--backend", "slow"), "unknown --backend 'slow'; known: auto, inline, local"),
        (
            ("demo", "--backend", "slurm", "--device", "cuda:1"),
            "--device cuda:1: SLURM chooses the GPUs of a job; cpu, or cuda (also auto)",
        ),
        (("demo", "--ray-address", "head:6379"), "--ray-address needs --backend ray"),
        (("demo", "--max-cohort", "0"), "--max-cohort must be at least 1, not 0"),
        (("demo", "--max-cohort", "-3"), "--max-cohort must be at least 1, not -3"),
    ],
)
def test_a_wrong_word_is_named_with_the_right_ones(
    command: str, words: tuple[str, ...], message: str, elsewhere: Path
) -> None:
    assert error_of(repro(command, *words, "--runs-dir", elsewhere)).startswith(message)
    assert not elsewhere.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("demo", "--trials", "x"), "'x' is not a valid integer"),
        (("demo", "--trials", "2.5"), "'2.5' is not a valid integer"),
        (("demo", "--max-cohort", "many"), "'many' is not a valid integer"),
        (("demo", "--pairs", ""), "'' is no list of names separated by commas"),
        (("demo", "--methods", "kd,,ce"), "'kd,,ce' is no list of names separated by commas"),
        (("demo", "--no-such-option"), "No such option"),
        (("demo", "cifar"), "unexpected extra argument"),
        ((), "Missing argument 'GRID'"),
    ],
)
def test_nonsense_is_a_usage_error(words: tuple[str, ...], message: str, elsewhere: Path) -> None:
    assert message in usage_error_of(repro("run", *words, "--runs-dir", elsewhere))
    assert not elsewhere.exists()


@pytest.mark.parametrize("text", ["", "8", "soon", "8 m", "-8m"])
def test_a_nonsense_time_is_refused(text: str, elsewhere: Path) -> None:
    message = error_of(repro("run", "demo", f"--max-time={text}", "--runs-dir", elsewhere))
    assert message == f"duration {text!r} is not like 90s, 8m or 1h30m"
    assert not elsewhere.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--slurm", "partition"), "--slurm takes an option of sbatch, as partition=gpu, not"),
        (("--slurm", "time=8h"), "--slurm time: the time limit of a job is --max-time"),
        (("--slurm", "output=x"), "--slurm output is set by the suite: leave it out"),
        (("--cohorts-per-job", "0"), "--cohorts-per-job must be at least 1, not 0"),
    ],
)
def test_a_wrong_word_for_slurm_is_named(
    words: tuple[str, ...], message: str, elsewhere: Path
) -> None:
    given = ("run", "demo", "--backend=slurm", "--max-time=8h", *words, "--runs-dir", elsewhere)
    assert error_of(repro(*given)).startswith(message)
    assert not elsewhere.exists()


def test_words_for_slurm_need_slurm(elsewhere: Path) -> None:
    message = error_of(repro("run", "demo", "--dry-run", "--runs-dir", elsewhere))
    assert message.startswith("--slurm, --cohorts-per-job and --dry-run are for --backend slurm")
    assert not elsewhere.exists()


def test_slurm_without_sbatch_names_the_ways_out(
    monkeypatch: pytest.MonkeyPatch, elsewhere: Path
) -> None:
    monkeypatch.setattr(slurm, "find_spec", lambda name: name)
    monkeypatch.setattr(slurm.shutil, "which", lambda _name: None)
    given = ("run", "demo", "--backend=slurm", "--max-time=8h", "--runs-dir", elsewhere)
    message = error_of(repro(*given))
    assert message.startswith("no sbatch on this machine: give the command on a login node")
    assert not elsewhere.exists()


def test_an_absent_gpu_is_told(monkeypatch: pytest.MonkeyPatch, elsewhere: Path) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    message = error_of(repro("run", "demo", "--device", "cuda", "--runs-dir", elsewhere))
    assert message == "no CUDA device is available; use --device cpu or auto"
    assert not elsewhere.exists()


def test_all_methods_are_those_of_the_suite(elsewhere: Path) -> None:
    asked = request_of(
        grid="demo",
        trials=None,
        pairs=(),
        methods=("all",),
        precision="fp32",
        held_out=True,
        runs_dir=elsewhere,
    )
    _profile, runs, _device = asked.resolve()
    assert {run.method for run in runs} == {"teacher", *METHODS}
    assert {run.stream.split for run in runs} == {"tune"}


def test_debug_shows_the_traceback() -> None:
    result = repro("--debug", "plan", "nope")
    assert result.exit_code == 2
    assert "Traceback" in result.output
    assert "error: unknown grid 'nope'" in result.output


@pytest.mark.parametrize("command", ["tables", "figures"])
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nope",), "unknown grid 'nope'; known: demo, cifar,"),
        (("demo", "--profile", "full"), "unknown profile 'full'; known: paper, quick, demo, auto"),
    ],
)
def test_tables_and_figures_refuse_unknown_names(
    command: str, words: tuple[str, ...], message: str, elsewhere: Path
) -> None:
    assert error_of(repro(command, *words, "--runs-dir", elsewhere)).startswith(message)
    assert not elsewhere.exists()


@pytest.mark.parametrize("command", ["tables", "figures"])
@pytest.mark.parametrize(("grid", "way_out"), [(None, "demo"), ("cifar", "cifar")])
def test_tables_and_figures_of_nothing_name_the_way_out(
    command: str, grid: str | None, way_out: str, runs_dir: Path
) -> None:
    words = [command, *([grid] if grid else [])]
    message = error_of(repro(*words, "--runs-dir", runs_dir))
    assert message == (
        f"no finished runs of {grid or 'any grid'} in {runs_dir}; "
        f"train some with `repro run {way_out}`"
    )


@pytest.mark.parametrize("port", ["0", "-1", "65536", "x"])
def test_a_port_out_of_range_is_refused(port: str, elsewhere: Path) -> None:
    assert "--port" in usage_error_of(repro("ui", f"--port={port}", "--runs-dir", elsewhere))
    assert not elsewhere.exists()
