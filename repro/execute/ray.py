"""Cohorts on the nodes of a Ray cluster: an existing one, or one of this machine for the launch.

A worker is an actor that holds a GPU (on a cluster without any, CPUs), and every cohort is a task
of it: so PyTorch is imported once, and a teacher bank serves cohort after cohort. Ray places it,
and tells when it dies with its node.
"""

import logging
import os
import signal
import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from secrets import token_hex
from typing import Any

import torch

from repro.errors import UserError, choose
from repro.execute.remote import Event, Launcher
from repro.execute.trainer import Task, Trainer, versions
from repro.execute.worker import Setup, setup_of
from repro.files import write_atomically
from repro.plan import Cohort, Wave, teacher_passes
from repro.runtime import Runtime
from repro.teachers import check_choice

MISSING = "--backend ray needs the package ray: pip install -e '.[ray]'"
LOCAL = "local"  # Ray's word for a cluster that it is to start
ANSWER_SECONDS = 5.0  # for a cluster to accept a connection
FETCH_SECONDS = 2.0  # a worker without news answers after this time
NODES_SECONDS = 2.0  # between two looks at which nodes there are
CLOSE_SECONDS = 5.0  # for workers to clear away what they leave
FETCHERS = 2  # threads of a worker beside the training one: for news, and to stop it


def on_ray(
    waves: tuple[Wave, ...], runtime: Runtime, devices: Sequence[torch.device], address: str
) -> list[Cohort]:
    """Train every cohort; returns those, or their parts, whose teacher failed.

    ``devices``: of which only the first one's type counts. Raises what stopped the training, after
    truthful statuses: Stopped, or UserError, also where there is no cluster.
    """
    check_choice(waves, runtime.teacher)
    runtime.teacher_passes = teacher_passes(waves)
    cuda = devices[0].type == "cuda"
    with connected(address, cuda=cuda), _nonce(runtime.runs_dir) as nonce:
        count = sum(len(wave) for wave in waves)
        cluster = RayCluster(_setup(runtime, count, cuda=cuda), runtime, nonce)
        runtime.progress.line(f"Ray: {cluster}")
        return Launcher(waves, runtime, cluster).run()


def cluster_devices(word: str, address: str) -> tuple[torch.device, ...]:
    """What ``--device`` means on the cluster at ``address``: each of its GPUs, or the CPU.

    Empty without an address: the cluster will have what this machine has. Raises UserError for a
    word that means nothing there.
    """
    if word not in ("auto", "cpu", "cuda"):
        raise choose("device of --backend ray", word, ("auto", "cpu", "cuda"))
    if _where(address) == LOCAL:
        _imported()
        return ()
    with connected(address, cuda=word != "cpu"):
        found = int(sum(node.get("GPU", 0) for node in _nodes()))
    if word == "cuda" and not found:
        raise UserError("the Ray cluster has no GPUs; use --device cpu or auto")
    return (torch.device("cuda", 0),) * found if word != "cpu" and found else (torch.device("cpu"),)


def _where(address: str) -> str:
    return address or os.environ.get("RAY_ADDRESS") or LOCAL


def _imported() -> Any:
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else it warns of a change
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # of a cluster that it starts for us
    try:
        import ray
    except ImportError as error:
        raise UserError(MISSING) from error
    return ray


@contextmanager
def connected(address: str, *, cuda: bool) -> Iterator[None]:
    """A connection, unless there is one already, of which nothing is printed."""
    ray, where = _imported(), _where(address)
    if ray.is_initialized():
        yield
        return
    options: dict[str, Any] = {}
    if where == LOCAL:
        options = {"include_dashboard": False} | ({} if cuda else {"num_gpus": 0})
    else:
        _knock(where)
    before = signal.getsignal(signal.SIGTERM)  # Ray would put its own in place
    try:
        ray.init(where, log_to_driver=False, logging_level=logging.ERROR, **options)
    except (OSError, RuntimeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"the Ray cluster {where} cannot be used: {reason}") from error
    finally:
        signal.signal(signal.SIGTERM, before)
    try:
        yield
    finally:
        ray.shutdown()


