"""The amax (largest absolute number) of each factor of the blocks' products, which scales it to the range of float16.

Kernels scale a factor by the power of two that brings its amax to 2¹⁴ or above (``triton.common.scale_of``); float16
ends at 65,504. A step measures the amax of the tensors that it writes; for weights and norms, bounds that hold for a
whole epoch are computed at its beginning.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from harness.optimizers import Optimizer

FP16X3 = "fp16x3"
"""Precision of ``triton.common.product`` that adds three products of float16 parts."""
MAX_UPDATE = 64.0
"""Largest update of a weight in an epoch for which scales leave room. Unless a weight exceeds 64 to begin with, its
two float16 parts then err by 2⁻²³ of it, or by 2⁻³³ if that is more."""


def is_update_bounded(optimizer: Optimizer, max_update: float) -> bool:
    """Tell whether an epoch moves weights by at most MAX_UPDATE; ``max_update`` is in units of the learning rate.

    Weight decay never enlarges a weight unless it removes more than twice of it, lr·λ > 2: the weight then grows in
    every step.
    """
    return optimizer.lr * max_update <= MAX_UPDATE and optimizer.lr * optimizer.weight_decay <= 2


class Amax:
    """The amax of each factor of the blocks' products, [l, r], by name.

    norm_output and normalised are a layer norm's output with and without its gain and shift; w1 and w2 the weights; u
    the activations; df and dz the gradients at a branch's output and before its activation.
    """

    def __init__(self, layers: int, replicas: int, factory_kwargs: dict[str, Any]) -> None:
        names = ("u", "df", "dz", "norm_output", "normalised", "w1", "w2")
        rows = torch.zeros((len(names) * layers, replicas), **factory_kwargs)
        self.tensors: dict[str, Tensor] = dict(zip(names, rows.view(len(names), layers, replicas), strict=True))
        self.measured = rows[: 3 * layers]
        """Rows that a step measures: those of u, df and dz."""

    def __getitem__(self, name: str) -> Tensor:
        return self.tensors[name]

    def set_epoch_bounds(self, weights: dict[str, Tensor], max_update: Tensor) -> None:
        """Set the bounds for an epoch that moves weights [l, r, numbers] of all blocks by at most ``max_update`` [r].

        A row of D numbers minus their mean, divided by their standard deviation, has no entry beyond √D.
        """
        largest = {
            name: torch.linalg.vector_norm(tensor, math.inf, dim=-1) + max_update for name, tensor in weights.items()
        }
        bound = math.sqrt(weights["norm.weight"].shape[-1])
        self["normalised"][...] = bound
        self["norm_output"][...] = bound * largest["norm.weight"] + largest["norm.bias"]
        for name in ("w1", "w2"):
            self[name][...] = largest[f"{name}.weight"]
