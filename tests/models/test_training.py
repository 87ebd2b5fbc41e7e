"""A training step reaches every parameter and every running statistic, once."""

import pytest
import torch
from torch import nn

from repro.models import MODELS, build
from tests.models.forward import FAMILIES, random_images, trained


@pytest.mark.parametrize("name", MODELS)
def test_batchnorm_statistics_are_updated_once_a_forward(name):
    network = build(name, num_classes=10, seed=0).train()
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    means = {}
    for norm in norms:
        norm.register_forward_pre_hook(
            lambda norm, given: means.update({norm: given[0].mean((0, 2, 3))})
        )
    network(random_images(4))
    assert len(means) == len(norms) > 0
    for norm, mean in means.items():  # momentum 0.1, from 0
        torch.testing.assert_close(norm.running_mean, 0.1 * mean)


@pytest.mark.parametrize("name", MODELS)
def test_gradients_reach_every_parameter(name):
    """A convolution's bias is cancelled by the BatchNorm after it; it only has to take part."""
    network = trained(name).network
    for path, parameter in network.named_parameters():
        assert parameter.grad is not None, path
        assert parameter.grad.isfinite().all(), path
        owner = network.get_submodule(path.rpartition(".")[0])
        if not (isinstance(owner, nn.Conv2d) and path.endswith("bias")):
            assert parameter.grad.abs().max() > 0, path


@pytest.mark.parametrize("name", FAMILIES)
def test_bfloat16_autocast_gives_finite_float32_gradients(name):
    network = build(name, num_classes=10, seed=0).to(memory_format=torch.channels_last)
    images = random_images(2).to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        logits = network(images).logits
    logits.logsumexp(dim=1).sum().backward()
    for path, parameter in network.named_parameters():
        assert parameter.grad.dtype == torch.float32, path
        assert parameter.grad.isfinite().all(), path


@pytest.mark.parametrize("name", FAMILIES)
def test_gradients_of_kept_maps_do_not_break_the_step(name):
    """A loss on features and pre-activations: nothing kept was changed in place afterwards."""
    outputs = build(name, num_classes=10, seed=0)(random_images(2))
    terms = (*outputs.features, *outputs.preactivations, outputs.pooled)
    sum(term.square().mean() for term in terms).backward()
