"""Who may import whom: facts, grid, plan, runs and results stay five places."""

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FACTS = ("paper", "paper_methods", "paper_imagenet", "departures")
PURE = (
    *(*FACTS, "errors", "spec", "choice", "profiles", "variants", "grid", "sources", "plan"),
    "outputs",
)
EFFECTS = ("records", "tracking", "jobs", "launch", "cli", "execute", "runtime", "resume")


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


FILES = {module_name(path): path for path in sorted((ROOT / "repro").rglob("*.py"))}
SCRIPTS = {
    module_name(path): path
    for folder in ("paper_tables", "figures")
    for path in sorted((ROOT / folder).glob("*.py"))
}


def imports(path: Path, *, on_top_only: bool = False) -> set[str]:
    """Every module that a file names in an import, within functions too unless ``on_top_only``."""
    found = set()
    tree = ast.parse(path.read_text())
    for node in tree.body if on_top_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module
            found.add(node.module)
            found |= {
                f"{node.module}.{alias.name}"
                for alias in node.names
                if f"{node.module}.{alias.name}" in FILES
            }
    return found


IMPORTS = {name: imports(path) for name, path in (FILES | SCRIPTS).items()}


def within(name: str, *parts: str) -> bool:
    """Is ``name`` one of the modules or packages of repro in ``parts``?"""
    return any(name == f"repro.{p}" or name.startswith(f"repro.{p}.") for p in parts)


def of(*parts: str) -> dict[str, set[str]]:
    """The suite's own modules that those of ``parts`` import."""
    chosen = {name: used for name, used in IMPORTS.items() if within(name, *parts)}
    assert chosen, parts
    return {name: {m for m in used if m in FILES and m != "repro"} for name, used in chosen.items()}


def closure(name: str) -> set[str]:
    """Everything of the suite that ``name`` imports, and what that imports."""
    found: set[str] = set()
    left = [name]
    while left:
        for used in IMPORTS[left.pop()] & FILES.keys() - found - {"repro"}:
            found.add(used)
            left.append(used)
    return found


def importing(package: str) -> set[str]:
    return {
        name
        for name, used in IMPORTS.items()
        if any(module == package or module.startswith(f"{package}.") for module in used)
    }


def test_the_walk_sees_the_whole_suite() -> None:
    assert len(FILES) > 50
    assert {"repro.cli", "repro.losses.cmkd", "repro.train.cohort"} <= FILES.keys()
    assert "paper_tables.accuracy" in SCRIPTS
    assert "repro.launch" in IMPORTS["repro.cli"]  # an import within a function
    assert "repro.models" in IMPORTS["repro.train.weights"]  # from repro import models


@pytest.mark.parametrize(
    ("package", "users"),
    [
        (
            "mlflow",
            {
                f"repro.tracking.{module}"
                for module in (
                    "checks",
                    "entries",
                    "logged",
                    "mirror",
                    "registry",
                    "results",
                    "store",
                    "summary",
                )
            },
        ),
        ("sqlalchemy", {"repro.tracking.store"}),
        ("click", {"repro.cli", "repro.options"}),
        ("ray", {"repro.execute.ray"}),
        ("submitit", {"repro.execute.slurm", "repro.node_job"}),
        (
            "rich",
            {
                "repro.bench.command",
                "repro.bench.folder",
                "repro.campaign",
                "repro.bench.report",
                "repro.cli",
                "repro.node_job",
                "repro.execute.worker",
                "repro.judging",
                "repro.launch",
                "repro.output",
                "repro.planned",
                "repro.progress",
                "repro.readme",
                "repro.serving",
                "repro.browsing",
                "repro.show",
                "repro.submission",
                "repro.status",
                "repro.doctor",
            },
        ),
    ],
)
def test_a_package_has_its_one_place(package: str, users: set[str]) -> None:
    assert importing(package) == users


def test_facts_need_the_standard_library_alone() -> None:
    facts = {f"repro.{name}" for name in FACTS}
    for name in (*facts, "repro.errors"):
        roots = {module.partition(".")[0] for module in IMPORTS[name] - facts}
        assert roots <= set(sys.stdlib_module_names), name


def test_the_pure_core_knows_no_effects() -> None:
    for part in PURE:
        name = f"repro.{part}"
        assert not [used for used in closure(name) if within(used, *EFFECTS, "train")], name
        effects = {"os", "time", "random", "subprocess", "pathlib", "io", "shutil", "signal"}
        assert not IMPORTS[name] & effects, name


