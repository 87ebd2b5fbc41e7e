"""``python -m tests.data.signalled FOLDER``: decodes images, and signals its group meanwhile.

Says which signals it heard, and how many images came. With a second word, which process decodes;
then it is killed.
"""

import os
import signal
import sys
from pathlib import Path

from repro.data import folder
from repro.data.damaged import Damaged
from repro.data.decoding import Decoder, Item
from repro.shelter import STOPS


def main(root: Path, *, killed: bool) -> None:
    for number in STOPS:
        signal.signal(number, lambda heard, _: print(signal.Signals(heard).name))
    _, train, evaluated = folder.scan(root)
    decoder = Decoder(train, evaluated, workers=1, pinned=False, say=print, damaged=Damaged())
    batches: list[list[Item]] = [[("train", index, 0)] for index in range(len(train))]
    loaded = iter(decoder(batches))
    count = len(next(loaded).indices)
    if killed:
        iterator = decoder.loader._iterator
        print(*(worker.pid for worker in iterator._workers), flush=True)  # type: ignore[union-attr]
        os.kill(os.getpid(), signal.SIGKILL)
    for number in STOPS:
        os.killpg(0, number)
    count += sum(len(batch.indices) for batch in loaded)
    print(f"{count} images")


if __name__ == "__main__":
    main(Path(sys.argv[1]), killed=len(sys.argv) > 2)
