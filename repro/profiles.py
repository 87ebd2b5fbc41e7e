"""Sizes at which a grid can run. The paper profile is the field's recipe in full; the others are
small stand-ins, marked as such on every table and figure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from repro import paper
from repro.errors import choose
from repro.paper import Pair
from repro.spec import Optim, Precision, Stream, tail_epochs


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a benchmark trains in full; profiles scale milestones to their epochs.

    ``light``: networks with a learning rate of their own, ``light_lr``.
    """

    epochs: int
    lr: float
    weight_decay: float
    milestones: tuple[int, ...]
    light: tuple[str, ...] = ()
    light_lr: float = 0.0


CIFAR = Recipe(
    epochs=paper.EPOCHS.value,
    lr=paper.LEARNING_RATE.value,
    weight_decay=paper.WEIGHT_DECAY.value,
    milestones=paper.MILESTONES.value,
    light=paper.LIGHT_NETWORKS,
    light_lr=paper.LIGHT_LEARNING_RATE.value,
)
IMAGENET = Recipe(
    epochs=paper.IMAGENET_EPOCHS.value,
    lr=paper.IMAGENET_LEARNING_RATE.value,
    weight_decay=paper.IMAGENET_WEIGHT_DECAY.value,
    milestones=paper.IMAGENET_MILESTONES.value,
)


@dataclass(frozen=True, kw_only=True)
class Profile:
    """``recipe``: the benchmark's; ``precision``: unless another is asked for.

    ``pairs``: a grid's pairs under this profile, where they are not the paper's.

    ``teacher_epochs``: where teachers train longer than students, 0 for as long: a short training
    makes a teacher from which there is little to learn.
    ``triplets``, ``resolution`` and ``picture``: how many planes the decision-boundary numbers
    use, at how many points a side, and the points a side of the pictures.
    ``landscape_side`` and ``landscape_images``: points a side of a loss landscape, and the training
    images whose mean loss it is. ``corruption_images``, ``attack_images``, ``embedding_images``:
    evaluated images that are corrupted, attacked and mapped. Where there are fewer, all are taken.
    """

    name: str
    stream: Stream
    recipe: Recipe = CIFAR
    precision: Precision = "fp32"
    teacher_epochs: int = 0
    trials: int
    pairs: Mapping[str, tuple[Pair, ...]] = field(default_factory=dict)
    union: tuple[str, ...] = ("cifar-same", "cifar-different", "stronger-teacher", "ablation")
    triplets: int
    resolution: int = 50
    picture: int
    landscape_side: int
    landscape_images: int
    corruption_images: int
    attack_images: int
    embedding_images: int

    @property
    def comparable(self) -> bool:
        """Whether results may be compared with published ones: those are of this protocol."""
        return self.name == "paper" and not self.stream.images

    @property
    def mark(self) -> str:
        """What every table and figure of this profile carries; empty for the paper's."""
        s = self.stream
        what = (
            f"a folder of {s.classes} classes in the place of {s.dataset}"
            if s.images
            else s.dataset
        )
        if self.name == "paper":
            return f"Trained on {what}" if s.images else ""
        images = f"{s.train_per_class} images a class" if s.train_per_class else "all images"
        images += f" and {s.test_per_class} of the test split" if s.test_per_class else ""
        tail = tail_epochs(s.epochs)
        instead = f"the last {tail}" if tail > 1 else "the last"
        return (
            f"Profile {self.name}, not the paper's protocol: {what}, {images}, "
            f"{s.epochs} epochs ({self.teacher_stream().epochs} for teachers), "
            f"judged by {instead}"
        )

    def teacher_stream(self) -> Stream:
        return replace(self.stream, epochs=self.teacher_epochs or self.stream.epochs)

    def optim(self, network: str, stream: Stream | None = None) -> Optim:
        """The recipe's optimiser; milestones at the same fractions of the stream's epochs."""
        recipe, epochs = self.recipe, (stream or self.stream).epochs
        return Optim(
            lr=recipe.light_lr if network in recipe.light else recipe.lr,
            momentum=paper.MOMENTUM.value,
            weight_decay=recipe.weight_decay,
            milestones=tuple(scaled(e, epochs, of=recipe.epochs) for e in recipe.milestones),
            decay=paper.DECAY.value,
        )


def scaled(epoch: int, epochs: int, *, of: int = paper.EPOCHS.value) -> int:
    """An epoch of the recipe's (240 on CIFAR) at the same fraction of ``epochs``."""
    return max(1, round(epoch * epochs / of))


