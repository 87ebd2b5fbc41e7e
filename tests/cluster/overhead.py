"""``python -m tests.cluster.overhead``: what a cohort on Ray costs beyond its training.

Many cohorts of a second or less, one after another: inline, then as tasks of one Ray worker. The
time from the first one's start to the last one's end, by their records, over their number.
"""

import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from repro.backends import Placement, train
from repro.plan import Wave
from repro.planned import waves_of
from repro.records import Records
from tests import tiny

COHORTS = 20
RUNS = tuple(replace(tiny.TEACHER, trial=trial) for trial in range(COHORTS))


def measured(placement: Placement, directory: Path) -> tuple[float, float]:
    """Seconds before the first cohort, and a cohort."""
    runtime = tiny.runtime(directory)
    waves: tuple[Wave, ...] = waves_of(RUNS, Records(directory), 8)[0]
    began = time.time()
    train(waves, runtime, [tiny.CPU], placement)
    statuses = [status for record in runtime.records if (status := record.status())]
    first = min(status.started_ms for status in statuses) / 1000
    last = max(status.ended_ms or 0 for status in statuses) / 1000
    return first - began, (last - first) / COHORTS


def main() -> None:
    from ray.cluster_utils import Cluster

    torch.set_num_threads(1)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    on_ray = Placement(backend="ray", ray_address=cluster.address)
    with TemporaryDirectory() as first, TemporaryDirectory() as second:
        _, inline = measured(Placement(backend="inline"), Path(first))
        start, ray = measured(on_ray, Path(second))
    cluster.shutdown()
    print(f"{COHORTS} cohorts, seconds each: inline {inline:.3f}, Ray {ray:.3f}")
    print(f"{ray - inline:+.3f} s a cohort on Ray; {start:.1f} s before the first one")


if __name__ == "__main__":
    main()
