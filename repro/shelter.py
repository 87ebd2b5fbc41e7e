"""Helper processes outlive a signal to their whole group (Ctrl-C, the end of a job), and no more.

The process that they work for hears it and stops in order; helpers that died first would make an
error of it.
"""

import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from threading import Thread

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)  # SIGUSR2: SLURM's notice


@contextmanager
def signals_wait() -> Iterator[None]:
    """This thread hears afterwards of signals that come within. A process that is started within
    is deaf to them until it takes shelter."""
    resource_tracker.ensure_running()  # its start, which others imply, would end the waiting
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def take_shelter(_number: int = 0) -> None:
    """What a helper does first: it leaves its starter's group, and hears SIGTERM from then on, by
    by which its starter can still end it. It ends when that one has died."""
    os.setsid()
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)  # forgets one that waits
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    Thread(target=_end_with_starter, daemon=True).start()


def _end_with_starter() -> None:
    """PyTorch's own look at the parent process is at the fork server, which helpers keep alive."""
    starter = multiprocessing.parent_process()
    assert starter
    starter.join()
    os._exit(1)
