"""Norms of the channels of stacked replicas' images [r, n, c, h, w]; no replica sees another's numbers."""

from __future__ import annotations

from torch import Tensor

NORM_EPS = 1e-5  # PyTorch's default

Statistics = tuple[Tensor, Tensor]
"""Mean and variance of every channel, each [r, c]."""


def read_statistics(x: Tensor) -> Statistics:
    """Return mean and biased variance of every channel over samples and positions, each [r, c]."""
    axes = (1, 3, 4)
    return x.mean(axes), x.var(axes, correction=0)


def batch_norm(x: Tensor, statistics: Statistics, weight: Tensor, bias: Tensor) -> Tensor:
    """Normalise channels by given statistics (Ioffe and Szegedy 2015, arXiv 1502.03167); weight and bias [r, c]."""
    mean, variance = statistics
    scale = weight * (variance + NORM_EPS).rsqrt()
    return x * _spread(scale) + _spread(bias - mean * scale)


def group_norm(x: Tensor, groups: int, weight: Tensor, bias: Tensor) -> Tensor:
    """Normalise groups of neighbouring channels of each sample (Wu and He 2018, arXiv 1803.08494)."""
    r, n, c, h, w = x.shape
    grouped = x.reshape(r, n, groups, -1)
    centred = grouped - grouped.mean(-1, keepdim=True)
    normal = centred * (centred.square().mean(-1, keepdim=True) + NORM_EPS).rsqrt()
    return normal.view(r, n, c, h, w) * _spread(weight) + _spread(bias)


def _spread(values: Tensor) -> Tensor:
    """Return numbers of channels [r, c] in a shape that multiplies images."""
    return values[:, None, :, None, None]
