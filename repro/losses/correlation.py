"""Standardised rows and Pearson's correlation, finite on constant rows."""

import torch
from torch import Tensor


def zscore(logits: Tensor, eps: float = 1e-7) -> Tensor:
    """Each row of [B, K] logits with mean 0 and unbiased standard deviation 1.

    (z - mean) / (eps + std) with eps = 1e-7 as in logit standardisation (arXiv 2403.01427; their
    mdistiller/distillers/KD.py). A constant row becomes constant.
    """
    std, mean = torch.std_mean(logits, dim=-1, keepdim=True)  # [B, 1]
    return (logits - mean) / (eps + std)


def pearson(a: Tensor, b: Tensor, dim: int) -> Tensor:
    """Pearson's correlation of ``a`` and ``b`` along ``dim``, which is reduced.

    Where either side is constant the correlation is 0 and its gradient is 0. Nothing is added to
    the denominator, so rows of tiny variance keep their correlation. (DIST's code adds 1e-8 to the
    product of the norms; a class that a confident network never predicts has norms below 1e-4.)
    """
    return (_unit(a, dim) * _unit(b, dim)).sum(dim)


def _unit(x: Tensor, dim: int) -> Tensor:
    """``x`` centred and scaled to norm 1 along ``dim``; zeros where it is constant.

    Constant means: it departs from its mean by no more than rounding. The mean of n equal float32
    numbers was measured to be off by up to 4 times the machine epsilon (n up to 1024); 8 is
    allowed. Below ``tiny / eps`` (1e-31 in float32) quotients lose digits to subnormal numbers.
    Dividing by the largest departure first keeps the squares from underflow; autograd may take it
    for a constant because a correlation does not depend on scale.
    """
    limits = torch.finfo(x.dtype)
    centred = x - x.mean(dim, keepdim=True)
    spread = centred.detach().abs().amax(dim, keepdim=True)
    size = x.detach().abs().amax(dim, keepdim=True)
    constant = spread <= 8 * limits.eps * size + limits.tiny / limits.eps
    scaled = centred.masked_fill(constant, 0.0) / spread.masked_fill(constant, 1.0)
    norm = scaled.square().sum(dim, keepdim=True).clamp(min=1.0).sqrt()  # only zeros are below 1
    return scaled / norm
