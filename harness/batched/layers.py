"""Layers on stacked replicas: each maps [r, n, i] with weights [r, i, o] and never mixes replicas."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

LAYER_NORM_EPS = 1e-5  # PyTorch's default


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Map x [r, n, i] with weight [r, i, o] and bias [r, o] to [r, n, o]."""
    return torch.baddbmm(bias.unsqueeze(1), x, weight)


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Apply layer norm over the last axis (Ba et al. 2016, arXiv 1607.06450): x [r, n, d], weight and bias [r, d]."""
    return torch.addcmul(
        bias.unsqueeze(1), functional.layer_norm(x, x.shape[-1:], eps=LAYER_NORM_EPS), weight.unsqueeze(1)
    )


def activate(x: Tensor, kind: Literal["gelu", "relu", "tanh"]) -> Tensor:
    """Apply an elementwise non-linearity; gelu is the exact one (Hendrycks and Gimpel 2016, arXiv 1606.08415)."""
    if kind == "gelu":
        return functional.gelu(x)
    return x.relu() if kind == "relu" else x.tanh()
