"""A real Ray cluster of this machine, a node of which is killed while it trains.

Three groups of processes for three machines: a head without CPUs, where the launcher is, and two
nodes of one CPU each. Ray cannot tell them from machines; the launcher and they share the file
system, unless the runs directory has a name that means something else to every process.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from repro.records import Record, Records
from tests.cluster.told import tell

STAND_IN = "stood in: ray is not installed; tests/execute/test_remote.py has a cluster of threads"
SECONDS = 400  # that a launch may take on a busy machine
OF_ONE = "/proc/self/cwd/runs"  # a directory that no other process has


@dataclass
class Machines:
    """``nodes``: the living ones that train, by Ray's own objects for them."""

    cluster: Any
    nodes: list[Any]

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def add(self, **resources: int) -> None:
        self.nodes.append(self.cluster.add_node(include_dashboard=False, **resources))

    def training(self) -> list[Any]:
        """The nodes that have a worker; its process is named after its last call."""
        return [
            node
            for node in self.nodes
            if any(name_of(p).startswith("ray::Trainer") for p in processes(node))
        ]

    def kill(self, node: Any) -> None:
        """As a power failure would: all its processes at once."""
        self.nodes.remove(node)
        for process in processes(node):
            process.send_signal(signal.SIGKILL)


def processes(node: Any) -> list[psutil.Process]:
    raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
    return [raylet, *raylet.children(recursive=True)]


def name_of(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline()).strip()
    except psutil.Error:
        return ""


@pytest.fixture(scope="module")
def machines() -> Iterator[Machines]:
    try:
        from ray.cluster_utils import Cluster
    except ImportError:
        tell("Ray", STAND_IN)
        pytest.skip(STAND_IN)
    head = {"num_cpus": 0, "include_dashboard": False}
    deaths = {"health_check_period_ms": 1000, "health_check_failure_threshold": 2}
    cluster = Cluster(initialize_head=True, head_node_args=head | {"_system_config": deaths})
    found = Machines(cluster, [])
    yield found
    cluster.shutdown()


@pytest.fixture
def two_nodes(machines: Machines) -> Machines:
    while len(machines.nodes) < 2:
        machines.add(num_cpus=1)
    return machines


def command(runs_dir: Path | str, *words: str) -> list[str]:
    told = ("--runs-dir", str(runs_dir), "--device", "cpu", *words)
    return [sys.executable, "-m", "repro", "run", "demo", *told]


