"""A run, and records of it."""

from dataclasses import replace
from pathlib import Path

from repro.losses import CE, named
from repro.records import Record, Status
from repro.spec import Optim, Run, Stream

TEACHER = Run(network="resnet20", loss=CE(), stream=Stream(), optim=Optim(), method="teacher")
RUN = replace(TEACHER, network="resnet8", loss=named("cmkd"), teacher=TEACHER, method="cmkd")
TAGS = {"profile": "quick", "grid": "cifar"}
AGAIN = "to train this run again"
STATUS = Status(
    state="FINISHED",
    started_ms=1_700_000_000_000,
    ended_ms=1_700_000_060_000,
    reason="",
    final=(("final/top1_last", 71.25), ("final/top1_best", 1 / 3)),
)


def entry(epoch: int) -> dict[str, object]:
    return {"epoch": epoch, "metrics": {"test/top1": 10.0 + epoch / 7}, "seconds": 1.5}


def write_record(directory: Path, state: str | None) -> None:
    record = Record(directory)
    record.create(RUN, TAGS)
    if state:
        record.write_status(replace(STATUS, state=state))
