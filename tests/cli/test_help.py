"""The commands, their options and their help."""

import ast
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from repro import cli
from tests.cli.invoke import repro


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
        "budget",
        "status",
        "doctor",
        "show-run",
        "data",
        "data fetch",
        "data import",
        "data verify",
        "tables",
        "figures",
        "claims",
        "report",
        "record",
        "browse",
        "methods",
        "sync",
        "ui",
        "bench",
        "campaign",
        "import-teacher",
    }


@pytest.mark.parametrize("path", commands(), ids=" ".join)
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_every_command_says_what_it_does(path: tuple[str, ...], option: str) -> None:
    command = commands()[path]
    assert command.callback
    assert command.callback.__doc__
    result = repro(*path, option)
    assert result.exit_code == 0, result.output
    assert command.callback.__doc__.split(".")[0].split("\n")[0] in result.output


def test_every_command_is_twelve_lines_at_most() -> None:
    tree = ast.parse(Path(cli.__file__).read_text())
    lengths = {
        node.name: (node.end_lineno or 0) - node.lineno + 1
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
    }
    named = {path[-1]: path[-1].replace("-", "_") for path in commands()} | {"import": "import_"}
    assert lengths.keys() >= set(named.values())
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
        "--teacher",
        "--held-out",
        "--runs-dir",
        "--data",
        "--max-time",
        "--checkpoint-every",
        "--workers",
        "--engine",
        "--backend",
        "--ray-address",
        "--imported",
        "--slurm",
        "--cohorts-per-job",
        "--dry-run",
    }
    only_run = {
        "--max-time",
        "--checkpoint-every",
        "--workers",
        "--slurm",
        "--cohorts-per-job",
        "--dry-run",
    }
    of_plan = {name for p in cli.plan.params if isinstance(p, click.Option) for name in p.opts}
    assert of_plan == options - only_run
    how = {
        "--data",
        "--max-cohort",
        "--device",
        "--teacher",
        "--engine",
        "--backend",
        "--ray-address",
    }
    of_status = {name for p in cli.status.params if isinstance(p, click.Option) for name in p.opts}
    assert of_status == of_plan - how - {"--data"}


@pytest.mark.parametrize("name", ["tables", "figures"])
def test_the_options_of_what_is_shown_are_frozen(name: str) -> None:
    params = commands()[name,].params
    options = {name for p in params if isinstance(p, click.Option) for name in p.opts}
    assert options == {"--profile", "--imported", "--runs-dir"}


def test_the_options_of_import_teacher_are_frozen() -> None:
    params = cli.import_teacher.params
    options = {name for p in params if isinstance(p, click.Option) for name in p.opts}
    assert options == {"--network", "--expect", "--profile", "--data", "--runs-dir", "--device"}


@pytest.mark.parametrize(
    "path",
    [path for path in commands() if path[0] not in ("data", "bench", "methods")],
    ids=" ".join,
)
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
