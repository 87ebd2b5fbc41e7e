"""The global generator of random numbers, for libraries that draw from it: borrowed, never kept."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_borrowed = threading.RLock()  # there is one generator for all threads


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Within, the CPU's global generator starts from ``seed``; after, it is as it was."""
    with _borrowed, torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would also seed the GPUs
        yield
