"""The command line: every user error is one clear line, exit code 2, and nothing written."""

import ast
import fcntl
import functools
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click
import pytest
import torch
from click.testing import CliRunner, Result

from repro import cli, estimate, launch
from repro.data import cifar100
from repro.grid import expand
from repro.losses import LOSSES
from repro.profiles import PROFILES
from repro.records import Record, Records, State, Status
from repro.spec import Run, key
from repro.train import checkpoint
from tests.data import fake
from tests.disk import FAILURES, fail

DEMO = expand("demo", PROFILES["demo"])
EPOCHS = DEMO[0].stream.epochs
THREE_WAYS = ("repro data fetch", "repro data import cifar100 PATH", "make demo")


@pytest.fixture(autouse=True)
def no_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No CIFAR-100 anywhere; returns the folder where it would be kept."""
    monkeypatch.delenv("REPRO_CIFAR100", raising=False)
    monkeypatch.setenv("COLUMNS", "120")  # tables are as wide as the terminal
    directory = tmp_path / "checkout" / "data"
    monkeypatch.setattr(cli, "ROOT", directory.parent)
    asked = functools.partial(launch.request_of, data_dir=directory)
    monkeypatch.setattr(launch, "request_of", asked)
    monkeypatch.setattr(launch, "fetch", functools.partial(cifar100.fetch, download=no_network))
    return directory


def no_network(_folder: Path) -> Path:
    raise ConnectionError("no network")


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A runs directory that does not exist."""
    return tmp_path / "elsewhere"


def repro(*words: str | Path) -> Result:
    return CliRunner().invoke(cli.main, [str(word) for word in words])


def files(directory: Path) -> dict[str, bytes]:
    paths = sorted(path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in paths}


def error_of(result: Result) -> str:
    """The one line that starts with "error: "."""
    assert result.exit_code == 2, result.output
    assert isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    (line,) = [line for line in result.output.splitlines() if line.startswith("error: ")]
    assert result.output.endswith(line + "\n")  # nothing follows it
    return line.removeprefix("error: ")


def usage_error_of(result: Result) -> str:
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    lines = result.output.splitlines()
    assert lines[0].startswith("Usage: ")
    assert lines[-1].startswith("Error: ")
    return lines[-1].removeprefix("Error: ")


# --- help


def commands(
    group: click.Group = cli.main, path: tuple[str, ...] = ()
) -> dict[tuple[str, ...], click.Command]:
    found: dict[tuple[str, ...], click.Command] = {}
    for name, command in group.commands.items():
        found[*path, name] = command
        if isinstance(command, click.Group):
            found |= commands(command, (*path, name))
    return found


def test_the_commands_are_known() -> None:
    assert {" ".join(path) for path in commands()} == {
        "run",
        "plan",
        "data",
        "data fetch",
        "data import",
        "data verify",
        "tables",
        "figures",
        "sync",
        "ui",
    }


@pytest.mark.parametrize("path", commands(), ids=" ".join)
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_every_command_says_what_it_does(path: tuple[str, ...], option: str) -> None:
    command = commands()[path]
    assert command.callback
    assert command.callback.__doc__
    result = repro(*path, option)
    assert result.exit_code == 0
    assert command.callback.__doc__.split(".")[0].split("\n")[0] in result.output


def test_every_command_is_twelve_lines_at_most() -> None:
    tree = ast.parse(Path(cli.__file__).read_text())
    lengths = {
        node.name: (node.end_lineno or 0) - node.lineno + 1
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name != "grid_options"
    }
    assert lengths.keys() >= {path[-1].replace("import", "import_") for path in commands()}
    assert {name: lines for name, lines in lengths.items() if lines > 12} == {}


def test_the_options_of_run_are_frozen() -> None:
    """A new one is a decision: it is listed here, in the README and in the help."""
    options = {name for p in cli.run.params if isinstance(p, click.Option) for name in p.opts}
    assert options == {
        "--profile",
        "--trials",
        "--pairs",
        "--methods",
        "--max-cohort",
        "--device",
        "--precision",
        "--held-out",
        "--runs-dir",
        "--data",
        "--max-time",
    }
    only_run = {"--data", "--max-time"}
    of_plan = {name for p in cli.plan.params if isinstance(p, click.Option) for name in p.opts}
    assert of_plan == options - only_run


@pytest.mark.parametrize("path", [path for path in commands() if path[0] != "data"], ids=" ".join)
def test_every_command_on_runs_takes_their_directory(path: tuple[str, ...]) -> None:
    assert any("--runs-dir" in parameter.opts for parameter in commands()[path].params)


