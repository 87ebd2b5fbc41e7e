"""320 runs of 16 processes at once in MLflow on PostgreSQL: nothing lost, nothing twice."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from repro.environment import ROOT
from repro.records import Records
from tests.cluster import postgresql
from tests.cluster.compared import asked, differences, forget
from tests.cluster.told import tell
from tests.tracking.made_runs import make_all

EPOCHS = 30


@dataclass
class Site:
    """A tracking server, and finished records of which it knows nothing."""

    server: postgresql.Server
    made: Records
    processes: int
    runs: int  # of each

    def compare(self) -> list[str]:
        return differences(self.server.store, self.server.artifacts, self.made)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Where there is no PostgreSQL, sqlite with as many writers as it takes."""
    folder, lacking = tmp_path_factory.mktemp("site"), postgresql.lacking()
    processes, runs = (3, 4) if lacking else (16, 20)
    with ExitStack() as stack:
        store = f"sqlite:///{folder}/server.db"
        if not lacking:
            store = stack.enter_context(postgresql.postgresql())
        port, workers = postgresql.free_port(), "1" if lacking else postgresql.WORKERS
        server = postgresql.Server(store, folder, port, workers)
        stack.callback(server.kill)
        server.start()
        yield Site(server, make_all(folder / "made", processes * runs, EPOCHS), processes, runs)
    tell("PostgreSQL", f"stood in: {lacking}, MLflow's server on sqlite" if lacking else "ran")


@pytest.fixture
def fresh(site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Without runs of other tests."""
    forget(site.server.store)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", site.server.uri)
    return site


def write(site: Site, target: Path, before: float | None = None) -> tuple[list[str], float]:
    """All processes at once; what they said, and the seconds. ``before``: after so many seconds the
    server is killed and started again."""
    command = [sys.executable, "-m", "tests.cluster.writer", str(site.made.runs_dir), str(target)]
    writers = []
    for number in range(site.processes):
        numbers = range(number * site.runs, (number + 1) * site.runs)
        words = [*command, *map(str, numbers)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        writers.append(subprocess.Popen(words, cwd=ROOT, text=True, **pipes))
    assert [writer.stdout.readline() for writer in writers] == ["ready\n"] * site.processes
    began = time.perf_counter()
    for writer in writers:
        writer.stdin.write("\n")
        writer.stdin.flush()
    if before is not None:
        time.sleep(before)
        site.server.kill()
        site.server.start()
    said = [line for writer in writers for line in json.loads(writer.communicate()[0])]
    assert [writer.returncode for writer in writers] == [0] * site.processes
    return said, time.perf_counter() - began


def sync(runs_dir: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "repro", "sync", "--runs-dir", str(runs_dir)]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def report(site: Site, words: str, seconds: float) -> None:
    runs = site.processes * site.runs
    print(f"{words}: {runs} runs in {seconds:.0f} s, {runs / seconds:.1f} runs/s")


def test_many_processes_log_live(fresh: Site, tmp_path: Path) -> None:
    said, seconds = write(fresh, tmp_path)
    report(fresh, f"live, {fresh.processes} processes", seconds)
    assert said == []
    assert fresh.compare() == []
    again = sync(tmp_path)
    assert again.returncode == 0, again.stderr
    assert f"0 runs brought up to date, {len(list(fresh.made))} right already" in again.stdout


def test_a_restart_of_the_server_loses_nothing(fresh: Site, tmp_path: Path) -> None:
    said, seconds = write(fresh, tmp_path, before=4.0)
    report(fresh, "live, with a restart", seconds)
    assert all("`repro sync` adds" in line for line in said)
    healed = sync(tmp_path)
    assert healed.returncode == 0, healed.stderr
    assert fresh.compare() == []


def test_a_sync_of_records_from_elsewhere_writes_the_same_once(fresh: Site) -> None:
    """Cut short by the server's end; the same command goes on."""
    made = fresh.made.runs_dir
    began = time.perf_counter()
    words = [sys.executable, "-m", "repro", "sync", "--runs-dir", str(made)]
    cut = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while len(asked(fresh.server.store, "SELECT 1 FROM runs WHERE lifecycle_stage='active'")) < 5:
        assert cut.poll() is None
        time.sleep(0.1)
    fresh.server.kill()
    _, error = cut.communicate()
    assert cut.returncode == 2
    assert "nothing is lost" in error
    assert "give the same command again" in error
    fresh.server.start()
    went_on = sync(made)
    assert went_on.returncode == 0, went_on.stderr
    report(fresh, "sync of one process, with a restart", time.perf_counter() - began)
    assert fresh.compare() == []
    before = asked(fresh.server.store, "SELECT max(timestamp), count(*) FROM metrics")
    again = sync(made)
    assert f"0 runs brought up to date, {len(list(fresh.made))} right already" in again.stdout
    assert asked(fresh.server.store, "SELECT max(timestamp), count(*) FROM metrics") == before
