"""Cohort after cohort in this process."""

from repro.jobs import run_cohort
from repro.plan import Cohort, Wave
from repro.runtime import Runtime
from repro.spec import key


def inline(waves: tuple[Wave, ...], runtime: Runtime) -> list[Cohort]:
    """Train every cohort; returns those that could not start because their teacher failed."""
    blocked = []
    for wave in waves:
        for cohort in wave:
            teacher = cohort.teacher
            if teacher and runtime.records.state(key(teacher)) != "FINISHED":
                blocked.append(cohort)
                continue
            run_cohort(cohort, runtime)
    return blocked
