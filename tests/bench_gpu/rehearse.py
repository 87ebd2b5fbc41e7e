"""Rehearse experiments where heavy packages are missing: ``rehearse.py FOLDER E1 E3``.

Writes FOLDER/<name> with the rows. A GPU machine may have little beside torch and numpy.
"""

import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

MISSING = {
    *("mlflow", "pandas", "matplotlib", "seaborn", "click", "rich", "sklearn", "scipy"),
    *("torchvision", "psutil", "PIL"),
}


class Without(MetaPathFinder):
    """A finder that does not find what is missing."""

    def __init__(self, finder: Any) -> None:
        self.finder = finder

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        return (
            None if name.partition(".")[0] in MISSING else self.finder.find_spec(name, path, target)
        )


def main() -> None:
    sys.meta_path = [Without(finder) for finder in sys.meta_path]
    import torch

    from repro.bench.gpu.catalogue import BY_NAME
    from repro.bench.gpu.run_one import measure

    torch.set_num_threads(1)
    for name in sys.argv[2:]:
        measure(BY_NAME[name], Path(sys.argv[1]) / name, seconds=float("inf"), rehearse=True)


if __name__ == "__main__":
    main()
