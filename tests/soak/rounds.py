"""One grid after the other, trained by two launchers that are killed all the time."""

import os
import random
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from repro.records import ENDED, Records
from repro.spec import key
from tests.soak.journal import Journal, doubled, epochs_written
from tests.soak.launchers import GRID, LEASE_SECONDS, Launcher, run, start
from tests.soak.server import Server
from tests.soak.verdict import Verdict, integrity, of_mlflow, of_records

LAUNCHERS = 2
HITS = 3  # kills at every fault point
MEAN_LIFE_SECONDS = 0.8  # after the first batch
LONGEST_LIFE_SECONDS = 10.0  # of one that is to meet fault points which may never come
LATEST_PASSAGE = 2  # a fault point kills at one of its first passages
AIMED = 0.7  # of the launchers kill themselves, at the first wanted fault point that they meet
PAUSE_CHANCE = 0.03  # that a launcher is stopped for longer than its leases live
SERVER_SECONDS = (8.0, 25.0)  # between its stops and starts
POLL_SECONDS = 0.02
QUIET_SECONDS = 90.0  # in which the last round has to end


@dataclass
class Soak:
    """``kills``: of processes that had begun a batch, by their last fault point; ``hits``: kills
    at fault points; ``wanted``: those points."""

    directory: Path
    random: random.Random
    wanted: list[str] = field(default_factory=list)
    kills: Counter[str] = field(default_factory=Counter)
    hits: Counter[str] = field(default_factory=Counter)
    pauses: int = 0
    server_stops: int = 0
    trained: int = 0  # epochs, of which
    needed: int = 0
    verdict: Verdict = field(default_factory=Verdict)
    trouble: list[str] = field(default_factory=list)

    @property
    def reference(self) -> Path:
        return self.directory / "undisturbed"

    def undisturbed(self) -> float:
        """Train the grid once; its fault points are the wanted ones. Returns seconds."""
        self.reference.mkdir()
        began = time.monotonic()
        journal, out = Journal(self.reference / "journal"), self.reference / "out"
        words = ["run", "demo", "--device", "cpu", "--runs-dir", str(self.reference)]
        code = run(words, out, REPRO_FAULT_LOG=str(journal.path))
        if code:
            raise RuntimeError(f"the undisturbed grid failed:\n{out.read_text()}")
        journal.read()
        self.wanted = journal.names()
        return time.monotonic() - began

    def missing(self) -> list[str]:
        return [name for name in self.wanted if self.hits[name] < HITS]


