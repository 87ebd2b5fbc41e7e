"""``python -m tests.tiny_grid run demo ...``: the command line with a demo of 70 images.

With ``SIGNAL`` and ``AT_TICK`` in the environment the process sends itself that signal right before
that step (or evaluated batch), and notes the time in the file ``SIGNALLED``.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path

import torch

from repro import cli, jobs
from repro.limits import Limits
from repro.profiles import PROFILES
from tests import tiny

tick = Limits.tick


class Bomb:
    """Limits.tick with a signal at one of its calls; ``note`` runs right before it."""

    def __init__(self, number: int, at_tick: int, note: Callable[[], object]) -> None:
        self.number, self.left, self.note = number, at_tick, note

    def tick(self, limits: Limits) -> None:
        self.left -= 1
        if self.left == 0:
            self.note()
            os.kill(os.getpid(), self.number)
        tick(limits)


def note_time() -> None:
    Path(os.environ["SIGNALLED"]).write_text(str(time.time()))


def main() -> None:
    torch.set_num_threads(1)
    PROFILES["demo"] = tiny.PROFILE
    jobs.CHECKPOINT_SECONDS = 0.0
    if "SIGNAL" in os.environ:
        bomb = Bomb(int(os.environ["SIGNAL"]), int(os.environ["AT_TICK"]), note_time)
        Limits.tick = lambda self: bomb.tick(self)  # type: ignore[method-assign]
    cli.main()


if __name__ == "__main__":
    main()
