"""Where the explicit step keeps weights, gradients and moments: tensors of one kind of all trained blocks side by side.

What is done to each block's weights alike (clipping, gains and shifts of norms) is then one operation for all blocks,
and the update one call for everything.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from harness.batched.specs import TensorSpec
from harness.training.steps.interface import separate_tensors

ALIGNED = 16  # numbers: kinds begin at whole cache lines


class StackedStorage:
    """Flat tensors of all replicas: trained tensors first, each [r, …] without gaps, so that products write into it."""

    def __init__(
        self, specs: tuple[TensorSpec, ...], trained: tuple[str, ...], replicas: int, where: Mapping[str, Any]
    ) -> None:
        self.replicas, self.where = replicas, where
        self.shapes = {spec.name: spec.shape for spec in specs}
        alike: dict[tuple[bool, bool, str], list[str]] = {}
        moved = frozenset(trained)
        for spec in sorted(specs, key=lambda spec: spec.name not in moved):
            in_block = spec.group.startswith("block_")
            kind = spec.name.partition(".")[2] if in_block else spec.name
            alike.setdefault((spec.name in moved, in_block, kind), []).append(spec.name)
        self.offsets: dict[str, int] = {}
        self.kinds: dict[str, list[str]] = {}
        """Kind ("w1.weight") → names of the trained blocks' tensors of it, in order."""
        end = self.trained_size = 0
        for (is_trained, in_block, kind), names in alike.items():
            for name in names:
                self.offsets[name] = end
                end += replicas * math.prod(self.shapes[name])
            end = -(-end // ALIGNED) * ALIGNED
            if is_trained:
                self.trained_size = end
                if in_block:
                    self.kinds[kind] = names
        self.weights = torch.zeros(end, **where)
        self.gradients, self.flat_exp_avg, self.flat_exp_avg_sq = (
            torch.zeros(self.trained_size, **where) for _ in range(3)
        )
        self.params = {spec.name: self.view(self.weights, spec.name) for spec in specs}
        self.exp_avg, self.exp_avg_sq = (
            {name: self.view(flat, name) for name in trained} for flat in (self.flat_exp_avg, self.flat_exp_avg_sq)
        )

    def new_feedback(self, specs: tuple[TensorSpec, ...], replicas: slice) -> dict[str, Tensor]:
        """Make a tensor of its own for each of a rule group's fixed ones."""
        return separate_tensors(specs, replicas.stop - replicas.start, self.where)

    def clear(self) -> None:
        """Set weights and moments to zero, and what lies between them."""
        for flat in (self.weights, self.flat_exp_avg, self.flat_exp_avg_sq):
            flat.zero_()

    def screened(self) -> tuple[list[Tensor], list[Tensor]]:
        """Return the trained weights and their second moments."""
        return [self.params[name] for name in self.exp_avg_sq], list(self.exp_avg_sq.values())

    def view(self, flat: Tensor, name: str) -> Tensor:
        """Return one tensor of all replicas, [r, …]."""
        at, shape = self.offsets[name], (self.replicas, *self.shapes[name])
        return flat[at : at + math.prod(shape)].view(shape)

    def stack(self, flat: Tensor, kind: str) -> Tensor:
        """Return the tensors of a kind of all trained blocks, [block, r, …]."""
        names = self.kinds[kind]
        at, shape = self.offsets[names[0]], (len(names), self.replicas, *self.shapes[names[0]])
        return flat[at : at + math.prod(shape)].view(shape)


class Clip:
    """Bring the joint norm of each trained block's gradients down to ``largest``, for each replica of a rule group."""

    def __init__(self, gradients: list[Tensor], largest: float) -> None:
        """``gradients`` [block, r, …], one per kind."""
        self.gradients, self.largest = gradients, largest
        self.flat = [gradient.flatten(2) for gradient in gradients]
        self.norms = gradients[0].new_empty(len(gradients), *gradients[0].shape[:2])
        self.scale = torch.empty_like(self.norms[0])
        self.scales = [self.scale.view(*self.scale.shape, *([1] * (one.dim() - 2))) for one in gradients]

    def __call__(self) -> None:
        """Scale the gradients in place, by the factors of ``harness.batched.adamw.clip_scales``."""
        for flat, norm in zip(self.flat, self.norms, strict=True):
            torch.linalg.vector_norm(flat, dim=-1, out=norm)
        torch.linalg.vector_norm(self.norms, dim=0, out=self.scale)
        self.scale.add_(1e-6).reciprocal_().mul_(self.largest)
        least = float(self.scale.amin())
        if not least >= 1.0:  # NaN too, so that what becomes of a replica is its own affair
            self.scale.clamp_(max=1.0)
            if not least > 0.0:
                self.scale.masked_fill_(self.scale == 0.0, math.nan)
            for gradient, scale in zip(self.gradients, self.scales, strict=True):
                gradient.mul_(scale)


class NormGradients:
    """What the trained blocks' layer norms get, from the gradient of the product that follows.

    With u = x̂·γ + β, z = u·W + b and G = x̂ᵀ·dz, which is what the step leaves in W's gradient: dγ = Σ_o G·W,
    dβ = W·db, dW = γ·G + β·dbᵀ. No product with all samples leads back to the norm's output.
    """

    def __init__(self, stacks: StackedStorage) -> None:
        weights, gradients = (
            {kind: stacks.stack(flat, kind) for kind in ("norm.weight", "norm.bias", "w1.weight", "w1.bias")}
            for flat in (stacks.weights, stacks.gradients)
        )
        self.matrix, self.on_matrix = weights["w1.weight"], gradients["w1.weight"]
        self.gain, self.shift = (weights[f"norm.{kind}"].unsqueeze(-1) for kind in ("weight", "bias"))
        self.on_gain, self.on_shift = gradients["norm.weight"], gradients["norm.bias"]
        self.on_bias = gradients["w1.bias"].unsqueeze(2)
        self.scratch = torch.empty_like(self.matrix)

    def __call__(self) -> None:
        """Turn G into the gradients of W, γ and β, for all trained blocks at once."""
        torch.sum(torch.mul(self.on_matrix, self.matrix, out=self.scratch), -1, out=self.on_gain)
        torch.sum(torch.mul(self.matrix, self.on_bias, out=self.scratch), -1, out=self.on_shift)
        self.on_matrix.mul_(self.gain).addcmul_(self.shift, self.on_bias)
