"""How a record looks in MLflow: names, tags, params, status. Pure; ``tracking`` writes it."""

import math
from collections.abc import Mapping
from typing import Any

from repro.analysis.colours import colour_of
from repro.paper_methods import METHODS

STATES = {"RUNNING": "RUNNING", "FINISHED": "FINISHED", "FAILED": "FAILED", "STOPPED": "KILLED"}
TAGS = ("key", "dataset", "profile", "grid", "pair", "teacher", "student", "method", "trial")
FINAL = ("top1_last", "top1_best", "top1_last10")
ENVIRONMENT = ("device", "torch", "teacher_outputs", "processes")
REASON_CHARACTERS = 5000  # MLflow's servers take no longer tags


def experiment_name(tags: dict[str, str]) -> str:
    """``<dataset> <profile>``; runs evaluated on the held-out split stand apart."""
    suffix = " held-out" if tags.get("split") == "tune" else ""
    return f"{tags['dataset']} {tags['profile']}{suffix}"


def run_name(tags: dict[str, str]) -> str:
    return f"{tags['pair']} {tags['method']} {tags['trial']}"


def grouping(tags: dict[str, str]) -> dict[str, str]:
    """What MLflow groups and colours a run by, beside the record's own tags: what its method
    matches, and the colour that the method has in every figure."""
    method = str(tags.get("method", ""))
    known = METHODS.get(method.replace("+", "/").partition("/")[0])
    family = "teacher" if method == "teacher" else known.kind if known else "other"
    named = "baseline" if family == "none" else family
    return {"family": named, "mlflow.runColor": colour_of(method)}


def environment_tags(environment: dict[str, Any]) -> dict[str, str]:
    """What ``environment.json`` tells of a run; the commit under MLflow's own name."""
    commit = environment.get("git_commit")
    tags = {"mlflow.source.git.commit": commit} if commit else {}
    return tags | {n: str(environment[n]) for n in ENVIRONMENT if n in environment}


def flat(data: Any, prefix: str = "") -> dict[str, Any]:
    """Nested data as ``{"loss.temperature": 4.0, ...}``."""
    if not isinstance(data, dict):
        return {prefix.rstrip("."): data}
    return {n: v for name, item in data.items() for n, v in flat(item, f"{prefix}{name}.").items()}


def shown(state: str, ended_ms: int | None, reason: str) -> tuple[str, int | None, str]:
    """A status as MLflow has it; a run that goes on keeps the old end and reason there, unseen."""
    return ("RUNNING", None, "") if state == "RUNNING" else (state, ended_ms, reason)


def result_row(run: Any) -> dict[str, Any]:
    """An MLflow run as a row of results: its tags and final metrics."""
    data = run.data
    final = {n.removeprefix("final/"): v for n, v in data.metrics.items() if n.startswith("final/")}
    tags = {name: data.tags.get(name, "") for name in TAGS}
    return {"run_id": run.info.run_id} | tags | {"trial": int(tags["trial"])} | final


def summary_cell(row: dict[Any, Any]) -> tuple[dict[str, str], dict[str, float]]:
    """A row of the summary as tags and metrics; what is no number or infinite is left out."""
    tags = {name: value for name, value in row.items() if isinstance(value, str)}
    return tags, finite(row)


def finite(values: Mapping[Any, Any]) -> dict[str, float]:
    """Those that MLflow keeps as they are."""
    numbers = {name: value for name, value in values.items() if isinstance(value, int | float)}
    return {name: float(value) for name, value in numbers.items() if math.isfinite(value)}
