"""Folders of images: what is read, what is refused, and what a broken file does."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from repro.data import imagenet
from repro.data.batches import epoch_views, parts
from repro.data.damaged import Damaged
from repro.data.dataset import select
from repro.data.decoding import Decoder, FolderTraining
from repro.data.folder import FolderImages, scan
from repro.data.torchvision_cure import import_torchvision
from repro.errors import UserError
from repro.spec import Stream
from tests import photographs

CPU = torch.device("cpu")
STREAM = Stream(dataset="imagenet", augment="resized-crop-flip", side=32, batch_size=4, epochs=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photographs.write(tmp_path_factory.mktemp("photos"), train=3, val=2, classes=3)


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def test_classes_and_images_are_in_the_order_of_their_names(folder: Path) -> None:
    classes, train, evaluated = scan(folder)
    assert classes == ("dahlia", "leaves", "roof")
    assert train.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert len(evaluated) == 6
    assert train.path(4) == folder / "train" / "leaves" / "leaves_001.jpg"
    assert train.sizes[4] == train.path(4).stat().st_size


def test_evaluated_images_are_torchvisions(folder: Path) -> None:
    import_torchvision()
    from torchvision.transforms import v2

    _, train, _ = scan(folder)
    small = FolderImages(train.root, train.names, train.sizes, train.labels, side=56)
    pixels = small[torch.tensor([5, 0])].pixels
    assert pixels.shape == (2, 56, 56, 3)
    with Image.open(train.path(5)) as image:
        expected = v2.CenterCrop(56)(v2.Resize(64)(image.convert("RGB")))
    assert torch.equal(pixels[0], v2.functional.pil_to_tensor(expected).permute(1, 2, 0))


def test_a_view_is_a_function_of_image_and_seed(folder: Path) -> None:
    _, train, _ = scan(folder)
    before = torch.get_rng_state()
    first, again, other = (train.augmented(2, seed).pixels for seed in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


def lose_split(root: Path) -> None:
    shutil.rmtree(root / "val")


def lose_images(root: Path) -> None:
    for path in (root / "train" / "roof").iterdir():
        path.unlink()


def lose_class(root: Path) -> None:
    shutil.rmtree(root / "val" / "roof")


def lose_folders(root: Path) -> None:
    for folder in list((root / "val").iterdir()):
        for path in folder.iterdir():
            path.rename(root / "val" / path.name)
        folder.rmdir()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lose_split, r"val is no directory: a folder of images has train/CLASS/\*.jpg"),
        (lose_images, "class roof of .*train has no images: add some or remove the folder"),
        (lose_class, "have different classes: roof in train alone; add"),
        (lose_folders, "val has no class folders; its files lie loose, beside classes"),
    ],
)
def test_what_is_no_such_folder_is_told(
    damage: Callable[[Path], None], words: str, copy: Path, tmp_path: Path
) -> None:
    damage(copy)
    with pytest.raises(UserError, match=words):
        imagenet.use(copy, tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_no_folder_at_all_names_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no folder of images is known here; give the folder"):
        imagenet.load(tmp_path)
    with pytest.raises(UserError, match="nowhere is no directory; give the folder"):
        imagenet.use(tmp_path / "nowhere", tmp_path)


def test_a_folder_is_read_through_once(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scans: list[Path] = []
    monkeypatch.setattr(imagenet, "scan", lambda root: scans.append(root) or scan(root))
    imagenet.use(copy, tmp_path)
    stream = imagenet.stream_of(STREAM, tmp_path)
    assert stream.classes == 3
    assert len(imagenet.load(tmp_path).train) == 9
    assert len(scans) == 1
    shutil.copy(copy / "train/roof/roof_000.jpg", copy / "train/roof/one_more.jpg")
    assert len(imagenet.load(tmp_path).train) == 10
    assert len(scans) == 2
    assert imagenet.stream_of(STREAM, tmp_path).images != stream.images


def test_a_class_may_have_fewer_images_than_a_subset_asks_for(folder: Path, tmp_path: Path) -> None:
    dataset = imagenet.use(folder, tmp_path)
    train, evaluated = select(dataset, Stream(dataset="imagenet", train_per_class=2))
    assert (len(train), len(evaluated)) == (6, 6)
    assert len(select(dataset, Stream(dataset="imagenet", train_per_class=99))[0]) == 9


def decoded(images: FolderImages, workers: int, say: Callable[[str], None] = print) -> list[bytes]:
    """Two epochs of batches."""
    decoder = Decoder(images, images, workers=workers, pinned=False, say=say, damaged=Damaged())
    training = FolderTraining(images, decoder, CPU, (imagenet.MEAN, imagenet.STD))
    found = []
    for epoch in range(2):
        views = epoch_views(STREAM, 0, epoch, len(images))
        for batch in training.batches(views, list(parts(len(images), 4))):
            assert torch.equal(batch.labels, images.labels[batch.indices])
            found.append(batch.images.numpy().tobytes())
    return found


def test_processes_decode_the_same_batches(folder: Path, tmp_path: Path) -> None:
    images = select(imagenet.use(folder, tmp_path), STREAM)[0]
    assert isinstance(images, FolderImages)
    here = decoded(images, 0)
    assert len(here) == 6
    assert len(set(here)) == 6
    assert decoded(images, 2) == here


@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_that_is_gone_is_told_in_one_line(
    copy: Path, tmp_path: Path, workers: int
) -> None:
    images = select(imagenet.use(copy, tmp_path), STREAM)[0]
    assert isinstance(images, FolderImages)
    path = images.path(3)
    path.unlink()
    told = (
        f"^{re.escape(str(path))} is gone, or its disk: see to it, then the same command goes on$"
    )
    with pytest.raises(UserError, match=told):
        decoded(images, workers)
    with pytest.raises(UserError, match=told):
        _ = images.pixels


def test_a_broken_image_is_black_and_told_once(copy: Path, tmp_path: Path) -> None:
    broken = copy / "train/leaves/leaves_001.jpg"
    broken.write_bytes(broken.read_bytes()[:300])
    (copy / "train/roof/roof_002.jpg").write_bytes(b"no image")
    images = select(imagenet.use(copy, tmp_path), STREAM)[0]
    assert isinstance(images, FolderImages)
    lines: list[str] = []
    assert len(decoded(images, 0, lines.append)) == 6
    assert len(lines) == 2
    assert any(f"{broken} cannot be decoded (" in line for line in lines)
    assert lines[1].endswith("): shown black, 2 so far")
    assert not images[4:5].pixels.any()
