"""The finished runs of one grid, with everything that tables and figures are made of."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import get_args
from zipfile import BadZipFile

import numpy as np
import pandas as pd
import torch
from torch import nn

from repro import filled
from repro.choice import check_taught
from repro.collector import without_collector
from repro.data import imagenet, load
from repro.data.augment import normalise
from repro.data.classes import CLASS_NAMES, class_names, superclass_of
from repro.data.dataset import AnyImages, Dataset, rank_in_class, select
from repro.data.sizes import classes_of
from repro.errors import UserError
from repro.files import digest_of
from repro.grid import GRIDS, Choice, expand, is_method, known_pairs, names, pairs_of, shown
from repro.history import read_on
from repro.losses import METHODS
from repro.marks import HELD_OUT, elsewhere, together
from repro.profiles import Profile
from repro.records import Record, Records
from repro.spec import Precision, Run, key, uses_teacher
from repro.train.teacher import fold_batch_norms
from repro.train.weights import load_half
from repro.variants import shows


@dataclass(frozen=True, eq=False)  # frames cannot be hashed
class GridResults:
    """Runs are selected by the keys of the grid, so grids that overlap share them.

    ``runs``: a finished run for each cell and trial, in the grid's order; a baseline that serves
    several pairs stands in each. ``table``: a row each, as ``tracking.load_results`` returns them.
    """

    grid: str
    profile: Profile
    runs: tuple[Run, ...]
    table: pd.DataFrame
    runs_dir: Path
    data_dir: Path

    @property
    def marks(self) -> tuple[str, ...]:
        """What every table and figure must say: a small profile, teachers trained elsewhere."""
        imported = [run for run in self.runs if run.weights]
        return (
            *((self.profile.mark,) if self.profile.mark else ()),
            *((HELD_OUT,) if self.held_out else ()),
            *self._trained,
            *(f"Teacher {run.network}: imported ({self.record(run).origin()})" for run in imported),
        )

    @cached_property
    def _trained(self) -> tuple[str, ...]:
        """Where, if elsewhere, and by how many processes."""
        records = [Records(self.runs_dir).of(k) for k in dict.fromkeys(map(key, self.runs))]
        return (*elsewhere(records, whole=self.recorded), *together(records))

    @property
    def held_out(self) -> bool:
        return any(run.stream.split == "tune" for run in self.runs)

    @property
    def parts(self) -> dict[str, list[str]]:
        """The pairs of each table: one for a plain grid, one a part for a union."""
        grids = self.profile.union if self.grid == "cifar" else (self.grid,)
        finished = set(self.pairs)
        parts = {}
        for grid in grids:
            own = names(pairs_of(grid, self.profile))
            known = names(known_pairs(grid, self.profile))
            parts[grid] = own + [p for p in known if p in finished and p not in own]
        return {grid: pairs for grid, pairs in parts.items() if finished & set(pairs)}

    @property
    def pairs(self) -> list[str]:
        """Pairs with a finished student that learned from the teacher, else with any student.

        One baseline alone stands in every pair with that student, run or not.
        """
        students = [run for run in self.runs if run.teacher]
        taught = [run for run in students if uses_teacher(run.loss)]
        return list(dict.fromkeys(run.pair for run in taught or students))

    def planned(self, grid: str) -> list[str]:
        """The pairs of a grid by the profile, run or not."""
        return names(pairs_of(grid, self.profile))

    def methods(self, part: str) -> list[str]:
        """Rows of a part's table: its grid's own methods (run or not), then others that finished.

        Variants, ``cmkd/<name>``, belong to the tables of their own grids only.
        """
        cells = [(run.pair, run.method) for run in self.runs if run.pair in self.parts[part]]
        return list(dict.fromkeys((*self._planned[part], *shown(part, cells))))

    @cached_property
    def _planned(self) -> dict[str, list[str]]:
        """Each part's own methods: several tables ask for them."""
        return {
            part: list(dict.fromkeys(run.method for run in expand(part, self.profile)))
            for part in self.parts
        }

    def students(self, pair: str) -> list[Run]:
        return [run for run in self.runs if run.teacher and run.pair == pair]

    def first_trials(self, pair: str) -> dict[str, Run]:
        """By method, the finished student of the lowest trial: what stands for it in a picture."""
        runs: dict[str, Run] = {}
        for run in self.students(pair):
            if run.method not in runs or run.trial < runs[run.method].trial:
                runs[run.method] = run
        return runs

    def teacher(self, pair: str) -> Run | None:
        """The pair's teacher, where it is finished."""
        teachers = {run.network: run for run in self.runs if run.method == "teacher"}
        return teachers.get(pair.partition(":")[0])

    def record(self, run: Run) -> Record:
        return Records(self.runs_dir).of(key(run))

    def test_logits(self, run: Run) -> np.ndarray:
        """[N, K] float32, of the evaluated images in sorted order. UserError if damaged.

        An imported teacher's are of the whole test split: the profile's are taken out of them.
        """
        path = self.record(run).test_logits
        try:
            with np.load(path, allow_pickle=False) as archive:
                logits = archive["logits"].astype(np.float32)
                return logits[self._evaluated] if run.weights else logits
        except (OSError, ValueError, KeyError, BadZipFile) as error:
            raise UserError(f"{path} cannot be read; remove {path.parent} and run again") from error

    @property
    def device(self) -> torch.device:
        """Where networks are loaded: a GPU if there is one."""
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def has_network(self, run: Run) -> bool:
        """Few of those that were recorded elsewhere are here."""
        return self.record(run).weights.exists()

    def has_logits(self, run: Run) -> bool:
        return self.record(run).test_logits.exists()

    def network(self, run: Run) -> nn.Module:
        """A finished run's network on ``device``, in eval mode."""
        return load_half(run, self.record(run).weights, self.device)

    def folded(self, run: Run) -> nn.Module:
        """``network`` for many forward passes: the same answers up to rounding, in less time."""
        return fold_batch_norms(self.network(run))

    def weights_digest(self, run: Run) -> str:
        """SHA-256 of a finished run's weights: a run that is trained again has the same key."""
        path = self.record(run).weights
        try:
            state = path.stat()
            return digest_of(path, state.st_size, state.st_mtime_ns)
        except OSError as error:
            raise UserError(f"{path} cannot be read; remove {path.parent} and run again") from error

    @property
    def class_names(self) -> tuple[str, ...]:
        stream = self.profile.stream
        if stream.dataset in CLASS_NAMES:
            return class_names(stream.dataset)
        return imagenet.class_names(self.data_dir) or tuple(map(str, range(classes_of(stream))))

    @property
    def superclass_of(self) -> tuple[int, ...]:
        """The superclass of each class; empty where there are none."""
        return superclass_of(self.profile.stream.dataset)

    def out(self, folder: Path) -> Path:
        """Where the scripts of ``folder`` write: what is recorded apart from what was run here."""
        return folder / "out" / ("recorded" if self.recorded else "") / self.grid

    @property
    def recorded(self) -> bool:
        """Whether these are recorded results: without images, and with few networks."""
        return filled.is_filled(self.runs_dir)

    @cached_property
    def dataset(self) -> Dataset:
        return load(self.profile.stream.dataset, self.data_dir)

    @cached_property
    def images(self) -> tuple[AnyImages, AnyImages]:
        """Those that the profile trains on, and those that it evaluates on, in sorted order."""
        return select(self.dataset, self.profile.stream)

    @property
    def test_labels(self) -> np.ndarray:
        return self.images[1].labels.numpy()

    @cached_property
    def _evaluated(self) -> np.ndarray:
        """[whole test split] bool: which of its images the profile evaluates on."""
        rank, sizes = rank_in_class(self.dataset.test.labels)
        return (rank < (self.profile.stream.test_per_class or sizes)).numpy()

    def test_images(self, indices: Sequence[int]) -> torch.Tensor:
        """Normalised test images [N, 3, S, S] at the positions ``indices``, on the CPU."""
        mean, std = torch.tensor(self.dataset.mean), torch.tensor(self.dataset.std)
        return normalise(self.images[1][torch.as_tensor(indices)].pixels, mean, std)

    def histories(self, *metrics: str) -> pd.DataFrame:
        """Long: key, pair, method, trial, epoch, and the named metrics with ``/`` as ``_``.

        A run that stands in several pairs has its rows in each. NaN where a metric was not logged.
        """
        read = {key(run): run for run in self.runs}
        with without_collector():
            columns = {k: _columns(self.record(run), metrics) for k, run in read.items()}
        parts = [columns[key(run)] for run in self.runs]
        epochs = [len(part["epoch"]) for part in parts]
        texts = np.array([(key(run), run.pair, run.method) for run in self.runs], object)
        labels = np.repeat(texts.reshape(-1, 3), epochs, axis=0)
        frame = pd.DataFrame(labels, columns=["key", "pair", "method"], dtype=object)
        frame["trial"] = np.repeat(np.array([run.trial for run in self.runs], int), epochs)
        for name in ("epoch", *metrics):
            values = [part[name] for part in parts]
            frame[name.replace("/", "_")] = np.concatenate(values) if values else []
        return frame


