"""Shape and initial distribution of a replica's tensors, described without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Init:
    """The distribution of a tensor's entries.

    ``uniform`` on ±scale, ``normal`` of sd scale, ``sign``: +scale or −scale with equal chances, ``integer``: each of
    0 … scale − 1 with equal chances, ``constant`` scale, or ``orthogonal``: a matrix with orthonormal rows or columns,
    whichever are fewer, times scale (Saxe et al. 2013, arXiv 1312.6120), which only fixed tensors and weights may have.
    """

    kind: Literal["uniform", "normal", "sign", "integer", "constant", "orthogonal"]
    scale: float


@dataclass(frozen=True)
class TensorSpec:
    """One tensor of one replica.

    ``group`` is the part of the model that is frozen, clipped and optimised together ("embedding", "block_0", "head").
    ``name`` also keys the random numbers that fill it, so a tensor's values depend on its seed and name alone; with a
    ``seed`` of its own it is the same in all replicas.
    """

    name: str
    shape: tuple[int, ...]
    init: Init
    group: str
    seed: int | None = None


@dataclass(frozen=True)
class DrawSpec:
    """One tensor of one replica that is drawn anew at every step; integers come as int64.

    ``None`` in ``shape`` stands for the number of samples in the batch. The tensor's values depend on seed, ``name``
    and step alone.
    """

    name: str
    shape: tuple[int | None, ...]
    init: Init
