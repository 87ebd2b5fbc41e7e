"""Every number and decision that comes from a paper, with its place. Standard library only.

What the CMKD paper (arXiv 2410.06561) leaves open to us is an ``Unknown``: what we chose, why, and
which ablation covers it. A reader with the full text settles one by editing its ``value``.
"""

from dataclasses import dataclass
from typing import Any

REPDISTILLER = "RepDistiller@b84f547"
MDISTILLER = "mdistiller@a08d46f"


@dataclass(frozen=True)
class Fact:
    """A published value and where it stands."""

    value: Any
    source: str


@dataclass(frozen=True)
class Unknown:
    """What no source at hand states: our value, the reason, and the ablation that varies it."""

    value: Any
    why: str
    ablation: str


@dataclass(frozen=True)
class Claim:
    """A claim of the paper's abstract (or, where marked, its title) that the suite tests."""

    name: str
    text: str


@dataclass(frozen=True)
class Effect:
    """A size fixed before the runs: the smallest effect of interest of a claim, or a margin."""

    value: float
    unit: str
    why: str


Pair = tuple[str, str]  # teacher, student

# The pairs of the CRD benchmark (Tian et al., ICLR 2020, arXiv 1910.10699, tables 1 and 2).
SAME_ARCHITECTURE: tuple[Pair, ...] = (
    ("resnet56", "resnet20"),
    ("resnet110", "resnet32"),
    ("resnet32x4", "resnet8x4"),
    ("wrn_40_2", "wrn_16_2"),
    ("wrn_40_2", "wrn_40_1"),
    ("vgg13", "vgg8"),
)
DIFFERENT_ARCHITECTURE: tuple[Pair, ...] = (
    ("vgg13", "MobileNetV2"),
    ("ResNet50", "MobileNetV2"),
    ("ResNet50", "vgg8"),
    ("resnet32x4", "ShuffleV1"),
    ("resnet32x4", "ShuffleV2"),
    ("wrn_40_2", "ShuffleV1"),
)
# Students under ever stronger teachers: the wrn_16_2 column as in DIST (arXiv 2205.10536) and
# LSKD (arXiv 2403.01427), the resnet20 column within one family.
STRONGER_TEACHERS: tuple[Pair, ...] = (
    *((t, "wrn_16_2") for t in ("wrn_28_2", "wrn_40_2", "wrn_16_4", "wrn_28_4")),
    *((t, "wrn_16_2") for t in ("vgg13", "resnet32x4", "ResNet50")),
    *((t, "resnet20") for t in ("resnet32", "resnet44", "resnet56", "resnet110")),
)
STUDENT_OF_C1 = Unknown(
    "wrn_16_2",
    "which student shows it is unread: the one with seven teachers; a small profile takes the one "
    "with the most in its plan",
    "none",
)
ABLATION_PAIR: Pair = ("resnet32x4", "resnet8x4")

# "Adapts to ... other KD methods" (abstract).
PLUG_IN_METHODS = Unknown(
    ("kd", "dkd", "fitnet", "crd", "reviewkd"),
    "to which methods is unread: two logit methods, a hint, a contrastive and a multi-stage one",
    "--methods",
)
PLUG_IN_PAIRS = Unknown(
    (ABLATION_PAIR, ("resnet32x4", "ShuffleV2")),
    "on which pairs is unread: one of each kind",
    "none",
)

# Training recipe of the CRD benchmark.
EPOCHS = Fact(240, f"{REPDISTILLER} train_student.py")
BATCH_SIZE = Fact(64, f"{REPDISTILLER} train_student.py")
LEARNING_RATE = Fact(0.05, f"{REPDISTILLER} train_student.py")
LIGHT_LEARNING_RATE = Fact(0.01, f"{REPDISTILLER} train_student.py: MobileNetV2, ShuffleV1, V2")
LIGHT_NETWORKS = ("MobileNetV2", "ShuffleV1", "ShuffleV2")
MOMENTUM = Fact(0.9, f"{REPDISTILLER} train_student.py")
WEIGHT_DECAY = Fact(5e-4, f"{REPDISTILLER} train_student.py")
MILESTONES = Fact((150, 180, 210), f"{REPDISTILLER} train_student.py")
DECAY = Fact(0.1, f"{REPDISTILLER} train_student.py")
TRIALS = Unknown(5, "the CRD benchmark's same-architecture tables average 5 runs", "--trials")

