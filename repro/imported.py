"""Imported teachers by their keys: ``--imported`` of the commands on grids."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import safetensors
import safetensors.torch

from repro.errors import UserError
from repro.grid import PAPER_PAIRS
from repro.records import Record, Records
from repro.request import Request
from repro.show import KEY, record_of
from repro.spec import Run
from repro.train.weights import weights_key


def with_imported(request: Request, words: Sequence[str]) -> Request:
    """The request with these teachers in the place of its grid's own."""
    if not words:
        return request
    imported = imported_teachers(words, request.runs_dir, request.grid)
    return replace(request, choice=replace(request.choice, imported=imported))


def imported_teachers(
    words: Sequence[str], runs_dir: Path, grid: str | None = None
) -> tuple[Run, ...]:
    """The runs whose keys start with ``words``, 8 hex digits or more each.

    Raises UserError for a key that is unknown, ambiguous, damaged or of no imported teacher, and
    for two teachers of one network.
    """
    by_network: dict[str, Run] = {}
    for name in (key for word in words for key in _keys(word, runs_dir, grid)):
        run = _imported(name, runs_dir)
        if by_network.setdefault(run.network, run) != run:
            raise UserError(f"--imported names two teachers that are a {run.network}: leave one")
    return tuple(by_network.values())


def _keys(word: str, runs_dir: Path, grid: str | None) -> list[str]:
    """Of "torchvision": the keys of the grid's teachers that were imported for ImageNet. Raises
    UserError if there are none."""
    if word != "torchvision":
        return [word]
    taught = {teacher for teacher, _ in PAPER_PAIRS.get(grid or "", ())}
    tagged = ((record.key, record.tags()) for record in Records(runs_dir))
    found = [
        key
        for key, tags in tagged
        if (tags.get("grid"), tags.get("dataset")) == ("imported", "imagenet")
        and tags.get("student") in taught
    ]
    if not found:
        raise UserError(
            "no teacher of torchvision is here: `repro import-teacher torchvision --network "
            "resnet34 --data DIR` imports one"
        )
    return found


def _imported(word: str, runs_dir: Path) -> Run:
    if not KEY.fullmatch(word):
        raise UserError(f"--imported takes keys, or their first 8 digits or more, not {word!r}")
    record = record_of(word, runs_dir)
    run = record.run()
    if not run.weights:
        raise UserError(f"run {word} ({run.pair} {run.method}) was trained here, not imported")
    if Records(runs_dir).state(record.key) != "FINISHED" or _found(record, run) != record.key:
        raise UserError(f"{record.directory} is damaged: remove it and import the teacher again")
    return run


def _found(record: Record, run: Run) -> str:
    """The key of the weights that are there; "" where they cannot be read."""
    try:
        return weights_key(run.network, safetensors.torch.load_file(record.weights))
    except (OSError, ValueError, safetensors.SafetensorError):
        return ""
