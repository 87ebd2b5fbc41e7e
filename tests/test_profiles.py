"""Profiles: the field's recipe in full, and two small stand-ins that say what they are."""

import pytest

from repro.errors import UserError
from repro.profiles import PROFILES, Profile, profile_named, scaled
from repro.spec import Optim, Stream


def test_paper_is_the_field_s_standard_recipe() -> None:
    profile = PROFILES["paper"]
    assert profile.stream == Stream(
        dataset="cifar100", split="full", augment="crop-flip", batch_size=64, epochs=240
    )
    assert (profile.stream.train_per_class, profile.stream.test_per_class) == (0, 0)
    assert profile.trials == 5
    expected = Optim(
        lr=0.05, momentum=0.9, weight_decay=5e-4, milestones=(150, 180, 210), decay=0.1
    )
    assert profile.optim("resnet56") == expected


@pytest.mark.parametrize("network", ["MobileNetV2", "ShuffleV1", "ShuffleV2"])
@pytest.mark.parametrize("profile", PROFILES)
def test_light_networks_start_at_a_fifth_of_the_rate(profile: str, network: str) -> None:
    assert PROFILES[profile].optim(network).lr == 0.01
    assert PROFILES[profile].optim("resnet8").lr == 0.05


@pytest.mark.parametrize(
    ("epoch", "epochs", "expected"),
    [
        (150, 240, 150),
        (150, 12, 8),  # 7.5: halves to even
        (180, 12, 9),
        (210, 12, 10),  # 10.5
        (20, 12, 1),
        (20, 6, 1),  # 0.5, but at least 1
        (150, 120, 75),
    ],
)
def test_an_epoch_stands_at_the_same_fraction(epoch: int, epochs: int, expected: int) -> None:
    assert scaled(epoch, epochs) == expected


@pytest.mark.parametrize("of", ["teacher", "student"])
@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES.keys())
def test_milestones_rise_and_lie_within_the_epochs(profile: Profile, of: str) -> None:
    stream = profile.teacher_stream() if of == "teacher" else profile.stream
    milestones = profile.optim("resnet8", stream).milestones
    assert list(milestones) == sorted(milestones)
    assert milestones[0] > 0
    assert milestones[-1] < stream.epochs
    fractions = [milestone / stream.epochs for milestone in milestones]
    assert fractions == pytest.approx([0.625, 0.75, 0.875], abs=0.501 / stream.epochs)


def test_teachers_train_as_long_as_students_in_the_paper_and_no_shorter_elsewhere() -> None:
    assert PROFILES["paper"].teacher_stream() == PROFILES["paper"].stream
    for profile in PROFILES.values():
        assert profile.teacher_stream().epochs >= profile.stream.epochs


def test_only_the_paper_profile_carries_no_mark() -> None:
    assert [name for name, profile in PROFILES.items() if profile.mark == ""] == ["paper"]


@pytest.mark.parametrize(
    ("name", "images"),
    [
        ("quick", "cifar100, 80 images a class and 20 of the test split"),
        ("demo", "digits, all images"),
    ],
)
def test_a_mark_says_how_small_it_is(name: str, images: str) -> None:
    profile = PROFILES[name]
    start = f"Profile {name}, not the paper's protocol: {images}, {profile.stream.epochs} epochs"
    assert profile.mark.startswith(start)


@pytest.mark.parametrize(("cuda", "expected"), [(True, "paper"), (False, "quick")])
def test_auto_is_paper_on_a_gpu_and_quick_without(cuda: bool, expected: str) -> None:
    assert profile_named("auto", "cifar", cuda=cuda).name == expected


@pytest.mark.parametrize("name", [*PROFILES, "auto"])
def test_the_demo_grid_always_runs_on_digits(name: str) -> None:
    assert profile_named(name, "demo", cuda=True) is PROFILES["demo"]


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("cuda", [True, False])
def test_a_named_profile_is_taken_on_any_device(name: str, cuda: bool) -> None:
    assert profile_named(name, "cifar", cuda=cuda) is PROFILES[name]


@pytest.mark.parametrize("grid", ["cifar", "demo"])
def test_an_unknown_profile_is_refused_with_the_known_ones(grid: str) -> None:
    with pytest.raises(UserError, match="unknown profile 'full'; known: paper, quick, demo, auto"):
        profile_named("full", grid, cuda=False)


@pytest.mark.parametrize("name", ["quick", "demo"])
def test_small_profiles_take_a_twentieth_of_the_epochs(name: str) -> None:
    assert PROFILES[name].teacher_stream().epochs <= 12


def test_the_demo_has_enough_trials_for_every_claim() -> None:
    """Five for C3 (``plane_estimates``), three for the others."""
    assert PROFILES["quick"].trials == 2
    assert PROFILES["demo"].trials == 5


def test_what_is_measured_of_finished_networks_by_profile() -> None:
    fields = ("triplets", "resolution", "picture", "landscape_side", "landscape_images")
    more = ("corruption_images", "attack_images", "embedding_images")
    found = {n: [getattr(p, f) for f in (*fields, *more)] for n, p in PROFILES.items()}
    assert found == {
        "paper": [500, 50, 500, 51, 1_000, 10_000, 1_000, 1_000],
        "quick": [100, 50, 200, 15, 256, 1_000, 200, 200],
        "demo": [20, 30, 100, 15, 256, 500, 100, 500],
    }
    assert all(profile.landscape_side % 2 for profile in PROFILES.values())
