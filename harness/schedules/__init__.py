"""Schedules, which scale the learning rate epoch by epoch."""

from __future__ import annotations

from abc import abstractmethod

from harness.plugins.registry import Plugin


class Schedule(Plugin):
    """Interface of a schedule plug-in. It loads no torch: a step reads one learning rate per replica and epoch."""

    @abstractmethod
    def factor(self, epoch: int, epochs: int) -> float:
        """Return the factor on the learning rate in epoch t = 0 … T − 1 of T ``epochs``."""

    def explain_unreached(self, epochs: int) -> str | None:
        """Return what of the schedule no training of so many ``epochs`` comes to; None if nothing."""
        return None

    def explain_idle(self) -> str | None:
        """Return what of the schedule changes nothing as it is set; None if nothing."""
        return None

    def is_constant(self, count: int, epochs: int) -> bool:
        """Tell whether the first ``count`` epochs of ``epochs`` all train at the learning rate itself."""
        return all(self.factor(epoch, epochs) == 1.0 for epoch in range(count))
