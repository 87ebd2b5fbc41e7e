"""A profile on the folder of images that is at hand: an effect, where profiles are values."""

from dataclasses import replace
from pathlib import Path

from repro.data import imagenet
from repro.profiles import Profile


def on_folder(profile: Profile, data_dir: Path) -> Profile:
    """The profile as it is, but of grids on ImageNet with the folder that ``data_dir`` remembers:
    its classes and its fingerprint are part of every run's key."""
    if profile.stream.dataset != imagenet.NAME:
        return profile
    return replace(profile, stream=imagenet.stream_of(profile.stream, data_dir))
