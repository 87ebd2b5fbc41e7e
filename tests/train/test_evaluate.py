import numpy as np
import pytest
import torch

from repro.train.evaluate import predict, scores
from repro.train.weights import initial
from tests import tiny


def test_scores_equal_a_computation_by_hand() -> None:
    logits = torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 3.0, 0.0]])
    labels = torch.tensor([0, 1, 2])
    found = scores(logits, labels)
    rows = zip(logits.numpy().astype(float), labels, strict=True)
    expected = np.mean([np.log(np.exp(row).sum()) - row[label] for row, label in rows])
    assert found["test/top1"].item() == pytest.approx(100 * 2 / 3)
    assert found["test/loss"].item() == pytest.approx(expected, rel=1e-6)


def test_predictions_are_in_the_order_of_the_images_whatever_the_batches() -> None:
    model = initial(tiny.TEACHER, tiny.CPU)
    parts = list(tiny.cohort_data().evaluation())
    images, labels = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
    split = list(zip(images.split(7), labels.split(7), strict=True))
    logits, found = predict(model, split)
    with torch.no_grad():
        expected = model.eval()(images).logits
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-5)
    assert torch.equal(found, labels)
    assert logits.shape == (30, 10)


def test_predictions_are_made_in_evaluation_mode_without_gradients() -> None:
    model = initial(tiny.TEACHER, tiny.CPU).train()
    logits, _ = predict(model, tiny.cohort_data().evaluation())
    assert not model.training
    assert not logits.requires_grad


def test_tick_runs_before_every_batch() -> None:
    model, ticks = initial(tiny.TEACHER, tiny.CPU), tiny.Ticks()
    images, labels = next(iter(tiny.cohort_data().evaluation()))
    predict(model, zip(images.split(7), labels.split(7), strict=True), tick=ticks)
    assert ticks.count == 5
