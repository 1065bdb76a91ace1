"""The largest absolute numbers (amax) of the factors of the blocks' products, which float16 has to know: it ends at
65,504.

Kernels scale a factor by the power of two that brings its amax to 2¹⁴ or above (``triton.common.scale_of``). What a
step writes it measures itself; what holds for a whole epoch is found at its beginning.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from harness.records import Optimizer

PRODUCT = "fp16x3"
"""Three products of float16 parts, as ``triton.common.product`` takes it."""
MAX_UPDATE = 64.0
"""How far an epoch may move a weight. Its scale leaves room for that, and where none is beyond 64 to begin with, a
weight in two parts then errs by 2⁻²³ of itself, or by 2⁻³³ where that is more."""


def foreseeable(optimizer: Optimizer, max_update: float) -> bool:
    """Tell whether an epoch moves weights by no more than MAX_UPDATE; ``max_update`` in units of the rate.

    Decay makes no weight larger unless it takes more than twice of it, lr·λ > 2: the weight then grows step by step.
    """
    return optimizer.lr * max_update <= MAX_UPDATE and optimizer.lr * optimizer.weight_decay <= 2


class Amax:
    """Largest absolute numbers of what blocks multiply, [l, r] each, by the factor's name.

    normed and unit: a layer norm's output with and without its weight and bias; w1, w2; u: activations; df, dz: what
    flows back.
    """

    def __init__(self, layers: int, replicas: int, where: dict[str, Any]) -> None:
        names = ("u", "df", "dz", "normed", "unit", "w1", "w2")
        every = torch.zeros((len(names) * layers, replicas), **where)
        self.tensors: dict[str, Tensor] = dict(zip(names, every.view(len(names), layers, replicas), strict=True))
        self.measured = every[: 3 * layers]
        """Those that a step measures."""

    def __getitem__(self, name: str) -> Tensor:
        return self.tensors[name]

    def foresee(self, weights: dict[str, Tensor], moved: Tensor) -> None:
        """Set what holds for an epoch that may move weights [l, r, numbers] of all blocks by as much as ``moved`` [r].

        A row of D numbers less their mean, divided by their standard deviation, has none beyond √D.
        """
        largest = {name: torch.linalg.vector_norm(tensor, math.inf, dim=-1) + moved for name, tensor in weights.items()}
        unit = math.sqrt(weights["norm.weight"].shape[-1])
        self["unit"][...] = unit
        self["normed"][...] = unit * largest["norm.weight"] + largest["norm.bias"]
        for name in ("w1", "w2"):
            self[name][...] = largest[f"{name}.weight"]