def test_facts_make_profiles_make_grids_make_plans() -> None:
    assert closure("repro.paper") == set()
    assert closure("repro.paper_methods") == {"repro.paper"}
    for used in of("spec").values():
        assert all(within(module, "errors", "losses") for module in used)
    for used in of("profiles").values():
        assert all(within(module, "paper", "errors", "spec") for module in used)
    for used in of("grid").values():
        known = (*FACTS, "choice", "profiles", "errors", "losses", "spec", "variants")
        assert all(within(m, *known) for m in used)
    for used in of("choice").values():
        assert all(within(module, "errors", "spec") for module in used)
    for used in of("plan").values():
        assert used == {"repro.spec"}


def test_losses_and_models_know_outputs_and_no_runs() -> None:
    for package in ("losses", "models"):
        for name, used in of(package).items():
            assert all(within(module, package, "outputs", "errors", "seeded") for module in used), (
                name
            )
    assert closure("repro.outputs") == set()


def test_data_knows_its_stream_and_no_training() -> None:
    allowed = ("data", "spec", "outputs", "errors", "files", "seeded", "shelter")
    for name, used in of("data").items():
        assert all(within(m, *allowed) for m in used), name


def test_training_knows_neither_facts_nor_records_nor_tracking() -> None:
    files = ("files", "faults", "errors", "seeded")
    allowed = ("train", "data", "losses", "models", "outputs", "spec", *files)
    for name, used in of("train").items():
        assert all(within(module, *allowed) for module in used), name
    for name in of("train"):
        far = [m for m in closure(name) if within(m, *FACTS, "grid", "records", "tracking")]
        assert far == [], name


def test_the_loop_knows_no_files() -> None:
    assert not [m for m in closure("repro.train.cohort") if within(m, "files", "train.checkpoint")]


def test_records_know_runs_and_nothing_that_makes_them() -> None:
    allowed = ("spec", "errors", "faults", "files", "losses", "outputs")
    assert all(within(module, *allowed) for module in closure("repro.records"))


def test_jobs_do_not_know_who_starts_them() -> None:
    for name in ("repro.jobs", "repro.runtime", "repro.execute.inline"):
        far = [m for m in closure(name) if within(m, "launch", "cli", "grid", "tracking", *FACTS)]
        assert far == [], name


def test_who_trains_cohorts_knows_no_grid() -> None:
    for name, used in of("execute").items():
        far = [m for m in used if within(m, "launch", "cli", "grid", "request", "submission")]
        assert far == [], name


def test_analysis_trains_nothing_and_tracks_nothing() -> None:
    for name, used in of("analysis").items():
        forbidden = ("cli", "launch", "jobs", "execute", "records", "grid", "train", "runtime")
        assert not [m for m in used if within(m, *forbidden)], name
        assert not used & {"repro.tracking"}, name


def test_the_bench_measures_the_engine_and_only_the_command_line_knows_it() -> None:
    engine = ("train", "data", "losses", "models", "outputs", "errors", "files", "records")
    shared = ("spec", "grid", "profiles", "plan", "estimate", "environment")
    for name, used in of("bench").items():
        assert all(within(module, "bench", *engine, *shared) for module in used), name
    assert {m for m in importing("repro.bench") if not within(m, "bench")} == {"repro.cli"}


def test_scripts_make_pictures_of_results_and_train_nothing() -> None:
    for name in SCRIPTS:
        forbidden = ("cli", "launch", "jobs", "execute", "tracking")
        assert not [m for m in IMPORTS[name] if within(m, *forbidden)], name


def test_nothing_imports_the_command_line() -> None:
    assert importing("repro.cli") == {"repro.__main__"}


def test_modules_import_each_other_in_one_direction() -> None:
    tops = {name: imports(path, on_top_only=True) & FILES.keys() for name, path in FILES.items()}
    graphlib.TopologicalSorter(tops).prepare()  # raises CycleError


def test_nothing_happens_when_the_command_line_is_imported() -> None:
    code = (
        "import sys, repro.cli, repro.__main__\n"
        "print(*sorted(m for m in sys.modules if m.startswith('repro')))\n"
        "assert not {'torch', 'numpy', 'mlflow', 'rich', 'pandas'} & sys.modules.keys()"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == [
        "repro",
        "repro.__main__",
        "repro.cli",
        "repro.errors",
        "repro.options",
    ]


@pytest.mark.parametrize("name", FILES)
def test_a_module_says_what_it_is_for_and_keeps_to_the_limits(name: str) -> None:
    text = FILES[name].read_text()
    assert ast.get_docstring(ast.parse(text)), "no docstring"
    assert len(text.splitlines()) <= 300
