"""Taps: credit measured where it acts, from nothing but a rule's objective."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor

from harness.models import Model

Descend = Callable[[Model, dict[str, Tensor], Tensor, Tensor], Tensor]
"""An objective as a function of model, parameters [r, …], x [r, n, i] and labels [r, n] → [r]."""


class TappedModel:
    """A model that adds a leaf to the output of each part that rules give credit to, and is otherwise itself."""

    def __init__(self, model: Model, leaves: Sequence[Tensor]) -> None:
        self._model, self._leaves = model, leaves

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def embed(self, p: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """Return the model's embed(x) plus the first leaf."""
        return self._model.embed(p, x) + self._leaves[0]

    def branch(self, p: Mapping[str, Tensor], layer: int, h: Tensor) -> Tensor:
        """Return the model's f_l(h) plus the leaf of block l."""
        return self._model.branch(p, layer, h) + self._leaves[layer + 1]


def tap(model: Model, descend: Descend, params: dict[str, Tensor], x: Tensor, y: Tensor) -> list[Tensor]:
    """Return n times the gradient of an objective at zeros that are added to embed(x) and every f_l, [r, n, …] each."""
    layers = range(model.depth + 1)
    leaves = [x.new_zeros(len(x), x.shape[1], *model.shape(layer), requires_grad=True) for layer in layers]
    with torch.enable_grad():
        value = descend(cast("Model", TappedModel(model, leaves)), params, x, y)
        found = torch.autograd.grad(value.sum(), leaves, materialize_grads=True)
    return [gradient * x.shape[1] for gradient in found]
