"""How a runs directory says that it was filled with recorded results: a file in it."""

import json
from pathlib import Path
from typing import Any

from repro.errors import UserError

FILE = "recorded.json"


def is_filled(runs_dir: Path) -> bool:
    return (runs_dir / FILE).exists()


def check_not(runs_dir: Path) -> None:
    """Raises UserError before something is trained there: the next filling would remove it."""
    if is_filled(runs_dir):
        raise UserError(f"{runs_dir} holds recorded results; train in another --runs-dir")


def read(runs_dir: Path) -> dict[str, Any]:
    """What the file holds; empty where there is none that can be read."""
    try:
        found = json.loads((runs_dir / FILE).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
