"""Standardised rows and Pearson's correlation, finite on constant rows.

Their gradients are in closed form: 8 operations for a z-score and 4 for a correlation, where
autograd took 19 and 22.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

ROUNDINGS = 8  # machine epsilons: the mean of up to 1024 equal numbers was measured 4 off at most
SMALLEST = 1e-31  # float32's tiny / eps: below it quotients lose digits to subnormal numbers


def zscore(logits: Tensor, eps: float = 1e-7) -> Tensor:
    """Each row of [B, K] logits with mean 0 and unbiased standard deviation 1.

    (z - mean) / (eps + std) with eps = 1e-7 as in logit standardisation (arXiv 2403.01427; their
    mdistiller/distillers/KD.py). A constant row becomes constant.
    """
    return _ZScore.apply(logits, eps)


def pearson(a: Tensor, b: Tensor, dim: int) -> Tensor:
    """Pearson's correlation of ``a`` and ``b`` (of one shape) along ``dim``, which is reduced.

    Where either side is constant the correlation is 0 and its gradient is 0. Nothing is added to
    the denominator, so rows of tiny variance keep their correlation. (DIST's code adds 1e-8 to the
    product of the norms; a class that a confident network never predicts has norms below 1e-4.)

    Constant means: the root mean square of its departures from the mean is no more than rounding.
    Float64 inside, as squares of small float32 numbers underflow; the result is as ``a``.
    """
    return _Pearson.apply(a, b, dim)


class _ZScore(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, eps: float) -> Tensor:
        std, mean = torch.std_mean(x, dim=-1, keepdim=True)  # [B, 1]
        divisor = std + eps
        z = (x - mean) / divisor
        ctx.save_for_backward(z, std, divisor)
        return z

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        """[g - mean g] / (eps + std) - z sum(g z) / ((K - 1) std); its last part 0 at std = 0."""
        z, std, divisor = ctx.saved_tensors
        along = (grad * z).sum(-1, keepdim=True) / std.clamp(min=torch.finfo(z.dtype).tiny)
        centred = (grad - grad.mean(-1, keepdim=True)) / divisor
        return torch.addcmul(centred, z, along, value=-1 / (z.shape[-1] - 1)), None


class _Pearson(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, dim: int) -> Tensor:
        dim = dim % a.dim() - a.dim()  # counted from the end: both sides are stacked before it
        x = torch.stack((a, b)).double()
        mean = x.mean(dim, keepdim=True)
        centred = x - mean
        norm = torch.linalg.vector_norm(centred, dim=dim, keepdim=True)
        rounding = ROUNDINGS * torch.finfo(a.dtype).eps * math.sqrt(a.shape[dim])
        constant = torch.sub(norm, mean.abs(), alpha=rounding) <= SMALLEST
        norm = norm.masked_fill(constant, torch.inf)
        units = centred / norm  # of norm 1; zeros where it is constant
        r = (units[0] * units[1]).sum(dim, keepdim=True)
        ctx.save_for_backward(units, norm, r)
        ctx.dim = dim
        return r.squeeze(dim).to(a.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        """dr / da = (unit b - r unit a) / norm a, and the same with a and b exchanged."""
        units, norm, r = ctx.saved_tensors
        grad = grad.unsqueeze(ctx.dim)
        of_a, of_b = (
            torch.addcmul(units[1 - side], r, units[side], value=-1)
            .mul_(grad / norm[side])
            .to(grad.dtype)
            if ctx.needs_input_grad[side]
            else None
            for side in (0, 1)
        )
        return of_a, of_b, None
