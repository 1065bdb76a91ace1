"""Cosine annealing without restarts (Loshchilov and Hutter 2017, arXiv 1608.03983)."""

from __future__ import annotations

import math
from typing import Literal

from harness.schedules import Schedule


class Cosine(Schedule):
    """Epoch t of T, from 0, trains at lr·(1 + cos(πt/T))/2, which falls from lr towards 0.

    Equation:
        η_t = η·(1 + cos(πt/T))/2,  t = 0 … T − 1

    Source:
        Loshchilov and Hutter 2017, arXiv 1608.03983, without restarts.

    Use:
        The default. It needs no choice beyond the number of epochs.

    Traps:
        It depends on the number of epochs: a run of 30 epochs is not the beginning of one of 100. The rate is set once
        per epoch, and the last epoch still trains at a rate above 0.
    """

    name: Literal["cosine"]

    def factor(self, epoch: int, epochs: int) -> float:
        """Return (1 + cos(πt/T))/2."""
        return (1.0 + math.cos(math.pi * epoch / epochs)) / 2.0


plugin = Cosine
