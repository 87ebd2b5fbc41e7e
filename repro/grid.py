"""Facts and a profile make the runs of a grid: one function a table or figure, all pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from functools import partial
from typing import Any

from repro import paper
from repro.choice import (
    ALL,
    DEFAULT_METHODS,
    NARROWED_BY_NOTHING,
    Choice,
    check_imported,
)
from repro.errors import UserError, choose
from repro.losses import (
    CE,
    CMKD,
    METHODS,
    Loss,
    Standardized,
    Sum,
    method_name,
    named,
    standardize,
)
from repro.losses.protocol import second_view
from repro.paper import Fact, Pair, Unknown
from repro.paper_imagenet import weights_of
from repro.profiles import Profile, scaled
from repro.spec import Run, SecondView, Stream, key, uses_teacher
from repro.variants import (
    CANDIDATES_OF,
    TUNED,
    TUNING_TRIALS,
    ablation_rows,
    candidates,
    cmkd_reading,
    shows,
    variant,
)

PAPER_PAIRS: dict[str, tuple[Pair, ...]] = {
    "demo": (),
    "cifar-same": paper.SAME_ARCHITECTURE,
    "cifar-different": paper.DIFFERENT_ARCHITECTURE,
    "stronger-teacher": paper.STRONGER_TEACHERS,
    "ablation": (paper.ABLATION_PAIR,),
    "plug-in": paper.PLUG_IN_PAIRS.value,
    "tuning": (paper.ABLATION_PAIR,),
    "tuned": (paper.ABLATION_PAIR,),
    "imagenet": paper.IMAGENET,
    "imagenet-stronger": paper.IMAGENET_STRONGER,
}
SWEEPS = ("stronger-teacher", "imagenet-stronger")  # a student under several teachers
PLUGGED_IN = ("cmkd", "dist")  # what is added to a method: CMKD, and DIST in its place as control


def expand(grid: str, profile: Profile, choice: Choice = NARROWED_BY_NOTHING) -> tuple[Run, ...]:
    """The distinct runs of a grid, teachers first. Raises UserError on an unknown name."""
    if grid not in GRIDS:
        raise choose("grid", grid, GRIDS)
    runs = GRIDS[grid](profile, choice)
    check_imported(runs, choice)
    return distinct(runs)


def distinct(runs: Iterable[Run]) -> tuple[Run, ...]:
    """One run a key, teachers first: a baseline that is also a teacher counts as the teacher."""
    ordered = sorted(runs, key=lambda run: run.teacher is not None)
    by_key: dict[str, Run] = {}
    for run in ordered:
        by_key.setdefault(key(run), run)
    return tuple(by_key.values())


def cifar_pairs(profile: Profile, choice: Choice, grid: str) -> list[Run]:
    """The CRD benchmark's two tables: pairs of one architecture, and of two."""
    return _methods_on_pairs(grid, profile, choice)


def demo(profile: Profile, choice: Choice) -> list[Run]:
    """One teacher, one student on the digits that come with scikit-learn."""
    return _methods_on_pairs("demo", profile, choice)


def ablation(profile: Profile, choice: Choice) -> list[Run]:
    """CMKD's choices, each varied alone on one pair, beside its neighbours: claim C5."""
    rows = (*DEFAULT_METHODS, *ablation_rows())
    narrowed = () if choice.methods == ALL else choice.methods
    return _methods_on_pairs("ablation", profile, replace(choice, methods=narrowed or rows))


def plug_in(profile: Profile, choice: Choice) -> list[Run]:
    """Methods alone, with CMKD's terms added, and with DIST's as the control: claim C6."""
    chosen = METHODS if choice.methods == ALL else choice.methods or paper.PLUG_IN_METHODS.value
    return _methods_on_pairs("plug-in", profile, replace(choice, methods=plug_in_rows(chosen)))


def tuning(profile: Profile, choice: Choice) -> list[Run]:
    """The candidates for two hyper-parameters of KD, DIST and CMKD, on held-out images: as many for
    each, of as many trials."""
    methods = choice.methods or tuple(candidates())
    own = replace(choice, methods=methods, trials=choice.trials or TUNING_TRIALS, split="tune")
    return _methods_on_pairs("tuning", profile, own)


