"""What the literature says of each method: its paper, the places of its values, weights by pair.

Standard library and ``repro.paper`` only. A method without an entry works everywhere; it shows "-".
"""

from dataclasses import dataclass
from typing import Any, Literal

from repro.paper import MDISTILLER, REPDISTILLER, Fact, Pair, Unknown

CATKD = "CAT-KD@4467073 configs/cifar100/CAT_KD/"
CTKD = "CTKD@8ca3ce8 scripts/run_cifar_distill.sh"
DIST = "image_classification_sota@d9662f7 lib/models/losses/{dist_kd,kd_loss}.py"
DKD = f"{MDISTILLER} configs/cifar100/dkd/"
LSKD = "logit-standardization-KD@f6e5aa5"
MLLD = "Multi-Level-Logit-Distillation@6327e73 mdistiller/"
NKD = "cls_KD@e21ad37"
PLD = "arXiv 2506.12542 section 5.1 and appendix C"
REVIEWKD = "ReviewKD@cede6ea CIFAR-100/"
RKKD = "a public review that quotes arXiv 2409.17823, itself unread"
SIMKD = "SimKD@d0b9cde"
TTM = "arXiv 2402.11148 appendix A.4, table "
CC_PAPER = "Knowledge-Distillation-Zoo@e8e298d train_kd.py"
CFG = f"{MDISTILLER} mdistiller/engine/cfg.py"
SCRIPT = f"{REPDISTILLER} scripts/run_cifar_distill.sh"
STUDENT = f"{REPDISTILLER} train_student.py"
ZOO = f"{REPDISTILLER} distiller_zoo/"


@dataclass(frozen=True)
class Method:
    """``arxiv``: "" where the paper is not there. ``kind``: what is matched; "relations" are those
    of an image's features to other images'. ``source``: the place of the default values.
    """

    name: str
    authors: str
    year: int
    arxiv: str
    kind: Literal["logits", "features", "relations", "none"]
    source: str

    @property
    def citation(self) -> str:
        """Such as ``Hinton et al. 2015, arXiv 1503.02531``; the name where there is no paper."""
        if not self.authors:
            return self.name
        return f"{self.authors} {self.year}" + (f", arXiv {self.arxiv}" if self.arxiv else "")


# By the names of ``repro.losses.LOSSES``; "kd+ls" stands for everything on standardised logits.
METHODS: dict[str, Method] = {
    "ce": Method("Cross-entropy", "", 0, "", "none", f"{REPDISTILLER} train_teacher.py"),
    "kd": Method("Knowledge Distillation", "Hinton et al.", 2015, "1503.02531", "logits", SCRIPT),
    "dkd": Method(
        "Decoupled KD", "Zhao et al.", 2022, "2203.08679", "logits", f"{DKD}res32x4_res8x4.yaml"
    ),
    "dist": Method("Stronger Teacher", "Huang et al.", 2022, "2205.10536", "logits", DIST),
    "cmkd": Method(
        "Correlation Matching",
        "Niu et al.",
        2024,
        "2410.06561",
        "logits",
        "our reading: paper.CMKD",
    ),
    "fitnet": Method("FitNets", "Romero et al.", 2015, "1412.6550", "features", SCRIPT),
    "at": Method(
        "Attention Transfer", "Zagoruyko & Komodakis", 2017, "1612.03928", "features", SCRIPT
    ),
    "sp": Method("Similarity-Preserving", "Tung & Mori", 2019, "1907.09682", "relations", SCRIPT),
    "cc": Method("Correlation Congruence", "Peng et al.", 2019, "1904.01802", "relations", SCRIPT),
    "vid": Method("Variational Information", "Ahn et al.", 2019, "1904.05835", "features", SCRIPT),
    "rkd": Method("Relational KD", "Park et al.", 2019, "1904.05068", "relations", f"{ZOO}RKD.py"),
    "pkt": Method(
        "Probabilistic Transfer", "Passalis & Tefas", 2018, "1803.10837", "relations", SCRIPT
    ),
    "nst": Method(
        "Neuron Selectivity Transfer", "Huang & Wang", 2017, "1707.01219", "features", SCRIPT
    ),
    "ofd": Method(
        "Overhaul of Feature Distillation", "Heo et al.", 2019, "1904.01866", "features", CFG
    ),
    "crd": Method(
        "Contrastive Representation", "Tian et al.", 2020, "1910.10699", "relations", SCRIPT
    ),
    "reviewkd": Method(
        "Knowledge Review", "Chen et al.", 2021, "2104.09044", "features", f"{REVIEWKD}train.py"
    ),
    "simkd": Method(
        "Reused Classifier",
        "Chen et al.",
        2022,
        "2203.14001",
        "features",
        f"{SIMKD} scripts/run_distill.sh",
    ),
    "catkd": Method(
        "Class Attention",
        "Guo et al.",
        2023,
        "2304.12777",
        "features",
        f"{CATKD}res32x4_res8x4.yaml",
    ),
    "nkd": Method(
        "Normalized KD",
        "Yang et al.",
        2023,
        "2303.13005",
        "logits",
        f"{NKD} configs/distillers/cifar100/res34_distill_res18_cifar.py",
    ),
    "ctkd": Method("Curriculum Temperature", "Li et al.", 2023, "2211.16231", "logits", CTKD),
    "ttm": Method("Transformed Teacher", "Zheng & Yang", 2024, "2402.11148", "logits", f"{TTM}8"),
    "wttm": Method(
        "Weighted Transformed Teacher", "Zheng & Yang", 2024, "2402.11148", "logits", f"{TTM}8"
    ),
    "mlkd": Method("Multi-Level Logits", "Jin et al.", 2023, "", "logits", f"{MLLD}engine/cfg.py"),
    "rkkd": Method("Kendall's tau Ranking", "Guan et al.", 2025, "2409.17823", "logits", RKKD),
    "pld": Method("Plackett-Luce", "Bassam et al.", 2025, "2506.12542", "logits", PLD),
    "kd+ls": Method(
        "Logit Standardization",
        "Sun et al.",
        2024,
        "2403.01427",
        "logits",
        f"{LSKD} tools/train.py",
    ),
}

