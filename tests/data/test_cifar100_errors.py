"""Every bad input is one line with what is wrong, the path and the way out; nothing is stored."""

import os
import pickle
import re

import numpy as np
import pytest

from repro.data import cifar100
from repro.errors import UserError
from tests.data import fake

WAY_OUT = "give the released folder cifar-100-python or an .npz with train_images, train_labels"


def refuse(source, tmp_path, reason, named=None):
    """The import fails for ``reason``, naming ``named`` (the source unless given)."""
    with pytest.raises(UserError, match=reason) as raised:
        cifar100.import_path(source, tmp_path / "data", fake.release(fake.arrays()))
    message = str(raised.value)
    assert str(named or source) in message
    assert WAY_OUT in message
    assert "\n" not in message
    assert not (tmp_path / "data").exists()


def npz_with(tmp_path, **changes):
    made = {name: a for name, a in (fake.arrays() | changes).items() if a is not None}
    return fake.write_npz(tmp_path / "bad.npz", made)


def test_a_path_that_does_not_exist(tmp_path):
    refuse(tmp_path / "nowhere", tmp_path, "does not exist")


def test_npz_without_an_array(tmp_path):
    source = npz_with(tmp_path, test_labels=None, train_images=None)
    refuse(source, tmp_path, "has no array train_images, test_labels")


@pytest.mark.parametrize(
    ("name", "array", "reason"),
    [
        (
            "train_images",
            np.zeros((230, 32, 32, 3), np.float32),
            r"float32 \[230, 32, 32, 3\], not",
        ),
        ("train_images", np.zeros((230, 3, 32, 32), np.uint8), r"uint8 \[230, 3, 32, 32\], not"),
        ("test_images", np.zeros(3, np.uint8), r"uint8 \[3\], not uint8 \[N, 32, 32, 3\]"),
        ("train_labels", np.zeros(230), r"float64 \[230\], not integers \[230\]"),
        ("test_labels", np.zeros(69, int), r"int64 \[69\], not integers \[70\]"),
        ("test_labels", np.full(70, 100), r"100\.\.100, not 0\.\.99"),
        ("test_labels", np.full(70, -1), r"-1\.\.-1, not 0\.\.99"),
        ("test_labels", np.full(70, {}), "damaged.*Object arrays"),
    ],
)
def test_npz_with_an_array_of_another_type_shape_or_range(tmp_path, name, array, reason):
    refuse(npz_with(tmp_path, **{name: array}), tmp_path, reason)


def test_other_pixels(tmp_path):
    made = fake.arrays()
    expected = fake.release(made).test
    made["test_images"][5, 6, 7, 0] ^= 1
    source = fake.write_npz(tmp_path / "other.npz", made)
    reason = f"test images are not those .*{fake.release(made).test}, expected {expected}"
    refuse(source, tmp_path, reason)


def test_fewer_images(tmp_path):
    made = fake.arrays()
    few = {"train_images": made["train_images"][:9], "train_labels": made["train_labels"][:9]}
    refuse(npz_with(tmp_path, **few), tmp_path, r"not those of CIFAR-100 \(9 images")


def test_no_images(tmp_path):
    none = {"train_images": np.zeros((0, 32, 32, 3), np.uint8), "train_labels": np.zeros(0, int)}
    refuse(npz_with(tmp_path, **none), tmp_path, r"not those of CIFAR-100 \(0 images")


@pytest.mark.parametrize("part", [0.1, 0.5, 0.99, 0.999999])
def test_truncated_npz(tmp_path, part):
    source = npz_with(tmp_path)
    content = source.read_bytes()
    source.write_bytes(content[: int(len(content) * part)])
    refuse(source, tmp_path, "is damaged, truncated")


