"""The usual loop trains, as the same step written by hand does."""

import copy
import multiprocessing

import numpy as np
import pytest
import torch
from torch import Tensor

from repro.bench.inputs import Inputs
from repro.bench.reference import make_loader, make_networks, train_step, usual_loop
from tests.tiny import CPU

PAIR = "resnet8:resnet8"


@pytest.fixture
def batch(inputs: Inputs) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(16, 3, 32, 32, generator=generator)
    return images, inputs.images.labels[:16]


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def test_the_loss_is_hintons(inputs: Inputs, batch: tuple[Tensor, Tensor]) -> None:
    teacher, student, optimizer = make_networks(PAIR, inputs)
    with torch.no_grad():
        s, t = (network(batch[0]).logits.double().numpy() for network in (student, teacher))
    labels = batch[1].numpy()
    ce = -np.log(softmax(s)[np.arange(16), labels]).mean()
    p, q = softmax(s / 4), softmax(t / 4)
    kl = (q * np.log(q / p)).sum(axis=1).mean() * 16
    loss, accuracy = train_step(teacher, student, optimizer, *batch)
    assert loss == pytest.approx(0.1 * ce + 0.9 * kl, rel=1e-4)
    assert accuracy == (s.argmax(axis=1) == labels).mean() * 100


def test_a_step_equals_one_by_hand(inputs: Inputs, batch: tuple[Tensor, Tensor]) -> None:
    teacher, student, optimizer = make_networks(PAIR, inputs)
    by_hand = copy.deepcopy(student)
    momenta = [torch.zeros_like(parameter) for parameter in by_hand.parameters()]
    for _ in range(2):
        train_step(teacher, student, optimizer, *batch)
        logits = by_hand(batch[0]).logits
        log_p, q = (logits / 4).log_softmax(1), (teacher(batch[0]).logits / 4).softmax(1)
        kl = (q * (q.log() - log_p)).sum(1).mean() * 16
        ce = -logits.log_softmax(1)[range(16), batch[1]].mean()
        gradients = torch.autograd.grad(0.1 * ce + 0.9 * kl, list(by_hand.parameters()))
        with torch.no_grad():
            for parameter, gradient, momentum in zip(
                by_hand.parameters(), gradients, momenta, strict=True
            ):
                momentum.mul_(0.9).add_(gradient + 5e-4 * parameter)
                parameter.sub_(0.05 * momentum)
    for ours, theirs in zip(student.parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)


def test_the_loss_falls(inputs: Inputs, batch: tuple[Tensor, Tensor]) -> None:
    networks = make_networks(PAIR, inputs)
    losses = [train_step(*networks, *batch)[0] for _ in range(12)]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.9 * losses[0]


def test_networks_and_images_are_as_others_have_them(inputs: Inputs) -> None:
    teacher, student, optimizer = make_networks(PAIR, inputs)
    assert not teacher.training
    assert student.training
    assert all(p.is_contiguous() and p.dtype == torch.float32 for p in student.parameters())
    assert not optimizer.defaults["fused"]
    images, labels = next(iter(make_loader(inputs, CPU)))
    assert (images.shape, images.dtype, labels.shape) == ((64, 3, 32, 32), torch.float32, (64,))
    assert images.is_contiguous()


def test_every_image_comes_once_and_normalised(inputs: Inputs) -> None:
    loader = make_loader(inputs, CPU)
    assert sorted(torch.cat([labels for _, labels in loader]).tolist()) == sorted(
        inputs.images.labels.tolist()
    )
    pixels = torch.cat([images for images, _ in loader])
    lowest = [(0 - mean) / std for mean, std in zip(inputs.mean, inputs.std, strict=True)]
    torch.testing.assert_close(pixels.amin(dim=(0, 2, 3)), torch.tensor(lowest))


def test_the_loop_goes_on_over_epochs_and_ends_its_workers(inputs: Inputs) -> None:
    loop = usual_loop(PAIR, inputs)
    assert [next(loop) for _ in range(4)] == [64] * 4  # an epoch has three batches
    assert multiprocessing.active_children()
    loop.close()
    assert multiprocessing.active_children() == []
    assert not torch.backends.cudnn.benchmark