# Method -> field -> the place of its default value, where that is not the method's own.
ELSEWHERE: dict[str, dict[str, str]] = {
    "kd": {"temperature": STUDENT},
    "cmkd": {"spearman_share": "ours, read by fixed weights only"},
    "fitnet": {"hint_layer": STUDENT},
    "at": {"distance": f"{ZOO}AT.py"},
    "cc": {"formula": f"{ZOO}CC.py", "dim": STUDENT, "gamma": CC_PAPER, "order": CC_PAPER},
    "pkt": {"with_itself": f"{ZOO}PKT.py"},
    "crd": dict.fromkeys(("temperature", "negatives", "memory_momentum", "dim"), STUDENT),
    "reviewkd": {"review_weight": f"{REVIEWKD}script/reviewKD.sh", "warmup_epochs": CFG},
    "simkd": {
        "factor": f"{SIMKD} train_student.py",
        "student_maps": "ours, after arXiv 2203.14001; released: stage",
    },
    "nkd": dict.fromkeys(("ce_weight", "target_weight"), f"{NKD} mmcls/models/dis_losses/nkd.py"),
    "ttm": {"ce_weight": "TTM@fe457b3 train_student.py"},
    "wttm": {"ce_weight": "TTM@fe457b3 train_student.py"},
    "mlkd": {"variant": f"{MLLD}distillers/KD_ours.py, the paper being unread"},
    "rkkd": dict.fromkeys(("temperature", "ce_weight", "kd_weight"), f"ours, as KD: {SCRIPT}"),
}


def source_of(method: str, field: str) -> str:
    """The place of a field's default value; "-" for a method that is not in ``METHODS``."""
    if method not in METHODS:
        return "-"
    return ELSEWHERE.get(method, {}).get(field, METHODS[method].source)


Weights = dict[str, dict[Pair, Fact]]  # field -> pair -> its published value


def _released(fields: tuple[str, ...], place: str, rows: dict[str, tuple[Any, ...]]) -> Weights:
    """``rows``: teacher:student -> the rest of the place, then a value a field."""

    def pair(names: str) -> Pair:
        teacher, student = names.split(":")
        return teacher, student

    return {
        field: {pair(names): Fact(row[i], place + row[0]) for names, row in rows.items()}
        for i, field in enumerate(fields, start=1)
    }


