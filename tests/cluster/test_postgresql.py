"""320 runs of 16 processes at once in MLflow on PostgreSQL: nothing lost, nothing twice."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from repro.environment import ROOT
from repro.records import Records
from repro.tracking import load_results
from tests.cluster import postgresql
from tests.cluster.compared import RUNS, asked, differences, forget
from tests.cluster.told import tell
from tests.tracking.made_runs import make_all

EPOCHS = 30
COUNTED = "SELECT count(*), max(timestamp), (SELECT count(*) FROM runs) FROM metrics"


@dataclass(frozen=True)
class Site:
    """A tracking server, and finished records of which it knows nothing: of ``processes`` times
    ``runs``."""

    server: postgresql.Server
    made: Records
    processes: int
    runs: int

    def __len__(self) -> int:
        return self.processes * self.runs

    def compare(self) -> list[str]:
        return differences(self.server.store, self.server.artifacts, self.made)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Where there is no PostgreSQL, sqlite with as many writers as it takes."""
    folder, lacking = tmp_path_factory.mktemp("site"), postgresql.lacking()
    processes, runs = (3, 12) if lacking else (16, 20)
    with ExitStack() as stack:
        store = f"sqlite:///{folder}/server.db"
        if not lacking:
            store = stack.enter_context(postgresql.postgresql())
        workers = postgresql.ONE_WORKER if lacking else postgresql.WORKERS
        server = postgresql.Server(store, folder, postgresql.free_port(), workers)
        stack.callback(server.kill)
        server.start()
        made = make_all(folder / "made", processes * runs, EPOCHS)
        yield Site(server, made, processes, runs)
    tell("PostgreSQL", f"stood in: {lacking}, MLflow's server on sqlite" if lacking else "ran")


@pytest.fixture
def site(whole: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Without runs of other tests."""
    forget(whole.server.store)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", whole.server.uri)
    return whole


@pytest.fixture
def part(site: Site, tmp_path: Path) -> Site:
    """Of an eighth of the processes."""
    processes = max(1, site.processes // 8)
    made = make_all(tmp_path / "made", processes * site.runs, EPOCHS)
    return replace(site, made=made, processes=processes)


def write(site: Site, target: Path, before: float | None = None) -> tuple[list[str], float]:
    """All processes at once; what they said, and the seconds. ``before``: after so many seconds the
    server is killed and started again."""
    words = [str(site.made.runs_dir), str(target), str(site.processes), str(site.runs)]
    writers = subprocess.Popen(
        [sys.executable, "-m", "tests.cluster.writer", *words],
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert writers.stdin
    assert writers.stdout
    assert writers.stdout.readline() == "ready\n"
    began = time.perf_counter()
    writers.stdin.write("\n")
    writers.stdin.flush()
    if before is not None:
        time.sleep(before)
        site.server.kill()
        site.server.start()
    said, _ = writers.communicate()
    assert writers.returncode == 0
    return json.loads(said), time.perf_counter() - began


def report(site: Site, words: str, seconds: float) -> None:
    print(f"\n{words}: {len(site)} runs in {seconds:.0f} s, {len(site) / seconds:.1f} runs/s")


def sync(runs_dir: Path) -> str:
    """What the command says."""
    done = subprocess.run(sync_words(runs_dir), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def sync_words(runs_dir: Path) -> list[str]:
    return [sys.executable, "-m", "repro", "sync", "--runs-dir", str(runs_dir)]


def test_many_processes_log_live(site: Site, tmp_path: Path) -> None:
    said, seconds = write(site, tmp_path)
    report(site, f"live, {site.processes} processes", seconds)
    assert said == []
    assert site.compare() == []
    before, began = asked(site.server.store, COUNTED), time.perf_counter()
    assert f"0 runs brought up to date, {len(site)} right already" in sync(tmp_path)
    report(site, "a sync that has nothing to do", time.perf_counter() - began)
    assert asked(site.server.store, COUNTED) == before
    began = time.perf_counter()
    assert len(load_results(tmp_path)) == len(site)
    report(site, "read for tables", time.perf_counter() - began)


def test_a_restart_of_the_server_loses_nothing(part: Site, tmp_path: Path) -> None:
    said, seconds = write(part, tmp_path / "live", before=4.0)
    report(part, "live, with a restart", seconds)
    assert all("`repro sync` adds" in line for line in said)
    sync(tmp_path / "live")
    assert part.compare() == []


def test_a_sync_of_records_from_elsewhere_writes_the_same_once(part: Site) -> None:
    """Cut short by the server's end; the same command goes on."""
    made, store = part.made.runs_dir, part.server.store
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    cut = subprocess.Popen(sync_words(made), text=True, **pipes)
    while len(asked(store, RUNS)) < 2:
        assert cut.poll() is None
        time.sleep(0.1)
    part.server.kill()
    _, error = cut.communicate()
    assert cut.returncode == 2
    assert "nothing is lost" in error
    assert "give the same command again" in error
    part.server.start()
    began = time.perf_counter()
    sync(made)
    report(part, "sync by one process", time.perf_counter() - began)
    assert part.compare() == []
    before = asked(store, COUNTED)
    assert f"0 runs brought up to date, {len(part)} right already" in sync(made)
    assert asked(store, COUNTED) == before