def _columns(record: Record, metrics: tuple[str, ...]) -> dict[str, np.ndarray]:
    """The epochs of a history, and the metrics at each."""
    entries, _ = read_on(record)
    found = [entry["metrics"] for entry in entries]
    columns = {name: np.array([m.get(name, math.nan) for m in found], float) for name in metrics}
    return {"epoch": np.arange(len(entries))} | columns


def grid_results(
    grid: str,
    profile: Profile,
    runs_dir: Path,
    data_dir: Path,
    results: pd.DataFrame,
    imported: tuple[Run, ...] = (),
) -> GridResults:
    """What is finished of a grid under a profile: every trial, pair and method of it that is.

    Of runs in several precisions, those of the precision with the most. With ``imported`` teachers
    in the place of the grid's own, it is their students that count.
    """
    by_key = results.drop_duplicates("key").set_index("key", drop=False)
    trials = 1 + int(results["trial"].max()) if len(results) else 1
    left = set(by_key.index)
    runs: tuple[Run, ...] = ()
    for precision in get_args(Precision):
        if not left:
            break
        choice = Choice(trials=trials, precision=precision, imported=imported)
        known = everything(grid, profile, choice, tuple(results["method"].unique()))
        finished = tuple(run for run in known if key(run) in left)
        left -= {key(run) for run in finished if not run.weights}  # a run has one precision
        runs = max(runs, finished, key=len)
    if taught := {run.pair for run in runs if run.teacher and uses_teacher(run.loss)}:
        runs = tuple(run for run in runs if not run.teacher or run.pair in taught)  # no bare rows
    table = by_key.loc[[key(run) for run in runs]].reset_index(drop=True)
    table["pair"] = [run.pair for run in runs]
    table["method"] = [run.method for run in runs]
    return GridResults(grid, profile, runs, table, runs_dir, data_dir)


def everything(
    grid: str, profile: Profile, choice: Choice, methods: Sequence[str]
) -> tuple[Run, ...]:
    """A run for every cell and trial of the grid, then of ``methods`` on all pairs it may take.

    Of what was trained what the grid ``shows``. A teacher's run is a baseline of other pairs.
    Names that this version does not know (a method that is gone, a newer suite's) are passed over.
    """
    known = [m for m in ("ce", *methods) if is_method(m) and shows(grid, m)]
    rows = sorted(known, key=lambda method: (*METHODS, method).index(method))
    parts = profile.union if grid == "cifar" else (grid,)
    pairs = tuple(dict.fromkeys(p for part in parts for p in names(known_pairs(part, profile))))
    wide = replace(choice, pairs=pairs, methods=tuple(dict.fromkeys(rows)))
    runs = (*GRIDS[grid](profile, choice), *(GRIDS[grid](profile, wide) if rows else ()))
    check_taught(runs, choice)
    return tuple({(key(run), run.pair, run.method): run for run in runs}.values())
