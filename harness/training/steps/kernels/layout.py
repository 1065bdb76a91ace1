"""Memory layout for the kernels: all weights of a replica lie in one row of a flat tensor."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from harness.batched.specs import TensorSpec
from harness.optimizers import Optimizer
from harness.training.steps.interface import allocate_separately

CHUNK = 1024
"""Weights per program of the flat update; every parameter group begins at a multiple of it."""


@dataclass(frozen=True)
class Layout:
    """The offset of each tensor in a replica's row of a flat tensor."""

    offsets: dict[str, int]
    groups: tuple[str, ...]
    """Parameter group of each chunk of CHUNK numbers."""
    is_matrix: tuple[bool, ...]
    """True where a chunk holds matrices rather than vectors."""
    gradient_start: int
    """Offset at which the gradients' flat tensor begins: after the embedding's weight, which stores none."""

    @property
    def size(self) -> int:
        """Numbers per replica, including padding."""
        return len(self.groups) * CHUNK

    @classmethod
    def from_specs(cls, specs: tuple[TensorSpec, ...]) -> Layout:
        """Lay out the embedding's weight, then each group's vectors and its matrices, each from a new chunk on."""
        sections: dict[tuple[str, bool], list[TensorSpec]] = {}
        for spec in specs:
            group = "" if spec.name == "embedding.weight" else spec.group
            sections.setdefault((group, len(spec.shape) > 1), []).append(spec)
        offsets: dict[str, int] = {}
        groups: list[str] = []
        is_matrix: list[bool] = []
        gradient_start = 0
        for (name, matrix), section in sections.items():
            at = len(groups) * CHUNK
            for spec in section:
                offsets[spec.name] = at
                at += math.prod(spec.shape)
            groups += [section[0].group] * (-(-at // CHUNK) - len(groups))
            is_matrix += [matrix] * (len(groups) - len(is_matrix))
            gradient_start = gradient_start if name else len(groups) * CHUNK
        return cls(offsets, tuple(groups), tuple(is_matrix), gradient_start)

    @property
    def blocks_offset(self) -> int:
        """Offset of the first block."""
        return self.offsets["block_0.norm.weight"]

    @property
    def block_stride(self) -> int:
        """Distance between two blocks; 0 if there is only one."""
        return self.offsets["block_1.norm.weight"] - self.blocks_offset if "block_1.norm.weight" in self.offsets else 0

    def locate(self, name: str) -> int:
        """Return a tensor's offset in a replica's row or, for a tensor of every block, from the block's beginning."""
        if f"block_0.{name}" in self.offsets:
            return self.offsets[f"block_0.{name}"] - self.blocks_offset
        return self.offsets[name]

    def list_stored_chunks(self) -> list[tuple[str, bool]]:
        """Return the parameter group, and whether it is a matrix, of each chunk of the gradients' flat tensor."""
        first = self.gradient_start // CHUNK
        return list(zip(self.groups[first:], self.is_matrix[first:], strict=True))

    def list_chunks_by_block(self, layers: int) -> list[range]:
        """Return the chunks of the gradients' flat tensor whose update each block's forward pass waits for.

        These are the block's own; the first block also waits for the embedding's bias, the last one also for the head.
        """
        groups = [name for name, _ in self.list_stored_chunks()]
        begins = [0, *(groups.index(f"block_{layer}") for layer in range(1, layers)), len(groups)]
        return [range(*pair) for pair in pairwise(begins)]


class FlatStorage:
    """Weights and moments of all replicas, [r, P] each, and views of them by name."""

    def __init__(
        self,
        specs: tuple[TensorSpec, ...],
        trained: tuple[str, ...],
        replicas: int,
        factory_kwargs: Mapping[str, Any],
        optimizer: Optimizer,
    ) -> None:
        self.layout, self.factory_kwargs = Layout.from_specs(specs), factory_kwargs
        self.specs = {spec.name: spec for spec in specs}
        self.weights, self.flat_exp_avg, self.flat_exp_avg_sq = (
            torch.zeros((replicas, self.layout.size), **factory_kwargs) for _ in range(3)
        )
        self.params = {spec.name: self.view(self.weights, spec.name) for spec in specs}
        self.exp_avg, self.exp_avg_sq = (
            {name: self.view(flat, name) for name in trained} for flat in (self.flat_exp_avg, self.flat_exp_avg_sq)
        )
        self.stacked_feedback: dict[int, Tensor] = {}
        """First replica of a rule group → its feedback, [l, r of the group, …]."""

    def view(self, flat: Tensor, name: str) -> Tensor:
        """Return one tensor of all replicas, [r, …]."""
        shape, at = self.specs[name].shape, self.layout.offsets[name]
        return flat[:, at : at + math.prod(shape)].view(-1, *shape)

    def block_view(self, name: str, layers: int) -> Tensor:
        """Return one tensor of all blocks' weights, [l, r, numbers]."""
        replicas, stride = self.weights.shape
        shape = (layers, replicas, math.prod(self.specs[f"block_0.{name}"].shape))
        at = self.layout.blocks_offset + self.layout.locate(name)
        return self.weights.as_strided(shape, (self.layout.block_stride, stride, 1), at)

    @property
    def optimizer_state(self) -> dict[str, dict[str, Tensor]]:
        """AdamW's moments, by the names that its plug-in gives them."""
        return {"exp_avg": self.exp_avg, "exp_avg_sq": self.exp_avg_sq}

    def allocate_feedback(self, specs: tuple[TensorSpec, ...], replicas: slice) -> dict[str, Tensor]:
        """Allocate one tensor for a rule group's feedback to all blocks, and return views of it by name.

        Matrices of several shapes lie apart.
        """
        if not specs:
            return {}
        count = replicas.stop - replicas.start
        if len({spec.shape for spec in specs}) > 1:
            return allocate_separately(specs, count, self.factory_kwargs)
        stacked = torch.empty((len(specs), count, *specs[0].shape), **self.factory_kwargs)
        self.stacked_feedback[replicas.start] = stacked
        return {spec.name: tensor for spec, tensor in zip(specs, stacked, strict=True)}

    def clear(self) -> None:
        """Zero weights and moments, including the padding between tensors."""
        for flat in (self.weights, self.flat_exp_avg, self.flat_exp_avg_sq):
            flat.zero_()

    @property
    def screened(self) -> tuple[list[Tensor], list[Tensor]]:
        """Flat weights and second moments."""
        return [self.weights], [self.flat_exp_avg_sq]
