"""What `make test-cluster` says at its end: a line each for Ray, SLURM and PostgreSQL."""

import os
from pathlib import Path


def tell(name: str, words: str) -> None:
    """Append ``name: words`` to the file that REPRO_CLUSTER_TOLD names, if it does."""
    if path := os.environ.get("REPRO_CLUSTER_TOLD"):
        with Path(path).open("a") as file:
            file.write(f"{name}: {words}\n")