@pytest.mark.parametrize("compressed", [False, True])
def test_npz_with_a_flipped_byte(tmp_path, compressed):
    source = tmp_path / "flipped.npz"
    (np.savez_compressed if compressed else np.savez)(source, **fake.arrays())
    content = bytearray(source.read_bytes())
    content[len(content) // 2] ^= 0xFF
    source.write_bytes(content)
    refuse(source, tmp_path, "is damaged, truncated")


@pytest.mark.parametrize("place", [6, 8, 10])  # version, encryption flags, compression method
def test_npz_with_a_flipped_byte_in_its_directory(tmp_path, place):
    source = npz_with(tmp_path)
    content = bytearray(source.read_bytes())
    content[content.index(b"PK\x01\x02") + place] ^= 0xFF
    source.write_bytes(content)
    refuse(source, tmp_path, "is damaged, truncated")


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b a tar.gz", b"hello", b"\x93NUMPY\x01\x00"])
def test_a_file_that_is_not_a_zip(tmp_path, content):
    source = tmp_path / "some.npz"
    source.write_bytes(content)
    refuse(source, tmp_path, "is not an .npz archive")


@pytest.mark.parametrize(
    ("kept", "reason"), [((), "no file train and no file test"), (("train",), "no file test")]
)
def test_folder_without_a_file(tmp_path, kept, reason):
    folder = fake.write_folder(tmp_path / "release", fake.arrays())
    for name in {"train", "test"}.difference(kept):
        (folder / name).unlink()
    refuse(folder, tmp_path, reason)
    refuse(folder.parent, tmp_path, reason, named=folder)


@pytest.mark.parametrize("part", [0, 0.1, 0.5, 0.9999])
def test_truncated_pickle(tmp_path, part):
    folder = fake.write_folder(tmp_path / "release", fake.arrays())
    content = (folder / "test").read_bytes()
    (folder / "test").write_bytes(content[: int(len(content) * part)])
    refuse(folder, tmp_path, "is damaged, truncated", named=folder / "test")


@pytest.mark.parametrize(
    "content",
    [[1, 2], {"data": np.zeros((2, 3072), np.uint8)}, {"data": b"x", "fine_labels": [1]}],
)
def test_pickle_of_something_else(tmp_path, content):
    folder = fake.write_folder(tmp_path / "release", fake.arrays())
    (folder / "train").write_bytes(pickle.dumps(content))
    refuse(folder, tmp_path, "not the data", named=folder / "train")


def test_pickle_with_pixels_of_another_type(tmp_path):
    folder = fake.write_folder(tmp_path / "release", fake.arrays())
    content = {"data": np.zeros((2, 3072)), "fine_labels": [1, 2]}
    (folder / "train").write_bytes(pickle.dumps(content))
    refuse(folder, tmp_path, r"train_images is float64 \[2, 32, 32, 3\]")


class Call:
    """Pickles as a call of ``function``."""

    def __init__(self, function, *arguments):
        self.reduced = (function, arguments)

    def __reduce__(self):
        return self.reduced


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("nested", [False, True])
def test_a_pickle_that_would_run_code_is_refused_and_not_run(tmp_path, protocol, nested):
    mark = tmp_path / "it ran"
    folder = fake.write_folder(tmp_path / "release", fake.arrays())
    attack = Call(os.system, f"touch '{mark}'")
    data = np.array([attack, None]) if nested else attack
    content = pickle.dumps({"data": data, "fine_labels": [1, 2]}, protocol=protocol)
    (folder / "train").write_bytes(content)
    refuse(folder, tmp_path, r"is refused: it would run posix\.system", named=folder / "train")
    assert not mark.exists()
    pickle.loads(content)  # the attack is real
    assert mark.exists()


@pytest.mark.parametrize("function", [eval, getattr, __import__, np.load, np.save, re.compile])
def test_other_functions_are_refused_too(tmp_path, function):
    folder = fake.write_folder(tmp_path / "release", fake.arrays())
    (folder / "train").write_bytes(pickle.dumps({"data": Call(function, "1"), "fine_labels": []}))
    refuse(folder, tmp_path, f"would run .*{function.__name__}", named=folder / "train")


def test_a_missing_stored_file_names_the_three_ways(tmp_path):
    for read in (cifar100.load, lambda d: cifar100.verify(d / cifar100.FILE)):
        with pytest.raises(UserError, match="does not exist") as raised:
            read(tmp_path)
        for way in ("repro data fetch", "repro data import cifar100 PATH", "make demo"):
            assert way in str(raised.value)
        assert str(tmp_path / cifar100.FILE) in str(raised.value)


@pytest.mark.parametrize("place", [0, 9, 200, 5000, -71, -1])
def test_load_and_verify_detect_a_flipped_byte(small, place):
    path = small.data_dir / cifar100.FILE
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    damaged(small)


@pytest.mark.parametrize("length", [0, 7, 100, 500_000, -1])
def test_load_and_verify_detect_truncation(small, length):
    path = small.data_dir / cifar100.FILE
    path.write_bytes(path.read_bytes()[:length])
    damaged(small)


def test_load_and_verify_detect_appended_bytes(small):
    path = small.data_dir / cifar100.FILE
    path.write_bytes(path.read_bytes() + b"\0")
    damaged(small)


def damaged(small):
    path = small.data_dir / cifar100.FILE
    for read in (
        lambda: cifar100.load(small.data_dir, small.release),
        lambda: cifar100.verify(path, small.release),
    ):
        with pytest.raises(UserError, match="is damaged or truncated") as raised:
            read()
        assert str(path) in str(raised.value)
        assert "`repro data import cifar100 PATH`" in str(raised.value)


def test_a_stored_folder_or_target_that_cannot_be_used(tmp_path, small):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=r"cannot write .*; give another folder"):
        cifar100.import_path(tmp_path / "source.npz", tmp_path / "file", small.release)
    (tmp_path / "folder" / cifar100.FILE).mkdir(parents=True)
    with pytest.raises(UserError, match="cannot read"):
        cifar100.load(tmp_path / "folder")