DEMO_PAIR: tuple[Pair, ...] = (("resnet14", "resnet8"),)
QUICK_SAME: tuple[Pair, ...] = (("resnet20", "resnet8"),)

PROFILES: dict[str, Profile] = {
    "paper": Profile(
        name="paper",
        stream=Stream(epochs=paper.EPOCHS.value, batch_size=paper.BATCH_SIZE.value),
        trials=paper.TRIALS.value,
        triplets=500,
        picture=500,
        landscape_side=51,
        landscape_images=1_000,
        corruption_images=10_000,
        attack_images=1_000,
        embedding_images=1_000,
    ),
    "quick": Profile(
        name="quick",
        stream=Stream(train_per_class=80, test_per_class=20, epochs=5),
        teacher_epochs=10,
        trials=2,
        pairs={
            "cifar-same": QUICK_SAME,
            "cifar-different": (("wrn_16_1", "resnet8"),),
            "stronger-teacher": tuple((t, "resnet8") for t in ("resnet14", "resnet20", "resnet32")),
            "ablation": QUICK_SAME,
            "plug-in": QUICK_SAME,
            "tuning": QUICK_SAME,
            "tuned": QUICK_SAME,
        },
        union=("cifar-same", "cifar-different"),
        triplets=100,
        picture=200,
        landscape_side=15,
        landscape_images=256,
        corruption_images=1_000,
        attack_images=200,
        embedding_images=200,
    ),
    "demo": Profile(
        name="demo",
        stream=Stream(dataset="digits", augment="crop", epochs=9),
        teacher_epochs=12,
        trials=5,  # claim C3 needs five, the others three
        pairs={
            "cifar-same": DEMO_PAIR,
            "cifar-different": (("wrn_16_1", "resnet8"),),
            "stronger-teacher": tuple((t, "resnet8") for t in ("resnet14", "resnet20", "resnet32")),
            "ablation": DEMO_PAIR,
            "plug-in": DEMO_PAIR,
            "tuning": DEMO_PAIR,
            "tuned": DEMO_PAIR,
            "demo": DEMO_PAIR,
        },
        triplets=20,
        resolution=30,
        picture=100,
        landscape_side=15,
        landscape_images=256,
        corruption_images=500,
        attack_images=100,
        embedding_images=500,
    ),
}


IMAGENET_GRIDS = ("imagenet", "imagenet-stronger")
FOLDER = Stream(
    dataset="imagenet",
    augment="resized-crop-flip",
    batch_size=paper.IMAGENET_BATCH_SIZE.value,
    epochs=paper.IMAGENET_EPOCHS.value,
)
# Of grids on ImageNet, or on a folder of images in its place.
IMAGENET_PROFILES: dict[str, Profile] = {
    "paper": Profile(
        name="paper",
        stream=FOLDER,
        recipe=IMAGENET,
        precision="bf16",
        trials=paper.IMAGENET_TRIALS.value,
        triplets=100,
        picture=200,
        landscape_side=15,
        landscape_images=1_000,
        corruption_images=5_000,
        attack_images=1_000,
        embedding_images=500,
    ),
    "quick": Profile(
        name="quick",
        stream=replace(
            FOLDER, side=64, train_per_class=20, test_per_class=10, batch_size=8, epochs=8
        ),
        recipe=replace(IMAGENET, lr=IMAGENET.lr / 16),  # twice 8 / 256: it is short
        teacher_epochs=12,
        trials=2,
        pairs={
            "imagenet": (("resnet18", "MobileNetV1"),),
            "imagenet-stronger": tuple((t, "MobileNetV1") for t in ("resnet18", "resnet34")),
        },
        triplets=5,
        resolution=20,
        picture=40,
        landscape_side=7,
        landscape_images=64,
        corruption_images=40,
        attack_images=20,
        embedding_images=100,
    ),
}


def profiles_of(grid: str) -> dict[str, Profile]:
    """By name those under which a grid can run."""
    if grid == "demo":
        return {"demo": PROFILES["demo"]}
    return IMAGENET_PROFILES if grid in IMAGENET_GRIDS else PROFILES


def profile_named(name: str, grid: str, *, cuda: bool) -> Profile:
    """``auto`` is paper on a GPU and quick without; grid demo always runs profile demo."""
    if name not in (*PROFILES, "auto"):
        raise choose("profile", name, (*PROFILES, "auto"))
    known = profiles_of(grid)
    if grid == "demo":
        return known["demo"]
    name = name if name != "auto" else "paper" if cuda else "quick"
    if name not in known:
        raise choose(f"profile of grid {grid}", name, known)
    return known[name]
