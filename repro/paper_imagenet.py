"""What the literature says of methods on ImageNet, where it differs from CIFAR. Facts alone."""

from typing import Any

from repro.paper import IMAGENET, IMAGENET_STRONGER, MDISTILLER, Fact, Pair, Unknown
from repro.paper_methods import pair_weights

CONFIGS = f"{MDISTILLER} configs/imagenet/"
FOLDERS = {IMAGENET[0]: "r34_r18", IMAGENET[1]: "r50_mv1"}
PAIRS = frozenset((*IMAGENET, *IMAGENET_STRONGER, ("resnet18", "MobileNetV1")))
NETWORKS = frozenset(name for pair in PAIRS for name in pair)
DIST = "image_classification_sota@d9662f7 strategies/distill/resnet_dist.yaml"
LSKD = "logit-standardization-KD@f6e5aa5 configs/imagenet/*/kd.yaml and its README"
TTM = "arXiv 2402.11148 appendix A.4, table 10"

# Method -> field -> value of every pair.
EVERYWHERE: dict[str, dict[str, Fact]] = {
    "kd": {
        "temperature": Fact(1.0, f"{CONFIGS}*/kd.yaml"),
        "ce_weight": Fact(0.5, f"{CONFIGS}*/kd.yaml"),
        "kd_weight": Fact(0.5, f"{CONFIGS}*/kd.yaml"),
    },
    "kd+ls": {
        "temperature": Fact(2.0, LSKD),
        "ce_weight": Fact(1.0, LSKD),
        "kd_weight": Fact(9.0, LSKD),
    },
    "dkd": {
        "temperature": Fact(1.0, f"{CONFIGS}*/dkd.yaml"),
        "warmup_epochs": Fact(1, f"{CONFIGS}*/dkd.yaml"),
    },
    "dist": {"temperature": Fact(1.0, DIST)},
    "reviewkd": {"warmup_epochs": Fact(5, "ReviewKD@cede6ea ImageNet/imagenet_amp.py")},
    "ofd": {"ofd_weight": Fact(1e-4, f"{MDISTILLER} configs/imagenet/ (OFD)")},
    "nkd": {
        "gamma": Fact(1.5, "cls_KD@e21ad37 configs/distillers/imagenet/"),
        "temperature": Fact(1.0, "cls_KD@e21ad37 configs/distillers/imagenet/"),
    },
    "pld": {"temperature": Fact(1.0, "arXiv 2506.12542 appendix C")},
}
# Method -> field -> values of the two pairs of every table, in ``IMAGENET``'s order.
BY_PAIR: dict[str, dict[str, tuple[float, float]]] = {
    "dkd": {"beta": (0.5, 2.0)},
    "reviewkd": {"review_weight": (1.0, 8.0)},
    "ttm": {"gamma": (0.8, 0.7), "beta": (1.6, 3.5)},
    "wttm": {"gamma": (0.8, 0.7), "beta": (1.6, 3.5)},
}


def weights_of(method: str, pair: Pair) -> dict[str, Fact | Unknown]:
    """Field -> value of a method's weights that vary by pair, or are others on ImageNet."""
    return _imagenet(method, pair) if pair[1] in NETWORKS else pair_weights(method, pair)


def _imagenet(method: str, pair: Pair) -> dict[str, Fact | Unknown]:
    """A pair without a configuration takes that of its student, or of ResNet34 and ResNet18."""
    found: dict[str, Any] = dict(EVERYWHERE.get(method, {}))
    place = 1 if pair[1] == "MobileNetV1" else 0
    for field, values in BY_PAIR.get(method, {}).items():
        where = TTM if method in ("ttm", "wttm") else f"{CONFIGS}{FOLDERS[IMAGENET[place]]}"
        if pair == IMAGENET[place]:
            found[field] = Fact(values[place], where)
        else:
            why = f"pair without a released configuration; that of {':'.join(IMAGENET[place])}"
            found[field] = Unknown(values[place], why, "none")
    return found
