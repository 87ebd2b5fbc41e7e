import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
import torch
import torch.nn.functional as F
from torch import nn

from repro.losses import VID
from repro.losses.vid import Gaussian
from repro.models import num_params, shapes
from tests.losses.made import Case, adapter, made, terms
from tests.losses.reference import Array, cross_entropy


def guess(pixel: Array, layers: list[Array]) -> Array:
    """The mean of q for one pixel's channels [C]."""
    for weight in layers[:-1]:
        pixel = np.maximum(weight[:, :, 0, 0] @ pixel, 0)
    return layers[-1][:, :, 0, 0] @ pixel


def with_adapter(case: Case) -> tuple[nn.Module, list[Gaussian]]:
    module = adapter(VID(), case)
    assert module is not None
    return module, [child for child in module.children() if isinstance(child, Gaussian)]


def reference(case: Case, gaussians: list[Gaussian]) -> float:
    """The negative log-likelihood of each value under SciPy's normal distribution."""
    total = 0.0
    pairs = zip(gaussians, case.student.features[1:], case.teacher.features[1:], strict=True)
    for gaussian, own, theirs in pairs:
        layers = [weight.detach().numpy() for weight in gaussian.mean.parameters()]
        alpha = gaussian.alpha.detach().numpy().ravel()
        sigma = np.sqrt(np.log(1 + np.exp(alpha)) + 1e-5)
        surprises = []
        for image, height, width in np.ndindex(len(own), *own.shape[2:]):
            mean = guess(own[image, :, height, width].numpy(), layers)
            target = theirs[image, :, height, width].numpy()
            surprises.append(-scipy.stats.norm.logpdf(target, mean, sigma))
        total += np.mean(surprises) - math.log(2 * math.pi) / 2
    return total


def test_vid_equals_a_slow_reference() -> None:
    case = made()
    module, gaussians = with_adapter(case)
    with torch.no_grad():
        for i, gaussian in enumerate(gaussians):
            gaussian.alpha.copy_(torch.linspace(-3 - i, 4, len(gaussian.alpha))[:, None, None])
    expected = {
        "ce": cross_entropy(case.student.logits.numpy(), case.batch.labels.numpy()),
        "vid": reference(case, gaussians),
    }
    found = {name: term.item() for name, term in terms(VID(), case, module).items()}
    assert found == pytest.approx(expected, rel=1e-9)


def test_the_first_variance_is_5() -> None:
    _, gaussians = with_adapter(made())
    for gaussian in gaussians:
        assert (F.softplus(gaussian.alpha) + 1e-5).flatten().tolist() == pytest.approx(
            [5.0] * len(gaussian.alpha), rel=1e-6
        )


def test_the_best_variance_is_the_mean_squared_error() -> None:
    """Of a channel, where the derivative by alpha is 0: maximum likelihood."""
    case = made()
    module, gaussians = with_adapter(case)
    pairs = zip(gaussians, case.student.features[1:], case.teacher.features[1:], strict=True)
    for gaussian, own, theirs in pairs:
        error = (gaussian.mean(own) - theirs).square().mean(dim=(0, 2, 3)).detach()
        gaussian.alpha.data.copy_((error - 1e-5).expm1().log()[:, None, None])
    terms(VID(), case, module)["vid"].backward()
    for gaussian in gaussians:
        assert gaussian.alpha.grad is not None
        assert gaussian.alpha.grad.abs().max() < 1e-12


def test_larger_maps_are_averaged_on_either_side() -> None:
    case = made()
    module = adapter(VID(), case)
    small, tiny = (
        replace(side, features=tuple(F.avg_pool2d(f, 2) for f in side.features))
        for side in (case.student, case.teacher)
    )
    both = terms(VID(), replace(case, student=small, teacher=tiny), module)["vid"]
    for one in (replace(case, student=small), replace(case, teacher=tiny)):
        assert terms(VID(), one, module)["vid"].item() == pytest.approx(both.item(), rel=1e-12)


def test_the_parameters_for_resnet32x4_and_resnet8x4() -> None:
    student, teacher = shapes("resnet8x4", 100), shapes("resnet32x4", 100)
    module = VID().make_adapter(student, teacher, torch.empty(0))
    assert num_params(module) == sum(3 * width**2 + width for width in (64, 128, 256))
