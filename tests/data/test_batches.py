import dataclasses

import pytest
import torch

from repro.data.augment import PADDING, crop_flip, normalise, pad
from repro.data.batches import batches, epoch_views, evaluation_batches, prepare
from repro.data.strong import strong_view
from repro.spec import Stream
from tests.data import fake

MEAN, STD = (0.5, 0.4, 0.3), (0.25, 0.2, 0.3)
IMAGES = fake.images(150)
STREAM = Stream(batch_size=64)
TWO_VIEWS = dataclasses.replace(STREAM, second_view="strong")


@pytest.fixture(scope="module")
def prepared():
    return prepare(IMAGES, MEAN, STD, "cpu")


def equal(first, second) -> bool:
    pairs = zip(first, second, strict=True)
    return all(
        torch.equal(getattr(a, field), getattr(b, field))
        for a, b in pairs
        for field in ("images", "labels", "indices")
    )


def test_every_image_once_an_epoch_and_the_last_batch_is_kept(prepared):
    epoch = list(batches(prepared, STREAM, trial=0, epoch=0))
    assert [len(batch.labels) for batch in epoch] == [64, 64, 22]
    indices = torch.cat([batch.indices for batch in epoch])
    assert sorted(indices.tolist()) == list(range(150))
    assert indices.tolist() != list(range(150))
    assert torch.equal(torch.cat([batch.labels for batch in epoch]), IMAGES.labels[indices])


def test_fifty_thousand_images_are_782_batches():
    sizes = [len(part) for part in epoch_views(STREAM, 0, 0, 50_000).order.split(64)]
    assert sizes == [64] * 781 + [16]


def test_batches_show_the_views_of_the_epoch(prepared):
    views = epoch_views(STREAM, 1, 2, 150)
    pixels = crop_flip(pad(IMAGES.pixels), views.order, views.offsets, views.flips)
    expected = normalise(pixels, torch.tensor(MEAN), torch.tensor(STD))
    found = torch.cat([batch.images for batch in batches(prepared, STREAM, 1, 2)])
    assert torch.equal(found, expected)


def test_images_and_indices_have_their_types(prepared):
    batch = next(batches(prepared, STREAM, 0, 0))
    assert batch.images.dtype == torch.float32
    assert batch.images.is_contiguous(memory_format=torch.channels_last)
    assert batch.labels.dtype == batch.indices.dtype == torch.int64


def test_batches_do_not_use_the_global_generator(prepared):
    torch.manual_seed(1)
    first = list(batches(prepared, STREAM, 0, 3))
    torch.manual_seed(2)
    before = torch.get_rng_state()
    second = list(batches(prepared, STREAM, 0, 3))
    assert equal(first, second)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("stream", "trial", "epoch"),
    [
        (STREAM, 1, 0),
        (STREAM, 0, 1),
        (dataclasses.replace(STREAM, epochs=241), 0, 0),
        (dataclasses.replace(STREAM, augment="crop"), 0, 0),
        (dataclasses.replace(STREAM, split="tune"), 0, 0),
    ],
)
def test_another_trial_epoch_or_stream_has_other_views(stream, trial, epoch):
    first = epoch_views(STREAM, 0, 0, 150)
    other = epoch_views(stream, trial, epoch, 150)
    assert not torch.equal(first.order, other.order)
    assert not torch.equal(first.offsets, other.offsets)


def test_offsets_cover_0_to_8_evenly_and_flips_are_half():
    views = epoch_views(STREAM, 0, 0, 50_000)
    cells = torch.bincount(views.offsets[:, 0] * 9 + views.offsets[:, 1], minlength=81)
    assert cells.shape == (81,)
    expected = 50_000 / 81
    chi_squared = ((cells - expected) ** 2 / expected).sum().item()
    assert chi_squared < 124.8  # the 0.999 quantile with 80 degrees of freedom
    assert abs(views.flips.float().mean().item() - 0.5) < 3 * 0.5 / 50_000**0.5


def test_crop_never_flips_and_none_takes_the_middle():
    crop = epoch_views(dataclasses.replace(STREAM, augment="crop"), 0, 0, 1000)
    assert not crop.flips.any()
    assert set(crop.offsets.unique().tolist()) == set(range(9))
    none = epoch_views(dataclasses.replace(STREAM, augment="none"), 0, 0, 1000)
    assert not none.flips.any()
    assert (none.offsets == 4).all()


def test_without_augmentation_training_shows_the_images_themselves(prepared):
    stream = dataclasses.replace(STREAM, augment="none")
    plain = normalise(IMAGES.pixels, torch.tensor(MEAN), torch.tensor(STD))
    for batch in batches(prepared, stream, 0, 0):
        assert torch.equal(batch.images, plain[batch.indices])


