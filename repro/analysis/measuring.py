"""What is common to all measurements of finished networks: of which runs, kept where, in one frame.

In a runs directory of recorded results there are no images and few networks: what was recorded is
read, whatever its parameters besides the version, and nothing is measured.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import pandas as pd

from repro.analysis.answers import Normalisation, logits_of
from repro.analysis.kept import Kept, Parameters, Progress, as_recorded, tables
from repro.data.dataset import AnyImages, fingerprint
from repro.errors import NotRecorded, UserError
from repro.results import GridResults
from repro.spec import Run, key

SEED = 0  # of everything random here: the same for every network, pair and grid
LABELS = ("key", "pair", "method", "trial")


@dataclass(frozen=True)
class Subject:
    """A finished run, and the teacher beside which it is measured, where there is one."""

    run: Run
    teacher: Run | None = None

    @property
    def keys(self) -> tuple[str, str]:
        return key(self.run), key(self.teacher) if self.teacher else ""


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """``parameters``: with ``images``, all that the numbers depend on besides the networks; their
    ``version`` is raised when the numbers come to mean something else. ``measure`` gives a table
    for each subject, in their order."""

    name: str
    parameters: Parameters
    images: Callable[[], AnyImages]
    measure: Callable[[Sequence[Subject]], Iterator[pd.DataFrame]]


def normalisation(results: GridResults) -> Normalisation:
    return Normalisation(mean=results.dataset.mean, std=results.dataset.std)


def evaluated_logits(results: GridResults, run: Run) -> np.ndarray:
    """[N, K] float32, of the images that the profile evaluates on, in their order.

    A network that was taken in from recorded results came without them: it is evaluated again.
    """
    if results.has_logits(run):
        return results.test_logits(run)
    pixels = results.images[1].pixels
    return logits_of(results.network(run), pixels, normalisation(results)).numpy()


def alone(results: GridResults, runs: Sequence[Run]) -> list[tuple[Run, Subject]]:
    """What is measured for each run (of all of them where ``runs`` is empty)."""
    return [(run, Subject(run)) for run in runs or results.runs]


def beside_teachers(
    results: GridResults, runs: Sequence[Run], *, teachers: bool = False
) -> list[tuple[Run, Subject]]:
    """As ``alone``, with the teacher of the run's pair; ``teachers``: they themselves as well."""
    found = []
    for run in runs or results.runs:
        teacher = results.teacher(run.pair)
        if teacher and (run.teacher or teachers):
            found.append((run, Subject(run, teacher)))
    return found


def long_frame(
    results: GridResults,
    what: Measurement,
    rows: Sequence[tuple[Run, Subject]],
    progress: Progress,
) -> pd.DataFrame:
    """What was measured, with ``LABELS`` in front of each row."""
    subjects = {subject.keys: subject for _, subject in rows}
    ordered = sorted(subjects.values(), key=lambda s: s.keys[0])  # a run's teachers side by side
    here = [s for s in ordered if not results.recorded and _has_networks(results, s)]
    if here and not _has_images(what):  # then what was taken in can be told all the same
        here = [s for s in here if not _taken(results, s) or _table(results, what, s) is None]
    bare = [s for s in ordered if s not in here]
    found = [*_measured(results, what, here, progress), *_recorded(results, what, bare)]
    by_keys = {s.keys: table for s, table in zip([*here, *bare], found, strict=True)}
    if not rows:
        return pd.DataFrame(columns=list(LABELS))
    parts = [by_keys[subject.keys] for _, subject in rows]
    labels = pd.DataFrame(
        [(key(run), run.pair, run.method, run.trial) for run, _ in rows], columns=list(LABELS)
    )
    repeated = labels.loc[labels.index.repeat([len(part) for part in parts])]
    shown = pd.concat(parts, ignore_index=True)
    return pd.concat([repeated.reset_index(drop=True), shown], axis="columns")


def _taken(results: GridResults, subject: Subject) -> bool:
    return all(results.record(run).taken for run in (subject.run, subject.teacher) if run)


def _has_images(what: Measurement) -> bool:
    try:
        what.images()
    except UserError:
        return False
    return True


def _has_networks(results: GridResults, subject: Subject) -> bool:
    return all(results.has_network(run) for run in (subject.run, subject.teacher) if run)


def measured_runs(results: GridResults) -> GridResults:
    """With those runs alone that are here or were measured: others' accuracy alone is known."""
    folder = results.runs_dir / "measured"
    runs = tuple(
        run
        for run in results.runs
        if (folder / key(run)).is_dir() or (not results.recorded and results.has_network(run))
    )
    table = results.table[results.table["key"].isin([key(run) for run in runs])]
    return replace(results, runs=runs, table=table)


def _measured(
    results: GridResults, what: Measurement, subjects: Sequence[Subject], progress: Progress
) -> list[pd.DataFrame]:
    if not subjects:
        return []
    shared = {
        **what.parameters,
        "seed": SEED,
        "images": fingerprint(what.images()),
        "normalisation": asdict(normalisation(results)),
    }
    wanted = [_kept(results, what.name, shared, subject) for subject in subjects]
    return tables(wanted, lambda missing: what.measure([subjects[i] for i in missing]), progress)


def _kept(results: GridResults, name: str, shared: Parameters, subject: Subject) -> Kept:
    weights = [results.weights_digest(run) for run in (subject.run, subject.teacher) if run]
    parameters = {**shared, "weights": weights, "teacher": subject.keys[1]}
    folder = results.runs_dir / "measured"
    return Kept(folder=folder, key=subject.keys[0], name=name, parameters=parameters)


def _recorded(
    results: GridResults, what: Measurement, subjects: Sequence[Subject]
) -> list[pd.DataFrame]:
    found = []
    for subject in subjects:
        table = _table(results, what, subject)
        if table is None:
            run = f"{subject.run.pair} {subject.run.method} trial {subject.run.trial}"
            told = f"{what.name} of {run} is not recorded and its network not here"
            where = results.record(subject.run).directory
            cure = "" if results.recorded else f"; remove {where} and run again to measure it"
            raise NotRecorded(told + cure)
        found.append(table)
    return found


def _table(results: GridResults, what: Measurement, subject: Subject) -> pd.DataFrame | None:
    """As it was recorded, whatever its parameters besides the version."""
    own, teacher = subject.keys
    folder, version = results.runs_dir / "measured", what.parameters["version"]
    return as_recorded(folder, own, what.name, teacher=teacher, version=version)
