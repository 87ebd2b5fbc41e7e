"""How a runs directory says that it was filled with recorded results: a file in it."""

import json
from pathlib import Path
from typing import Any

FILE = "recorded.json"


def is_filled(runs_dir: Path) -> bool:
    return (runs_dir / FILE).exists()


def read(runs_dir: Path) -> dict[str, Any]:
    """What the file holds; empty where there is none that can be read."""
    try:
        found = json.loads((runs_dir / FILE).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
