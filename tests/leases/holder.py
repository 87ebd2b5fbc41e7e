"""``python -m tests.leases.holder DIRECTORY SECONDS``: hold the lease of a record until killed.

Prints its stage once it has it. After a line on its input it appends to the history and says how
that ended.
"""

import sys
from pathlib import Path

from repro.errors import LeaseLost
from repro.leases import Leases
from repro.records import Record


def main(directory: str, seconds: str) -> None:
    leases = Leases(silent_seconds=float(seconds))
    with leases.holding(Record(Path(directory)), "training") as record:
        assert record
        print(record.stage, flush=True)
        for _ in sys.stdin:
            try:
                record.append({"epoch": 0, "metrics": {}})
                print("written", flush=True)
            except LeaseLost as error:
                print(error, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
