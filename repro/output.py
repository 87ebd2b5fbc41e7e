"""Tables and figures of finished runs, MLflow's sync and UI: what comes after training."""

import importlib.util
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
from rich.console import Console

from repro import manifest
from repro.analysis.evidence import ACCURACY
from repro.analysis.measuring import measured_runs
from repro.environment import ROOT, keep_freed_memory
from repro.errors import NotRecorded, UserError, choose
from repro.folders import on_folder
from repro.grid import GRIDS, expand
from repro.imported import imported_teachers
from repro.intake import take_in
from repro.leases import Leases
from repro.profiles import IMAGENET_GRIDS, PROFILES, profile_named, profiles_of
from repro.publish import publish, publish_files, register
from repro.records import Records
from repro.results import GridResults, grid_results
from repro.spec import Run, key
from repro.stages import quiet
from repro.tracking import (
    experiment_of,
    load_results,
    sync_records,
    tracking_uri,
    write_note,
)
from repro.variants import TUNED

SIZES = ("paper", "quick", "demo")  # of several finished profiles the largest is shown
HELD = "held by a process that trains them"
SYNCED = {
    "written": "runs brought up to date",
    "right": "right already",
    "held": HELD,
    "damaged": "damaged",
}
TAKEN = {
    "new": "runs taken in",
    "further": "put in the place of ones that were less far (now in replaced/)",
    "known": "known already",
    "held": HELD,
    "damaged": "damaged",
}


def tables(
    console: Console,
    grid: str | None,
    *,
    profile: str,
    runs_dir: Path,
    imported: Sequence[str] = (),
) -> None:
    """Run every script of paper_tables/, and bring MLflow's summary of the grid up to date."""
    for results in finished_grids(grid, profile, runs_dir, imported):
        write_tables(console, results)


def write_tables(console: Console, results: GridResults) -> None:
    """``tables`` of results that are at hand."""
    for line in publish(results, _run_scripts(console, ROOT / "paper_tables", results)):
        console.print(line, highlight=False, markup=False)


def figures(
    console: Console,
    grid: str | None,
    *,
    profile: str,
    runs_dir: Path,
    imported: Sequence[str] = (),
) -> None:
    """Run every script of figures/, and log what they drew."""
    from repro.analysis.style import house_style  # matplotlib takes half a second to import

    os.environ.setdefault("MPLBACKEND", "Agg")
    for results in finished_grids(grid, profile, runs_dir, imported):
        with house_style():
            drawn = _run_scripts(console, ROOT / "figures", results)
        publish_files((results,), "figures", drawn)


def finished_grids(
    grid: str | None, profile: str, runs_dir: Path, imported: Sequence[str] = ()
) -> Iterator[GridResults]:
    """The named grid, or every grid that was run here or is complete through others' runs.

    ``imported``: keys of teachers in the place of the named grid's own. Raises UserError where
    nothing is finished.
    """
    keep_freed_memory()  # networks are measured: without, a third of the time is page faults
    if grid is not None and grid not in GRIDS:
        raise choose("grid", grid, GRIDS)
    if profile not in (*PROFILES, "auto"):
        raise choose("profile", profile, (*PROFILES, "auto"))
    local = tracking_uri(runs_dir).startswith("sqlite:")
    if local and not any((runs_dir / name).exists() for name in ("mlflow.db", "records")):
        raise UserError(f"{runs_dir} holds no runs; train some with `repro run {grid or 'demo'}`")
    if imported and not grid:
        raise UserError("--imported needs the GRID whose students they taught")
    teachers = imported_teachers(imported, runs_dir, grid)
    results = current_results(runs_dir)
    names = [grid] if grid else list(GRIDS)
    found = (largest(name, profile, runs_dir, results, teachers) for name in names)
    known = [item for item in found if item]
    asked = set(results["grid"])
    shown = [item for item in known if grid or item.grid in asked or complete(item)]
    if not shown:
        folder = " on the folder of images that was named last" if grid in IMAGENET_GRIDS else ""
        raise UserError(
            f"no finished runs of {grid or 'any grid'}{folder} in {runs_dir}; "
            f"train some with `repro run {grid or 'demo'}`"
        )
    yield from distinct(shown)


def _decided(results: GridResults) -> set[str]:
    """The parts of a grid, those whose claims are the same by one name."""
    return {ACCURACY[0] if part in ACCURACY else part for part in results.parts}


def distinct(found: Sequence[GridResults]) -> list[GridResults]:
    """Without grids whose runs and tables another one of their profile has all: a union stands for
    its parts, and of the accuracy grids one for another."""
    chosen: list[GridResults] = []
    for results in sorted(found, key=lambda results: -len(results.runs)):  # stable
        keys = {key(run) for run in results.runs}
        parts = _decided(results)
        others = (other for other in chosen if other.profile == results.profile)
        if not any(
            keys <= {key(run) for run in other.runs} and parts <= _decided(other)
            for other in others
        ):
            chosen.append(results)
    return [results for results in found if results in chosen]