def tuned(profile: Profile, choice: Choice) -> list[Run]:
    """Each of the three as it is and as grid ``tuning`` has chosen it, on the test images. Where
    nothing was tuned under the profile, as it is."""
    rows = (*CANDIDATES_OF, *TUNED.get(profile.name, ()))
    return _methods_on_pairs("tuned", profile, replace(choice, methods=choice.methods or rows))


def plug_in_rows(methods: Sequence[str]) -> tuple[str, ...]:
    """Each method alone and in its sums; a sum or a plug-in that is named itself stays as it is."""
    own = ("ce", *PLUGGED_IN)
    sums = [
        row
        for method in methods
        for row in (method, *(f"{method}+{x}" for x in PLUGGED_IN if _takes_plug_in(method)))
    ]
    return tuple(dict.fromkeys((*own, *sums)))


def _takes_plug_in(method: str) -> bool:
    return method not in ("ce", *PLUGGED_IN) and not set(PLUGGED_IN) & set(method.split("+"))


def cifar(profile: Profile, choice: Choice) -> list[Run]:
    """The union of the CIFAR grids (under profile quick: the two accuracy tables)."""
    known = {grid: set(names(known_pairs(grid, profile))) for grid in profile.union}
    for pair in choice.pairs:
        if not any(pair in pairs for pairs in known.values()):
            raise choose("pair of grid cifar", pair, sorted(set().union(*known.values())))
    runs: list[Run] = []
    for grid in profile.union:
        mine = tuple(pair for pair in choice.pairs if pair in known[grid])
        if mine or not choice.pairs:
            runs += GRIDS[grid](profile, replace(choice, pairs=mine))
    return runs


def stronger_teacher(profile: Profile, choice: Choice, grid: str = "stronger-teacher") -> list[Run]:
    """Students under ever stronger teachers: claim C1."""
    return _methods_on_pairs(grid, profile, choice)


def imagenet(profile: Profile, choice: Choice) -> list[Run]:
    """ImageNet, or a folder of images in its place: two pairs."""
    return _methods_on_pairs("imagenet", profile, choice)


GRIDS: dict[str, Callable[[Profile, Choice], list[Run]]] = {
    "demo": demo,
    "cifar": cifar,
    "cifar-same": partial(cifar_pairs, grid="cifar-same"),
    "cifar-different": partial(cifar_pairs, grid="cifar-different"),
    "stronger-teacher": stronger_teacher,
    "ablation": ablation,
    "plug-in": plug_in,
    "tuning": tuning,
    "tuned": tuned,
    "imagenet": imagenet,
    "imagenet-stronger": partial(stronger_teacher, grid="imagenet-stronger"),
}


def names(pairs: Iterable[Pair]) -> list[str]:
    return [f"{teacher}:{student}" for teacher, student in pairs]


def shown(part: str, cells: Iterable[tuple[str, str]]) -> list[str]:
    """Of the methods that were trained on a grid's pairs, ``cells`` of (pair, method), those that
    its table shows besides its own: in a sweep of teachers not what was tried under one alone."""
    pairs: dict[str, set[str]] = {}
    for pair, method in cells:
        if shows(part, method):
            pairs.setdefault(method, set()).add(pair)
    return [method for method in pairs if part not in SWEEPS or len(pairs[method]) > 1]


def known_pairs(grid: str, profile: Profile) -> tuple[Pair, ...]:
    """What ``--pairs`` may choose from: the profile's own pairs and the paper's."""
    return tuple(dict.fromkeys((*profile.pairs.get(grid, ()), *PAPER_PAIRS[grid])))