@dataclass
class Launch:
    """``repro run demo`` at work, its output in a file."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def output(self) -> str:
        return self.log.read_text()

    def wait_for(self, seen: Callable[[], Any]) -> Any:
        """What ``seen`` returns, once it is true."""
        began = time.monotonic()
        while not (found := seen()):
            assert self.process.poll() is None, self.output
            assert time.monotonic() < began + SECONDS, self.output
            time.sleep(0.05)
        return found

    def end(self) -> int:
        return self.process.wait(SECONDS)


def launch(directory: Path, address: str, *words: str) -> Launch:
    """In ``directory``; a RAY_ADDRESS names the cluster as well as the option does."""
    directory.mkdir()
    log = directory / "log"
    told = ("--backend", "ray", "--ray-address", address, *words)
    with log.open("wb") as file:
        process = subprocess.Popen(
            command(OF_ONE if "unshared" in directory.name else directory / "runs", *told),
            cwd=directory,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    return Launch(process, log)


@pytest.fixture(scope="module")
def inline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same grid in one process."""
    directory = tmp_path_factory.mktemp("inline")
    subprocess.run(
        command(directory, "--backend", "inline", "--trials", "2"),
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return directory


def results(runs_dir: Path) -> dict[str, tuple[object, ...]]:
    """All that must not depend on who trained, by key: bitwise comparable."""
    found = {}
    for record in Records(runs_dir):
        status = record.status()
        assert status
        final = {name: value for name, value in status.final if "seconds" not in name}
        metrics = [(entry["epoch"], entry["metrics"]) for entry in record.history()]
        files = (record.weights.read_bytes(), record.test_logits.read_bytes())
        found[record.key] = (status.state, final, metrics, *files)
    return found


def in_training(runs_dir: Path) -> list[Record]:
    records = Records(runs_dir)
    return [record for record in records if records.state(record.key) == "RUNNING"]


def far(record: Record) -> bool:
    """A cohort is saved every ten seconds, which may be all that it takes."""
    return record.checkpoint.exists() or len(record.history()) >= 7


def test_a_grid_survives_the_death_of_a_node(
    two_nodes: Machines, inline: Path, tmp_path: Path
) -> None:
    words = ("--trials", "2")
    begun = launch(tmp_path / "shared", two_nodes.address, *words)
    runs = tmp_path / "shared" / "runs"
    begun.wait_for(lambda: len(r := in_training(runs)) == 10 and all(map(far, r)))  # both trials
    saved = any(record.checkpoint.exists() for record in in_training(runs))
    two_nodes.kill(two_nodes.training()[-1])
    assert begun.end() == 0, begun.output
    assert begun.output.count("; once more") == 1
    assert not saved or ", from epoch " in begun.output
    assert results(runs) == results(inline)
    tell("Ray", "ran")


def test_what_is_trained_where_nothing_is_shared_comes_back(
    two_nodes: Machines, inline: Path, tmp_path: Path
) -> None:
    words = ("--trials", "1", "--methods", "kd")
    begun = launch(tmp_path / "unshared", two_nodes.address, *words)
    begun.wait_for(lambda: "resnet14:resnet8 trial 0: kd" in begun.output)
    two_nodes.kill(two_nodes.training()[0])
    assert begun.end() == 0, begun.output
    assert "does not share /proc/self/cwd/runs" in begun.output
    assert begun.output.count("; once more") == 1
    found, expected = results(tmp_path / "unshared" / "runs"), results(inline)
    assert found == {key: expected[key] for key in found}
    assert len(found) == 2


@pytest.mark.parametrize("directory", ["shared", "unshared"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_with_truthful_statuses(
    two_nodes: Machines, directory: str, number: signal.Signals, tmp_path: Path
) -> None:
    begun = launch(tmp_path / directory, two_nodes.address, "--trials", "1", "--methods", "kd")
    begun.wait_for(lambda: "epoch 1/12" in begun.output)
    begun.process.send_signal(number)
    assert begun.end() == 128 + number, begun.output
    (record,) = Records(tmp_path / directory / "runs")
    status = record.status()
    assert status
    assert (status.state, status.reason) == ("STOPPED", f"stopped by {number.name}")
    assert record.history()
    told = begun.output.splitlines()
    assert told[-1] == f"stopped by {number.name}; give the same command again to go on"
    assert [line for line in told if "ray" in line.lower()] == [told[2]]  # it is quiet


def test_the_time_limit_holds_on_nodes(two_nodes: Machines, tmp_path: Path) -> None:
    words = ("--trials", "1", "--methods", "kd", "--max-time")
    begun = launch(tmp_path / "shared", two_nodes.address, *words, "8s")
    assert begun.end() == 0, begun.output
    assert "--max-time" in begun.output
    states = {s.state for r in Records(tmp_path / "shared" / "runs") if (s := r.status())}
    assert states <= {"STOPPED", "FINISHED"}


def test_gpus_that_are_none_are_told(two_nodes: Machines, tmp_path: Path) -> None:
    words = ["run", "demo", "--backend", "ray", "--runs-dir", str(tmp_path), "--device"]
    asked = [sys.executable, "-m", "repro", *words]
    env = os.environ | {"RAY_ADDRESS": two_nodes.address, "CUDA_VISIBLE_DEVICES": ""}
    none = subprocess.run([*asked, "cuda"], env=env, capture_output=True, text=True, check=False)
    assert (none.returncode, none.stdout) == (2, "")
    assert none.stderr == "error: the Ray cluster has no GPUs; use --device cpu or auto\n"
    two_nodes.add(num_cpus=1, num_gpus=1)  # so Ray is told
    told = subprocess.run([*asked, "auto"], env=env, capture_output=True, text=True, check=False)
    two_nodes.kill(two_nodes.nodes[-1])
    assert told.returncode == 2
    assert "PyTorch sees no GPU on " in told.stderr