_TTM_BETAS = {  # table, gamma of both, beta of TTM, of WTTM
    "wrn_40_2:wrn_16_2": ("8", 0.1, 101.0, 4.0),
    "wrn_40_2:wrn_40_1": ("8", 0.1, 76.0, 3.0),
    "resnet56:resnet20": ("8", 0.3, 7.0, 1.5),
    "resnet110:resnet20": ("8", 0.2, 8.0, 2.0),
    "resnet110:resnet32": ("8", 0.1, 33.0, 1.5),
    "resnet32x4:resnet8x4": ("8", 0.1, 100.0, 3.0),
    "vgg13:vgg8": ("8", 0.1, 45.0, 2.25),
    "vgg13:MobileNetV2": ("9", 0.2, 16.0, 3.0),
    "ResNet50:MobileNetV2": ("9", 0.2, 20.0, 5.0),
    "ResNet50:vgg8": ("9", 0.1, 70.0, 2.0),
    "resnet32x4:ShuffleV1": ("9", 0.2, 12.0, 1.4),
    "resnet32x4:ShuffleV2": ("9", 0.4, 40.0, 16.0),
    "wrn_40_2:ShuffleV1": ("9", 0.3, 8.0, 3.0),
}
# Method -> field -> pair -> value.
PAIR_WEIGHTS: dict[str, Weights] = {
    "dkd": _released(
        ("beta",),
        DKD,
        {
            "resnet56:resnet20": ("res56_res20.yaml", 2.0),
            "resnet110:resnet32": ("res110_res32.yaml", 2.0),
            "resnet32x4:resnet8x4": ("res32x4_res8x4.yaml", 8.0),
            "wrn_40_2:wrn_16_2": ("wrn40_2_wrn_16_2.yaml", 6.0),
            "wrn_40_2:wrn_40_1": ("wrn40_2_wrn_40_1.yaml", 6.0),
            "vgg13:vgg8": ("vgg13_vgg8.yaml", 6.0),
            "vgg13:MobileNetV2": ("vgg13_mv2.yaml", 6.0),
            "ResNet50:MobileNetV2": ("res50_mv2.yaml", 8.0),
            "resnet32x4:ShuffleV1": ("res32x4_shuv1.yaml, cfg.py's default", 8.0),
            "resnet32x4:ShuffleV2": ("res32x4_shuv2.yaml", 8.0),
            "wrn_40_2:ShuffleV1": ("wrn40_2_shuv1.yaml, cfg.py's default", 8.0),
        },
    ),
    # "dkd+ls" is not here: ``standardize`` weighs DKD's pair by 9. The names of its logs hold other
    # temperatures, weights and betas (logs/DKD/dkd,<teacher>,<student>,<T>,<weight>[,<beta>].txt).
    "kd+ls": _released(
        ("temperature", "kd_weight"),
        f"{LSKD} logs/KD/kd,",
        {
            "resnet56:resnet20": ("resnet56,resnet20,2,9.txt", 2.0, 9.0),
            "resnet110:resnet20": ("resnet110,resnet20,4,12.txt", 4.0, 12.0),
            "resnet110:resnet32": ("resnet110,resnet32,2,9.txt", 2.0, 9.0),
            "resnet32x4:resnet8x4": ("resnet32x4,resnet8x4,2,9.txt", 2.0, 9.0),
            "wrn_40_2:wrn_16_2": ("wrn_40_2,wrn_16_2,2,9.txt", 2.0, 9.0),
            "wrn_40_2:wrn_40_1": ("wrn_40_2,wrn_40_1,2,9.txt", 2.0, 9.0),
            "vgg13:vgg8": ("vgg13,vgg8,3,9.txt", 3.0, 9.0),
            "vgg13:MobileNetV2": ("vgg13,MobileNetV2,3,9.txt", 3.0, 9.0),
            "ResNet50:MobileNetV2": ("ResNet50,MobileNetV2,3,1.txt", 3.0, 1.0),
            "resnet32x4:ShuffleV2": ("resnet32x4,ShuffleV2,2,9.txt", 2.0, 9.0),
            "resnet32x4:wrn_16_2": ("resnet32x4,wrn_16_2,3,9.txt", 3.0, 9.0),
        },
    ),
    "reviewkd": _released(
        ("review_weight",),
        f"{REVIEWKD}script/reviewKD.sh",
        {
            "resnet56:resnet20": ("", 0.6),
            "resnet110:resnet32": ("", 1.0),
            "resnet32x4:resnet8x4": ("", 5.0),
            "wrn_40_2:wrn_16_2": ("", 5.0),
            "wrn_40_2:wrn_40_1": ("", 5.0),
            "resnet32x4:ShuffleV1": ("", 5.0),
            "resnet32x4:ShuffleV2": ("", 8.0),
            "wrn_40_2:ShuffleV1": ("", 5.0),
        },
    ),
    "catkd": _released(
        ("cam_weight", "resolution", "normalize"),
        CATKD,
        {
            "resnet56:resnet20": ("res56_res20.yaml", 0.7, 2, False),
            "resnet110:resnet32": ("res110_res32.yaml", 1.8, 2, False),
            "resnet32x4:resnet8x4": ("res32x4_res8x4.yaml", 15.0, 2, False),
            "wrn_40_2:wrn_16_2": ("wrn_40_2_wrn_16_2.yaml", 12.0, 2, False),
            "wrn_40_2:wrn_40_1": ("wrn_40_2_wrn_40_1.yaml", 1.5, 2, False),
            "vgg13:vgg8": ("vgg13_vgg8.yaml", 4.5, 2, False),
            "vgg13:MobileNetV2": ("vgg13_mv2.yaml", 15.0, 2, True),
            "ResNet50:MobileNetV2": ("res50_mv2.yaml", 40.0, 2, True),
            "resnet32x4:ShuffleV1": ("res32x4_shuv1.yaml", 600.0, 4, True),
            "resnet32x4:ShuffleV2": ("res32x4_shuv2.yaml", 600.0, 4, True),
            "wrn_40_2:ShuffleV1": ("wrn40_2_shuv1.yaml", 80.0, 4, True),
        },
    ),
    "ttm": _released(("gamma", "beta"), TTM, {p: row[:3] for p, row in _TTM_BETAS.items()}),
    "wttm": _released(
        ("gamma", "beta"), TTM, {p: (*row[:2], row[3]) for p, row in _TTM_BETAS.items()}
    ),
}


