"""Layers on stacked replicas: each maps [r, n, i] with weights [r, i, o] and never mixes replicas."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

LAYER_NORM_EPS = 1e-5  # PyTorch's default

Product = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""A product of inputs and weights, plus a bias if there is one."""


@dataclass(frozen=True)
class Pair:
    """A weight whose way back is another matrix, both [r, i, o].

    A rule hands it to a model in the place of the weight; ``linear`` and ``convolve`` take both.
    """

    forward: Tensor
    """Matrix W that the input is multiplied by."""
    backward: Tensor
    """Matrix B that sends the error back: δBᵀ in place of δWᵀ."""
    learns: bool = False
    """True if B gets the gradient that W gets."""


def linear(x: Tensor, weight: Tensor | Pair, bias: Tensor | None) -> Tensor:
    """Map x [r, n, i] with weight [r, i, o] and bias [r, o], if there is one, to [r, n, o].

    Of a ``Pair``, the value and the gradient of W are those of W alone; the gradient of x is δBᵀ.
    """
    return multiply(x, weight, bias, _map)


def multiply(x: Tensor, weight: Tensor | Pair, bias: Tensor | None, product: Product) -> Tensor:
    """Return ``product`` of x, weight and bias, linear in both; of a ``Pair``, with its own way back for x.

    The value and the gradient of W are those of W alone; the gradient of x is what the product with B sends back.
    """
    if not isinstance(weight, Pair):
        return product(x, weight, bias)
    still = x.detach()
    out = product(still, weight.forward, bias)
    if x.requires_grad:
        out = out + product(x - still, weight.backward.detach(), None)
    if weight.learns:
        twin = product(still, weight.backward, None)
        out = out + (twin - twin.detach())
    return out


def _map(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return torch.bmm(x, weight) if bias is None else torch.baddbmm(bias.unsqueeze(1), x, weight)


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Apply layer norm over the last axis (Ba et al. 2016, arXiv 1607.06450): x [r, n, d], weight and bias [r, d]."""
    return torch.addcmul(
        bias.unsqueeze(1), functional.layer_norm(x, x.shape[-1:], eps=LAYER_NORM_EPS), weight.unsqueeze(1)
    )


def activate(x: Tensor, kind: Literal["gelu", "relu", "tanh", "logistic"]) -> Tensor:
    """Apply an elementwise non-linearity; gelu is the exact one (Hendrycks and Gimpel 2016, arXiv 1606.08415)."""
    if kind == "gelu":
        return functional.gelu(x)
    if kind == "logistic":
        return x.sigmoid()
    return x.relu() if kind == "relu" else x.tanh()
