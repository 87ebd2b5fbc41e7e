"""The page ``methods.md``, which is kept in the repository: ``repro methods`` writes it."""

import json
from pathlib import Path

import torch

from repro.analysis.formats import write_files
from repro.analysis.methods import Entry, Sources, methods_files
from repro.analysis.published import load_published
from repro.costs import training_labels, zeros
from repro.data.sizes import NUM_CLASSES
from repro.files import make_directory, write_atomically
from repro.grid import Choice, expand
from repro.losses import METHODS
from repro.models import num_params, shapes
from repro.outputs import Outputs
from repro.paper_methods import METHODS as PAPERS
from repro.profiles import PROFILES
from repro.results import GridResults
from repro.spec import Run
from repro.train.adapters import deployed, initial_adapter

FOLDER = Path(__file__).parent
PAGE, MEASURED, PUBLISHED = (
    FOLDER / name for name in ("methods.md", "bench/methods.json", "published.csv")
)
PAIR, DATASET = "resnet32x4:resnet8x4", "cifar100"
CPU = torch.device("cpu")


def write(results: GridResults, out: Path) -> list[Path]:  # noqa: ARG001
    """Nothing: the page is of no grid's results."""
    return []


def write_page() -> Path:
    """The page in the repository; its other forms as ``out/methods.{tex,html,csv}``."""
    found = files()
    write_atomically(PAGE, found.pop(".md"))
    write_files(found, make_directory(FOLDER / "out") / PAGE.stem)
    return PAGE


def page() -> str:
    return files()[".md"]


def files() -> dict[str, str]:
    measured = json.loads(MEASURED.read_text()) if MEASURED.exists() else {}
    sources = Sources(papers=PAPERS, measured=measured, published=load_published(PUBLISHED))
    return methods_files(entries(), PAIR, sources)


def entries() -> list[Entry]:
    """A run a method, as the grid makes it, and its adapter on real shapes."""
    choice = Choice(trials=1, pairs=(PAIR,), methods=METHODS)
    runs = expand("cifar-same", PROFILES["paper"], choice)
    labels = training_labels(DATASET, NUM_CLASSES[DATASET])
    teacher = zeros(shapes(PAIR.partition(":")[0], NUM_CLASSES[DATASET]))
    return [entry(run, teacher, labels) for run in runs if run.teacher]


def entry(run: Run, teacher: Outputs, labels: torch.Tensor) -> Entry:
    adapter = initial_adapter(run, teacher, labels, CPU)
    if adapter is None:
        return Entry(method=run.method, loss=run.loss)
    return Entry(
        method=run.method,
        loss=run.loss,
        adapter_params=num_params(adapter),
        adapter_buffers=sum(buffer.numel() for buffer in adapter.buffers()),
        deployed_params=num_params(deployed(torch.nn.Identity(), adapter)),
    )
