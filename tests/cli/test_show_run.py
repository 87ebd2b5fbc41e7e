"""``repro show-run``: one run of a grid, or one that is recorded."""

from dataclasses import replace
from pathlib import Path

import pytest

from repro.records import Records
from repro.spec import key
from tests.cli.invoke import DEMO, begin, error_of, files, repro

DKD = ("show-run", "cifar-same", "--profile", "paper", "--methods", "dkd")
ONE = (*DKD, "--pairs", "resnet56:resnet20")


def lines_of(*words: str | Path) -> list[str]:
    result = repro(*words)
    assert result.exit_code == 0, result.output
    return [line.strip() for line in result.output.splitlines() if line.strip()]


def line_of(name: str, *words: str | Path) -> list[str]:
    """The value and the source of a row."""
    (line,) = [line for line in lines_of(*words) if line.split()[0] == name]
    return line.split(maxsplit=2)[1:]


def test_one_run_is_shown_with_the_source_of_its_values(elsewhere: Path) -> None:
    words = (*ONE, "--runs-dir", elsewhere)
    assert lines_of(*words)[:3] == [
        "resnet56:resnet20 dkd trial 0, profile paper",
        "key f9f3d6ace1a293096a55f42710d52a2fc09bb3210f4a83dbee6828544ccbdf64",
        "state new",
    ]
    beta = "mdistiller@a08d46f configs/cifar100/dkd/res56_res20.yaml"
    assert line_of("loss.beta", *words) == ["2.0", beta]
    assert line_of("method", *words) == ["dkd", "command line"]
    assert line_of("pair", *words) == ["resnet56:resnet20", "command line"]
    assert line_of("trial", *words) == ["0", "the first of 5, grid cifar-same, profile paper"]
    assert not elsewhere.exists()


def test_the_command_line_is_a_source(elsewhere: Path) -> None:
    words = (*ONE, "--trials", "3", "--precision", "bf16", "--held-out", "--runs-dir", elsewhere)
    assert line_of("trial", *words) == ["0", "the first of 3, command line"]
    assert line_of("precision", *words) == ["bf16", "command line"]
    assert line_of("stream.split", *words) == ["tune", "command line"]
    assert line_of("stream.epochs", *words) == ["240", "RepDistiller@b84f547 train_student.py"]


def test_what_the_grid_chooses_is_the_grid_s() -> None:
    words = ("show-run", "demo", "--methods", "kd")
    assert line_of("pair", *words) == ["resnet14:resnet8", "grid demo, profile demo"]
    assert line_of("method", *words) == ["kd", "command line"]


def test_several_runs_name_the_options_that_leave_one() -> None:
    assert error_of(repro("show-run", "demo")) == (
        "5 runs of grid demo match; choose one by --methods (ce, kd, dkd, dist, cmkd)"
    )
    message = error_of(repro(*DKD))
    assert message.startswith("6 runs of grid cifar-same match; choose one by --pairs (resnet56:")
    assert "--methods" not in message
    message = error_of(repro("show-run", "cifar-same", "--profile", "paper"))
    assert ") and --methods (ce, kd, dkd, dist, cmkd)" in message


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nope",), "unknown grid 'nope'; known: demo, cifar,"),
        (("abc123",), "unknown grid 'abc123'; known: "),  # six digits are no key
        (("demo", "--methods", "x"), "unknown method 'x'; known: ce, kd, dkd"),
        (("demo", "--pairs", "a:b"), "unknown pair of grid demo 'a:b'; known: resnet14:resnet8"),
    ],
)
def test_a_wrong_word_is_named(words: tuple[str, ...], message: str, elsewhere: Path) -> None:
    assert error_of(repro("show-run", *words, "--runs-dir", elsewhere)).startswith(message)
    assert not elsewhere.exists()


def test_a_recorded_run_is_shown_by_the_first_digits_of_its_key(tmp_path: Path) -> None:
    run = next(run for run in DEMO if run.method == "dkd" and run.trial == 1)
    record = Records(tmp_path).of(key(run))
    record.create(run, {"profile": "demo", "grid": "demo"})
    before = files(tmp_path)
    for start in (key(run), key(run)[:8]):
        shown = lines_of("show-run", start, "--runs-dir", tmp_path)
        assert shown[0] == "resnet14:resnet8 dkd trial 1, profile demo"
        assert shown[1] == f"key {key(run)}"
        assert shown[2] == f"state not begun, {record.directory}"
    assert files(tmp_path) == before
    words = ("show-run", key(run)[:8], "--runs-dir", tmp_path)
    assert line_of("method", *words) == ["dkd", "as recorded"]
    assert line_of("stream.epochs", *words) == ["9", "profile demo; the recipe: 240"]
    assert line_of("optim.momentum", *words) == ["0.9", "RepDistiller@b84f547 train_student.py"]


@pytest.mark.parametrize("folder", ["records", "recorded"])
def test_the_state_and_the_directory_of_a_record_are_shown(folder: str, tmp_path: Path) -> None:
    record = begin(DEMO[0], tmp_path, "FINISHED")
    (tmp_path / "records").rename(tmp_path / folder)
    shown = lines_of("show-run", record.key[:12], "--runs-dir", tmp_path)
    assert shown[:3] == [
        "resnet14 teacher trial 0, profile paper",  # no tags: compared with the paper's
        f"key {record.key}",
        f"state FINISHED, {tmp_path / folder / record.key}",
    ]
    words = ("show-run", "demo", "--methods", "kd", "--runs-dir", tmp_path)
    assert lines_of(*words)[2] == "state new"


def test_what_no_source_gives_is_as_recorded(tmp_path: Path) -> None:
    run = replace(DEMO[0], optim=replace(DEMO[0].optim, lr=0.7))
    record = begin(run, tmp_path)
    assert line_of("optim.lr", "show-run", record.key, "--runs-dir", tmp_path) == [
        "0.7",
        "as recorded",
    ]


def test_a_key_must_be_that_of_one_record(tmp_path: Path) -> None:
    message = error_of(repro("show-run", "deadbeef", "--runs-dir", tmp_path))
    assert message == f"no run in {tmp_path} has a key that starts with deadbeef"
    for last in "01":
        (tmp_path / "records" / f"deadbeef{last}").mkdir(parents=True)
        (tmp_path / "records" / f"deadbeef{last}" / "run.json").write_text("{}")
    assert error_of(repro("show-run", "deadbeef", "--runs-dir", tmp_path)) == (
        "2 keys start with deadbeef: deadbeef0, deadbeef1; give more digits"
    )
    message = error_of(repro("show-run", "deadbeef0", "--runs-dir", tmp_path))
    assert message.startswith(f"{tmp_path / 'records' / 'deadbeef0' / 'run.json'} cannot be read")


@pytest.mark.parametrize("option", [("--methods", "kd"), ("--profile", "demo"), ("--held-out",)])
def test_a_key_takes_no_choice(option: tuple[str, ...], tmp_path: Path) -> None:
    record = begin(DEMO[0], tmp_path)
    message = error_of(repro("show-run", record.key, *option, "--runs-dir", tmp_path))
    assert message == ("the key alone says which run it is: leave out every option but --runs-dir")


def test_nothing_is_cut_off_at_a_hundred_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")  # a pipe is given a hundred
    result = repro(*DKD[:-1], "kd+ls+cmkd", "--pairs", "vgg13:vgg8")
    assert result.exit_code == 0
    assert "…" not in result.output
    assert max(map(len, result.output.splitlines())) == 100
