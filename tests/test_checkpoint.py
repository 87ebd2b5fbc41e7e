"""Checkpoints: bit for bit what was saved, and every damage is seen."""

import errno
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from repro.errors import UserError
from repro.train.checkpoint import DamagedCheckpoint, load, previous, save
from tests.disk import FAILURES, fail, names

META: dict[str, object] = {"key": "0123abcd", "next_epoch": 7}


def tensors() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(3, 5, generator=generator)
    return {
        "float32": values,
        "bfloat16": values.bfloat16(),
        "float16": values.half(),
        "float64": values.double() / 3,
        "int64, 0-d": torch.tensor(2**40 + 1),
        "float32, 0-d": torch.tensor(0.1),
        "bool": values > 0,
        "uint8": torch.arange(7, dtype=torch.uint8),
        "empty": torch.zeros(0, 4),
        "transposed": values.T,
        "channels last": torch.randn(2, 3, 4, 4, generator=generator).to(
            memory_format=torch.channels_last
        ),
        "strange": torch.tensor([float("inf"), float("nan"), -0.0, 1e-45]),
    }


def bits(tensor: Tensor) -> bytes:
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def test_every_tensor_comes_back_bit_for_bit(tmp_path: Path) -> None:
    save(tmp_path / "checkpoint", tensors(), META)
    found, meta = load(tmp_path / "checkpoint")
    assert meta == META
    assert found.keys() == tensors().keys()
    for name, tensor in tensors().items():
        assert found[name].dtype == tensor.dtype, name
        assert found[name].shape == tensor.shape, name
        assert bits(found[name]) == bits(tensor), name


def test_a_parameter_is_saved_without_its_graph(tmp_path: Path) -> None:
    weight = torch.nn.Parameter(torch.ones(2))
    save(tmp_path / "checkpoint", {"doubled": 2 * weight}, META)
    assert not load(tmp_path / "checkpoint")[0]["doubled"].requires_grad


def test_the_checkpoint_before_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    for epoch in (1, 2, 3):
        save(path, {"epoch": torch.tensor(epoch)}, {"next_epoch": epoch})
    assert load(path)[1] == {"next_epoch": 3}
    assert load(previous(path))[1] == {"next_epoch": 2}
    assert previous(path) == tmp_path / "checkpoint.previous"
    assert names(tmp_path) == ["checkpoint", "checkpoint.previous"]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("saved") / "checkpoint"
    save(path, tensors(), META)
    return path.read_bytes()


def refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "checkpoint"
    path.write_bytes(content)
    with pytest.raises(DamagedCheckpoint) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path} is damaged: ")


@settings(deadline=None)  # a busy machine is no failure
@given(data=st.data())
def test_any_flipped_bit_is_seen(saved: bytes, tmp_path_factory, data: st.DataObject) -> None:
    content = bytearray(saved)
    content[data.draw(st.integers(0, len(saved) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    refused(tmp_path_factory.getbasetemp(), bytes(content))


@settings(deadline=None)  # a busy machine is no failure
@given(data=st.data())
def test_any_truncation_is_seen(saved: bytes, tmp_path_factory, data: st.DataObject) -> None:
    length = data.draw(st.integers(0, len(saved) - 1))
    refused(tmp_path_factory.getbasetemp(), saved[:length])


@pytest.mark.parametrize("length", [0, 1, 31, 32, 33, 40])
def test_truncation_into_the_header_is_seen(saved: bytes, tmp_path: Path, length: int) -> None:
    refused(tmp_path, saved[:length])


def test_appended_bytes_are_seen(saved: bytes, tmp_path: Path) -> None:
    refused(tmp_path, saved + b"\0")


def test_a_directory_counts_as_damaged(tmp_path: Path) -> None:
    (tmp_path / "checkpoint").mkdir()
    with pytest.raises(DamagedCheckpoint, match=r"checkpoint is no file"):
        load(tmp_path / "checkpoint")


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("call", ["open", "fsync", "replace"])
def test_a_failed_save_leaves_a_whole_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, failure: str
) -> None:
    path = tmp_path / "checkpoint"
    save(path, tensors(), META)
    fail(monkeypatch, call, FAILURES[failure])
    with pytest.raises(UserError, match=r"cannot write .*checkpoint: .*--runs-dir"):
        save(path, {"other": torch.zeros(1)}, {"key": "0123abcd", "next_epoch": 8})
    monkeypatch.undo()
    (left,) = [p for p in (path, previous(path)) if p.exists()]
    assert load(left)[1] == META
    assert len(names(tmp_path)) == 1


def test_failing_again_and_again_keeps_the_last_whole_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "checkpoint"
    save(path, tensors(), META)
    fail(monkeypatch, "fsync", OSError(errno.ENOSPC, "No space left on device"))
    for _ in range(3):
        with pytest.raises(UserError):
            save(path, tensors(), {"next_epoch": 8})
    monkeypatch.undo()
    assert load(previous(path))[1] == META
