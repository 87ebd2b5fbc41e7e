"""The commands that make again, or make more of, what a report shows."""

import shlex
from collections.abc import Sequence
from typing import Any

from repro.choice import Choice
from repro.environment import ROOT
from repro.grid import expand
from repro.results import GridResults
from repro.spec import Run, key

RUNS_DIR = ROOT / "runs"  # the command line's default
LISTED = ("pairs", "methods")  # options that list names


def command(verb: str, *grids: GridResults) -> str:
    """Of ``tables``, ``figures``, ``claims`` and ``report``; of several grids together, of all."""
    first = grids[0]
    named = [first.grid] if len(grids) == 1 else []
    return _joined("repro", verb, *named, "--profile", first.profile.name, *place(first))


def trainings(results: GridResults) -> list[str]:
    """``repro run`` that trains just the runs of ``results``: a line where one set of trials,
    pairs and methods tells them, else a line for each set."""
    first = ("repro", "run", results.grid, "--profile", results.profile.name)
    last = shlex.split(options(results))
    return [_joined(*first, *_words(results, one), *last) for one in choices(results)]


def options(results: GridResults) -> str:
    """Those of ``repro run`` that every training beside these runs needs."""
    return _joined(*precision(results), *place(results))


def place(results: GridResults) -> list[str]:
    """The options that name where the runs are, and teachers that the grid has not of itself."""
    runs_dir = results.runs_dir.resolve()
    shown = str(runs_dir.relative_to(ROOT) if runs_dir.is_relative_to(ROOT) else runs_dir)
    imported = sorted({key(run)[:12] for run in results.runs if run.weights})
    return [
        *(["--imported", ",".join(imported)] if imported else []),
        *(["--runs-dir", shown] if runs_dir != RUNS_DIR and not results.recorded else []),
    ]


def precision(results: GridResults) -> list[str]:
    """Results are of one precision."""
    found = {run.precision for run in results.runs if not run.weights} or {"fp32"}
    return [] if found == {"fp32"} else ["--precision", *sorted(found)]


def choices(results: GridResults) -> list[Choice]:
    """What the command line has to choose, so that together just these runs are trained."""
    students = [run for pair in results.pairs for run in results.students(pair)]
    if not students:
        return [Choice()]
    most = max(run.trial for run in students) + 1
    names: dict[str, Any] = {
        "pairs": tuple(results.pairs),
        "methods": tuple(dict.fromkeys(run.method for run in students)),
    }
    for chosen in ((), LISTED[:1], LISTED[1:], LISTED):  # the shortest that is right
        choice = Choice(trials=most, **{name: names[name] for name in chosen})
        if _keys(results, choice) == {key(run) for run in results.runs}:
            return [choice]
    return _by_cell(results)


def _keys(results: GridResults, choice: Choice) -> set[str]:
    imported = {key(run): run for run in results.runs if run.weights}
    kinds = {run.precision for run in results.runs if not run.weights} or {"fp32"}
    given = {"trials": choice.trials, "pairs": choice.pairs, "methods": choice.methods}
    whole: Any = given | {"precision": min(kinds), "imported": tuple(imported.values())}
    return {key(run) for run in expand(results.grid, results.profile, Choice(**whole))}


def _by_cell(results: GridResults) -> list[Choice]:
    """Pairs and methods with the same trials together."""
    found: dict[tuple[int, tuple[str, ...]], list[str]] = {}
    for pair in results.pairs:
        methods: dict[int, list[str]] = {}
        for method, count in _trials(results.students(pair)).items():
            methods.setdefault(count, []).append(method)
        for count, same in methods.items():
            found.setdefault((count, tuple(same)), []).append(pair)
    return [
        Choice(trials=count, pairs=tuple(pairs), methods=methods)
        for (count, methods), pairs in found.items()
    ]


def _trials(runs: Sequence[Run]) -> dict[str, int]:
    """By method, in order: as many as bring the last one."""
    found: dict[str, int] = {}
    for run in runs:
        found[run.method] = max(found.get(run.method, 0), run.trial + 1)
    return found


def _words(results: GridResults, choice: Choice) -> list[str]:
    """The options of a choice; the profile's own trials need none."""
    words = []
    if choice.trials not in (None, results.profile.trials):
        words += ["--trials", str(choice.trials)]
    for name in LISTED:
        given = getattr(choice, name)
        words += [f"--{name}", ",".join(given)] if given else []
    return words


def _joined(*words: str) -> str:
    return shlex.join(words)