@dataclass
class Round:
    """One grid in a directory of its own; ``server``: the tracking server, None: local sqlite."""

    soak: Soak
    directory: Path
    server: Server | None
    quiet: bool = False  # nobody is killed any more: the time is up
    launchers: list[Launcher] = field(default_factory=list)
    paused: dict[int, float] = field(default_factory=dict)  # until when, by process
    were_paused: set[int] = field(default_factory=set)
    server_due: float = 0.0

    def __post_init__(self) -> None:
        self.directory.mkdir()
        self.journal = Journal(self.directory / "journal")
        self.uri = f"sqlite:///{self.directory / 'mlflow.db'}"
        if self.server:
            self.uri = self.server.uri

    def run(self, deadline: float) -> None:
        """Until the grid is finished; from ``deadline`` on nobody is killed."""
        while self.launchers or not self.complete():
            self.quiet = time.monotonic() > deadline
            if time.monotonic() > deadline + QUIET_SECONDS:
                self.give_up()
                return
            while len(self.launchers) < LAUNCHERS and not self.complete():
                self.launch()
            time.sleep(POLL_SECONDS)
            self.journal.read()
            for launcher in list(self.launchers):
                self.look_at(launcher)
            self.toggle_server()
        self.judge()

    def give_up(self) -> None:
        for launcher in self.launchers:
            launcher.kill()
        left = f"{self.directory.name} has not ended {QUIET_SECONDS:.0f} s after the last kill"
        self.soak.trouble.append(left)

    def complete(self) -> bool:
        records = Records(self.directory)
        return all(records.state(key(run)) in ENDED for run in GRID)

    def launch(self) -> None:
        missing, rng = self.soak.missing(), self.soak.random
        environment = {"REPRO_FAULT_LOG": str(self.journal.path), "MLFLOW_TRACKING_URI": self.uri}
        life = rng.expovariate(1 / MEAN_LIFE_SECONDS)
        if missing and rng.random() < AIMED:
            life = LONGEST_LIFE_SECONDS
            faults = [f"{name}:{rng.randint(1, LATEST_PASSAGE)}" for name in missing]
            environment["REPRO_FAULT"] = ",".join(faults)
        if self.quiet:
            life = float("inf")
            environment.pop("REPRO_FAULT", None)
        words = ["run", "demo", "--device", "cpu", "--runs-dir", str(self.directory)]
        pid = start(words, self.directory / "out", **environment)
        self.launchers.append(Launcher(pid, life))

    def look_at(self, launcher: Launcher) -> None:
        if launcher.ended():
            self.bury(launcher)
        elif launcher.pid in self.paused:
            if time.monotonic() > self.paused[launcher.pid]:
                del self.paused[launcher.pid]
                os.kill(launcher.pid, signal.SIGCONT)
        elif launcher.due(launcher.pid in self.journal.trained) and not self.quiet:
            if self.soak.random.random() < PAUSE_CHANCE:
                self.pause(launcher)
            else:
                launcher.kill()
                self.bury(launcher)

    def pause(self, launcher: Launcher) -> None:
        os.kill(launcher.pid, signal.SIGSTOP)
        self.paused[launcher.pid] = time.monotonic() + 2 * LEASE_SECONDS
        self.were_paused.add(launcher.pid)
        launcher.kill_at += 4 * LEASE_SECONDS
        self.soak.pauses += 1

    def bury(self, launcher: Launcher) -> None:
        self.launchers.remove(launcher)
        self.journal.read()
        last = self.journal.last.get(launcher.pid, "")
        if launcher.outcome == -signal.SIGKILL:
            if launcher.pid in self.journal.trained:
                self.soak.kills[last] += 1
            if not launcher.killed:
                self.soak.hits[last] += 1
        elif launcher.outcome:
            self.soak.trouble.append(f"a launcher ended with code {launcher.outcome}")

    def toggle_server(self) -> None:
        now = time.monotonic()
        if self.server is None or now < self.server_due:
            return
        self.server_due = now + self.soak.random.uniform(*SERVER_SECONDS)
        if self.server.process:
            self.server.stop()
            self.soak.server_stops += 1
        else:
            self.server.start()

    def judge(self) -> None:
        """Heal MLflow, then compare everything."""
        if self.server:
            if not self.server.process:
                self.server.start()
            self.server.wait()
        out = self.directory / "sync"
        words = ["sync", "--runs-dir", str(self.directory)]
        for _ in range(2):
            if run(words, out, MLFLOW_TRACKING_URI=self.uri):
                self.soak.trouble.append(f"repro sync failed:\n{out.read_text()}")
        verdict = self.soak.verdict
        verdict.add(of_records(GRID, self.directory, self.soak.reference))
        verdict.add(of_mlflow(GRID, self.directory, self.uri))
        late = doubled(self.journal.lines, frozenset(self.were_paused))
        verdict.doubled += [f"{line.pid} wrote {line.path} after it had lost it" for line in late]
        database = self.server.database if self.server else self.directory / "mlflow.db"
        if (answer := integrity(database)) != "ok":
            self.soak.trouble.append(f"integrity_check of {database.name}: {answer}")
        if "Traceback" in (text := (self.directory / "out").read_text()):
            self.soak.trouble.append(text[text.index("Traceback") :][:2000])
        self.soak.trained += epochs_written(self.journal.lines)
        self.soak.needed += sum(run.stream.epochs for run in GRID)
