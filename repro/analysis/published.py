"""Published top-1 accuracies (``paper_tables/published.csv``): reading, checking, choosing."""

import csv
import io
import math
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from repro.errors import UserError

COLUMNS = (
    *("dataset", "teacher", "student", "method", "top1", "std", "n_runs", "epoch_reported"),
    *("recipe", "source", "place", "copied_from", "method_paper", "note"),
)
REQUIRED = ("dataset", "method", "top1", "epoch_reported", "recipe", "source", "place")
EPOCHS = ("last", "best", "unknown")
LIMITS = {"top1": (0.0, 100.0), "std": (0.0, 100.0), "n_runs": (1.0, 1000.0)}  # both included

STANDARD_RECIPES = {"cifar100": "standard", "imagenet": "see recipes.md"}

PUBLISHED_NETWORKS = {f"resnet{depth}": f"ResNet{depth}" for depth in (18, 34, 50, 101, 152)}

PUBLISHED_METHODS = {
    "teacher": "teacher",  # rows that name only a teacher
    "ce": "student",  # rows that name only a student
    "kd": "KD",
    "kd+ls": "KD+LS",
    "dkd": "DKD",
    "dkd+ls": "DKD+LS",
    "dist": "DIST",
    "cmkd": "CMKD",  # no rows: the paper's tables could not be read
    "mlkd": "MLKD",
    "mlkd+ls": "MLKD+LS",
    "ctkd": "CTKD",
    "ctkd+ls": "CTKD+LS",
    "nkd": "NKD",
    "ttm": "TTM",
    "wttm": "WTTM",
    "pld": "PLD",
    "rld": "RLD",
    "fitnet": "FitNet",
    "at": "AT",
    "sp": "SP",
    "cc": "CC",
    "vid": "VID",
    "rkd": "RKD",
    "pkt": "PKT",
    "ab": "AB",
    "ft": "FT",
    "fsp": "FSP",
    "nst": "NST",
    "crd": "CRD",
    "ofd": "OFD",
    "itrd": "ITRD",
    "wcord": "WCoRD",
    "reviewkd": "ReviewKD",
    "simkd": "SimKD",
    "catkd": "CAT-KD",
}

Cells = Mapping[tuple[str, ...], pd.DataFrame]
NONE = pd.DataFrame(columns=list(COLUMNS))
CRD_BENCHMARK = "HobbitLong/RepDistiller"  # reran the earlier methods: the original of their cells
LSKD = ("arXiv:2403.01427 (LSKD paper)", "sunshangquan/logit-standardization-KD")
ORIGINAL_SOURCES = {
    **dict.fromkeys(("DKD", "ReviewKD"), ("megvii-research/mdistiller", "dvlab-research/ReviewKD")),
    **dict.fromkeys(("KD+LS", "DKD+LS", "CTKD+LS", "MLKD+LS"), LSKD),
    **dict.fromkeys(("TTM", "WTTM"), ("arXiv:2402.11148 (TTM paper)", "zkxufo/TTM")),
    "DIST": ("hunto/DIST_KD",),
    "CTKD": ("zhengli97/CTKD",),
    "ITRD": ("roymiles/ITRD",),
    "NKD": ("yzd-v/cls_KD",),
    "PLD": ("PLD paper (Bassam, Zhu, Bian)",),
}


def load_published(path: Path | str) -> pd.DataFrame:
    """The rows of original sources: those that say ``copied_from`` are left out.

    Columns as ``COLUMNS``; an empty number is NaN, an empty text "". Raises UserError with the line
    and column of a malformed entry.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{file.name} is no UTF-8 text: {error.reason}") from error
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        header = tuple(next(reader, ()))
        if header != COLUMNS:
            raise UserError(f"{file.name} line 1: columns are {header}, expected {COLUMNS}")
        rows = [_row(fields, f"{file.name} line {reader.line_num}") for fields in reader]
    except csv.Error as error:
        raise UserError(f"{file.name} line {reader.line_num}: {error}") from error
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame[frame["copied_from"] == ""].reset_index(drop=True)


def _row(fields: list[str], where: str) -> dict[str, str | float]:
    if len(fields) != len(COLUMNS):
        raise UserError(f"{where}: {len(fields)} fields, expected {len(COLUMNS)}")
    row = {name: field.strip() for name, field in zip(COLUMNS, fields, strict=True)}
    for name in REQUIRED:
        if not row[name]:
            raise UserError(f"{where}, column {name}: is empty")
    if row["epoch_reported"] not in EPOCHS:
        value = row["epoch_reported"]
        raise UserError(f"{where}, column epoch_reported: {value!r}; known: {', '.join(EPOCHS)}")
    if not (row["teacher"] or row["student"]):
        raise UserError(f"{where}, columns teacher and student: both are empty")
    return row | {name: _number(row[name], f"{where}, column {name}", name) for name in LIMITS}


def _number(text: str, where: str, name: str) -> float:
    if not text:
        return math.nan
    low, high = LIMITS[name]
    try:
        value = float(text)
    except ValueError:
        raise UserError(f"{where}: {text!r} is not a number") from None
    if not low <= value <= high or (name == "n_runs" and value != int(value)):
        kind = "a whole number" if name == "n_runs" else "a number"
        raise UserError(f"{where}: {text!r} is not {kind} from {low:g} to {high:g}")
    return value


def by_cell(published: pd.DataFrame) -> Cells:
    """The rows by dataset, recipe, method, teacher, student: for whoever asks of many cells."""
    names = ["dataset", "recipe", "method", "teacher", "student"]
    return dict(iter(published.groupby(names, sort=False)))


def published_for(
    published: pd.DataFrame | Cells, pair: str, method: str, *, dataset: str = "cifar100"
) -> pd.DataFrame:
    """All rows of the standard recipe for a cell, the one to compare with first.

    Order: rows that state the epoch (last or best); then rows of the method's own source, or of the
    CRD benchmark for what it reran; then rows that state the number of runs; then more runs; then
    the file's order. A method without published rows, such as a variant, gets an empty frame.
    """
    name = PUBLISHED_METHODS.get(method, "")
    first, _, last = pair.rpartition(":")
    teacher, student = (PUBLISHED_NETWORKS.get(n, n) for n in (first or last, last))
    teacher, student = "" if method == "ce" else teacher, "" if method == "teacher" else student
    cells = by_cell(published) if isinstance(published, pd.DataFrame) else published
    cell = (dataset, STANDARD_RECIPES.get(dataset, ""), name, teacher, student)
    rows = cells.get(cell, NONE)
    if len(rows) < 2:
        return rows
    rank = pd.DataFrame(
        {
            "epoch": rows["epoch_reported"] == "unknown",
            "source": ~rows["source"].isin(ORIGINAL_SOURCES.get(name, (CRD_BENCHMARK,))),
            "runs_stated": rows["n_runs"].isna(),
            "runs": -rows["n_runs"].fillna(0),
        }
    )
    return rows.loc[rank.sort_values(list(rank.columns), kind="stable").index]
