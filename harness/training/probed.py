"""The network behind a probe batch, for metrics that go through it again: perturbed, differentiated, paired."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, cast

import torch
from torch import Tensor

from harness.batched.geometry import join_samples
from harness.batched.layers import Pair
from harness.models import Model
from harness.rules import descend_through
from harness.training.steps.interface import Storage
from harness.training.steps.state import TrainingState
from harness.training.taps import Descend

ProbePass = tuple[list[Tensor], list[Tensor], Tensor]
"""Hidden states and gradients, one per layer, and the output error, each float64 [r, n, d] or [r, n, c]."""


class ProbedNetwork:
    """Some replicas' network in float64 on a probe batch, see ``harness.metrics.Network``."""

    def __init__(
        self, state: TrainingState[Storage], model: Model, params: dict[str, Tensor], x: Tensor, y: Tensor
    ) -> None:
        self.model, self._loss, self.params = model, state.setup.loss, params
        self._last = model.weights(state.dataset.features, state.classes)[-1].name
        count = len(next(iter(params.values())))
        self.inputs, self.labels = x.expand(count, -1, -1), y.expand(count, -1)

    @cached_property
    def _hidden(self) -> list[Tensor]:
        with torch.no_grad():
            states = [self.model.embed(self.params, self.inputs)]
            for layer in range(self.model.depth):
                states.append(self.model.join(states[-1], self.model.branch(self.params, layer, states[-1])))
        return states

    @cached_property
    def logits(self) -> Tensor:
        """Logits, float64 [r, n, c]."""
        with torch.no_grad():
            return self.model.head(self.params, self._hidden[-1])

    @property
    def readout(self) -> Tensor:
        """The head's last weight, see ``harness.metrics.Network``."""
        return self.params[self._last]

    @cached_property
    def features(self) -> Tensor:
        """Factor of the head's last weight: what the head returns with the identity in its place."""
        weight = self.readout
        size = weight.shape[1]
        unit = torch.eye(size, dtype=weight.dtype, device=weight.device).expand(len(weight), -1, -1)
        bias = self._last.removesuffix("weight") + "bias"
        without = {bias: weight.new_zeros(len(weight), size)} if bias in self.params else {}
        with torch.no_grad():
            return self.model.head({**self.params, self._last: unit, **without}, self._hidden[-1])

    def average_jacobian(self, layer: int) -> Tensor:
        """Return the mean over samples of ∂z/∂h_l, [r, c, …], from one backward pass per class."""
        model, start = self.model, self._hidden[layer].detach().requires_grad_()
        with torch.enable_grad():
            h = start
            for above in range(layer, model.depth):
                h = model.join(h, model.branch(self.params, above, h))
            means = model.head(self.params, h).mean(1)
            rows = [torch.autograd.grad(mean.sum(), start, retain_graph=True)[0].sum(1) for mean in means.unbind(1)]
        return torch.stack(rows, dim=1)

    def lose(self, site: int, change: Tensor) -> Tensor:
        """Return the loss of each sample if ``change`` [r, n, …] is added at a site, [r, n]."""
        model, hidden = self.model, self._hidden
        with torch.no_grad():
            if site == 0:
                h = hidden[0] + change
            else:
                before = hidden[site - 1]
                h = model.join(before, model.branch(self.params, site - 1, before) + change)
            for layer in range(site, model.depth):
                h = model.join(h, model.branch(self.params, layer, h))
            return self._loss.value(model.head(self.params, h), self.labels)

    def lose_with(self, params: Mapping[str, Tensor]) -> Tensor:
        """Return the mean loss of the batch with other parameters, differentiable, [r]."""
        return descend_through(self.model, params, self.inputs, self.labels, None, self._loss).descend


class WatchedModel:
    """A model that notes the pairs that it is given in the place of weights, and is otherwise itself."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.pairs: dict[str, Pair] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def _note(self, p: Mapping[str, Any]) -> None:
        self.pairs |= {name: value for name, value in p.items() if isinstance(value, Pair)}

    def embed(self, p: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """Return the model's embed(x)."""
        self._note(p)
        return self._model.embed(p, x)

    def branch(self, p: Mapping[str, Tensor], layer: int, h: Tensor) -> Tensor:
        """Return the model's f_l(h)."""
        self._note(p)
        return self._model.branch(p, layer, h)

    def head(self, p: Mapping[str, Tensor], h: Tensor) -> Tensor:
        """Return the model's logits."""
        self._note(p)
        return self._model.head(p, h)


def pass_probe(state: TrainingState[Storage], network: ProbedNetwork) -> ProbePass:
    """Compute hidden states h_l and gradients g_l, l = 0 … L, and the output error, on the probe batch."""
    model, params, x, y = network.model, network.params, network.inputs, network.labels
    with torch.enable_grad():
        h = model.embed(params, x).requires_grad_()
        hidden = [h]
        for layer in range(model.depth):
            h = model.join(h, model.branch(params, layer, h))
            hidden.append(h)
        logits = model.head(params, h)
        kind = state.setup.loss
        gradients = torch.autograd.grad(kind.value(logits, y).mean(-1).sum(), hidden)
    return (
        [join_samples(h.detach()) for h in hidden],
        [join_samples(gradient) for gradient in gradients],
        kind.error(logits.detach(), y),
    )


def find_pairs(
    state: TrainingState[Storage], network: ProbedNetwork, descend: Descend, params: dict[str, Tensor]
) -> list[tuple[Tensor, Tensor]]:
    """Return, for each layer l, the weights that the error passes on its way to h_l and what stands in for them.

    Both are flattened, [r, k]: all pairs of block l, and of the head for l = L. A part
    without pairs has k = 0.
    """
    model, x = network.model, network.inputs
    groups = {spec.name: spec.group for spec in state.specs}
    watched = WatchedModel(model)
    with torch.no_grad():
        descend(cast("Model", watched), params, x, network.labels)
    found = []
    for part in (*(f"block_{layer}" for layer in range(model.depth)), "head"):
        own = [pair for name, pair in watched.pairs.items() if groups[name] == part]
        empty = [x.new_zeros(len(x), 0)]
        forward = torch.cat(empty + [pair.forward.flatten(1) for pair in own], dim=1)
        found.append((forward, torch.cat(empty + [pair.backward.flatten(1) for pair in own], dim=1)))
    return found


def find_updates(
    state: TrainingState[Storage], model: Model, descend: Descend, params: dict[str, Tensor], x: Tensor, y: Tensor
) -> list[Tensor]:
    """Return an objective's gradient in the parameters of the embedding, each block and the head, [r, k] each.

    The tensors of a part are flattened, one after another. The model is that of the probed network, which is settled.
    """
    groups = {spec.name: spec.group for spec in state.specs}
    leaves = {name: tensor.detach().requires_grad_() for name, tensor in params.items()}
    with torch.enable_grad():
        value = descend(model, leaves, x, y)
        wanted = list(groups)
        tensors = torch.autograd.grad(value.sum(), [leaves[name] for name in wanted], materialize_grads=True)
    gradients = dict(zip(wanted, tensors, strict=True))
    parts = ("embedding", *(f"block_{layer}" for layer in range(model.depth)), "head")
    return [torch.cat([gradients[name].flatten(1) for name in wanted if groups[name] == part], dim=1) for part in parts]