def test_views_are_frozen():
    """The first values of one epoch: a change here changes every recorded result."""
    views = epoch_views(STREAM, 0, 0, 150)
    assert views.order[:6].tolist() == [147, 94, 49, 123, 120, 105]
    assert views.offsets[:3].tolist() == [[1, 2], [7, 6], [0, 4]]
    assert views.flips[:6].int().tolist() == [0, 0, 0, 1, 1, 0]
    recipes = epoch_views(TWO_VIEWS, 0, 0, 150).recipes
    assert recipes[0, :7].tolist() == [5, 6, 0, 11, 21, 0, 10]
    assert recipes[:6, 7].tolist() == [6, 2, 5, 9, 5, 13]  # the first operation, then the second
    assert recipes[1, 17:].tolist() == [7, 63944, -14359, 280020, 14359, 63944, -165118, 1, 1, 256]


def test_a_second_view_leaves_the_order_and_the_first_views_as_they_are(prepared):
    plain, two = (list(batches(prepared, s, 1, 2)) for s in (STREAM, TWO_VIEWS))
    assert equal(plain, two)
    assert all(torch.equal(a.views, b.views) for a, b in zip(plain, two, strict=True))
    assert all(batch.second is None for batch in plain)


def test_the_second_view_follows_the_recipes_of_the_epoch(prepared):
    views = epoch_views(TWO_VIEWS, 1, 2, 150)
    pixels = strong_view(pad(IMAGES.pixels), views.order, views.recipes)
    expected = normalise(pixels, torch.tensor(MEAN), torch.tensor(STD))
    found = [batch.second for batch in batches(prepared, TWO_VIEWS, 1, 2)]
    assert torch.equal(torch.cat(found), expected)
    assert found[0].is_contiguous(memory_format=torch.channels_last)


def test_the_second_view_is_cropped_and_mirrored_on_its_own():
    views = epoch_views(TWO_VIEWS, 0, 0, 20_000)
    rows, columns, flips = views.recipes[:, :3].long().T
    for mine, other in ((rows, views.offsets[:, 0]), (columns, views.offsets[:, 1])):
        assert set(mine.tolist()) == set(range(9))
        assert abs(torch.corrcoef(torch.stack([mine, other]).float())[0, 1]) < 4 / 20_000**0.5
    assert set(flips.tolist()) == {0, 1}
    assert abs((flips == views.flips).float().mean().item() - 0.5) < 4 * 0.5 / 20_000**0.5


def test_the_second_view_is_moved_and_mirrored_as_the_stream_says():
    crop = epoch_views(dataclasses.replace(TWO_VIEWS, augment="crop"), 0, 0, 1000).recipes
    assert (crop[:, 2] == 0).all()
    assert set(crop[:, 0].tolist()) == set(range(9))
    none = epoch_views(dataclasses.replace(TWO_VIEWS, augment="none"), 0, 0, 1000).recipes
    assert (none[:, :3] == torch.tensor([PADDING, PADDING, 0])).all()


def test_other_epochs_have_other_second_views():
    first, second = (epoch_views(TWO_VIEWS, 0, epoch, 150).recipes for epoch in (0, 1))
    assert not (first == second).all(dim=1).any()


def test_views_are_cut_and_moved_with_their_recipes():
    views = epoch_views(TWO_VIEWS, 0, 0, 150)
    assert torch.equal(views[4:9].recipes, views.recipes[4:9])
    assert torch.equal(views[torch.tensor([7, 3])].recipes, views.recipes[[7, 3]])
    assert views.to(torch.device("meta")).recipes.device.type == "meta"
    assert len(views.tensors) == 1 + len(epoch_views(STREAM, 0, 0, 150).tensors) == 5


def test_evaluation_shows_every_image_in_order_without_augmentation():
    parts = list(evaluation_batches(IMAGES, MEAN, STD, "cpu", batch_size=40))
    assert [len(labels) for _, labels in parts] == [40, 40, 40, 30]
    assert torch.equal(torch.cat([labels for _, labels in parts]), IMAGES.labels)
    plain = normalise(IMAGES.pixels, torch.tensor(MEAN), torch.tensor(STD))
    assert torch.equal(torch.cat([images for images, _ in parts]), plain)


def test_the_training_set_stays_uint8_on_the_device_asked_for():
    on_meta = prepare(IMAGES, MEAN, STD, "meta")
    assert on_meta.padded.device.type == on_meta.labels.device.type == "meta"
    assert on_meta.padded.dtype == torch.uint8
    assert on_meta.padded.shape == (150, 40, 40, 3)


def test_batches_are_made_on_the_device_of_the_training_set():
    """The meta device refuses arithmetic with CPU tensors and every reading of a value."""
    on_meta = prepare(IMAGES, MEAN, STD, "meta")
    for batch in batches(on_meta, TWO_VIEWS, 0, 0):
        assert {t.device.type for t in vars(batch).values()} == {"meta"}
    for images, labels in evaluation_batches(IMAGES, MEAN, STD, "meta"):
        assert images.device.type == labels.device.type == "meta"
