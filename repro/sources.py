"""Where each value of a run is from: pure functions over the facts, the profiles and the grid."""

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, NamedTuple

from repro import paper
from repro.grid import loss_for
from repro.losses import STANDARDIZED, Loss, Standardized, Sum, method_name, standardize
from repro.losses.protocol import second_view
from repro.paper import REPDISTILLER, Fact, Pair, Unknown
from repro.paper_imagenet import weights_of
from repro.paper_methods import METHODS, source_of
from repro.profiles import Profile, scaled
from repro.spec import Run, key, uses_teacher
from repro.variants import ablation_rows, candidates

LS = f"+{STANDARDIZED}"
IMAGES = f"{REPDISTILLER} dataset/cifar100.py"
RECIPE: dict[str, Fact] = {
    "precision": Fact("fp32", f"{REPDISTILLER} train_student.py"),
    "stream.dataset": Fact("cifar100", IMAGES),
    "stream.split": Fact("full", IMAGES),
    "stream.train_per_class": Fact(0, IMAGES),
    "stream.test_per_class": Fact(0, IMAGES),
    "stream.augment": Fact("crop-flip", IMAGES),
    "stream.batch_size": paper.BATCH_SIZE,
    "stream.epochs": paper.EPOCHS,
    "optim.lr": paper.LEARNING_RATE,
    "optim.momentum": paper.MOMENTUM,
    "optim.weight_decay": paper.WEIGHT_DECAY,
    "optim.milestones": paper.MILESTONES,
    "optim.decay": paper.DECAY,
}
FOLDER = "torchvision references/classification, as every paper on ImageNet"
IMAGENET: dict[str, Fact] = {
    "precision": Fact("bf16", "the suite's: half the time; --precision fp32 is the literature's"),
    "stream.dataset": Fact("imagenet", FOLDER),
    "stream.split": Fact("full", FOLDER),
    "stream.train_per_class": Fact(0, FOLDER),
    "stream.test_per_class": Fact(0, FOLDER),
    "stream.augment": Fact("resized-crop-flip", FOLDER),
    "stream.side": Fact(0, FOLDER),
    "stream.batch_size": paper.IMAGENET_BATCH_SIZE,
    "stream.epochs": paper.IMAGENET_EPOCHS,
    "optim.lr": paper.IMAGENET_LEARNING_RATE,
    "optim.momentum": paper.MOMENTUM,
    "optim.weight_decay": paper.IMAGENET_WEIGHT_DECAY,
    "optim.milestones": paper.IMAGENET_MILESTONES,
    "optim.decay": paper.DECAY,
}
OF_FOLDERS = ("side", "classes", "images")  # of a stream; neutral where there is none
OPEN: dict[str, dict[str, Unknown]] = {"cmkd": paper.CMKD}  # method -> field ("a_b" for a.b)
COMPOSED = {
    Standardized.__name__: METHODS[f"kd{LS}"].citation,
    Sum.__name__: "the terms of all, cross-entropy once",
}


class Row(NamedTuple):
    """A value of a run, and where it is from."""

    name: str
    value: Any
    source: str


Layer = Mapping[str, tuple[Any, str]]  # name -> what one source says: the value and its place


def rows(run: Run, profile: Profile, given: Mapping[str, str], otherwise: str) -> list[Row]:
    """Every value of ``run`` with the source that gives it.

    ``given``: name -> source, where it is known beforehand. ``otherwise``: the source of a value
    that neither the literature nor the profile nor the method gives.
    """
    layers = [*_of_recipe(run, profile), *_of_loss(run, profile)]
    return [
        Row(name, value, given.get(name) or _first(name, value, layers) or otherwise)
        for name, value in _values(run)
    ]


def _first(name: str, value: Any, layers: list[Layer]) -> str:
    """The place in the first layer that says this very value; "" where none does."""
    said_so = (layer[name] for layer in layers if name in layer)
    return next((place for said_value, place in said_so if said_value == value), "")


def _values(run: Run) -> Iterator[tuple[str, Any]]:
    yield from (("method", run.method), ("pair", run.pair), ("network", run.network))
    if run.weights:  # trained elsewhere: the other fields tell nothing
        yield from (("weights", run.weights), ("stream.dataset", run.stream.dataset))
        return
    yield "teacher", key(run.teacher)[:12] if run.teacher and uses_teacher(run.loss) else "none"
    yield from (("trial", run.trial), ("precision", run.precision))
    for part in ("stream", "optim"):
        for name, value in vars(getattr(run, part)).items():
            if value or name not in OF_FOLDERS:
                yield f"{part}.{name}", value
    yield from _walk("loss", run.loss)


