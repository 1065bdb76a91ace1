"""Where the kernels find each tensor: all of a replica's weights lie in one row of a flat tensor."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from harness.batched.specs import TensorSpec

CHUNK = 1024
"""Weights per program of the flat update; every part of the model begins at a multiple of it."""


@dataclass(frozen=True)
class Layout:
    """Where each tensor of a replica begins in its row of a flat tensor."""

    offsets: dict[str, int]
    groups: tuple[str, ...]
    """The part of the model that each chunk of CHUNK numbers belongs to."""
    matrices: tuple[bool, ...]
    """Whether each chunk holds matrices, not vectors."""
    skipped: int
    """Where the gradients' own flat tensor begins: behind the embedding's weight, whose gradient is never stored."""

    @property
    def size(self) -> int:
        """Numbers per replica, padding included."""
        return len(self.groups) * CHUNK

    @classmethod
    def of(cls, specs: tuple[TensorSpec, ...]) -> Layout:
        """Lay out the embedding's weight, then each part's vectors and its matrices, each from a chunk's beginning."""
        sections: dict[tuple[str, bool], list[TensorSpec]] = {}
        for spec in specs:
            group = "" if spec.name == "embedding.weight" else spec.group
            sections.setdefault((group, len(spec.shape) > 1), []).append(spec)
        offsets: dict[str, int] = {}
        groups: list[str] = []
        matrices: list[bool] = []
        skipped = 0
        for (name, matrix), section in sections.items():
            at = len(groups) * CHUNK
            for spec in section:
                offsets[spec.name] = at
                at += math.prod(spec.shape)
            groups += [section[0].group] * (-(-at // CHUNK) - len(groups))
            matrices += [matrix] * (len(groups) - len(matrices))
            skipped = skipped if name else len(groups) * CHUNK
        return cls(offsets, tuple(groups), tuple(matrices), skipped)

    @property
    def blocks(self) -> int:
        """Where the first block begins."""
        return self.offsets["block_0.norm.weight"]

    @property
    def block_stride(self) -> int:
        """The distance of two blocks; 0 if there is but one."""
        return self.offsets["block_1.norm.weight"] - self.blocks if "block_1.norm.weight" in self.offsets else 0

    def at(self, name: str) -> int:
        """Return where a tensor begins: in a replica's row, or, for one of a block, behind the block's beginning."""
        if f"block_0.{name}" in self.offsets:
            return self.offsets[f"block_0.{name}"] - self.blocks
        return self.offsets[name]

    def stored_chunks(self) -> list[tuple[str, bool]]:
        """Return part of the model, and whether it is a matrix, for each chunk of the gradients' flat tensor."""
        skipped = self.skipped // CHUNK
        return list(zip(self.groups[skipped:], self.matrices[skipped:], strict=True))

    def chunks_by_block(self, layers: int) -> list[range]:
        """Return the chunks of the gradients' flat tensor that each block's forward pass waits for: its own.

        The embedding's bias comes with the first, the head with the last.
        """
        parts = [name for name, _ in self.stored_chunks()]
        begins = [0, *(parts.index(f"block_{layer}") for layer in range(1, layers)), len(parts)]
        return [range(*pair) for pair in pairwise(begins)]


class FlatStorage:
    """Weights and moments of all replicas, [r, P] each, and views of them by name."""

    def __init__(
        self, specs: tuple[TensorSpec, ...], trained: tuple[str, ...], replicas: int, where: Mapping[str, Any]
    ) -> None:
        self.layout, self.where = Layout.of(specs), where
        self.specs = {spec.name: spec for spec in specs}
        self.weights, self.flat_exp_avg, self.flat_exp_avg_sq = (
            torch.zeros((replicas, self.layout.size), **where) for _ in range(3)
        )
        self.params = {spec.name: self.view(self.weights, spec.name) for spec in specs}
        self.exp_avg, self.exp_avg_sq = (
            {name: self.view(flat, name) for name in trained} for flat in (self.flat_exp_avg, self.flat_exp_avg_sq)
        )
        self.stacked_feedback: dict[int, Tensor] = {}
        """First replica of a rule group → its feedback, [l, r of these, …]."""

    def view(self, flat: Tensor, name: str) -> Tensor:
        """Return one tensor of all replicas, [r, …]."""
        shape, at = self.specs[name].shape, self.layout.offsets[name]
        return flat[:, at : at + math.prod(shape)].view(-1, *shape)

    def block_view(self, name: str, layers: int) -> Tensor:
        """Return a tensor of all blocks' weights, [l, r, numbers]."""
        replicas, stride = self.weights.shape
        shape = (layers, replicas, math.prod(self.specs[f"block_0.{name}"].shape))
        at = self.layout.blocks + self.layout.at(name)
        return self.weights.as_strided(shape, (self.layout.block_stride, stride, 1), at)

    def new_feedback(self, specs: tuple[TensorSpec, ...], replicas: slice) -> dict[str, Tensor]:
        """Make one tensor of a rule group's feedback for all blocks, and return views of it by name."""
        if not specs:
            return {}
        count = replicas.stop - replicas.start
        stacked = torch.empty((len(specs), count, *specs[0].shape), **self.where)
        self.stacked_feedback[replicas.start] = stacked
        return {spec.name: tensor for spec, tensor in zip(specs, stacked, strict=True)}

    def clear(self) -> None:
        """Set weights and moments to zero, and what lies between them."""
        for flat in (self.weights, self.flat_exp_avg, self.flat_exp_avg_sq):
            flat.zero_()

    def screened(self) -> tuple[list[Tensor], list[Tensor]]:
        """Return the flat weights and second moments."""
        return [self.weights], [self.flat_exp_avg_sq]
