"""One experiment in this process: ``python -m repro.bench.gpu.run_one E3``."""

import argparse
import os
import sys
import time
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path

from repro.bench.gpu.catalogue import BY_NAME, Experiment
from repro.errors import UserError

NO_DEVICE = 3  # exit code


def measure(experiment: Experiment, rows: Path | None, *, seconds: float, rehearse: bool) -> None:
    """Append the experiment's rows to the file, or print them. Raises UserError without a GPU."""
    began = time.monotonic()
    from repro.bench.gpu.device import Cuda, Rehearsal
    from repro.bench.gpu.lab import TINY, Lab, Sizes
    from repro.environment import describe

    module = import_module(f"repro.bench.gpu.experiments.{experiment.module}")
    with ExitStack() as stack:
        out = stack.enter_context(rows.open("a")) if rows else sys.stdout
        device = Rehearsal() if rehearse else Cuda()
        sizes = TINY if rehearse else Sizes()
        lab = Lab(device=device, out=out, sizes=sizes, seconds=seconds, began=began)
        lab.write({"part": "machine"} | describe(device.device))
        module.measure(lab)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("experiment", choices=list(BY_NAME))
    parser.add_argument("--rows", type=Path, help="append the rows here; default: print them")
    parser.add_argument("--seconds", type=float, help="begin no variant after these")
    parser.add_argument("--rehearse", action="store_true", help="tiny, on the CPU")
    given = parser.parse_args()
    experiment = BY_NAME[given.experiment]
    for name, value in experiment.environment.items():
        os.environ.setdefault(name, value)
    seconds = given.seconds or experiment.budget_seconds
    try:
        measure(experiment, given.rows, seconds=seconds, rehearse=given.rehearse)
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(NO_DEVICE)


if __name__ == "__main__":
    main()
