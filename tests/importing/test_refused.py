"""What is no teacher of this suite is told in one line, nothing is run, and nothing is written."""

import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor

from tests.cli.invoke import error_of, repro
from tests.importing import suites


def changed(name: str, change: Callable[[Tensor], Tensor]) -> "OrderedDict[str, Tensor]":
    tensors = suites.state_dict("resnet8")
    tensors[name] = change(tensors[name])
    return tensors


def filled(value: float) -> Callable[[Tensor], Tensor]:
    def fill(tensor: Tensor) -> Tensor:
        tensor.view(-1)[0] = value
        return tensor

    return fill


def without(*names: str) -> "OrderedDict[str, Tensor]":
    return OrderedDict((n, t) for n, t in suites.state_dict("resnet8").items() if n not in names)


def swapped() -> "OrderedDict[str, Tensor]":
    """A BatchNorm whose bias comes before its weight: all shapes are right."""
    names = list(suites.state_dict("resnet8"))
    i = names.index("bn1.weight")
    names[i : i + 2] = names[i + 1], names[i]
    return OrderedDict((n, suites.state_dict("resnet8")[n]) for n in names)


class Payload:
    """Creates a file wherever it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


class Evaluated(Payload):
    def __reduce__(self) -> Any:
        return eval, (f"open({str(self.path)!r}, 'w')",)


WRONG: dict[str, tuple[Any, str]] = {
    "another network": (
        suites.state_dict("resnet14"),
        "x.pth is no resnet8: its layer1.1.conv1.weight [16, 16, 3, 3] stands where "
        "stages.2.0.residual.0.0.weight [32, 16, 3, 3] belongs; it fits --network resnet14",
    ),
    "ten classes": (
        changed("fc.weight", lambda t: t[:10]),
        "x.pth is no resnet8: its fc.weight [10, 64] stands where classifier.weight [100, 64] "
        "belongs; it fits no known network",
    ),
    "too few": (
        without("fc.bias"),
        "x.pth is no resnet8: it ends after 46 of 47 tensors, before classifier.bias; it fits no",
    ),
    "too many": (
        suites.state_dict("resnet8") | {"fc2.weight": torch.ones(3)},
        "x.pth is no resnet8: it goes on after the 47 tensors with fc2.weight; it fits no known",
    ),
    "another order": (
        swapped(),
        "x.pth is no resnet8: its bn1.bias [16] stands where stages.0.1.weight [16] belongs",
    ),
    "not a number": (
        changed("fc.bias", filled(float("nan"))),
        "x.pth: fc.bias holds values that are not finite",
    ),
    "infinite statistics": (
        changed("bn1.running_var", filled(float("inf"))),
        "x.pth: bn1.running_var holds values that are not finite",
    ),
    "beyond half precision": (
        changed("fc.weight", filled(-70_000.0)),
        "x.pth: fc.weight holds 70000, but torch.float16 ends at 65504",
    ),
    "whole numbers": (
        changed("fc.bias", Tensor.int),
        "x.pth: fc.bias holds torch.int32, not floating-point numbers",
    ),
    "eight bits": (
        changed("fc.bias", lambda t: t.to(torch.float8_e4m3fn)),
        "x.pth: fc.bias holds torch.float8_e4m3fn, not",
    ),
    "sparse": (changed("fc.weight", Tensor.to_sparse), "x.pth holds no state dict"),
    "no storage": (changed("fc.weight", lambda t: t.to("meta")), "x.pth holds no state dict"),
    "a list": ([1, 2], "x.pth holds no state dict, alone or as its entry 'model'; give a"),
    "an empty dict": ({}, "x.pth holds no state dict"),
    "a number in it": (suites.state_dict("resnet8") | {"epoch": 1}, "x.pth holds no state dict"),
    "lines in a name": ({"a\n\x1b[2J": torch.ones(1)}, "x.pth holds no state dict"),
    "numbers as names": ({1: torch.ones(1)}, "x.pth holds no state dict"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_does_not_fit_is_told_by_its_first_tensor(
    wrong: str, tmp_path: Path, elsewhere: Path
) -> None:
    content, message = WRONG[wrong]
    path = suites.save(content, tmp_path / "x.pth")
    result = repro("import-teacher", path, "--network", "resnet8", "--runs-dir", elsewhere)
    assert error_of(result).startswith(message)
    assert not elsewhere.exists()


def whole() -> bytes:
    import io

    buffer = io.BytesIO()
    torch.save(suites.state_dict("resnet8"), buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize(
    "content",
    [b"", b"resnet8 by me\n", b"\x80", b"PK\x03\x04", b"\x00" * 100, whole()[:-1000], whole()[:99]],
    ids=["empty", "text", "one byte", "zip", "zeros", "truncated", "cut short"],
)
def test_a_damaged_file_is_one_line(
    content: bytes, suffix: str, tmp_path: Path, elsewhere: Path
) -> None:
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(content)
    result = repro("import-teacher", path, "--network", "resnet8", "--runs-dir", elsewhere)
    message = error_of(result)
    assert message.startswith(f"{path} is damaged or no checkpoint (")
    assert message.endswith("; give a checkpoint of RepDistiller or mdistiller, a state dict or "
                            "our .safetensors")  # fmt: skip
    assert not elsewhere.exists()


@pytest.mark.parametrize("payload", [Payload, Evaluated])
@pytest.mark.parametrize("zipped", [True, False, None])
def test_code_in_a_checkpoint_is_never_run(
    payload: type[Payload], zipped: bool | None, tmp_path: Path, elsewhere: Path
) -> None:
    path, ran = tmp_path / "x.pth", tmp_path / "ran"
    content = suites.repdistiller("resnet8", opt=payload(ran))
    if zipped is None:
        path.write_bytes(pickle.dumps(content["opt"]))
    else:
        suites.save(content, path, zipped=zipped)
    words = ("import-teacher", path, "--network", "resnet8", "--runs-dir", elsewhere)
    message = error_of(repro(*words))
    assert message.startswith(f"{path} is ")
    assert not ran.exists()
    assert not elsewhere.exists()
    if zipped is None:
        pickle.loads(path.read_bytes())  # so it was no dud
        assert ran.exists()
    else:
        assert message.startswith(f"{path} is refused: it would run ")


def test_a_pickled_network_is_refused_by_its_class(tmp_path: Path, elsewhere: Path) -> None:
    path = suites.save({"model": suites.network("resnet8")}, tmp_path / "x.pth")
    words = ("import-teacher", path, "--network", "resnet8", "--runs-dir", elsewhere)
    assert error_of(repro(*words)).startswith(
        f"{path} is refused: it would run repro.models.layers.StagedNetwork; give a checkpoint of"
    )


def test_other_names_in_safetensors_have_lost_their_order(tmp_path: Path, elsewhere: Path) -> None:
    path = tmp_path / "x.safetensors"
    safetensors.torch.save_file(dict(suites.state_dict("resnet8")), path)
    words = ("import-teacher", path, "--network", "resnet8", "--runs-dir", elsewhere)
    assert error_of(repro(*words)).startswith(
        "x.safetensors is no resnet8: its names are not ours, and .safetensors keep no order (a"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nowhere.pth", "--network", "resnet8"), "nowhere.pth does not exist"),
        ((".", "--network", "resnet8"), ". is a directory"),
        (("{file}", "--network", "resnet9"), "unknown network 'resnet9'; known: resnet8, resnet14"),
        (
            ("{file}", "--network", "resnet8", "--profile", "demo"),
            "a teacher is imported for cifar100: give --profile paper or quick",
        ),
        (("{file}", "--network", "resnet8", "--profile", "x"), "unknown profile 'x'; known: paper"),
        (("{file}", "--network", "resnet8", "--device", "tpu"), "unknown device 'tpu'; known:"),
        (
            ("{file}", "--network", "resnet8", "--expect", "nan"),
            "--expect is a top-1 in percent, 0 to 100, not nan",
        ),
        (("{file}", "--network", "resnet8", "--expect", "101"), "--expect is a top-1 in percent"),
        (("{file}", "--network", "resnet8", "--data", "no.npz"), "no.npz does not exist: --data"),
    ],
)
def test_a_wrong_word_is_named(
    words: tuple[str, ...], message: str, tmp_path: Path, elsewhere: Path
) -> None:
    path = suites.save(suites.state_dict("resnet8"), tmp_path / "x.pth")
    given = [word.format(file=path) for word in words]
    result = repro("import-teacher", *given, "--runs-dir", elsewhere)
    assert error_of(result).startswith(message)
    assert not elsewhere.exists()
