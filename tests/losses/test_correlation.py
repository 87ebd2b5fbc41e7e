import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from repro.losses.correlation import pearson, zscore
from tests.losses.reference import correlations, standard


@given(
    seed=st.integers(0, 10_000),
    offset=st.floats(-1e3, 1e3),
    scale=st.floats(1e-3, 1e3),
    classes=st.integers(3, 40),
)
@settings(max_examples=60, deadline=None)
def test_pearson_equals_scipy(seed: int, offset: float, scale: float, classes: int) -> None:
    rng = np.random.default_rng(seed)
    a = offset + scale * rng.normal(size=(3, classes))
    b = rng.normal(size=(3, classes)) + 0.5 * a / scale
    ours = pearson(torch.tensor(a), torch.tensor(b), dim=1).numpy()
    np.testing.assert_allclose(ours, correlations(a, b), atol=1e-9)


def test_pearson_along_columns_is_that_of_the_transpose() -> None:
    a, b = torch.randn(2, 7, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = correlations(a.T.numpy(), b.T.numpy())
    np.testing.assert_allclose(pearson(a, b, dim=0).numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("scale", [1e-30, 1e-20, 1e-10, 1.0, 1e10, 1e30])
def test_float32_rows_of_tiny_or_huge_variance_keep_their_correlation(scale: float) -> None:
    a, b = torch.randn(2, 16, 100, generator=torch.Generator().manual_seed(0))
    exact = correlations(a.double().numpy(), b.double().numpy())
    ours = pearson(a * scale, b, dim=1)
    np.testing.assert_allclose(ours.numpy(), exact, atol=1e-6)
    x = (a * scale).requires_grad_()
    (grad,) = torch.autograd.grad(pearson(x, b, dim=1).sum(), x)
    y = a.double().requires_grad_()
    (exact_grad,) = torch.autograd.grad(pearson(y, b.double(), dim=1).sum(), y)
    torch.testing.assert_close(grad.double() * scale, exact_grad, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("value", [0.0, 0.1, -12345.678, 3.3e-5, 1e-38])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_a_constant_row_has_correlation_and_gradient_zero(value: float, dtype: torch.dtype) -> None:
    constant = torch.full((2, 100), value, dtype=dtype, requires_grad=True)
    other = torch.randn(2, 100, generator=torch.Generator().manual_seed(0)).to(dtype)
    other.requires_grad_()
    for a, b in [(constant, other), (other, constant), (constant, constant * 3)]:
        result = pearson(a, b, dim=1)
        assert torch.equal(result, torch.zeros_like(result))
        grads = torch.autograd.grad(result.sum(), (constant, other), allow_unused=True)
        assert all(grad is None or not grad.any() for grad in grads)


@pytest.mark.parametrize("classes", [10, 100, 1000])
def test_a_row_that_departs_by_rounding_counts_as_constant(classes: int) -> None:
    generator = torch.Generator().manual_seed(0)
    eps = torch.finfo(torch.float32).eps
    x = 0.1 * (1 + eps * torch.randint(-2, 3, (4, classes), generator=generator))
    other = torch.randn(4, classes, generator=generator)
    assert x.std(dim=1).min() > 0
    assert not pearson(x.requires_grad_(), other, dim=1).any()
    assert not torch.autograd.grad(pearson(other, x, dim=1).sum(), x)[0].any()


def test_one_departing_entry_in_a_thousand_is_no_rounding() -> None:
    x = torch.ones(1, 1000)
    x[0, 3] += 1e-4
    torch.testing.assert_close(pearson(x, x.square(), dim=1), torch.ones(1))


def test_pearson_gradcheck() -> None:
    a, b = torch.randn(2, 3, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for dim in (0, 1):
        assert torch.autograd.gradcheck(
            lambda x, y, dim=dim: pearson(x, y, dim=dim), (a.requires_grad_(), b.requires_grad_())
        )


@pytest.mark.parametrize("eps", [1e-7, 0.5])
def test_zscore_gradcheck(eps: float) -> None:
    z = torch.randn(3, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: zscore(x, eps), z.requires_grad_())


def test_zscore_equals_a_loop_and_scipy() -> None:
    z = 5 + 3 * torch.randn(6, 100, generator=torch.Generator().manual_seed(0)).double()
    np.testing.assert_allclose(zscore(z).numpy(), standard(z.numpy()), atol=1e-12)
    expected = scipy.stats.zscore(z.numpy(), axis=1, ddof=1)
    np.testing.assert_allclose(zscore(z).numpy(), expected, atol=1e-6)


def test_zscore_of_a_constant_row_is_constant_with_a_finite_gradient() -> None:
    z = torch.full((2, 100), 12345.678, requires_grad=True)
    scored = zscore(z)
    assert torch.equal(scored, scored[:, :1].expand_as(scored))
    (grad,) = torch.autograd.grad(scored.square().sum() + scored[0, 0], z)
    assert torch.isfinite(grad).all()
