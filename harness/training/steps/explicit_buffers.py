"""Buffers and views of the explicit step, which every step on batches of one size overwrites."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.penalties import find_gradient_factor
from harness.training.steps.credit import read_credit
from harness.training.steps.explicit_storage import StackedStorage
from harness.training.steps.state import RuleGroup, TrainingState
from harness.training.steps.supports import ResidualMlp


class Views:
    """Weights and gradients in the shapes that products and norms take, created once."""

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
    """A layer norm's output before gain and shift, [r, n, d], and the reciprocal standard deviation."""

    normalised: Tensor
    rstd: Tensor
    """Reciprocal standard deviation of each row, [r, n, 1]."""


@dataclass(frozen=True)
class BlockActivations:
    """The tensors that a block's forward pass leaves behind, [r, n, …]."""

    norm: Norm
    preactivation: Tensor
    """Pre-activation W1·LN(h) + b1."""
    activated: Tensor
    """Activation of ``preactivation``."""
    branch: Tensor
    """Output of the branch, f = W2·activated + b2; without a penalty all blocks share one buffer."""

    def select(self, own: slice) -> BlockActivations:
        """Return views of the same tensors for some replicas."""
        norm = Norm(self.norm.normalised[own], self.norm.rstd[own])
        return BlockActivations(norm, self.preactivation[own], self.activated[own], self.branch[own])


class Buffers:
    """Memory for steps on batches of one size, for all replicas; each step overwrites it."""

    def __init__(self, state: TrainingState[StackedStorage], model: ResidualMlp, views: Views, size: int) -> None:
        d, inner, classes = model.width, model.width * model.expansion, state.classes

        def new(*shape: int) -> Tensor:
            return state.lr.new_empty(state.replicas, *shape)

        self.size = size
        self.h, self.norm_output, self.scratch, self.dh = (new(size, d) for _ in range(4))
        self.per_row, self.dz = new(size, 1), new(size, inner)
        shared = new(size, d)
        self.blocks = [
            BlockActivations(
                norm=Norm(new(size, d), new(size, 1)),
                preactivation=new(size, inner),
                activated=new(size, inner),
                branch=shared if state.penalty is None else new(size, d),
            )
            for _ in range(model.blocks)
        ]
        self.head = Norm(new(size, d), new(size, 1))
        # Samples come last, because products and sums with few columns are slow.
        self.logits, self.error, self.per_sample = new(classes, size), new(classes, size), new(1, size)
        self.minus_one = torch.full_like(self.per_sample, -1.0)
        self.head_grad = new(classes, d)
        factor = None if state.penalty is None else find_gradient_factor(state.penalty)
        self.penalty_slope = (state.penalty_strength * ((factor or 0.0) / size)).view(-1, 1, 1)
        """Factor λ·c/n, which times f is the penalty's gradient (``Penalty.gradient_factor``)."""
        self.groups = [GroupViews(model, views, self, group) for group in state.rule_groups]


class BlockViews:
    """Views for a block's backward pass, created once because creating a view costs as much as a small operation."""

    def __init__(self, views: Views, activations: BlockActivations, layer: int, own: slice) -> None:
        name = f"block_{layer}"
        self.activations = activations.select(own)
        self.normalised, self.activated = self.activations.norm.normalised.mT, self.activations.activated.mT
        self.w1, self.w2 = (views.weights[f"{name}.{kind}.weight"][own].mT for kind in ("w1", "w2"))
        self.gain = views.rows[f"{name}.norm.weight"][own]
        self.trained = f"{name}.w1.weight" in views.gradients
        if self.trained:
            self.w1_grad, self.b1_grad, self.w2_grad, self.b2_grad = (
                views.gradients[f"{name}.{kind}"][own] for kind in ("w1.weight", "w1.bias", "w2.weight", "w2.bias")
            )


class GroupViews:
    """Views of a rule group's buffers and weights for its backward pass."""

    def __init__(self, model: ResidualMlp, views: Views, buffers: Buffers, group: RuleGroup) -> None:
        own, width = group.replicas, model.width
        self.form = read_credit(group)
        self.dh, self.scratch, self.dz = buffers.dh[own], buffers.scratch[own], buffers.dz[own]
        self.minus_one = buffers.minus_one[own]
        self.error, self.penalty_slope = buffers.error[own].mT, buffers.penalty_slope[own]
        self.head_weight = views.head_weight[own]
        self.blocks = [BlockViews(views, block, layer, own) for layer, block in enumerate(buffers.blocks)]
        if model.terminal_norm:
            self.head, self.head_gain = buffers.head.normalised[own], views.rows["head.norm.weight"][own]
            self.head_rstd = buffers.head.rstd[own]
        self.zero_mean = torch.zeros_like(buffers.per_row[own])
        self.unit_rstd = torch.ones_like(self.zero_mean)
        # A frozen block needs no credit, and the embedding may take that of the first block.
        apart = int(self.form is not None and not self.form.per_block)
        layers = apart + 1 + max((layer for layer, block in enumerate(self.blocks) if block.trained), default=0)
        over_batch = self.form is not None and self.form.normalize == "batch"
        self.rms = self.zero_mean.new_empty(len(self.zero_mean), 1 if over_batch else buffers.size, layers, 1)
        self.by_layer = self.zero_mean.new_empty(*self.zero_mean.shape[:2], layers, width)
        self.credit = self.by_layer.flatten(2)
        self.credits = list(self.by_layer.unbind(2))
        """Credit of the embedding, and of the blocks: the first serves both if each block has a matrix of its own."""
        self.block_credits = self.credits[apart:]
        self.replicas = own
        self.fed = torch.empty_like(buffers.error[own])

    def feed(self, labels: Tensor) -> Tensor:
        """Return what is fed back, [r, n, c]; labels [r, n] of all replicas."""
        assert self.form is not None
        if self.form.fed == "error":
            return self.error
        if self.form.fed == "sign":
            return torch.sign(self.error.mT, out=self.fed).mT
        self.fed.fill_(1.0 / self.fed.shape[1] if self.form.fed == "centred" else 0.0)
        label = labels[self.replicas].unsqueeze(1)
        return self.fed.scatter_add_(1, label, self.minus_one).mT
