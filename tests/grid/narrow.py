"""Profiles whose grids are counted."""

from dataclasses import replace

from repro.profiles import PROFILES

PAPER, DEMO = PROFILES["paper"], PROFILES["demo"]
QUICK = replace(
    PROFILES["quick"],
    pairs={
        "cifar-same": (("resnet20", "resnet8"),),
        "cifar-different": (("resnet20", "MobileNetV2"),),
        "plug-in": (("resnet20", "resnet8"),),
    },
    union=("cifar-same", "cifar-different"),
)