def _walk(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """A dataclass as its type's name and its fields, nested ones too."""
    if isinstance(value, tuple) and value and is_dataclass(value[0]):
        for i, item in enumerate(value):
            yield from _walk(f"{name}[{i}]", item)
    elif is_dataclass(value):
        yield name, type(value).__name__
        for field in fields(value):
            yield from _walk(f"{name}.{field.name}", getattr(value, field.name))
    else:
        yield name, value


def _of_recipe(run: Run, profile: Profile) -> Iterator[Layer]:
    """The benchmark's recipe, then what the profile and the loss put in its place."""
    recipe = dict(IMAGENET if run.stream.dataset == "imagenet" else RECIPE)
    if run.network in paper.LIGHT_NETWORKS:
        recipe["optim.lr"] = paper.LIGHT_LEARNING_RATE
    yield {name: (fact.value, fact.source) for name, fact in recipe.items()}
    views = "strong" if second_view(run.loss) else "none"
    yield {"stream.second_view": (views, "what the loss reads")}
    stream = profile.stream if run.teacher else profile.teacher_stream()
    parts = {"stream": stream, "optim": profile.optim(run.network, stream)}
    yield {
        f"stream.{n}": (getattr(stream, n), "the folder of images") for n in ("classes", "images")
    }
    small = {
        f"{p}.{name}": value for p, part in parts.items() for name, value in vars(part).items()
    }
    yield {
        name: (small[name], f"profile {profile.name}; the recipe: {text(fact.value)}")
        for name, fact in recipe.items()
        if name in small
    }


def _of_loss(run: Run, profile: Profile) -> Iterator[Layer]:
    pair = (run.teacher.network if run.teacher else "", run.network)
    for name, method, loss in _leaves("loss", run.loss):
        yield from _of_leaf(name, method, loss, pair, profile)
    yield {
        name: (kind, COMPOSED[kind]) for name, kind in _walk("loss", run.loss) if kind in COMPOSED
    }
    rows = {**ablation_rows(), **candidates()}
    if run.method in rows:
        values = _walk("loss", rows[run.method])
        yield {name: (value, f"the row {run.method}") for name, value in values}


def _leaves(name: str, loss: Loss) -> Iterator[tuple[str, str, Loss]]:
    """The losses that a loss is composed of: where each is, its method ("dkd+ls"), itself."""
    if isinstance(loss, Sum):
        for i, part in enumerate(loss.losses):
            yield from _leaves(f"{name}.losses[{i}]", part)
    elif isinstance(loss, Standardized):
        yield f"{name}.loss", method_name(loss), loss.loss
    else:
        yield name, method_name(loss), loss


def _of_leaf(name: str, method: str, loss: Loss, pair: Pair, profile: Profile) -> Iterator[Layer]:
    """The pair's weights, LSKD's on top of them, and the defaults."""
    base = method.removesuffix(LS)
    alone = [_said(name, weights_of(base, pair)), *_defaults(name, base, type(loss)(), profile)]
    if method != base:
        yield _said(name, weights_of(method, pair))
        inner = loss_for(base, pair, profile)
        lifted, lskd = dict(_walk(name, standardize(inner).loss)), source_of(f"kd{LS}", "")
        yield {
            n: (lifted[n], f"{lskd}; {text(value)}: {_first(n, value, alone)}")
            for n, value in _walk(name, inner)
            if lifted[n] != value
        }
    yield from alone


def _defaults(name: str, method: str, loss: Loss, profile: Profile) -> Iterator[Layer]:
    """What ``loss``, a method's default, holds: citation, open questions, places, warm-ups."""
    default = dict(_walk(name, loss))
    yield {name: (default.pop(name), METHODS[method].citation if method in METHODS else "-")}
    short = {n: n.removeprefix(f"{name}.") for n in default}
    unknown = OPEN.get(method, {})
    asked = {n: unknown.get(s.replace(".", "_")) for n, s in short.items()}
    yield {n: (known.value, said(known)) for n, known in asked.items() if known}
    places = {n: source_of(method, s.partition(".")[0]) for n, s in short.items()}
    yield {n: (value, places[n]) for n, value in default.items()}
    yield {
        n: (
            scaled(value, profile.stream.epochs, of=profile.recipe.epochs),
            f"profile {profile.name}; {value}: {places[n]}",
        )
        for n, value in default.items()
        if n.endswith("_epochs")
    }


def _said(name: str, known: Mapping[str, Fact | Unknown]) -> Layer:
    return {f"{name}.{field}": (fact.value, said(fact)) for field, fact in known.items()}


def said(known: Fact | Unknown) -> str:
    """The place of a fact; the reason of an unknown, and the ablation that varies it."""
    if isinstance(known, Fact):
        return known.source
    varied = "" if known.ablation == "none" else f"; ablation: {known.ablation}"
    return f"unknown: {known.why}{varied}"


def text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
