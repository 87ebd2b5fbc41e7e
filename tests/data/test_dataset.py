import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from repro import data
from repro.data import Dataset, Images, fingerprint, select, sort_images
from repro.errors import UserError
from repro.spec import Stream
from tests.data import fake

SORTED = sort_images(*vars(fake.images(60)).values())


@given(st.permutations(range(60)))
@settings(max_examples=25, deadline=None)
def test_sorted_order_and_fingerprint_do_not_depend_on_the_input_order(order):
    given_images = SORTED[torch.tensor(order)]
    again = sort_images(given_images.pixels, given_images.labels)
    assert torch.equal(again.pixels, SORTED.pixels)
    assert torch.equal(again.labels, SORTED.labels)
    assert fingerprint(given_images) == fingerprint(SORTED)


def test_sorted_order_is_that_of_the_digests():
    digests = [
        fake.image_digest(p.numpy(), int(label))
        for p, label in zip(SORTED.pixels, SORTED.labels, strict=True)
    ]
    assert digests == sorted(digests)


def test_fingerprint_equals_a_slow_computation():
    expected = fake.slow_fingerprint(SORTED.pixels.numpy(), SORTED.labels.numpy())
    assert fingerprint(SORTED) == expected


def test_fingerprint_sees_one_pixel_one_label_and_a_missing_image():
    pixels, labels = SORTED.pixels.clone(), SORTED.labels.clone()
    pixels[7, 3, 4, 1] ^= 1
    labels[7] += 1
    changed = (Images(pixels, SORTED.labels), Images(SORTED.pixels, labels))
    assert len({fingerprint(images) for images in (SORTED, *changed, SORTED[:-1])}) == 4


def dataset(train: int = 115, test: int = 40) -> Dataset:
    """Five classes of 23 training and 8 test images, all different."""
    return Dataset(
        name="made",
        train=sort_images(*vars(fake.images(train, seed=1)).values()),
        test=sort_images(*vars(fake.images(test, seed=2)).values()),
        class_names=tuple("abcde"),
        superclass_of=(),
        mean=(0.5,) * 3,
        std=(0.25,) * 3,
    )


def identities(images: Images) -> list[bytes]:
    return [p.numpy().tobytes() for p in images.pixels]


def counts(images: Images) -> list[int]:
    return torch.bincount(images.labels, minlength=5).tolist()


def test_full_is_train_and_test():
    made = dataset()
    train, evaluation = select(made, Stream(split="full"))
    assert identities(train) == identities(made.train)
    assert identities(evaluation) == identities(made.test)


def test_tune_holds_out_the_last_tenth_of_each_class_and_never_touches_test():
    made = dataset()
    train, held_out = select(made, Stream(split="tune"))
    assert counts(train) == [21] * 5
    assert counts(held_out) == [2] * 5
    assert set(identities(train)).isdisjoint(identities(held_out))
    assert set(identities(train)) | set(identities(held_out)) == set(identities(made.train))
    assert set(identities(held_out)).isdisjoint(identities(made.test))
    for label in range(5):
        of_class = identities(made.train[made.train.labels == label])
        assert identities(held_out[held_out.labels == label]) == of_class[-2:]


def test_tune_is_the_same_whatever_the_test_set():
    first, second = dataset(), dataset(test=10)
    pairs = zip(*(select(made, Stream(split="tune")) for made in (first, second)), strict=True)
    assert all(torch.equal(a.pixels, b.pixels) for a, b in pairs)


@pytest.mark.parametrize("split", ["full", "tune"])
def test_subsets_are_the_first_of_each_class_in_sorted_order(split):
    made = dataset()
    every, _ = select(made, Stream(split=split))
    train, evaluation = select(made, Stream(split=split, train_per_class=6, test_per_class=2))
    assert counts(train) == [6] * 5
    assert counts(evaluation) == [2] * 5
    for label in range(5):
        of_class = identities(every[every.labels == label])
        assert identities(train[train.labels == label]) == of_class[:6]
    places = [identities(every).index(image) for image in identities(train)]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("stream", "option", "most"),
    [
        (Stream(train_per_class=24), "train_per_class is 24", "23"),
        (Stream(split="tune", train_per_class=22), "train_per_class is 22", "21"),
        (Stream(test_per_class=9), "test_per_class is 9", "8"),
    ],
)
def test_more_images_than_there_are_is_an_error(stream, option, most):
    with pytest.raises(UserError, match=f"{option}, but class 'a' of made has {most} images; give"):
        select(dataset(), stream)


def test_unknown_dataset_names_the_known_ones(tmp_path):
    with pytest.raises(UserError, match="unknown dataset 'mnist'; known: cifar100, digits"):
        data.load("mnist", tmp_path)


def test_load_by_name(tmp_path):
    assert data.load("digits", tmp_path / "no such folder").name == "digits"
    with pytest.raises(UserError, match="repro data fetch"):
        data.load("cifar100", tmp_path)


def test_labels_of_any_integer_type_sort_alike():
    again = sort_images(SORTED.pixels, torch.from_numpy(SORTED.labels.numpy().astype(np.uint8)))
    assert again.labels.dtype == torch.int64
    assert torch.equal(again.labels, SORTED.labels)
