"""Measurements of the finished networks of a grid, as long frames: measured once, then read.

Each function takes ``GridResults`` and gives what was measured of every finished run, with the
columns key, pair, method, trial first; ``runs`` narrows it to some of them. A baseline that stands
in several pairs has its rows in each. Only what is missing is measured, run by run
(``repro.analysis.kept``). Where a teacher is needed, runs without a finished one have no rows.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
import PIL
import torch

from repro.analysis import attack, boundary, corruption, embedding, landscape, planes, ranks
from repro.analysis.answers import Normalisation, Pixels, features_of, spread_positions
from repro.analysis.correlation import differences, summary_numbers
from repro.analysis.kept import Kept, Parameters, Progress, silent, tables
from repro.data.dataset import Images, fingerprint
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
    images: Images
    measure: Callable[[Sequence[Subject]], Iterator[pd.DataFrame]]


def corruption_of(
    results: GridResults, runs: Sequence[Run] = (), progress: Progress = silent
) -> pd.DataFrame:
    """corruption, severity, top1 (percent), images; ``clean`` has severity 0 (claim C7)."""
    images, to = _evaluated(results, results.profile.corruption_images), normalisation(results)

    def measure(subjects: Sequence[Subject]) -> Iterator[pd.DataFrame]:
        sets = corruption.corrupted_sets(_pixels(images), SEED)
        for subject in subjects:
            model = results.folded(subject.run)
            yield corruption.corruption_rows(model, sets, labels=images.labels, to=to)

    parameters = {
        "version": 1,
        "strengths": {name: s.values for name, s in corruption.CORRUPTIONS.items()},
        "smoothness": corruption.SMOOTHNESS,
        "pillow": PIL.__version__,  # its JPEG
    }
    what = Measurement(name="corruption", parameters=parameters, images=images, measure=measure)
    return _long(results, what, alone(results, runs), progress)


def attack_of(
    results: GridResults, runs: Sequence[Run] = (), progress: Progress = silent
) -> pd.DataFrame:
    """radius (of 255; 0: no attack), top1 (percent), images."""
    images, to = _evaluated(results, results.profile.attack_images), normalisation(results)

    def measure(subjects: Sequence[Subject]) -> Iterator[pd.DataFrame]:
        for subject in subjects:
            model = results.folded(subject.run)
            yield attack.attack_rows(model, _pixels(images), labels=images.labels, to=to, seed=SEED)

    parameters = {
        "version": 1,
        "radii": attack.RADII,
        "steps": attack.STEPS,
        "step_share": attack.STEP_SHARE,
    }
    what = Measurement(name="attack", parameters=parameters, images=images, measure=measure)
    return _long(results, what, alone(results, runs), progress)


def planes_of(
    results: GridResults, runs: Sequence[Run] = (), progress: Progress = silent
) -> pd.DataFrame:
    """triplet, fragmentation, ambiguity, agreement (with the teacher), margin, censored.

    The same triplets for every run of every pair, teachers included (claim C3). A teacher is
    evaluated once for all pairs that share it, a baseline once for all its teachers.
    """
    profile, images = results.profile, results.images[1]
    triplets = planes.random_triplets(images.labels, profile.triplets, SEED)

    def answers(run: Run) -> boundary.PlaneAnswers:
        used, positions = np.unique(triplets, return_inverse=True)
        shown = results.test_images(used.tolist()).to(results.device)
        places = positions.reshape(triplets.shape)
        model = results.folded(run)
        return boundary.plane_answers(model, shown, places, resolution=profile.resolution)

    def measure(subjects: Sequence[Subject]) -> Iterator[pd.DataFrame]:
        return _plane_rows(subjects, answers)

    parameters = {
        "version": 1,
        "triplets": profile.triplets,
        "resolution": profile.resolution,
        "widening": planes.WIDENING,
        "gap": boundary.GAP,
    }
    what = Measurement(name="planes", parameters=parameters, images=images, measure=measure)
    return _long(results, what, beside_teachers(results, runs, teachers=True), progress)


def _plane_rows(
    subjects: Sequence[Subject], answers: Callable[[Run], boundary.PlaneAnswers]
) -> Iterator[pd.DataFrame]:
    """Asks once for a teacher, and once for each run whose subjects stand together."""
    known: dict[str, boundary.PlaneAnswers] = {}
    last, found = "", None
    for subject in subjects:
        own, other = subject.keys
        assert subject.teacher
        if other not in known:
            known[other] = answers(subject.teacher)
        if own in known:
            found = known[own]
        elif own != last:
            found = answers(subject.run)
        last = own
        assert found
        yield boundary.plane_rows(found, known[other])


def relations_of(
    results: GridResults, runs: Sequence[Run] = (), progress: Progress = silent
) -> pd.DataFrame:
    """form, mean, max, frobenius: inter-class distances of students to teachers (claim C2).

    From the test logits; ``form`` as in ``correlation.differences``.
    """
    images = results.images[1]

    def measure(subjects: Sequence[Subject]) -> Iterator[pd.DataFrame]:
        for subject in subjects:
            forms = differences(*_both_logits(results, subject), images.labels.numpy())
            rows = [{"form": name} | summary_numbers(matrix) for name, matrix in forms.items()]
            yield pd.DataFrame(rows)

    what = Measurement(name="relations", parameters={"version": 1}, images=images, measure=measure)
    return _long(results, what, beside_teachers(results, runs), progress)


def ranks_of(
    results: GridResults, runs: Sequence[Run] = (), progress: Progress = silent
) -> pd.DataFrame:
    """Rank agreement of students with teachers, by difficulty: as ``ranks.by_difficulty``."""

    def measure(subjects: Sequence[Subject]) -> Iterator[pd.DataFrame]:
        for subject in subjects:
            found = ranks.rank_agreement(*_both_logits(results, subject))
            yield ranks.by_difficulty(found)

    parameters = {"version": 1, "top": ranks.TOP, "bins": ranks.BINS}
    images = results.images[1]
    what = Measurement(name="ranks", parameters=parameters, images=images, measure=measure)
    return _long(results, what, beside_teachers(results, runs), progress)


def landscape_of(
    results: GridResults, runs: Sequence[Run] = (), progress: Progress = silent
) -> pd.DataFrame:
    """alpha, beta, loss (nats), top1 (percent) on training images, not augmented."""
    profile, training = results.profile, results.images[0]
    images = training[_positions(training, profile.landscape_images)]
    side, to = profile.landscape_side, normalisation(results)

    def measure(subjects: Sequence[Subject]) -> Iterator[pd.DataFrame]:
        for subject in subjects:
            model = results.network(subject.run)
            yield landscape.landscape(
                model, images.pixels, images.labels, to=to, side=side, seed=SEED
            )

    parameters = {"version": 1, "side": side, "reach": landscape.REACH}
    what = Measurement(name="landscape", parameters=parameters, images=images, measure=measure)
    return _long(results, what, alone(results, runs), progress)


def embedding_of(
    results: GridResults, runs: Sequence[Run] = (), progress: Progress = silent
) -> pd.DataFrame:
    """label, x, y an image of ten classes; knn_top1 (percent) and silhouette of the features."""
    classes = embedding.shown_classes(len(results.dataset.class_names))
    images, to = (
        _evaluated(results, results.profile.embedding_images, classes),
        normalisation(results),
    )

    def measure(subjects: Sequence[Subject]) -> Iterator[pd.DataFrame]:
        for subject in subjects:
            features = features_of(results.folded(subject.run), images.pixels, to)
            yield embedding.embedding_rows(features, images.labels, random_state=SEED)

    parameters = {
        "version": 1,
        "perplexity": embedding.PERPLEXITY,
        "neighbours": embedding.NEIGHBOURS,
    }
    what = Measurement(name="embedding", parameters=parameters, images=images, measure=measure)
    return _long(results, what, alone(results, runs), progress)


def normalisation(results: GridResults) -> Normalisation:
    return Normalisation(mean=results.dataset.mean, std=results.dataset.std)


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


def _long(
    results: GridResults,
    what: Measurement,
    rows: Sequence[tuple[Run, Subject]],
    progress: Progress,
) -> pd.DataFrame:
    subjects = {subject.keys: subject for _, subject in rows}
    ordered = sorted(subjects.values(), key=lambda s: s.keys[0])  # a run's teachers side by side
    shared = {
        **what.parameters,
        "seed": SEED,
        "images": fingerprint(what.images),
        "normalisation": asdict(normalisation(results)),
    }
    wanted = [_kept(results, what.name, shared, subject) for subject in ordered]
    found = tables(wanted, lambda missing: what.measure([ordered[i] for i in missing]), progress)
    by_keys = {s.keys: table for s, table in zip(ordered, found, strict=True)}
    parts = []
    for run, subject in rows:
        labels = (key(run), run.pair, run.method, run.trial)
        parts.append(by_keys[subject.keys].assign(**dict(zip(LABELS, labels, strict=True))))
    if not parts:
        return pd.DataFrame(columns=list(LABELS))
    frame = pd.concat(parts, ignore_index=True)
    return frame[[*LABELS, *(name for name in frame if name not in LABELS)]]


def _kept(results: GridResults, name: str, shared: Parameters, subject: Subject) -> Kept:
    weights = [results.weights_digest(run) for run in (subject.run, subject.teacher) if run]
    parameters = {**shared, "weights": weights, "teacher": subject.keys[1]}
    folder = results.runs_dir / "measured"
    return Kept(folder=folder, key=subject.keys[0], name=name, parameters=parameters)


def _evaluated(results: GridResults, count: int, classes: Sequence[int] = ()) -> Images:
    images = results.images[1]
    return images[_positions(images, count, classes)]


def _positions(images: Images, count: int, classes: Sequence[int] = ()) -> torch.Tensor:
    return torch.from_numpy(spread_positions(images.labels, count, classes))


def _pixels(images: Images) -> Pixels:
    return images.pixels.numpy()


def _both_logits(results: GridResults, subject: Subject) -> tuple[np.ndarray, np.ndarray]:
    assert subject.teacher
    return results.test_logits(subject.run), results.test_logits(subject.teacher)