def complete(results: GridResults) -> bool:
    if results.grid == "tuned" and results.profile.name not in TUNED:
        return False  # it would hold what is not tuned alone
    finished = {key(run) for run in results.runs}
    return all(key(run) in finished for run in expand(results.grid, results.profile))


def current_results(runs_dir: Path) -> pd.DataFrame:
    """``load_results``, after adding to MLflow the finished runs that only records know."""
    results = load_results(runs_dir)
    known = set(results["key"])
    records = Records(runs_dir)
    missing = [r for r in records if r.key not in known and records.state(r.key) == "FINISHED"]
    if not missing:
        return results
    for _ in sync_records(missing, runs_dir):
        pass
    return load_results(runs_dir)


def largest(
    grid: str, profile: str, runs_dir: Path, results: pd.DataFrame, imported: tuple[Run, ...] = ()
) -> GridResults | None:
    """The grid under the named profile; under auto, the largest with a finished student."""
    named = (
        [profile_named(profile, grid, cuda=False).name] if grid not in IMAGENET_GRIDS else [profile]
    )
    known = profiles_of(grid)
    for name in SIZES if profile == "auto" else named:
        if name not in known:
            continue
        size = on_folder(known[name], ROOT / "data")
        found = grid_results(grid, size, runs_dir, ROOT / "data", results, imported)
        if found.pairs:
            return found
    return None


def _run_scripts(console: Console, folder: Path, results: GridResults) -> list[Path]:
    """Returns what they wrote; the manifest beside it says of what it is. Networks that were
    recorded by their accuracy alone are not shown; a script that has no others is left out."""
    files: list[Path] = []
    out = results.out(folder)
    manifest.begin(out, results)
    for path in sorted(folder.glob("*.py")):
        console.print(f"{results.grid}: {folder.name}/{path.name}", highlight=False, markup=False)
        try:
            found = written_by(path, results, out)
        except NotRecorded as error:
            console.print(f"left out: {error}", highlight=False, markup=False)
            continue
        for written in found:
            console.print(str(written.relative_to(ROOT)), highlight=False, markup=False)
            files.append(written)
    manifest.finish(out, results, files)
    return files


def written_by(path: Path, results: GridResults, out: Path) -> list[Path]:
    """What a script writes of all runs, or of those that were measured. Raises NotRecorded."""
    script = load_script(path)
    try:
        return list(script.write(results, out))
    except NotRecorded:
        fewer = measured_runs(results)
        if not fewer.pairs:
            raise
        return list(script.write(fewer, out))


def load_script(path: Path) -> ModuleType:
    """A script of paper_tables/ or figures/ as a module with ``write(results, out)``."""
    name = f"{path.parent.name}_{path.stem}"
    module_spec = importlib.util.spec_from_file_location(name, path)
    assert module_spec
    assert module_spec.loader
    module = importlib.util.module_from_spec(module_spec)
    module_spec.loader.exec_module(module)
    return module


def sync(console: Console, runs_dir: Path, sources: Sequence[Path] = ()) -> int:
    """Take in other machines' results, then make MLflow equal to every record of ``runs_dir``.

    Returns the exit code: 0, or 1 where records are damaged.
    """
    if not sources and tracking_uri(runs_dir).startswith("sqlite:") and not runs_dir.exists():
        raise UserError(f"{runs_dir} holds no runs; train some with `repro run demo`")
    leases, damaged = Leases(), 0
    say = partial(console.print, highlight=False, markup=False)
    for source in sources:
        intake = take_in(source, runs_dir, leases)
        for line in intake.lines:
            say(line)
        say(f"{source}: {counted(intake.counts, TAKEN)}")
        damaged += intake.counts["damaged"]
    synced = {one.record: one for one in sync_records(Records(runs_dir), runs_dir, leases)}
    silent = [one.record for one in synced.values() if one.outcome == "held" and quiet(one.record)]
    if silent:
        say(f"{len(silent)} runs are held by a process that is silent: does it live? (a minute)")
        time.sleep(leases.silent_seconds)
        synced |= {one.record: one for one in sync_records(silent, runs_dir, leases)}
    for one in synced.values():
        if one.outcome == "damaged":
            say(f"damaged: {one.reason}")
    for name in sorted({name for record in synced if (name := experiment_of(record))}):
        write_note(runs_dir, name)
    for line in register(runs_dir):
        say(line)
    counts = Counter(one.outcome for one in synced.values())
    say(f"{tracking_uri(runs_dir)}: {counted(counts, SYNCED)}")
    return 1 if damaged or counts["damaged"] else 0


def counted(counts: Mapping[Any, int], words: dict[str, str]) -> str:
    return ", ".join(f"{counts.get(outcome, 0)} {word}" for outcome, word in words.items())
