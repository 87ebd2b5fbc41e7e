"""The page of all methods: paper, needs, weights, costs and published accuracy. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import pandas as pd

from repro.analysis.formats import table_files
from repro.analysis.published import published_for
from repro.analysis.tables import MISSING
from repro.losses import Loss
from repro.losses.protocol import second_view, uses_features, uses_teacher
from repro.paper_methods import Method

TITLE = "Methods"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A method's loss on one pair, and the size of what is trained beside the student.

    ``adapter_params``, ``adapter_buffers``: numbers trained, and kept untrained (memories,
    statistics, copies); None without an adapter. ``deployed_params``: what the network keeps.
    """

    method: str
    loss: Loss
    adapter_params: int | None = None
    adapter_buffers: int = 0
    deployed_params: int = 0


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Where the facts come from: ``papers`` by method, what ``repro.bench.methods`` measured (or
    nothing), and the published accuracies."""

    papers: Mapping[str, Method]
    measured: Mapping[str, Any]
    published: pd.DataFrame


def methods_page(entries: Sequence[Entry], pair: str, sources: Sources) -> str:
    """Markdown, a row a method; what is not known is "-"."""
    return methods_files(entries, pair, sources)[".md"]


def methods_files(entries: Sequence[Entry], pair: str, sources: Sources) -> dict[str, str]:
    """The page by file suffix."""
    rows = pd.DataFrame([row(entry, pair, sources) for entry in entries]).set_index("method")
    return table_files(rows, rows, TITLE, lines=notes(pair, sources.measured))


def row(entry: Entry, pair: str, sources: Sources) -> dict[str, str]:
    steps = {found["method"]: found for found in sources.measured.get("methods", ())}
    paper = sources.papers.get(entry.method)
    return {
        "method": entry.method,
        "paper": reference(paper) if paper else first_line(entry.loss),
        "kind": paper.kind if paper and paper.kind != "none" else MISSING,
        "needs": ", ".join(needs(entry)),
        "weights": settings(entry.loss),
        "defaults from": paper.source if paper else MISSING,
        "trained beside": trained_beside(entry),
        "deployed": f"{entry.deployed_params:,}" if entry.deployed_params else MISSING,
        "step / KD": ratio(steps[entry.method]) if entry.method in steps else MISSING,
        "published top-1": accuracy(published_for(sources.published, pair, entry.method)),
    }


def reference(paper: Method) -> str:
    """The method's name with authors, year and arXiv number; the name where there is no paper."""
    return f"{paper.name}: {paper.citation}" if paper.year else paper.name


def first_line(loss: Loss) -> str:
    """Of the class's docstring; a dataclass without one has its signature there."""
    cls = type(loss)
    text = (cls.__doc__ or "").strip()
    return MISSING if not text or text.startswith(f"{cls.__name__}(") else text.splitlines()[0]


def needs(entry: Entry) -> list[str]:
    """What the method takes beside the student's logits and the labels."""
    loss = entry.loss
    found = {
        "teacher's logits": uses_teacher(loss) and not uses_features(loss),
        "teacher's features": uses_features(loss),
        "image indices": reads_indices(loss),
        "second view": second_view(loss),
        "adapter": entry.adapter_params is not None,
    }
    return [name for name, needed in found.items() if needed] or [MISSING]


def reads_indices(loss: object) -> bool:
    """Does it, or a loss within it, name ``batch.indices`` in its ``__call__``?"""
    if isinstance(loss, tuple):
        return any(map(reads_indices, loss))
    code = getattr(type(loss).__call__, "__code__", None)
    if code is not None and "indices" in code.co_names:
        return True
    return any(reads_indices(value) for _, value in values(loss))


def values(loss: object) -> list[tuple[str, Any]]:
    """The names and values of a loss's fields."""
    if not is_dataclass(loss):
        return []
    return [(field.name, getattr(loss, field.name)) for field in fields(loss)]


def settings(loss: object) -> str:
    """Every field as ``name=value``; a value with fields of its own as ``Class(name=value)``."""
    return ", ".join(f"{name}={_text(value)}" for name, value in values(loss)) or MISSING


def _text(value: Any) -> str:
    if is_dataclass(value):
        return f"{type(value).__name__}({settings(value)})"
    if isinstance(value, tuple):
        return f"({', '.join(_text(item) for item in value)})"
    return f"{value:g}" if isinstance(value, float) else str(value)


def trained_beside(entry: Entry) -> str:
    """The adapter's parameters, and what it keeps beside them."""
    if entry.adapter_params is None:
        return MISSING
    buffers = f" (and {entry.adapter_buffers:,} untrained)" if entry.adapter_buffers else ""
    return f"{entry.adapter_params:,}{buffers}"


def ratio(found: Mapping[str, Any]) -> str:
    low, high = found["quartiles"]
    return f"{found['ratio']:.2f} ({low:.2f} to {high:.2f})"


def accuracy(rows: pd.DataFrame) -> str:
    """The row to compare with first: its value, the epoch it reports and its source."""
    if rows.empty:
        return MISSING
    best = rows.iloc[0]
    return f"{best['top1']:.2f} [{best['epoch_reported']}] {best['source']}"


def notes(pair: str, measured: Mapping[str, Any]) -> list[str]:
    """How to read the columns; the cohorts that were measured."""
    return [
        "Written by `repro methods`, costs measured by `repro methods --measure`.",
        f"Everything is that of {pair} (teacher:student) on CIFAR-100, as grid cifar-same trains "
        'it under profile paper; "-": there is none (of published top-1: none of the standard '
        "recipe), or it is not known.",
        "kind: what is matched; relations are those of an image's features to other images'. How a "
        "method departs from its paper, its class in repro/losses/ says.",
        "trained beside: parameters of the adapter, and numbers that it keeps untrained (memories, "
        "statistics, copies of the teacher's classifier). deployed: those parameters that the "
        "network keeps after training; a copied classifier takes the place of the student's own.",
        "published top-1: percent, [the epoch it reports], from where; of the standard recipe and "
        "a row of published.csv that is not marked as copied.",
        *_measured_notes(measured),
    ]


def _measured_notes(measured: Mapping[str, Any]) -> list[str]:
    if not measured:
        return ["step / KD: not measured."]
    machine, set_up = measured["hardware"], measured["settings"]
    step = (
        f"step / KD: a student's step beside a KD student's, median and quartiles of "
        f"{set_up['rounds']} rounds; batches of {set_up['batch_size']}, {set_up['pair']}, "
        f"{machine['device']}, {machine['threads']} threads, torch {machine['torch']}, "
        f"{machine['date'][:10]}. In it: {set_up['notes']['step']}. All of it: "
        "bench/methods.json."
    )
    return [step, *(_cohort(found) for found in measured["cohorts"])]


def _cohort(found: Mapping[str, Any]) -> str:
    return (
        f"A cohort of {found['pair']} with {', '.join(found['methods'])} takes {ratio(found)} x "
        f"the steps of {len(found['methods'])} KD students."
    )