# ImageNet: the two pairs of every table (such as LSKD, arXiv 2403.01427, table 3), and two students
# under ever stronger teachers (as in DIST, arXiv 2205.10536).
IMAGENET: tuple[Pair, ...] = (("resnet34", "resnet18"), ("resnet50", "MobileNetV1"))
IMAGENET_STRONGER: tuple[Pair, ...] = (
    *((t, "resnet18") for t in ("resnet34", "resnet50", "resnet101", "resnet152")),
    *((t, "resnet34") for t in ("resnet50", "resnet101", "resnet152")),
)
TORCHDISTILL = "torchdistill@3e4373c configs/sample/ilsvrc2012/*.yaml"
IMAGENET_EPOCHS = Fact(100, TORCHDISTILL)
IMAGENET_BATCH_SIZE = Fact(256, TORCHDISTILL)
IMAGENET_LEARNING_RATE = Fact(0.1, TORCHDISTILL)
IMAGENET_WEIGHT_DECAY = Fact(1e-4, TORCHDISTILL)
IMAGENET_MILESTONES = Fact((30, 60, 90), TORCHDISTILL)
IMAGENET_TRIALS = Unknown(1, "tables of ImageNet report one run; claims need three", "--trials")
# torchvision's first weights, which published teachers are: top-1 in percent as torchvision says.
TORCHVISION_TOP1: dict[str, Fact] = {
    name: Fact(top1, "torchvision.models, IMAGENET1K_V1")
    for name, top1 in {
        "resnet18": 69.758,
        "resnet34": 73.314,
        "resnet50": 76.130,
        "resnet101": 77.374,
        "resnet152": 78.312,
    }.items()
}

# CMKD's loss: field of ``repro.losses.CMKD`` -> our reading. Grid ``ablation`` varies each.
CMKD: dict[str, Unknown] = {
    "standardize": Unknown(
        True, "a review names a Z-score normalisation step; where it acts is unread", "raw-logits"
    ),
    "temperature": Unknown(
        1.0, "softmax of z-scored logits is nearly affine at 4, sharp enough at 1", "temperature-4"
    ),
    "pearson_input": Unknown(
        "probabilities", "the abstract: the teacher's probability values", "pearson-on-logits"
    ),
    "rank_input": Unknown(
        "logits", "an L2 soft rank of probabilities is affine: Pearson again", "l2-on-probabilities"
    ),
    "soft_rank_tau": Unknown(
        0.1, "pairwise sigmoid at 0.1: mean rank error 0.85 of 100, cheapest", "l2-rank rows"
    ),
    "teacher_rank": Unknown(
        "exact", "the teacher needs no gradient, so its rank need not be soft", "soft-teacher-rank"
    ),
    "intra_class": Unknown(
        False, "DIST's second term is not named in the abstract", "with-intra-class"
    ),
    "difficulty": Unknown(
        "teacher_entropy_rank",
        "raw entropy of a confident teacher is about 0 on its training images: Pearson only",
        "difficulty rows",
    ),
    "weighting": Unknown("dynamic", "the abstract: weights adjusted dynamically", "fixed rows"),
    "hard_samples_lean_on": Unknown(
        "spearman", "hard samples: order is learnable where values are not", "reversed"
    ),
    "ce_weight": Unknown(1.0, "as in DIST", "none"),
    "kd_weight": Unknown(8.0, "a starting point, to be tuned with --held-out", "weight-2"),
}

CLAIMS: tuple[Claim, ...] = (
    Claim("C1", "Diminishing returns: with KD a stronger teacher gives less; with CMKD more so."),
    Claim("C2", "KD moves inter-class relations away from the teacher's more than CMKD does."),
    Claim("C3", "KD students' decision boundaries are more fragmented and ambiguous than CMKD's."),
    Claim("C4", "CMKD is more accurate than KD, DIST and the other logit methods."),
    Claim("C5", "Dynamic weights beat fixed ones; both terms together beat either alone."),
    Claim("C6", "CMKD's terms improve other methods when added to them."),
    Claim("C7", "CMKD students degrade less under corruption than KD students (from the title)."),
)

# The smallest effect of interest by claim: a claim whose 95 % interval lies below it is refuted.
EFFECTS: dict[str, Effect] = {
    "C1": Effect(0.05, "points per point of the teacher", "0.35 points over 7 points of teacher"),
    "C2": Effect(0.05, "log ratio of distances", "5 % of KD's distance"),
    "C3": Effect(0.05, "of KD's value", "5 % of KD's fragmentation or ambiguity"),
    "C4 cell": Effect(0.3, "points of top-1", "best less last epoch; 1.2 sd of a trial"),
    "C4 pairs": Effect(0.2, "points of top-1", "an average over pairs is known better than a cell"),
    "C5": Effect(0.2, "points of top-1", "as an average over pairs"),
    "C6": Effect(0.2, "points of top-1", "as an average over pairs"),
    "C7": Effect(0.5, "points of mean top-1 on corrupted images", "a mean over all corruptions"),
}
# Margins of "reproduced": at 0.3 points for a cell no affordable number of trials reproduces.
MARGINS: dict[str, Effect] = {
    "runs stated": Effect(0.5, "points of top-1", "3 or more runs stated: power 0.7 at 5 trials"),
    "runs unknown": Effect(0.8, "points of top-1", "power 0.80 needs 2.93 standard errors"),
    "table": Effect(0.3, "points of top-1", "the mean over 12 cells: power 0.74"),
}
PUBLISHED_STD = Unknown(
    0.27, "points, where not stated: rms std in arXiv 2402.11148 is 0.31 (n=3), 0.22 (n=5)", "none"
)
PUBLISHED_RUNS = Unknown(1, "where not stated: the least", "none")
