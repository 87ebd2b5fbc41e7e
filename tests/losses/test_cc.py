import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.spatial.distance
from torch import nn

from repro.errors import UserError
from repro.losses import CC
from repro.losses.embedding import Embeddings
from tests.losses.made import Case, adapter, made, terms
from tests.losses.reference import Array, cross_entropy


def pooled(case: Case) -> tuple[Array, Array]:
    assert case.student.pooled is not None
    assert case.teacher.pooled is not None
    return case.student.pooled.numpy(), case.teacher.pooled.numpy()


def embedded(features: Array, layer: nn.Linear) -> Array:
    weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    return np.array([weight @ row + bias for row in features])


def units(case: Case) -> list[Array]:
    return [x / np.linalg.norm(x, axis=1, keepdims=True) for x in pooled(case)]


def test_the_released_cc_equals_a_slow_reference() -> None:
    case = made()
    module = adapter(CC(), case)
    assert isinstance(module, Embeddings)
    student, teacher = pooled(case)
    a, b = embedded(student, module.student), embedded(teacher, module.teacher)
    products = [
        sum(abs(a[i, d] - b[i, d]) * abs(a[i + 1, d] - b[i + 1, d]) for d in range(128))
        for i in range(5)
    ]
    expected = {
        "ce": cross_entropy(case.student.logits.numpy(), case.batch.labels.numpy()),
        "cc": 0.02 * np.mean(products),
    }
    found = {name: value.item() for name, value in terms(CC(), case, module).items()}
    assert found == pytest.approx(expected, rel=1e-9)


def test_the_paper_s_cc_equals_a_slow_reference() -> None:
    loss, case = CC(formula="paper", cc_weight=3.0), made()
    correlations = []
    for x in units(case):
        taylor = [
            sum(math.exp(-0.8) * 0.8**p / math.factorial(p) * (x[i] @ x[j]) ** p for p in range(3))
            for i in range(6)
            for j in range(6)
        ]
        correlations.append(np.array(taylor))
    expected = 3 * np.sum((correlations[0] - correlations[1]) ** 2) / 6**2
    assert terms(loss, case)["cc"].item() == pytest.approx(expected, rel=1e-9)


def test_at_a_high_order_the_paper_s_cc_compares_gaussian_kernels() -> None:
    case = made()
    kernels = [
        np.exp(-0.7 * scipy.spatial.distance.cdist(x, x, "sqeuclidean")) for x in units(case)
    ]
    loss = CC(formula="paper", cc_weight=1.0, gamma=0.7, order=25)
    expected = np.mean((kernels[0] - kernels[1]) ** 2)
    assert terms(loss, case)["cc"].item() == pytest.approx(expected, rel=1e-9)


def test_the_paper_s_cc_is_zero_at_the_teacher() -> None:
    case, loss = made(), CC(formula="paper")
    equal = replace(case, student=replace(case.student, pooled=case.teacher.pooled))
    assert terms(loss, equal)["cc"] == 0
    assert terms(loss, case)["cc"] > 0


def test_an_image_alone_has_no_neighbour() -> None:
    assert terms(CC(), made(batch=1))["cc"] == 0


def test_the_released_formula_alone_trains_embeddings() -> None:
    case = made()
    module = adapter(CC(), case)
    assert module is not None
    assert sum(p.numel() for p in module.parameters()) == (8 + 1) * 128 + (9 + 1) * 128
    assert adapter(CC(formula="paper"), case) is None


def test_an_embedding_has_a_dimension() -> None:
    with pytest.raises(UserError, match=r"CC\.dim must be 1 or more, not 0"):
        CC(dim=0)
