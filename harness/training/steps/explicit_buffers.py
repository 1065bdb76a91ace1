"""Memory and views of the explicit step: everything that a step writes lies where the step before wrote."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.training.steps.explicit_storage import StackedStorage
from harness.training.steps.state import RuleGroup, TrainingState
from harness.training.steps.supports import ResidualMlp


class Views:
    """Weights and gradients in the shapes that products and norms take, made once."""

    def __init__(self, storage: StackedStorage, model: ResidualMlp) -> None:
        self.weights = storage.params
        self.gradients = {name: storage.view(storage.gradients, name) for name in storage.exp_avg}
        self.rows = {name: tensor.unsqueeze(1) for name, tensor in self.weights.items() if tensor.dim() == 2}
        """Vectors as [r, 1, …]."""
        self.head_weight, self.head_bias = self.weights["head.weight"].mT, self.weights["head.bias"].unsqueeze(2)
        blocks = [f"block_{layer}" for layer in range(model.blocks)]
        self.norms = [self.affine(f"{name}.norm") for name in blocks]
        self.linears = [(self.affine(f"{name}.w1"), self.affine(f"{name}.w2")) for name in blocks]

    def affine(self, name: str) -> tuple[Tensor, Tensor]:
        """Return a linear layer's weight [r, i, o] or a norm's [r, 1, d], and the bias [r, 1, o]."""
        return self.rows.get(f"{name}.weight", self.weights[f"{name}.weight"]), self.rows[f"{name}.bias"]


@dataclass(frozen=True)
class Norm:
    """A layer norm's output without gain and shift, and what its input was multiplied by, on [r, n, d]."""

    normal: Tensor
    rstd: Tensor
    """[r, n, 1]."""


@dataclass(frozen=True)
class Block:
    """The tensors that a block's forward pass leaves behind, [r, n, …]."""

    norm: Norm
    before: Tensor
    """W1·LN(h)."""
    active: Tensor
    """The activation of ``before``."""
    branch: Tensor
    """f = W2·act; without a penalty all blocks share it."""

    def of(self, own: slice) -> Block:
        """Return the same tensors for some replicas."""
        norm = Norm(self.norm.normal[own], self.norm.rstd[own])
        return Block(norm, self.before[own], self.active[own], self.branch[own])


class Buffers:
    """Memory for steps on batches of one size, for all replicas: each step writes where the one before wrote."""

    def __init__(self, state: TrainingState[StackedStorage], model: ResidualMlp, views: Views, size: int) -> None:
        d, inner, classes = model.width, model.width * model.expansion, state.dataset.classes

        def new(*shape: int) -> Tensor:
            return state.lr.new_empty(state.replicas, *shape)

        self.size = size
        self.h, self.out, self.below, self.sent = (new(size, d) for _ in range(4))
        self.one, self.inner = new(size, 1), new(size, inner)
        shared = new(size, d)
        self.blocks = [
            Block(
                norm=Norm(new(size, d), new(size, 1)),
                before=new(size, inner),
                active=new(size, inner),
                branch=shared if state.penalty is None else new(size, d),
            )
            for _ in range(model.blocks)
        ]
        self.head = Norm(new(size, d), new(size, 1))
        # Samples last: products and sums with few columns are slow.
        self.logits, self.error, self.few = new(classes, size), new(classes, size), new(1, size)
        self.minus = torch.full_like(self.few, -1.0)
        self.on_head = new(classes, d)
        factor = None if state.penalty is None else state.penalty.gradient_factor
        self.slope = (state.penalty_strength * ((factor or 0.0) / size)).view(-1, 1, 1)
        """λ·c/n, of which times f is the penalty's gradient (``Penalty.gradient_factor``)."""
        self.parts = [Part(model, views, self, group) for group in state.rule_groups]


class Back:
    """Views for one block's backward pass, created once because creating a view costs as much as a small operation."""

    def __init__(self, views: Views, block: Block, layer: int, own: slice) -> None:
        name = f"block_{layer}"
        self.block = block.of(own)
        self.normal, self.active = self.block.norm.normal.mT, self.block.active.mT
        self.w1, self.w2 = (views.weights[f"{name}.{kind}.weight"][own].mT for kind in ("w1", "w2"))
        self.gain = views.rows[f"{name}.norm.weight"][own]
        self.trained = f"{name}.w1.weight" in views.gradients
        if self.trained:
            self.on_w1, self.on_b1, self.on_w2, self.on_b2 = (
                views.gradients[f"{name}.{kind}"][own] for kind in ("w1.weight", "w1.bias", "w2.weight", "w2.bias")
            )


class Part:
    """Views of a rule group's buffers and weights for its backward pass."""

    def __init__(self, model: ResidualMlp, views: Views, buffers: Buffers, group: RuleGroup) -> None:
        own, width = group.replicas, model.width
        self.rule = group.rule
        self.sent, self.below, self.inner = buffers.sent[own], buffers.below[own], buffers.inner[own]
        self.error, self.slope = buffers.error[own].mT, buffers.slope[own]
        self.head_weight = views.head_weight[own]
        self.backs = [Back(views, block, layer, own) for layer, block in enumerate(buffers.blocks)]
        if model.terminal_norm:
            self.head, self.head_gain = buffers.head.normal[own], views.rows["head.norm.weight"][own]
            self.head_rstd = buffers.head.rstd[own]
        self.no_mean = torch.zeros_like(buffers.one[own])
        self.no_rstd = torch.ones_like(self.no_mean)
        # A frozen block needs no credit, and the embedding takes the first one's.
        layers = 1 + max((layer for layer, back in enumerate(self.backs) if back.trained), default=0)
        self.rms = self.no_mean.new_empty(*self.no_mean.shape[:2], layers, 1)
        self.by_layer = self.no_mean.new_empty(*self.no_mean.shape[:2], layers, width)
        self.credit = self.by_layer.flatten(2)
        self.credits = list(self.by_layer.unbind(2))
