"""A SLURM of one node with two CPUs, of Debian's packages, in a directory of its own."""

import getpass
import os
import platform
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "squeue", "sinfo")
START_SECONDS = 30.0
# No cgroups and no systemd: processes are found by their parents. A job in "high" has those in
# "low" requeued. Credentials live for 5 s, and so long a requeued job waits (by default 120 s).
CONFIGURATION = """\
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SwitchType=switch/none
MpiDefault=none
MailProg=/bin/true
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_interval=1
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=30
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=1000 State=UNKNOWN
PartitionName=low Nodes={host} Default=YES PriorityTier=1 PreemptMode=REQUEUE MaxTime=60
PartitionName=high Nodes={host} PriorityTier=10 PreemptMode=OFF MaxTime=60
"""


class NoSlurm(Exception):
    """It cannot be started here; the message says why."""


@dataclass
class Slurm:
    """Raises NoSlurm where it does not start. To be closed."""

    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="slurm")))
    daemons: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __enter__(self) -> "Slurm":
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self.daemons:
            subprocess.run(
                ["scancel", f"--user={getpass.getuser()}"], env=self.environment, timeout=30
            )
            wait_until(lambda: not self.queue(), 60, "jobs that were cancelled are still there")
        for daemon in reversed(self.daemons):
            daemon.terminate()
            daemon.wait(30)
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def environment(self) -> dict[str, str]:
        paths = f"{os.environ['PATH']}:/usr/sbin:/sbin"
        threads = {"OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
        return {**os.environ, **threads, "PATH": paths, "SLURM_CONF": f"{self.folder}/slurm.conf"}

    def _start(self) -> None:
        missing = [name for name in PROGRAMS if not shutil.which(name, path=self._path())]
        if missing:
            raise NoSlurm(f"no {missing[0]} on this machine")
        host = platform.node().partition(".")[0]
        for name in ("munge", "state", "spool"):
            (self.folder / name).mkdir(mode=0o755)
        words = {"host": host, "user": getpass.getuser(), "folder": self.folder}
        ports = dict(zip(("controller_port", "node_port"), free_ports(2), strict=True))
        (self.folder / "slurm.conf").write_text(CONFIGURATION.format(**words, **ports))
        munge = self.folder / "munge"
        (munge / "key").write_bytes(secrets.token_bytes(128))
        (munge / "key").chmod(0o400)
        files = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log"}
        options = [f"--{option}={munge / name}" for option, name in files.items()]
        self._daemon("munged", "--foreground", "--force", *options, f"--seed-file={munge}/seed")
        self._wait(lambda: (munge / "socket").exists())
        self._daemon("slurmctld", "-D")
        self._wait(lambda: self.ask("scontrol", "ping").endswith("UP"))
        self._daemon("slurmd", "-D", "-N", host)
        self._wait(lambda: self.ask("sinfo", "--noheader", "--format=%T").startswith("idle"))

    def _path(self) -> str:
        return self.environment["PATH"]

    def _daemon(self, name: str, *words: str) -> None:
        program = shutil.which(name, path=self._path())
        assert program
        with (self.folder / f"{name}.out").open("wb") as out:
            command = [program, *words]
            daemon = subprocess.Popen(command, env=self.environment, stdout=out, stderr=out)
        self.daemons.append(daemon)

    def _wait(self, there: Callable[[], bool]) -> None:
        """Raises NoSlurm with the last line of a daemon that has died, or is not ready."""
        end = time.monotonic() + START_SECONDS
        while not there():
            daemon = self.daemons[-1]
            if daemon.poll() is not None or time.monotonic() > end:
                name = Path(str(daemon.args[0])).name  # type: ignore[index]
                lines = (self.folder / f"{name}.out").read_text(errors="replace").splitlines()
                raise NoSlurm(f"{name} does not start: {lines[-1] if lines else 'no answer'}")
            time.sleep(0.2)

    def ask(self, *command: str | Path) -> str:
        """What a command says; "" where it fails."""
        words = [str(word) for word in command]
        done = subprocess.run(words, env=self.environment, capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else ""

    def queue(self) -> Sequence[str]:
        """A line a job, such as ``13_0 RUNNING None``."""
        return self.ask("squeue", "--noheader", "--format=%i %T %r").splitlines()


def free_ports(count: int) -> list[int]:
    """Held together, so that they differ."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def wait_until(there: Callable[[], object], seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < end, what
        time.sleep(0.2)
