"""Cohort after cohort in this process."""

from dataclasses import replace

from repro.errors import UserError
from repro.jobs import run_cohort
from repro.plan import Cohort, Wave
from repro.runtime import Runtime, Stopped
from repro.spec import key, uses_teacher


def inline(waves: tuple[Wave, ...], runtime: Runtime) -> list[Cohort]:
    """Train every cohort; returns those, or their parts, whose teacher failed."""
    blocked = []
    for wave in waves:
        for cohort in wave:
            teacher = cohort.teacher
            if teacher and runtime.records.state(key(teacher)) != "FINISHED":
                taught = [run for run in cohort.runs if uses_teacher(run.loss)]
                blocked.append(replace(cohort, runs=tuple(taught)))
                cohort = replace(cohort, runs=tuple(r for r in cohort.runs if r not in taught))
            if cohort.runs:
                _run_apart(cohort, runtime)
    return blocked


def _run_apart(cohort: Cohort, runtime: Runtime) -> None:
    """An error of one cohort is told and recorded; the others go on."""
    try:
        run_cohort(cohort, runtime)
    except (UserError, Stopped):
        raise
    except Exception as error:
        runtime.progress.line(f"{cohort.label}: {type(error).__name__}: {error}")
        runtime.broken.append(cohort)