def _unreleased(place: str, **values: Any) -> dict[str, Unknown]:
    why = f"pair without a released configuration; {place}"
    return {field: Unknown(value, why, "none") for field, value in values.items()}


TYPICAL = "the value of resnet32x4:resnet8x4"
OTHER_PAIRS: dict[str, dict[str, Unknown]] = {
    "dkd": _unreleased("cfg.py's default", beta=8.0),
    "kd+ls": _unreleased("the default of tools/train.py", temperature=2.0, kd_weight=9.0),
    "reviewkd": _unreleased("mdistiller's default, engine/cfg.py", review_weight=1.0),
    "catkd": _unreleased("cfg.py's default", cam_weight=400.0, resolution=2, normalize=True),
    "ttm": _unreleased(TYPICAL, gamma=0.1, beta=100.0),
    "wttm": _unreleased(TYPICAL, gamma=0.1, beta=3.0),
}
# Those without a default for every pair take the student's nearest relative with released values.
TUNED = ("reviewkd", "catkd", "ttm", "wttm")
RELATIVES: dict[str, Pair] = {
    **dict.fromkeys(("resnet8", "resnet14", "resnet20", "resnet32"), ("resnet56", "resnet20")),
    "wrn_16_2": ("wrn_40_2", "wrn_16_2"),
}


def pair_weights(method: str, pair: Pair) -> dict[str, Fact | Unknown]:
    """Field -> value of a method's weights that vary by pair; empty where none does."""
    return {field: _weight(method, field, pair) for field in OTHER_PAIRS.get(method, {})}


def _weight(method: str, field: str, pair: Pair) -> Fact | Unknown:
    released, relative = PAIR_WEIGHTS[method][field], RELATIVES.get(pair[1])
    if pair in released or method not in TUNED or relative not in released:
        return released.get(pair, OTHER_PAIRS[method][field])
    place = f"the value of {':'.join(relative)}"
    return _unreleased(place, value=released[relative].value)["value"]
