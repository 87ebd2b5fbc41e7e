from dataclasses import replace
from pathlib import Path

import pytest
import torch

from repro.errors import UserError
from repro.grid import Choice, expand
from repro.losses import DKD
from repro.spec import Optim, Run, Stream
from repro.train.weights import initial, load_half, save_half
from tests import tiny


def weights(run: Run) -> dict[str, torch.Tensor]:
    return initial(run, tiny.CPU).state_dict()


@pytest.mark.parametrize(
    "other",
    [
        tiny.run("cmkd"),
        tiny.run(loss=DKD(beta=2.0)),
        tiny.run(stream=replace(tiny.STREAM, epochs=7, batch_size=8, split="tune")),
        tiny.run(optim=Optim(lr=0.01)),
        tiny.run(teacher=None),
        tiny.run(precision="bf16"),
    ],
)
def test_initial_weights_do_not_depend_on_how_the_network_is_trained(other: Run) -> None:
    assert tiny.same(weights(other), weights(tiny.run()))


def test_initial_weights_depend_on_the_trial_and_the_network() -> None:
    one, other = weights(tiny.run(trial=0)), weights(tiny.run(trial=1))
    assert one.keys() == other.keys()
    assert not torch.equal(one["classifier.weight"], other["classifier.weight"])
    convolutions = [name for name, tensor in one.items() if tensor.dim() == 4]
    assert not any(torch.equal(one[name], other[name]) for name in convolutions)
    deeper = weights(tiny.run(trial=0, network="resnet14"))
    assert not torch.equal(one["classifier.weight"], deeper["classifier.weight"])


def test_initial_weights_depend_on_the_number_of_classes() -> None:
    cifar = weights(tiny.run(stream=Stream(dataset="cifar100")))
    assert cifar["classifier.weight"].shape == (100, 64)
    stem = next(name for name, tensor in cifar.items() if tensor.dim() == 4)
    assert not torch.equal(cifar[stem], weights(tiny.run())[stem])


def test_the_methods_of_a_trial_start_equal() -> None:
    runs = expand("demo", tiny.PROFILE, Choice(trials=2))
    for trial in range(2):
        starts = [weights(run) for run in runs if run.teacher and run.trial == trial]
        assert len(starts) == 5
        assert all(tiny.same(starts[0], start) for start in starts)


def test_making_a_network_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first = weights(tiny.run())
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(4)
    assert tiny.same(first, weights(tiny.run()))


def test_stored_weights_are_half_and_buffers_exact(tmp_path: Path) -> None:
    run = tiny.run()
    model = initial(run, tiny.CPU)
    for buffer in model.buffers():
        buffer.copy_(torch.full_like(buffer, 1234.5678) if buffer.is_floating_point() else 7)
    save_half(model, tmp_path / "w")
    loaded = load_half(run, tmp_path / "w", tiny.CPU)
    assert not loaded.training
    buffers = dict(loaded.named_buffers())
    for name, tensor in model.state_dict().items():
        expected = tensor if name in buffers else tensor.half().float()
        assert torch.equal(loaded.state_dict()[name], expected), name
        assert loaded.state_dict()[name].dtype == tensor.dtype
    assert (tmp_path / "w").stat().st_size < 2.3 * sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("damage", ["missing", "truncated", "rubbish", "empty", "other network"])
def test_weights_that_cannot_be_read_are_one_clear_error(tmp_path: Path, damage: str) -> None:
    run, path = tiny.run(), tmp_path / "key" / "weights.safetensors"
    path.parent.mkdir()
    save_half(initial(run, tiny.CPU), path)
    whole = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "other network":
        save_half(initial(tiny.run(network="resnet14"), tiny.CPU), path)
    else:
        path.write_bytes({"truncated": whole[:-100], "rubbish": b"x" * 999, "empty": b""}[damage])
    with pytest.raises(UserError, match=r"cannot be read as weights of resnet8.*remove") as error:
        load_half(run, path, tiny.CPU)
    assert str(path.parent) in str(error.value)
    assert "\n" not in str(error.value)
