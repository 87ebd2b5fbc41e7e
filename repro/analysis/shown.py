"""Which finished networks a figure shows, and what its title says of them."""

from itertools import islice

from repro.analysis.save import trials_shown
from repro.results import GridResults
from repro.spec import Run

MOST_METHODS = 6  # that have panels of their own in a figure


def compared(results: GridResults, pair: str) -> dict[str, Run]:
    """The teacher, then one run a method, the first ``MOST_METHODS`` in the grid's order."""
    teacher = results.teacher(pair)
    first = {"teacher": teacher} if teacher else {}
    return first | dict(islice(methods_of(results, pair).items(), MOST_METHODS))


def methods_of(results: GridResults, pair: str) -> dict[str, Run]:
    """One run a method; the ablation's variants stay out of the pictures."""
    students = results.first_trials(pair)
    return {method: run for method, run in students.items() if "/" not in method}


def all_trials(results: GridResults, pair: str, methods: dict[str, Run]) -> list[Run]:
    """Every finished run of the pair's methods, and the teacher where it is among them."""
    runs = [run for run in results.students(pair) if run.method in methods]
    return [methods["teacher"], *runs] if "teacher" in methods else runs


def titled(results: GridResults, runs: dict[str, Run], words: str) -> str:
    """The pair, what is shown, of which trial, and how many methods are not shown."""
    shown = trials_shown({name: run.trial for name, run in runs.items()})
    return f"{headed(results, runs, words)}\n{shown}"


def headed(results: GridResults, runs: dict[str, Run], words: str) -> str:
    """The first line of ``titled``, for what is of all trials."""
    pair = list(runs.values())[-1].pair
    students, methods = len(runs) - ("teacher" in runs), len(methods_of(results, pair))
    some = f"; {students} of {methods} methods" if students < methods else ""
    return f"{pair}: {words}{some}"
