"""Storage of the explicit step: tensors of one kind are contiguous over all trained blocks.

Operations that treat all blocks alike (clipping, gains and shifts of norms) then run once for all blocks, and the
update is one call for everything.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from harness.batched.adamw import CLIP_EPS
from harness.batched.specs import TensorSpec
from harness.optimizers import Optimizer
from harness.training.steps.interface import allocate_separately

ALIGNED = 16  # numbers, so that each kind begins at a cache line


class StackedStorage:
    """Flat tensors of all replicas, trained ones first; each tensor [r, …] is contiguous for products to write into."""

    def __init__(
        self,
        specs: tuple[TensorSpec, ...],
        trained: tuple[str, ...],
        replicas: int,
        factory_kwargs: Mapping[str, Any],
        optimizer: Optimizer,
    ) -> None:
        self.replicas, self.factory_kwargs = replicas, factory_kwargs
        self.shapes = {spec.name: spec.shape for spec in specs}
        names_by_kind: dict[tuple[bool, bool, str], list[str]] = {}
        trained_names = frozenset(trained)
        for spec in sorted(specs, key=lambda spec: spec.name not in trained_names):
            in_block = spec.group.startswith("block_")
            kind = spec.name.partition(".")[2] if in_block else spec.name
            names_by_kind.setdefault((spec.name in trained_names, in_block, kind), []).append(spec.name)
        self.offsets: dict[str, int] = {}
        self.kinds: dict[str, list[str]] = {}
        """Kind ("w1.weight") → names of the trained blocks' tensors of that kind, in order."""
        end = self.trained_size = 0
        for (is_trained, in_block, kind), names in names_by_kind.items():
            for name in names:
                self.offsets[name] = end
                end += replicas * math.prod(self.shapes[name])
            end = -(-end // ALIGNED) * ALIGNED
            if is_trained:
                self.trained_size = end
                if in_block:
                    self.kinds[kind] = names
        self.weights = torch.zeros(end, **factory_kwargs)
        self.gradients, self.flat_exp_avg, self.flat_exp_avg_sq = (
            torch.zeros(self.trained_size, **factory_kwargs) for _ in range(3)
        )
        self.params = {spec.name: self.view(self.weights, spec.name) for spec in specs}
        self.exp_avg, self.exp_avg_sq = (
            {name: self.view(flat, name) for name in trained} for flat in (self.flat_exp_avg, self.flat_exp_avg_sq)
        )

    @property
    def optimizer_state(self) -> dict[str, dict[str, Tensor]]:
        """AdamW's moments, by the names that its plug-in gives them."""
        return {"exp_avg": self.exp_avg, "exp_avg_sq": self.exp_avg_sq}

    def allocate_feedback(self, specs: tuple[TensorSpec, ...], replicas: slice) -> dict[str, Tensor]:
        """Allocate a separate tensor for each of a rule group's fixed ones."""
        return allocate_separately(specs, replicas.stop - replicas.start, self.factory_kwargs)

    def clear(self) -> None:
        """Zero weights and moments, including the padding between tensors."""
        for flat in (self.weights, self.flat_exp_avg, self.flat_exp_avg_sq):
            flat.zero_()

    @property
    def screened(self) -> tuple[list[Tensor], list[Tensor]]:
        """Trained weights and their second moments."""
        return [self.params[name] for name in self.exp_avg_sq], list(self.exp_avg_sq.values())

    def view(self, flat: Tensor, name: str) -> Tensor:
        """Return one tensor of all replicas, [r, …]."""
        at, shape = self.offsets[name], (self.replicas, *self.shapes[name])
        return flat[at : at + math.prod(shape)].view(shape)

    def stack(self, flat: Tensor, kind: str) -> Tensor:
        """Return the tensors of one kind of all trained blocks, [block, r, …]."""
        names = self.kinds[kind]
        at, shape = self.offsets[names[0]], (len(names), self.replicas, *self.shapes[names[0]])
        return flat[at : at + math.prod(shape)].view(shape)


class Clip:
    """Clipping of each trained block's gradients to a joint norm of ``max_norm``, for each replica of a rule group."""

    def __init__(self, gradients: list[Tensor], max_norm: float) -> None:
        """Allocate norms and scales for ``gradients``, one tensor [block, r, …] per kind."""
        self.gradients, self.max_norm = gradients, max_norm
        self.flat = [gradient.flatten(2) for gradient in gradients]
        self.norms = gradients[0].new_empty(len(gradients), *gradients[0].shape[:2])
        self.scale = torch.empty_like(self.norms[0])
        self.scales = [self.scale.view(*self.scale.shape, *([1] * (one.dim() - 2))) for one in gradients]

    def __call__(self) -> None:
        """Scale the gradients in place, by the factors of ``harness.batched.adamw.clip_scales``."""
        for flat, norm in zip(self.flat, self.norms, strict=True):
            torch.linalg.vector_norm(flat, dim=-1, out=norm)
        torch.linalg.vector_norm(self.norms, dim=0, out=self.scale)
        self.scale.add_(CLIP_EPS).reciprocal_().mul_(self.max_norm)
        least = float(self.scale.amin())
        if not least >= 1.0:  # true for NaN too, which must not affect other replicas
            self.scale.clamp_(max=1.0)
            if not least > 0.0:
                self.scale.masked_fill_(self.scale == 0.0, math.nan)
            for gradient, scale in zip(self.gradients, self.scales, strict=True):
                gradient.mul_(scale)


class NormGradients:
    """The gradients of the trained blocks' layer norms, from the gradient of the product that follows.

    With u = x̂·γ + β, z = u·W + b and G = x̂ᵀ·dz, which the step leaves in W's gradient: dγ = Σ_o G·W, dβ = W·db,
    dW = γ·G + β·dbᵀ. This saves the product over all samples that would give the gradient at the norm's output.
    """

    def __init__(self, storage: StackedStorage) -> None:
        weights, gradients = (
            {kind: storage.stack(flat, kind) for kind in ("norm.weight", "norm.bias", "w1.weight", "w1.bias")}
            for flat in (storage.weights, storage.gradients)
        )
        self.matrix, self.matrix_grad = weights["w1.weight"], gradients["w1.weight"]
        self.gain, self.shift = (weights[f"norm.{kind}"].unsqueeze(-1) for kind in ("weight", "bias"))
        self.gain_grad, self.shift_grad = gradients["norm.weight"], gradients["norm.bias"]
        self.bias_grad = gradients["w1.bias"].unsqueeze(2)
        self.scratch = torch.empty_like(self.matrix)

    def __call__(self) -> None:
        """Turn G into the gradients of W, γ and β, for all trained blocks at once."""
        torch.sum(torch.mul(self.matrix_grad, self.matrix, out=self.scratch), -1, out=self.gain_grad)
        torch.sum(torch.mul(self.matrix, self.bias_grad, out=self.scratch), -1, out=self.shift_grad)
        self.matrix_grad.mul_(self.gain).addcmul_(self.shift, self.bias_grad)