def test_help_is_instant_and_imports_nothing_heavy() -> None:
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        result = subprocess.run(
            [sys.executable, "-m", "repro", "--help"], capture_output=True, text=True, check=True
        )
        seconds.append(time.perf_counter() - began)
    assert "Reproduce CMKD" in result.stdout
    assert min(seconds) < 0.3
    heavy = {"torch", "numpy", "mlflow", "pandas", "matplotlib", "rich", "scipy", "sklearn"}
    code = (
        "import sys; from repro.cli import main\n"
        "main(['run', '--help'], standalone_mode=False)\n"
        f"assert not {heavy!r} & sys.modules.keys(), {heavy!r} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


# --- words that are wrong


@pytest.mark.parametrize("command", ["run", "plan"])
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nope",), "unknown grid 'nope'; known: demo, cifar, cifar-same, cifar-different,"),
        (("demo", "--pairs", "a:b"), "unknown pair of grid demo 'a:b'; known: resnet20:resnet8"),
        (
            ("cifar", "--profile", "quick", "--pairs", "resnet20:resnet8,b"),
            "unknown pair of grid cifar 'b'; known:",
        ),
        (("demo", "--methods", "kd,at"), "unknown method 'at'; known: ce, kd, dkd, dist, cmkd"),
        (("demo", "--profile", "full"), "unknown profile 'full'; known: paper, quick, demo, auto"),
        (("demo", "--device", "tpu"), "unknown device 'tpu'; known: auto, cpu, cuda"),
        (("demo", "--precision", "fp16"), "unknown precision 'fp16'; known: fp32, bf16"),
        (("demo", "--trials", "0"), "--trials must be at least 1, not 0"),
        (("demo", "--trials", "-1"), "--trials must be at least 1, not -1"),
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


def test_an_absent_gpu_is_told(monkeypatch: pytest.MonkeyPatch, elsewhere: Path) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    message = error_of(repro("run", "demo", "--device", "cuda", "--runs-dir", elsewhere))
    assert message == "no CUDA device is available; use --device cpu or auto"
    assert not elsewhere.exists()


def test_all_methods_are_those_of_the_suite(elsewhere: Path) -> None:
    asked = launch.request_of(
        grid="demo",
        trials=None,
        pairs=(),
        methods=("all",),
        precision="fp32",
        held_out=True,
        runs_dir=elsewhere,
    )
    _profile, runs, _device = asked.resolve()
    assert {run.method for run in runs} == {"teacher", *LOSSES}
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


# --- data that is missing or wrong


def cifar(*words: str | Path, runs_dir: Path) -> Result:
    return repro("run", "cifar", "--profile", "quick", *words, "--runs-dir", runs_dir)


def test_without_cifar100_the_three_ways_to_get_it_are_named(elsewhere: Path) -> None:
    message = error_of(cifar(runs_dir=elsewhere))
    assert "cannot download CIFAR-100" in message
    assert all(way in message for way in THREE_WAYS)
    assert ".npz" in message
    assert not elsewhere.exists()


def test_cifar100_is_downloaded_where_nothing_else_is_given(
    no_data: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders: list[Path] = []
    monkeypatch.setattr(launch, "fetch", folders.append)
    error_of(cifar(runs_dir=elsewhere))  # nothing came
    assert folders == [no_data]


def test_a_missing_data_file_is_told_even_where_none_is_needed(elsewhere: Path) -> None:
    gone = elsewhere / "gone.npz"
    message = error_of(repro("run", "demo", "--data", gone, "--runs-dir", elsewhere))
    assert message.startswith(f"{gone} does not exist")
    assert not elsewhere.exists()


def test_verifying_what_is_not_there_names_the_three_ways() -> None:
    assert all(way in error_of(repro("data", "verify")) for way in THREE_WAYS)


def other_pixels(path: Path) -> Path:
    return fake.write_npz(path / "other.npz", fake.arrays())


def truncated(path: Path) -> Path:
    source = other_pixels(path)
    source.write_bytes(source.read_bytes()[:5000])
    return source


def no_archive(path: Path) -> Path:
    (path / "text.npz").write_text("hello")
    return path / "text.npz"


def empty_folder(path: Path) -> Path:
    (path / "empty").mkdir()
    return path / "empty"


SOURCES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "missing": (lambda path: path / "nowhere.npz", "does not exist"),
    "truncated": (truncated, "is damaged, truncated"),
    "other pixels": (other_pixels, "the train images are not those of CIFAR-100"),
    "text": (no_archive, "is not an .npz archive"),
    "empty folder": (empty_folder, "has no file train"),
}


@pytest.mark.parametrize("how", ["option", "variable", "import"])
@pytest.mark.parametrize("case", SOURCES)
def test_wrong_data_is_refused_by_its_path(
    case: str,
    how: str,
    tmp_path: Path,
    no_data: Path,
    elsewhere: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make, reason = SOURCES[case]
    source = make(tmp_path)
    if how == "option":
        result = cifar("--data", source, runs_dir=elsewhere)
    elif how == "variable":
        monkeypatch.setenv("REPRO_CIFAR100", str(source))
        result = cifar(runs_dir=elsewhere)
    else:
        result = repro("data", "import", "cifar100", source)
    message = error_of(result)
    assert str(source) in message
    assert reason in message
    assert "an .npz" in message
    assert not elsewhere.exists()
    assert not no_data.exists()


def test_an_unknown_data_set_is_refused() -> None:
    assert "'mnist' is not 'cifar100'" in usage_error_of(repro("data", "verify", "mnist"))


# --- a runs directory that is damaged or in the way


@pytest.mark.parametrize("command", ["run demo", "plan demo", "tables", "figures", "sync", "ui"])
def test_a_file_is_no_runs_directory(command: str, tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("mine")
    message = usage_error_of(repro(*command.split(), "--runs-dir", in_the_way))
    assert message.endswith("file' is a file.")
    assert in_the_way.read_text() == "mine"


def test_no_runs_directory_is_told_and_none_is_made(tmp_path: Path) -> None:
    message = error_of(repro("tables", "--runs-dir", tmp_path / "typo"))
    assert message == f"{tmp_path / 'typo'} holds no runs; train some with `repro run demo`"
    assert not (tmp_path / "typo").exists()


@pytest.mark.parametrize("command", ["run demo", "sync"])
def test_a_runs_directory_that_cannot_be_made_is_told(command: str, tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("mine")
    message = error_of(repro(*command.split(), "--runs-dir", in_the_way / "runs"))
    assert message.startswith(f"cannot write {in_the_way / 'runs'}: Not a directory; ")


@pytest.mark.parametrize("failure", FAILURES)
def test_a_runs_directory_that_cannot_be_written_is_told(
    runs_dir: Path, monkeypatch: pytest.MonkeyPatch, failure: str
) -> None:
    before = files(runs_dir)
    fail(monkeypatch, "open", FAILURES[failure])
    message = error_of(repro("run", "demo", "--runs-dir", runs_dir))
    monkeypatch.undo()
    assert message.startswith(f"cannot write {runs_dir / 'launcher.lock'}: ")
    assert "--runs-dir" in message
    assert files(runs_dir) == before


@pytest.mark.parametrize("command", ["run demo", "tables", "figures demo", "sync", "ui"])
def test_a_database_that_is_none_is_told_and_kept(command: str, tmp_path: Path) -> None:
    database = tmp_path / "mlflow.db"
    database.write_bytes(b"garbage" * 1000)
    message = error_of(repro(*command.split(), "--runs-dir", tmp_path))
    assert message.startswith(f"{database} cannot be opened (")
    assert message.endswith("move it away and run `repro sync`: the records hold everything")
    assert database.read_bytes() == b"garbage" * 1000
    assert not (tmp_path / "records").exists()


def begin(run: Run, runs_dir: Path, state: State = "STOPPED", epochs: int = 2) -> Record:
    """A record as training leaves it after some epochs."""
    record = Records(runs_dir).of(key(run))
    record.create(run, {})
    for epoch in range(epochs):
        record.append({"epoch": epoch, "metrics": {"test/top1": 50.0}})
    save(record, epochs, record.key)
    record.write_status(Status(state=state, started_ms=1, ended_ms=2, reason="as asked"))
    return record


def save(record: Record, next_epoch: int, of: str) -> None:
    meta: dict[str, object] = {"key": of, "next_epoch": next_epoch}
    checkpoint.save(record.checkpoint, {"x": torch.zeros(1)}, meta)


def corrupt_history(record: Record) -> str:
    history = record.directory / "history.jsonl"
    history.write_text("not JSON\n" + history.read_text())
    return f"{history} line 1 is damaged; "


def corrupt_status(record: Record) -> str:
    (record.directory / "status.json").write_text("{")
    return f"{record.directory / 'status.json'} cannot be read ("


def other_checkpoint(record: Record) -> str:
    save(record, 2, "f" * 64)
    return f"{record.checkpoint} belongs to run ffffffffffff, not "


@pytest.mark.parametrize("command", ["run", "plan"])
@pytest.mark.parametrize("damage", [corrupt_history, corrupt_status, other_checkpoint])
def test_a_damaged_record_is_told_and_left_alone(
    damage: Callable[[Record], str], command: str, tmp_path: Path
) -> None:
    record = begin(DEMO[0], tmp_path)
    reason = damage(record)
    before = files(tmp_path)
    message = error_of(repro(command, "demo", "--runs-dir", tmp_path))
    assert message.startswith(reason)
    assert message.endswith(f"remove {record.directory} to train this run again")
    assert files(tmp_path) == before


def test_a_damaged_checkpoint_stops_nothing(tmp_path: Path) -> None:
    record = begin(DEMO[0], tmp_path)
    record.checkpoint.write_bytes(b"")
    result = repro("plan", "demo", "--runs-dir", tmp_path)
    assert result.exit_code == 0
    teacher_row = next(line for line in result.output.splitlines() if "teacher" in line)
    assert teacher_row.split("│")[4].strip() == str(EPOCHS)  # all are left


def test_two_launchers_do_not_train_in_one_directory(tmp_path: Path) -> None:
    with (tmp_path / "launcher.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        message = error_of(repro("run", "demo", "--runs-dir", tmp_path))
    assert message.startswith(f"another `repro run` is training in {tmp_path}; wait for it")
    assert list(files(tmp_path)) == ["launcher.lock"]


# --- what is left to do


def test_a_plan_writes_nothing_and_says_what_would_run(elsewhere: Path) -> None:
    result = repro("plan", "demo", "--runs-dir", elsewhere)
    assert result.exit_code == 0
    assert "grid demo, profile demo: 11 runs:  11 new" in result.output
    rows = [line for line in result.output.splitlines() if "resnet20" in line]
    assert [row.split("│")[1].strip() for row in rows] == ["0", "1", "1"]
    assert "ce kd dkd dist cmkd" in rows[1]
    assert "assumed, nothing measured here yet" in result.output
    assert not elsewhere.exists()


def test_a_plan_counts_epochs_that_are_left(tmp_path: Path) -> None:
    begin(DEMO[0], tmp_path, epochs=2)
    result = repro("plan", "demo", "--runs-dir", tmp_path)
    assert "10 new 1 STOPPED" in " ".join(result.output.split())
    teacher_row = next(line for line in result.output.splitlines() if "teacher" in line)
    assert teacher_row.split("│")[4].strip() == str(EPOCHS - 2)


def test_a_finished_grid_trains_nothing(tmp_path: Path) -> None:
    for run in DEMO:
        begin(run, tmp_path, "FINISHED")
    before = files(tmp_path)
    result = repro("run", "demo", "--runs-dir", tmp_path)
    assert (result.exit_code, result.output) == (
        0,
        "grid demo, profile demo: 11 runs, 11 finished\n",
    )
    assert files(tmp_path) == before


def test_a_recorded_grid_trains_nothing(tmp_path: Path) -> None:
    for run in DEMO:
        begin(run, tmp_path, "FINISHED")
    (tmp_path / "records").rename(tmp_path / "recorded")
    result = repro("run", "demo", "--runs-dir", tmp_path)
    assert (result.exit_code, "11 finished" in result.output) == (0, True)


def test_failed_runs_are_told_with_reason_and_way_out(tmp_path: Path) -> None:
    for run in DEMO[:-1]:
        begin(run, tmp_path, "FINISHED")
    record = begin(DEMO[-1], tmp_path, "FAILED")
    result = repro("run", "demo", "--runs-dir", tmp_path)
    assert result.exit_code == 1
    last = result.output.splitlines()[-1]
    expected = "failed: resnet20:resnet8 cmkd trial 1: as asked; "
    assert last == f"{expected}remove {record.directory} to try it again"


def test_the_estimate_uses_the_speed_recorded_on_this_machine(tmp_path: Path) -> None:
    assert estimate.machine_speed(Records(tmp_path), torch.device("cpu")) is None
    device = launch.device_name(torch.device("cpu"))
    for trial, speed in enumerate((1e9, 5e9, 2e9)):
        record = begin(replace(DEMO[0], trial=trial), tmp_path, epochs=0)
        record.write_json("environment.json", {"device": device})
        record.append({"epoch": 0, "metrics": {}, "macs_per_second": speed})
    other = begin(replace(DEMO[0], trial=3), tmp_path, epochs=0)
    other.write_json("environment.json", {"device": "another"})
    other.append({"epoch": 0, "metrics": {}, "macs_per_second": 9e9})
    assert estimate.machine_speed(Records(tmp_path), torch.device("cpu")) == 2e9


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (89.4, "89 s"), (90, "2 min"), (3600, "60 min"), (5400, "1.5 h")],
)
def test_times_are_told_in_the_unit_that_fits(seconds: float, text: str) -> None:
    assert launch.clock(seconds) == text
