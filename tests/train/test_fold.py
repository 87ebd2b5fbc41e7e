"""A teacher's BatchNorms are folded into its convolutions; nothing that it says changes."""

import copy

import pytest
import torch
from torch import Tensor, nn

from repro import models
from repro.outputs import Outputs
from repro.train.teacher import LiveTeacher, fold_batch_norms
from repro.train.weights import channels_last
from tests.train.test_student import first_batch

KEEP_NORMS = {"wrn_16": 7, "wrn_28": 13, "wrn_40": 19}  # bn1 of each block and the last one


def lived_in(name: str, num_classes: int = 10) -> nn.Module:
    """Statistics of some batches, and scales, shifts and biases that are not 1 and 0."""
    generator = torch.Generator().manual_seed(3)
    model = models.build(name, num_classes=num_classes, seed=0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
        for _ in range(2):
            model.train()(images(generator))
    return channels_last(model).eval()


def images(generator: torch.Generator, count: int = 6) -> Tensor:
    made = 0.3 + 1.5 * torch.randn(count, 3, 32, 32, generator=generator)
    return made.contiguous(memory_format=torch.channels_last)


def norms(model: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())


def everything(outputs: Outputs) -> list[Tensor]:
    assert outputs.pooled is not None
    return [outputs.logits, outputs.pooled, *outputs.features, *outputs.preactivations]


def largest_difference(model: nn.Module, folded: nn.Module, given: Tensor) -> float:
    """Over all outputs, as a part of the largest value of each."""
    with torch.no_grad():
        pairs = zip(everything(model(given)), everything(folded(given)), strict=True)
        return max(((a - b).abs().max() / a.abs().max()).item() for a, b in pairs)


@pytest.mark.parametrize("name", models.MODELS)
def test_a_folded_network_says_the_same(name: str) -> None:
    model = lived_in(name)
    folded = fold_batch_norms(model)
    assert norms(folded) == KEEP_NORMS.get(name[:6], 0)
    given = images(torch.Generator().manual_seed(4))
    assert largest_difference(model, folded, given) < 3e-5  # float32
    double = copy.deepcopy(model).double()
    assert largest_difference(double, fold_batch_norms(double), given.double()) < 1e-11


@pytest.mark.parametrize("name", ["resnet8", "vgg8", "wrn_16_1", "MobileNetV2", "ShuffleV2"])
def test_folding_leaves_the_network_as_it_was_and_keeps_its_memory_format(name: str) -> None:
    model = lived_in(name).train()
    before = copy.deepcopy(model.state_dict())
    folded = fold_batch_norms(model)
    assert model.training
    assert not any(module.training for module in folded.modules())
    assert all(torch.equal(before[k], tensor) for k, tensor in model.state_dict().items())
    kept = {tensor.data_ptr() for tensor in model.state_dict().values()}
    assert not kept & {tensor.data_ptr() for tensor in folded.state_dict().values()}
    convolutions = [m.weight for m in folded.modules() if isinstance(m, nn.Conv2d)]
    assert all(w.is_contiguous(memory_format=torch.channels_last) for w in convolutions)


def test_a_norm_that_follows_no_convolution_stays() -> None:
    model = nn.Sequential(
        nn.BatchNorm2d(3), nn.Conv2d(3, 3, 1), nn.ReLU(), nn.BatchNorm2d(3), nn.Conv2d(3, 3, 1)
    )
    assert norms(fold_batch_norms(model)) == 2


def test_a_live_teacher_is_folded() -> None:
    model = lived_in("resnet8")
    teacher = LiveTeacher(model, "fp32")
    assert norms(teacher.model) == 0
    batch = first_batch()
    with torch.no_grad():
        expected = model(batch.images).logits
    torch.testing.assert_close(teacher(batch).logits, expected, rtol=1e-4, atol=1e-4)
