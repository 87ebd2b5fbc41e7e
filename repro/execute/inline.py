"""Cohort after cohort in this process."""

from dataclasses import replace

from repro.errors import UserError
from repro.jobs import run_cohort
from repro.plan import Cohort, Wave, teacher_passes
from repro.runtime import Runtime, Stopped
from repro.spec import key, uses_teacher
from repro.teachers import check_choice


def inline(waves: tuple[Wave, ...], runtime: Runtime) -> list[Cohort]:
    """Train every cohort; returns those, or their parts, whose teacher failed."""
    check_choice(waves, runtime.teacher)
    runtime.teacher_passes = teacher_passes(waves)
    blocked = []
    for wave in waves:
        for cohort in wave:
            ready, without_teacher = runnable(cohort, runtime)
            if without_teacher:
                blocked.append(without_teacher)
            if ready:
                run_apart(ready, runtime)
    return blocked


def runnable(cohort: Cohort, runtime: Runtime) -> tuple[Cohort | None, Cohort | None]:
    """The part of the cohort that can be trained now, and that whose teacher is not finished."""
    teacher = cohort.teacher
    if teacher is None or runtime.records.state(key(teacher)) == "FINISHED":
        return cohort, None
    taught = tuple(run for run in cohort.runs if uses_teacher(run.loss))
    others = tuple(run for run in cohort.runs if run not in taught)
    return replace(cohort, runs=others) if others else None, replace(cohort, runs=taught)


def run_apart(cohort: Cohort, runtime: Runtime) -> None:
    """An error of one cohort is told and recorded; the others go on."""
    try:
        run_cohort(cohort, runtime)
    except (UserError, Stopped):
        raise
    except Exception as error:
        runtime.progress.line(f"{cohort.label}: {type(error).__name__}: {error}")
        runtime.broken.append(cohort)
