"""``python -m repro.bench.gpu [--only E1,E3] [--out FILE] [--seconds 540] [--rehearse]``."""

import argparse
import signal
import sys
from pathlib import Path

from repro.bench.gpu import summary
from repro.bench.gpu.catalogue import chosen
from repro.bench.gpu.runner import Request, read, run
from repro.errors import UserError

OUT = {False: Path("build/bench-gpu.jsonl"), True: Path("build/bench-gpu-rehearsal.jsonl")}
SECONDS = 540.0


def parser() -> argparse.ArgumentParser:
    words = argparse.ArgumentParser(prog="python -m repro.bench.gpu", description=__doc__)
    words.add_argument("--only", default="", help="such as E1,E3; default: all, in order of value")
    words.add_argument("--out", type=Path, help="lines of JSON; what is there is not done again")
    words.add_argument("--seconds", type=float, default=SECONDS, help="in all; 0: show the file")
    words.add_argument("--rehearse", action="store_true", help="everything tiny, on the CPU")
    words.add_argument("--rows", action="store_true", help="show every row of the file at the end")
    return words


def main() -> int:
    given = parser().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    out = given.out or OUT[given.rehearse]
    try:
        request = Request(
            experiments=chosen(given.only),
            out=out,
            seconds=given.seconds,
            rehearse=given.rehearse,
        )
        lines = run(request, lambda text: print(text, flush=True))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    shown = summary.rows(lines) if given.rows else []
    print("\n".join([*shown, *summary.table(lines), *summary.decisions(lines)]))
    return int(any("error" in line for line in read(out)))


if __name__ == "__main__":
    sys.exit(main())
