"""Measurements of the finished networks of a grid, as long frames: measured once, then read.

Each function takes ``GridResults`` and gives what was measured of every finished run, with the
columns key, pair, method, trial first; ``runs`` narrows it to some of them. A baseline that stands
in several pairs has its rows in each. Only what is missing is measured, run by run
(``repro.analysis.kept``). Where a teacher is needed, runs without a finished one have no rows.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import pandas as pd
import PIL
import torch

from repro.analysis import (
    attack,
    boundary,
    corruption,
    embedding,
    landscape,
    planes,
    ranks,
    regions,
)
from repro.analysis.answers import Pixels, features_of, spread_positions
from repro.analysis.correlation import differences, summary_numbers
from repro.analysis.kept import Progress, silent
from repro.analysis.measuring import (
    SEED,
    Measurement,
    Subject,
    alone,
    beside_teachers,
    evaluated_logits,
    long_frame,
    normalisation,
)
from repro.data.dataset import AnyImages
from repro.results import GridResults
from repro.spec import Run

PICTURES = 2  # planes that are drawn


def corruption_of(
    results: GridResults, runs: Sequence[Run] = (), progress: Progress = silent
) -> pd.DataFrame:
    """corruption, severity, top1 (percent), images; ``clean`` has severity 0 (claim C7)."""
    shown = partial(_evaluated, results, results.profile.corruption_images)

    def measure(subjects: Sequence[Subject]) -> Iterator[pd.DataFrame]:
        images, to = shown(), normalisation(results)
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
    what = Measurement(name="corruption", parameters=parameters, images=shown, measure=measure)
    return long_frame(results, what, alone(results, runs), progress)


def attack_of(
    results: GridResults, runs: Sequence[Run] = (), progress: Progress = silent
) -> pd.DataFrame:
    """radius (of 255; 0: no attack), top1 (percent), images."""
    shown = partial(_evaluated, results, results.profile.attack_images)

    def measure(subjects: Sequence[Subject]) -> Iterator[pd.DataFrame]:
        images, to = shown(), normalisation(results)
        for subject in subjects:
            model = results.folded(subject.run)
            yield attack.attack_rows(model, _pixels(images), labels=images.labels, to=to, seed=SEED)

    parameters = {
        "version": 1,
        "radii": attack.RADII,
        "steps": attack.STEPS,
        "step_share": attack.STEP_SHARE,
    }
    what = Measurement(name="attack", parameters=parameters, images=shown, measure=measure)
    return long_frame(results, what, alone(results, runs), progress)


def planes_of(
    results: GridResults, runs: Sequence[Run] = (), progress: Progress = silent
) -> pd.DataFrame:
    """triplet, fragmentation, ambiguity, agreement (with the teacher), margin, censored.

    The same triplets for every run of every pair, teachers included (claim C3). A teacher is
    evaluated once for all pairs that share it, a baseline once for all its teachers.
    """
    profile = results.profile

    def answers(run: Run) -> boundary.PlaneAnswers:
        triplets = planes.random_triplets(results.test_labels, profile.triplets, SEED)
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
    what = Measurement(
        name="planes", parameters=parameters, images=lambda: results.images[1], measure=measure
    )
    return long_frame(results, what, beside_teachers(results, runs, teachers=True), progress)


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


def regions_of(
    results: GridResults, runs: Sequence[Run] = (), progress: Progress = silent
) -> pd.DataFrame:
    """Pictures of decision regions, the same planes for every run: as ``regions.rows_of``."""
    resolution = results.profile.picture

    def measure(subjects: Sequence[Subject]) -> Iterator[pd.DataFrame]:
        triplets = planes.random_triplets(results.test_labels, PICTURES, SEED)
        images = [results.test_images(three.tolist()).to(results.device) for three in triplets]
        labels = results.test_labels[triplets].tolist()
        for subject in subjects:
            model = results.folded(subject.run)
            yield regions.rows_of(regions.pictures(model, images, labels, resolution))

    parameters = {
        "version": 1,
        "pictures": PICTURES,
        "resolution": resolution,
        "widening": planes.WIDENING,
    }
    what = Measurement(
        name="regions", parameters=parameters, images=lambda: results.images[1], measure=measure
    )
    return long_frame(results, what, alone(results, runs), progress)


def relations_of(
    results: GridResults, runs: Sequence[Run] = (), progress: Progress = silent
) -> pd.DataFrame:
    """form, mean, max, frobenius: inter-class distances of students to teachers (claim C2).

    From the test logits; ``form`` as in ``correlation.differences``.
    """

    def measure(subjects: Sequence[Subject]) -> Iterator[pd.DataFrame]:
        for subject in subjects:
            forms = differences(*_both_logits(results, subject), results.test_labels)
            rows = [{"form": name} | summary_numbers(matrix) for name, matrix in forms.items()]
            yield pd.DataFrame(rows)

    what = Measurement(
        name="relations",
        parameters={"version": 1},
        images=lambda: results.images[1],
        measure=measure,
    )
    return long_frame(results, what, beside_teachers(results, runs), progress)


def matrices_of(
    results: GridResults, runs: Sequence[Run] = (), progress: Progress = silent
) -> pd.DataFrame:
    """form, matrix: the inter-class distances behind ``relations_of``, as pictures show them.

    Half precision, packed as ``regions.packed`` does.
    """

    def measure(subjects: Sequence[Subject]) -> Iterator[pd.DataFrame]:
        for subject in subjects:
            forms = differences(*_both_logits(results, subject), results.test_labels)
            rows = [{"form": n, "matrix": regions.packed(m, "f2")} for n, m in forms.items()]
            yield pd.DataFrame(rows)

    what = Measurement(
        name="matrices",
        parameters={"version": 1},
        images=lambda: results.images[1],
        measure=measure,
    )
    return long_frame(results, what, beside_teachers(results, runs), progress)


def ranks_of(
    results: GridResults, runs: Sequence[Run] = (), progress: Progress = silent
) -> pd.DataFrame:
    """Rank agreement of students with teachers, by difficulty: as ``ranks.by_difficulty``."""

    def measure(subjects: Sequence[Subject]) -> Iterator[pd.DataFrame]:
        for subject in subjects:
            found = ranks.rank_agreement(*_both_logits(results, subject))
            yield ranks.by_difficulty(found)

    parameters = {"version": 1, "top": ranks.TOP, "bins": ranks.BINS}
    what = Measurement(
        name="ranks", parameters=parameters, images=lambda: results.images[1], measure=measure
    )
    return long_frame(results, what, beside_teachers(results, runs), progress)


def landscape_of(
    results: GridResults, runs: Sequence[Run] = (), progress: Progress = silent
) -> pd.DataFrame:
    """alpha, beta, loss (nats), top1 (percent) on training images, not augmented."""
    side = results.profile.landscape_side

    def shown() -> AnyImages:
        training = results.images[0]
        return training[_positions(training, results.profile.landscape_images)]

    def measure(subjects: Sequence[Subject]) -> Iterator[pd.DataFrame]:
        images, to = shown(), normalisation(results)
        for subject in subjects:
            model = results.network(subject.run)
            yield landscape.landscape(
                model, images.pixels, images.labels, to=to, side=side, seed=SEED
            )

    parameters = {"version": 1, "side": side, "reach": landscape.REACH}
    what = Measurement(name="landscape", parameters=parameters, images=shown, measure=measure)
    return long_frame(results, what, alone(results, runs), progress)


def embedding_of(
    results: GridResults, runs: Sequence[Run] = (), progress: Progress = silent
) -> pd.DataFrame:
    """label, x, y an image of ten classes; knn_top1 (percent) and silhouette of the features."""
    classes = embedding.shown_classes(len(results.class_names))
    shown = partial(_evaluated, results, results.profile.embedding_images, classes)

    def measure(subjects: Sequence[Subject]) -> Iterator[pd.DataFrame]:
        images, to = shown(), normalisation(results)
        for subject in subjects:
            features = features_of(results.folded(subject.run), images.pixels, to)
            yield embedding.embedding_rows(features, images.labels, random_state=SEED)

    parameters = {
        "version": 1,
        "perplexity": embedding.PERPLEXITY,
        "neighbours": embedding.NEIGHBOURS,
    }
    what = Measurement(name="embedding", parameters=parameters, images=shown, measure=measure)
    return long_frame(results, what, alone(results, runs), progress)


def _evaluated(results: GridResults, count: int, classes: Sequence[int] = ()) -> AnyImages:
    images = results.images[1]
    return images[_positions(images, count, classes)]


def _positions(images: AnyImages, count: int, classes: Sequence[int] = ()) -> torch.Tensor:
    return torch.from_numpy(spread_positions(images.labels, count, classes))


def _pixels(images: AnyImages) -> Pixels:
    return images.pixels.numpy()


def _both_logits(results: GridResults, subject: Subject) -> tuple[np.ndarray, np.ndarray]:
    assert subject.teacher
    return evaluated_logits(results, subject.run), evaluated_logits(results, subject.teacher)
