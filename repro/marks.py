"""What tables and figures must say of the runs that they show, beside what the profile says."""

from collections.abc import Iterable
from contextlib import suppress

from repro.errors import UserError
from repro.records import Record

HELD_OUT = "Evaluated on a tenth of the training images, which were held out; no test image"


def together(records: Iterable[Record]) -> tuple[str, ...]:
    """Of runs that several processes trained: their keys are those of one process's."""
    found: dict[str, None] = {}
    for record in records:
        with suppress(UserError):  # damaged: ``repro doctor`` tells
            found[str(record.environment().get("processes", ""))] = None
    shares = "BatchNorm and losses that compare images saw shares of each batch"
    return tuple(f"Trained by {words} processes together: {shares}" for words in found if words)
