"""Cohort after cohort in this process."""

import time

from repro.execute.apart import train_apart
from repro.execute.board import Board
from repro.plan import Cohort, Wave, teacher_passes
from repro.runtime import Runtime
from repro.teachers import check_choice

POLL_SECONDS = 0.2  # between two looks at what others train


def inline(waves: tuple[Wave, ...], runtime: Runtime) -> list[Cohort]:
    """Train every cohort; returns those, or their parts, whose teacher failed.

    What another process trains is waited for: it is taken over if that one dies.
    """
    check_choice(waves, runtime.teacher)
    runtime.teacher_passes = runtime.teacher_passes or teacher_passes(waves)
    board = Board(waves, runtime)
    while board:
        entry = board.next()
        if entry:
            board.done(entry, train_apart(entry.cohort, runtime, partly=entry.held))
        elif board:
            board.tell_if_only_others_train()
            runtime.tick()
            time.sleep(POLL_SECONDS)
    return board.blocked
