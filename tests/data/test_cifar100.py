import functools
import hashlib
import http.server
import os
import resource
import tarfile
import threading
import urllib.error
from contextlib import contextmanager

import numpy as np
import pytest
import safetensors.numpy
import torch

from repro.data import cifar100, fingerprint
from repro.data.cifar100_names import CLASSES, SUPERCLASS_OF, SUPERCLASSES
from repro.data.torchvision_cure import import_torchvision
from repro.errors import UserError
from tests.data import fake


def test_npz_and_folder_and_order_give_byte_identical_files(tmp_path, small):
    stored = (small.data_dir / cifar100.FILE).read_bytes()
    shuffled = fake.shuffled(small.arrays, seed=3)
    folder = fake.write_folder(tmp_path / "release", shuffled)
    for i, source in enumerate(
        [fake.write_npz(tmp_path / "shuffled.npz", shuffled), folder, folder.parent]
    ):
        path = cifar100.import_path(source, tmp_path / f"data{i}", small.release)
        assert path.read_bytes() == stored


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_pickles_of_every_protocol_are_read(tmp_path, small, protocol):
    folder = fake.write_folder(tmp_path / "release", small.arrays, protocol)
    path = cifar100.import_path(folder, tmp_path / "other", small.release)
    assert fake.sha256(path) == small.release.sha256


def test_pickles_of_python_2_are_read(tmp_path, small):
    for split in ("train", "test"):
        pixels, labels = (small.arrays[f"{split}_{kind}"] for kind in ("images", "labels"))
        (tmp_path / split).write_bytes(fake.python2_pickle(pixels, labels))
    path = cifar100.import_path(tmp_path, tmp_path / "other", small.release)
    assert fake.sha256(path) == small.release.sha256


def test_labels_of_any_integer_type_give_the_same_file(tmp_path, small):
    narrow = {
        name: array.astype(np.uint8 if "train" in name else np.int32) if "labels" in name else array
        for name, array in small.arrays.items()
    }
    source = tmp_path / "narrow.npz"
    np.savez_compressed(source, **narrow)
    path = cifar100.import_path(source, tmp_path / "other", small.release)
    assert fake.sha256(path) == small.release.sha256


def test_the_stored_file_is_safetensors_with_the_sorted_images(small):
    tensors = safetensors.numpy.load_file(small.data_dir / cifar100.FILE)
    assert list(tensors["train_images"].shape) == [230, 32, 32, 3]
    assert {t.dtype for t in tensors.values()} == {np.dtype(np.uint8)}
    pairs = zip(tensors["test_images"], tensors["test_labels"], strict=True)
    digests = [fake.image_digest(image, int(label)) for image, label in pairs]
    assert digests == sorted(digests)


def test_load_gives_both_splits(small):
    dataset = cifar100.load(small.data_dir, small.release)
    assert fingerprint(dataset.train) == small.release.train
    assert fingerprint(dataset.test) == small.release.test
    assert dataset.train.labels.dtype == torch.int64
    assert (dataset.mean, dataset.std) == (cifar100.MEAN, cifar100.STD)


def test_verify_recomputes_what_identifies_the_file(small):
    path = small.data_dir / cifar100.FILE
    assert cifar100.verify(path, small.release) == {
        "path": str(path),
        "sha256": fake.sha256(path),
        "train_images": 230,
        "train_fingerprint": small.release.train,
        "test_images": 70,
        "test_fingerprint": small.release.test,
    }


def test_importing_again_leaves_the_file_alone(tmp_path, small):
    path = small.data_dir / cifar100.FILE
    before = path.stat()
    cifar100.import_path(tmp_path / "source.npz", small.data_dir, small.release)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_importing_replaces_a_damaged_file(tmp_path, small):
    path = small.data_dir / cifar100.FILE
    path.write_bytes(path.read_bytes()[:-1])
    cifar100.import_path(tmp_path / "source.npz", small.data_dir, small.release)
    assert fake.sha256(path) == small.release.sha256


