import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from repro.losses import soft_rank
from repro.losses.soft_rank import L2Rank, SigmoidRank, SoftRank, hard_rank
from tests.losses.operations import Operations
from tests.losses.reference import l2_rank, sigmoid_rank

values = st.lists(st.integers(-3, 3), min_size=1, max_size=12)  # few values: many ties


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


@given(values)
@settings(deadline=None)
def test_hard_rank_averages_ties_as_scipy(row: list[int]) -> None:
    ours = hard_rank(torch.tensor([row], dtype=torch.float32))
    assert ours[0].tolist() == scipy.stats.rankdata(row).tolist()


def test_hard_rank_works_along_the_last_dimension_without_a_gradient() -> None:
    x = normal(4, 3, 20).requires_grad_()
    np.testing.assert_array_equal(hard_rank(x), scipy.stats.rankdata(x.detach(), axis=-1))
    assert not hard_rank(x).requires_grad
    assert hard_rank(x.detach().transpose(0, 2)).shape == (20, 3, 4)
    assert hard_rank(x.float()).dtype == torch.float32


@pytest.fixture(params=[1, 7, 40, 300, 2**20], ids="{}-gaps".format)
def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Parts of a row of 9, a row, some rows, all."""
    monkeypatch.setattr(soft_rank, "BLOCK", request.param)
    return request.param


SHAPES = [(9,), (1, 9), (6, 9), (2, 3, 9), (0, 9), (2, 0, 9), (5, 1)]


def layouts(shape: tuple[int, ...]) -> list[torch.Tensor]:
    """In memory in order, with gaps, turned round, and expanded."""
    turned = normal(*reversed(shape)).permute(*reversed(range(len(shape))))
    return [normal(*shape), normal(*shape, 2)[..., 0], turned, normal(shape[-1]).expand(shape)]


def plain_sigmoid_rank(x: torch.Tensor, tau: float) -> torch.Tensor:
    return 0.5 + torch.sigmoid((x.unsqueeze(-1) - x.unsqueeze(-2)) / tau).sum(-1)


@pytest.mark.usefixtures("block")
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("tau", [0.1, 2.0])
def test_sigmoid_ranks_and_their_gradient_are_those_of_autograd(
    shape: tuple[int, ...], tau: float
) -> None:
    for x in layouts(shape):
        ours, plain = SigmoidRank(tau=tau)(x.requires_grad_()), plain_sigmoid_rank(x, tau)
        torch.testing.assert_close(ours, plain)
        weights = normal(*shape, seed=1)
        of_ours, of_plain = (torch.autograd.grad(ranks, x, weights) for ranks in (ours, plain))
        torch.testing.assert_close(of_ours, of_plain)


@pytest.mark.usefixtures("block")
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_hard_rank_is_the_same_in_any_blocks(shape: tuple[int, ...]) -> None:
    for x in layouts(shape):
        ties = x.round()
        expected = scipy.stats.rankdata(ties.numpy(), axis=-1)
        np.testing.assert_array_equal(hard_rank(ties).numpy(), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_sigmoid_ranks_of_fewer_bits_are_those_of_float32_rounded(dtype: torch.dtype) -> None:
    x = normal(4, 100).to(dtype).requires_grad_()
    y = x.detach().float().requires_grad_()
    ours, exact = SigmoidRank()(x), SigmoidRank()(y)
    assert ours.dtype == dtype
    assert torch.equal(ours, exact.to(dtype))
    weights = normal(4, 100, seed=1).to(dtype)
    (grad,) = torch.autograd.grad(ours, x, weights)
    (exact_grad,) = torch.autograd.grad(exact, y, weights.float())
    assert torch.equal(grad, exact_grad.to(dtype))


def test_ranks_of_a_thousand_classes_take_little_memory() -> None:
    """Whole, the differences of 32 rows are 32 million numbers."""
    x = normal(32, 1000).float().requires_grad_()
    kept = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor.numel())
        return tensor

    hooks = torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor)
    with hooks, Operations() as forward:
        total = SigmoidRank()(x).sum()
    with Operations() as backward:
        total.backward()
    with Operations() as hard:
        hard_rank(x)
    assert max(forward.largest, backward.largest, hard.largest) <= 2**20
    assert sum(kept) <= 2**20 + x.numel()


def test_all_of_the_usual_batch_is_one_block() -> None:
    """Else the backward pass computes sigmoids again, and a GPU starts more kernels."""
    x = normal(64, 100).float().requires_grad_()
    total = SigmoidRank()(x).sum()
    with Operations() as backward:
        total.backward()
    assert "sigmoid_" not in backward.names


@pytest.mark.parametrize("strength", [0.01, 0.1, 1.0, 10.0])
def test_soft_ranks_equal_slow_references(strength: float) -> None:
    x = normal(5, 30)
    rows = x.numpy()
    expected = np.array([sigmoid_rank(row, strength) for row in rows])
    np.testing.assert_allclose(SigmoidRank(tau=strength)(x).numpy(), expected, atol=1e-10)
    expected = np.array([l2_rank(row, strength) for row in rows])
    np.testing.assert_allclose(L2Rank(eps=strength)(x).numpy(), expected, atol=1e-10)


@given(row=values.filter(lambda row: len(row) > 1), strength=st.sampled_from([0.3, 1.0, 2.5]))
@settings(deadline=None)
def test_l2_rank_equals_pooling_adjacent_violators_with_ties(
    row: list[int], strength: float
) -> None:
    x = np.array(row, dtype=float)
    ours = L2Rank(eps=strength)(torch.tensor(x))
    np.testing.assert_allclose(ours.numpy(), l2_rank(x, strength), atol=1e-10)


@given(values)
@settings(deadline=None)
def test_soft_ranks_tend_to_the_hard_rank_with_ties(row: list[int]) -> None:
    x = torch.tensor([row], dtype=torch.float64)  # distinct values are 1 or more apart
    exact = hard_rank(x)
    torch.testing.assert_close(SigmoidRank(tau=0.01)(x), exact, atol=1e-10, rtol=0)
    torch.testing.assert_close(L2Rank(eps=0.01)(x), exact, atol=1e-10, rtol=0)


@pytest.mark.parametrize(
    "ranks",
    [
        [SigmoidRank(tau=tau) for tau in (1.0, 0.1, 0.01, 0.001)],
        [L2Rank(eps=eps) for eps in (1.0, 0.1, 0.01, 0.001)],
    ],
    ids=["sigmoid", "l2"],
)
def test_the_error_of_a_soft_rank_shrinks_with_its_strength(ranks: list[SoftRank]) -> None:
    x = normal(16, 100)
    errors = [(rank(x) - hard_rank(x)).abs().mean().item() for rank in ranks]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 5
    assert errors[-1] < 0.05


@pytest.mark.parametrize("rank", [SigmoidRank(), SigmoidRank(tau=2.0), L2Rank(), L2Rank(eps=0.1)])
def test_soft_ranks_sum_to_that_of_the_ranks_and_rise_with_the_values(rank: SoftRank) -> None:
    x = normal(8, 50).sort(dim=1).values
    ranks = rank(x)
    torch.testing.assert_close(ranks.sum(1), torch.full((8,), 50 * 51 / 2, dtype=x.dtype))
    assert (ranks.diff(dim=1) >= -1e-9).all()
    assert ranks.min() >= 1 - 1e-9
    assert ranks.max() <= 50 + 1e-9


@pytest.mark.parametrize("rank", [SigmoidRank(tau=0.5), L2Rank(), L2Rank(eps=0.2), L2Rank(eps=5.0)])
def test_soft_ranks_gradcheck(rank: SoftRank) -> None:
    assert torch.autograd.gradcheck(rank, normal(3, 7, seed=2).requires_grad_())


@pytest.mark.parametrize("scale", [1e4, 1e6])
def test_l2_rank_is_exact_in_float32_at_large_values(scale: float) -> None:
    x = (scale * normal(4, 100)).float()
    torch.testing.assert_close(L2Rank(eps=0.1)(x), hard_rank(x), atol=1e-3, rtol=0)


def test_l2_rank_of_probabilities_is_affine() -> None:
    p = torch.softmax(normal(4, 100), dim=1)
    expected = p - p.mean(1, keepdim=True) + 101 / 2
    torch.testing.assert_close(L2Rank(eps=1.0)(p), expected, atol=1e-10, rtol=0)
