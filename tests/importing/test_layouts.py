"""Checkpoints of other suites give our networks their logits, whatever wraps the weights."""

import hashlib
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor
from torch.testing import assert_close

from repro.importing import imported_run
from repro.models import MODELS
from repro.train.foreign import fitted, read_foreign
from repro.train.weights import load_half, restored, save_half, weights_key
from tests.importing import suites
from tests.models.forward import random_images
from tests.models.test_reference import REFERENCES, Weights
from tests.tiny import CPU, same


def read(path: Path, network: str = "resnet8") -> dict[str, Tensor]:
    return fitted(read_foreign(path), network)


def key_of(path: Path, network: str = "resnet8") -> str:
    return weights_key(network, read(path, network))


class Named:
    """A foreign state dict where the straight-line versions want a network."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        self.tensors = tensors

    def state_dict(self) -> dict[str, Tensor]:
        return {
            name: (t if "running" in name else t.half()).double()
            for name, t in self.tensors.items()
        }


@pytest.mark.parametrize("name", REFERENCES)
def test_every_family_reads_repdistiller_s_names_and_order(name: str, tmp_path: Path) -> None:
    checkpoint = suites.repdistiller(name, best_acc=70.0, epoch=238)
    stored = read(suites.save(checkpoint, tmp_path / "best.pth"), name)
    model = restored(imported_run(name, "0" * 64), stored, CPU).double()
    images = random_images(2).double()
    with torch.no_grad():
        expected = REFERENCES[name](Weights(Named(checkpoint["model"])), images)
        assert_close(model(images).logits, expected, rtol=1e-9, atol=1e-9)
    assert expected.std(dim=0).max() > 1e-3  # the images matter


def test_the_references_are_of_every_family() -> None:
    families = {name: getattr(make, "func", make) for name, make in MODELS.items()}
    assert {families[name] for name in REFERENCES} == set(families.values())


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plain") / "resnet8.pth"
    return suites.save(suites.repdistiller("resnet8"), path)


def wrapped(prefix: str) -> "OrderedDict[str, Tensor]":
    return OrderedDict((prefix + n, t) for n, t in suites.state_dict("resnet8").items())


LAYOUTS = {
    "best of RepDistiller": suites.repdistiller("resnet8", best_acc=torch.tensor(70.0)),
    "last of RepDistiller": suites.repdistiller("resnet8", opt=suites.options()),
    "best of mdistiller": suites.mdistiller("resnet8", best_acc=torch.tensor([70.0])),
    "student of mdistiller": {"model": suites.state_dict("resnet8")},
    "vanilla of mdistiller": {"model": wrapped("module.student.")},
    "a distiller on one device": {"model": wrapped("student.")},
    "DataParallel": wrapped("module."),
    "a state dict": suites.state_dict("resnet8"),
    "float64": OrderedDict(
        (n, t.double() if t.is_floating_point() else t)
        for n, t in suites.state_dict("resnet8").items()
    ),
    "our own names": suites.network("resnet8").state_dict(),
    "our own names in another order": dict(
        reversed(list(suites.network("resnet8").state_dict().items()))
    ),
    "PyTorch 0.4.0": OrderedDict(
        (n, t) for n, t in suites.state_dict("resnet8").items() if not n.endswith("tracked")
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("zipped", [True, False])
def test_the_same_weights_have_the_same_key_in_any_container(
    layout: str, zipped: bool, plain: Path, tmp_path: Path
) -> None:
    path = suites.save(LAYOUTS[layout], tmp_path / "any.tar", zipped=zipped)
    assert same(read(path), read(plain))
    assert key_of(path) == key_of(plain)


@pytest.mark.parametrize("half", [True, False])
def test_our_own_safetensors_are_read(half: bool, plain: Path, tmp_path: Path) -> None:
    path, model = tmp_path / "weights.safetensors", suites.network("resnet8")
    if half:
        save_half(model, path)
    else:
        safetensors.torch.save_file(model.state_dict(), path)
    assert key_of(path) == key_of(plain)


def test_what_is_stored_is_what_a_training_stores(plain: Path, tmp_path: Path) -> None:
    save_half(suites.network("resnet8"), tmp_path / "weights.safetensors")
    trained = safetensors.torch.load_file(tmp_path / "weights.safetensors")
    stored = read(plain)
    assert same(stored, trained)
    assert {n: t.dtype for n, t in stored.items()} == {n: t.dtype for n, t in trained.items()}
    safetensors.torch.save_file(stored, tmp_path / "again.safetensors")
    run = imported_run("resnet8", key_of(plain))
    images = random_images(2)
    with torch.no_grad():
        logits = [
            load_half(run, tmp_path / f"{name}.safetensors", CPU)(images).logits
            for name in ("weights", "again")
        ]
    assert torch.equal(*logits)


def test_a_key_is_the_sha256_of_network_names_shapes_and_bytes() -> None:
    """And never changes, else imported teachers are not found again."""
    tensors = {"b": torch.tensor([[1.0, 2.0]]).half(), "a": torch.tensor(3)}
    text = b"resnet8\na []\n" + np.int64(3).tobytes() + b"\nb [1, 2]\n"
    expected = hashlib.sha256(text + np.array([1, 2], np.float16).tobytes()).hexdigest()
    assert weights_key("resnet8", tensors) == expected


def test_other_weights_and_other_networks_have_other_keys(plain: Path, tmp_path: Path) -> None:
    other = key_of(suites.save(suites.repdistiller("resnet8", seed=1), tmp_path / "1.pth"))
    stored = read(plain)
    keys = {key_of(plain), other, weights_key("resnet14", stored)}
    for name in ("classifier.bias", "stages.0.1.running_var"):
        changed = stored[name].clone()
        changed[0] += 1
        keys.add(weights_key("resnet8", stored | {name: changed}))
    turned = stored["classifier.weight"].reshape(64, 100)
    keys.add(weights_key("resnet8", stored | {"classifier.weight": turned}))
    assert len(keys) == 6


@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        ({"best_acc": 72.5}, 72.5),
        ({"best_acc": 0.725}, 72.5),
        ({"accuracy": torch.tensor([72.5])}, 72.5),
        ({"best_acc": np.float64(72.5)}, 72.5),
        ({"best_acc": -1}, None),
        ({"best_acc": float("nan")}, None),
        ({"best_acc": "72.5"}, None),
        ({"best_acc": torch.ones(2)}, None),
        ({"opt": suites.options()}, None),
    ],
    ids=str,
)
def test_a_checkpoint_s_claim_is_read_in_percent(
    claim: dict[str, object], expected: float | None, tmp_path: Path
) -> None:
    path = suites.save({"model": suites.state_dict("resnet8"), **claim}, tmp_path / "x.pth")
    assert read_foreign(path).claimed == pytest.approx(expected)


def test_a_distiller_s_other_tensors_are_counted(tmp_path: Path) -> None:
    foreign = read_foreign(suites.save(suites.mdistiller("resnet8"), tmp_path / "best"))
    assert foreign.left_out == len(list(suites.NAMES["resnet14"]())) + 1
    assert list(foreign.tensors) == list(suites.NAMES["resnet8"]())
