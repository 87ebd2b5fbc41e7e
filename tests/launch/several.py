"""Functions run by two processes, as torchrun starts them."""

import multiprocessing
import os
import socket
from collections.abc import Callable
from typing import Any

import torch
import torch.multiprocessing as mp

PRELOADED = ["repro.launch", "torch._dynamo", "sklearn.datasets", "tests.tiny"]


def joining(rank: int, port: int, work: Callable[..., None], given: tuple[Any, ...]) -> None:
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_RANK": str(rank)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    work(rank, *given)


def by_two(work: Callable[..., None], *given: Any) -> None:
    """``work(rank, *given)`` in two processes. Raises ProcessRaisedException."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # What every process imports is imported once, in the server that they are forked from.
    multiprocessing.set_forkserver_preload(PRELOADED)
    mp.start_processes(joining, (port, work, given), nprocs=2, start_method="forkserver")