def test_a_full_disk_leaves_no_half_file_and_keeps_the_old_one(tmp_path, small):
    path = small.data_dir / cifar100.FILE
    path.write_bytes(b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(UserError, match=f"cannot write {path} .*; give another folder"):
            cifar100.import_path(tmp_path / "source.npz", small.data_dir, small.release)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [p.name for p in small.data_dir.iterdir()] == [cifar100.FILE]
    assert path.read_bytes() == b"old"


def test_an_interrupted_import_leaves_no_half_file(tmp_path, small, monkeypatch):
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        cifar100.import_path(tmp_path / "source.npz", tmp_path / "new", small.release)
    assert list((tmp_path / "new").iterdir()) == []


def test_fetch_imports_what_it_downloads_and_keeps_one_file(tmp_path, small):
    def download(folder):
        return fake.write_folder(folder, small.arrays)

    path = cifar100.fetch(tmp_path / "new", small.release, download)
    assert fake.sha256(path) == small.release.sha256
    assert [p.name for p in path.parent.iterdir()] == [cifar100.FILE]


@pytest.fixture
def cifar100_class(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    return import_torchvision().datasets.CIFAR100


@contextmanager
def served(folder):
    """The address of a local web server with the files of ``folder``."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def test_fetch_downloads_and_unpacks_the_archive(tmp_path, small, monkeypatch, cifar100_class):
    folder = fake.write_folder(tmp_path / "release", small.arrays)
    archive = tmp_path / "served.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, "cifar-100-python")
    with served(tmp_path) as address:
        monkeypatch.setattr(cifar100_class, "url", f"{address}/served.tar.gz")
        with pytest.raises(UserError, match="cannot download CIFAR-100"):  # not the released md5
            cifar100.fetch(tmp_path / "new", small.release)
        md5 = hashlib.md5(archive.read_bytes()).hexdigest()
        monkeypatch.setattr(cifar100_class, "tgz_md5", md5)
        path = cifar100.fetch(tmp_path / "new", small.release)
    assert fake.sha256(path) == small.release.sha256
    assert [p.name for p in path.parent.iterdir()] == [cifar100.FILE]


def test_fetch_from_a_server_that_is_not_there(tmp_path, monkeypatch, cifar100_class):
    monkeypatch.setattr(cifar100_class, "url", "http://127.0.0.1:9/cifar.tar.gz")
    with pytest.raises(UserError, match=r"cannot download CIFAR-100 .*repro data import"):
        cifar100.fetch(tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []


def test_fetch_downloads_nothing_when_the_file_is_whole(small):
    path = cifar100.fetch(small.data_dir, small.release, lambda _: pytest.fail("downloaded"))
    assert path == small.data_dir / cifar100.FILE


@pytest.mark.parametrize(
    "error", [urllib.error.URLError("no route to host"), RuntimeError("File not\nfound")]
)
def test_fetch_without_network_names_the_three_ways(tmp_path, error):
    def download(_):
        raise error

    with pytest.raises(UserError) as raised:
        cifar100.fetch(tmp_path, download=download)
    message = str(raised.value)
    for way in ("repro data fetch", "repro data import cifar100 PATH", "make demo", str(tmp_path)):
        assert way in message
    assert "\n" not in message
    assert list(tmp_path.iterdir()) == []


def test_classes_and_superclasses():
    assert len(CLASSES) == len(set(CLASSES)) == len(SUPERCLASS_OF) == 100
    assert list(CLASSES) == sorted(CLASSES)
    assert len(set(SUPERCLASSES)) == 20
    assert np.bincount(SUPERCLASS_OF).tolist() == [5] * 20
    members = [c for c, s in zip(CLASSES, SUPERCLASS_OF, strict=True) if SUPERCLASSES[s] == "trees"]
    assert members == ["maple_tree", "oak_tree", "palm_tree", "pine_tree", "willow_tree"]