def _knock(where: str) -> None:
    """Does anybody answer? Ray itself would try for minutes."""
    host, _, port = where.rpartition(":")
    if where == "auto":
        return
    if "/" in where or not host or not port.isdigit():
        raise UserError(f"--ray-address is HOST:PORT as `ray start --head` prints it, not {where}")
    try:
        socket.create_connection((host, int(port)), ANSWER_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise UserError(
            f"no Ray cluster answers at {where} ({error}): start one with `ray start --head`, or "
            "leave --ray-address out"
        ) from error


@contextmanager
def _nonce(runs_dir: Path) -> Iterator[str]:
    """A file in it by which a worker sees whether it has the same directory."""
    path = runs_dir / f".launch-{token_hex(8)}"
    write_atomically(path, "")
    try:
        yield path.name
    finally:
        path.unlink(missing_ok=True)


def _setup(runtime: Runtime, cohorts: int, *, cuda: bool) -> Setup:
    return replace(
        setup_of(runtime, cohorts),
        device="cuda:0" if cuda else "cpu",  # the one that Ray lets its process see
        runs_dir=runtime.runs_dir.absolute(),
        data_dir=runtime.data_dir.absolute(),
        deadline=None,  # each task tells the seconds that are left
        side_by_side=max(1, *(int(node.get("GPU", 0)) for node in _nodes())) if cuda else 1,
    )


def _nodes() -> list[dict[str, float]]:
    """What each living node has in all."""
    return [node["Resources"] for node in _imported().nodes() if node["Alive"]]


class RayCluster:
    """``Cluster`` of the cluster that this process is connected with. ``calls``: what was asked of
    which worker, by the reference to the answer."""

    def __init__(self, setup: Setup, runtime: Runtime, nonce: str) -> None:
        self.ray, self.setup, self.nonce = _imported(), setup, nonce
        self.cuda = setup.device != "cpu"
        largest = int(max((node.get("CPU", 0) for node in _nodes()), default=0))
        self.cpus = 1 if self.cuda else max(1, min(setup.threads, largest))
        self.datasets = self.ray.put(runtime.datasets)  # so nodes need no data of their own
        groups = {"news": FETCHERS}
        self.trainer = self.ray.remote(max_restarts=0, concurrency_groups=groups)(Trainer)
        self.actors: dict[int, Any] = {}
        self.calls: dict[Any, tuple[int, str]] = {}
        self.looked, self.room = 0.0, 1

    def __str__(self) -> str:
        kind = "GPU" if self.cuda else f"{self.cpus} CPU" + "s" * (self.cpus > 1)
        return f"{len(_nodes())} nodes, room for {self.slots()} cohorts at once, a {kind} each"

    def slots(self) -> int:
        if time.monotonic() - self.looked > NODES_SECONDS:
            name, each = ("GPU", 1) if self.cuda else ("CPU", self.cpus)
            self.room = max(1, sum(int(node.get(name, 0) // each) for node in _nodes()))
            self.looked = time.monotonic()
        return self.room

    def start(self, number: int) -> None:
        setup = replace(self.setup, name=f"{number}")
        placed = self.trainer.options(num_cpus=self.cpus, num_gpus=int(self.cuda))
        self.actors[number] = placed.remote(setup, self.datasets, self.nonce)
        self._call(number, "hello", self.actors[number].hello.remote(versions()))

    def train(self, number: int, task: Task) -> None:
        self._call(number, "done", self.actors[number].train.remote(task))
        if (number, "mail") not in self.calls.values():
            self._fetch(number)

    def stop(self, number: int, error: Exception) -> None:
        self.actors[number].stop.options(concurrency_group="news").remote(error)

    def kill(self, number: int) -> None:
        self._forget(number)
        self.ray.kill(self.actors.pop(number))

    def close(self, numbers: Iterable[int]) -> None:
        there = [number for number in numbers if number in self.actors]
        last = [self.actors[number].close.remote() for number in there]
        if last:
            with suppress(self.ray.exceptions.RayError):
                self.ray.wait(last, num_returns=len(last), timeout=CLOSE_SECONDS)
        for number in there:
            self.kill(number)

    def events(self, seconds: float) -> Iterator[Event]:
        if not self.calls:
            time.sleep(seconds)
            return
        ready, _ = self.ray.wait(list(self.calls), timeout=seconds)
        if ready:
            ready, _ = self.ray.wait(list(self.calls), num_returns=len(self.calls), timeout=0)
        for call in ready:
            if call in self.calls:  # else its worker has just died
                yield self._event(call, *self.calls.pop(call))

    def _event(self, call: Any, number: int, kind: str) -> Event:
        errors = self.ray.exceptions
        try:
            what = self.ray.get(call)
        except errors.RayTaskError as error:
            return number, "failed" if kind == "done" else "died", repr(error.cause)
        except errors.RayError as error:  # of the actor, its node, or an answer lost with it
            self.kill(number)
            return number, "died", self._reason(error)
        if kind == "mail" and (number, "done") in self.calls.values():
            self._fetch(number)
        return number, kind, what

    def _reason(self, error: Exception) -> str:
        """In a few words of the pages that Ray has."""
        if isinstance(error, self.ray.exceptions.ActorUnavailableError):
            return "it does not answer"
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        if not lines:
            return type(error).__name__
        return lines[-1] if "creation task" in lines[0] else lines[0].rstrip(".")

    def _fetch(self, number: int) -> None:
        fetch = self.actors[number].fetch.options(concurrency_group="news")
        self._call(number, "mail", fetch.remote(FETCH_SECONDS))

    def _call(self, number: int, kind: str, call: Any) -> None:
        self.calls[call] = number, kind

    def _forget(self, number: int) -> None:
        self.calls = {call: of for call, of in self.calls.items() if of[0] != number}
