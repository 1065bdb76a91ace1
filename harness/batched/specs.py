"""Shape and initial distribution of a replica's tensors, described without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Init:
    """The distribution of a tensor's entries: ``uniform`` on ±scale, ``normal`` of sd scale, or ``constant`` scale."""

    kind: Literal["uniform", "normal", "constant"]
    scale: float


@dataclass(frozen=True)
class TensorSpec:
    """One tensor of one replica.

    ``group`` is the part of the model that is frozen, clipped and optimised together ("embedding", "block_0", "head").
    ``name`` also keys the random numbers that fill it, so a tensor's values depend on its seed and name alone.
    """

    name: str
    shape: tuple[int, ...]
    init: Init
    group: str