def pairs_of(grid: str, profile: Profile, chosen: Sequence[str] = ()) -> tuple[Pair, ...]:
    """The grid's pairs under the profile, or the chosen ones ("teacher:student")."""
    if not chosen:
        return profile.pairs.get(grid, PAPER_PAIRS[grid])
    pairs = known_pairs(grid, profile)
    known = dict(zip(names(pairs), pairs, strict=True))
    for name in chosen:
        if name not in known:
            raise choose(f"pair of grid {grid}", name, known)
    return tuple(known[name] for name in dict.fromkeys(chosen))


def _methods_on_pairs(grid: str, profile: Profile, choice: Choice) -> list[Run]:
    pairs = pairs_of(grid, profile, choice.pairs)
    methods = METHODS if choice.methods == ALL else choice.methods or DEFAULT_METHODS
    if profile.stream.dataset == "imagenet":
        methods = _with_one_view(methods, chosen=choice.methods != ALL)
    return [run for pair in pairs for run in _cells(pair, methods, profile, choice)]


def _with_one_view(methods: Sequence[str], *, chosen: bool) -> tuple[str, ...]:
    """Raises UserError where one with two views was ``chosen``."""
    twice = [m for m in methods if "/" not in m and second_view(named(m))]
    if twice and chosen:
        raise UserError(f"{twice[0]} shows every image twice: folders of images have one view")
    return tuple(method for method in methods if method not in twice)


def _cells(pair: Pair, methods: Sequence[str], profile: Profile, choice: Choice) -> list[Run]:
    """The teacher (its trial 0 serves all) and every method's trials on one pair."""

    def run(network: str, stream: Stream, loss: Loss, **fields: Any) -> Run:
        views: SecondView = "strong" if second_view(loss) else "none"
        stream = replace(stream, split=choice.split, second_view=views)
        optim = profile.optim(network, stream)
        return Run(
            network=network,
            loss=loss,
            stream=stream,
            optim=optim,
            precision=choice.precision or profile.precision,
            **fields,
        )

    own = run(pair[0], profile.teacher_stream(), CE(), method="teacher")
    teacher = {own.network: own, **{t.network: t for t in choice.imported}}[pair[0]]
    students = [
        run(pair[1], profile.stream, loss, trial=t, teacher=teacher, method=method)
        for method, loss in ((method, loss_for(method, pair, profile)) for method in methods)
        for t in range(choice.trials or profile.trials)
    ]
    needed = any(uses_teacher(student.loss) for student in students)
    return [teacher, *students] if needed else students


def loss_for(method: str, pair: Pair, profile: Profile) -> Loss:
    """A method's loss with the pair's weights and warm-ups scaled to the profile's epochs."""
    if method == "cmkd":
        return cmkd_reading()
    if "/" in method:
        return variant(method)
    return _for_pair(named(method), pair, profile)


def is_method(name: str) -> bool:
    """Can a student of this suite be trained by ``name``?"""
    try:
        variant(name) if "/" in name else named(name)
    except UserError:
        return False
    return True


def _for_pair(loss: Loss, pair: Pair, profile: Profile) -> Loss:
    if isinstance(loss, Sum):
        return replace(loss, losses=tuple(_for_pair(part, pair, profile) for part in loss.losses))
    if isinstance(loss, Standardized):  # on top of the inner loss's weights for the pair
        inner = standardize(_for_pair(type(loss.loss)(), pair, profile)).loss
        return replace(loss, loss=_changed(inner, weights_of(method_name(loss), pair)))
    if isinstance(loss, CMKD):
        return cmkd_reading()
    own = _changed(loss, weights_of(method_name(loss), pair))
    return scaled_warmups(own, profile.stream.epochs, of=profile.recipe.epochs)


def _changed(loss: Any, weights: Mapping[str, Fact | Unknown]) -> Loss:
    return replace(loss, **{name: weight.value for name, weight in weights.items()})


def scaled_warmups(loss: Any, epochs: int, *, of: int = paper.EPOCHS.value) -> Loss:
    """With the fields ``*_epochs`` at the same fraction of the training; 0 stays 0."""
    given = {f.name: getattr(loss, f.name) for f in fields(loss) if f.name.endswith("_epochs")}
    return replace(loss, **{name: scaled(n, epochs, of=of) for name, n in given.items() if n})
