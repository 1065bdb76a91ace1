"""Constant learning rate in all epochs."""

from __future__ import annotations

from typing import Literal

from harness.schedules import Schedule


class Constant(Schedule):
    """Epoch t trains at lr.

    Equation:
        η_t = η

    Source:
        None: the absence of a schedule.

    Use:
        Where training is stopped by a condition rather than by a number of epochs, and for short tests.

    Traps:
        Without decay of the rate the last epochs wander, which widens the spread over seeds.
    """

    name: Literal["constant"]

    def factor(self, epoch: int, epochs: int) -> float:
        """Return 1."""
        return 1.0


plugin = Constant
