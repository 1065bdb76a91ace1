"""A learning rate that first rises in proportion to the epochs (Goyal et al. 2017, arXiv 1706.02677)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from harness.plugins.fields import Unit
from harness.plugins.registry import NamedOrShort
from harness.schedules import Schedule


class Warmup(Schedule):
    """Epoch t, from 0, trains at min(1, (t + 1)/w) times what the schedule ``then`` gives it.

    Equation:
        η_t = min(1, (t + 1)/w)·then_t

    Source:
        Goyal et al. 2017, arXiv 1706.02677, epoch by epoch.

    Use:
        Where the first steps at the full rate would break training: large batches, networks with attention.

    Traps:
        The rate rises once per epoch and not per step. The schedule after it counts from the first epoch of training,
        so that a cosine has already fallen a little when the warm-up ends.
    """

    name: Literal["warmup"]
    epochs: Annotated[int, Unit("epochs")] = Field(default=5, ge=1)
    """Number w of epochs in which the rate rises; the w-th is the first at the full rate."""
    then: Annotated[Schedule, NamedOrShort("schedules")] = Field(
        default="cosine", validate_default=True, examples=["cosine"]
    )
    """Schedule that is warmed up. It counts its epochs from the first one of the training, not of its own. By default,
    cosine."""

    @field_validator("then")
    @classmethod
    def _once(cls, value: Schedule) -> Schedule:
        if isinstance(value, Warmup):
            raise ValueError("a warm-up of a warm-up: give one of them another schedule")
        return value

    def factor(self, epoch: int, epochs: int) -> float:
        """Return min(1, (t + 1)/w) times the factor of ``then``."""
        return min(1.0, (epoch + 1) / self.epochs) * self.then.factor(epoch, epochs)

    def explain_idle(self) -> str | None:
        """Return that a single epoch has nothing to rise in, or what of the schedule after it changes nothing."""
        return "a warm-up of one epoch changes nothing" if self.epochs == 1 else self.then.explain_idle()

    def explain_unreached(self, epochs: int) -> str | None:
        """Return that the warm-up takes longer than the training, or what of the schedule after it never comes."""
        if self.epochs > epochs:
            return f"the warm-up takes {self.epochs:,} epochs, so that no epoch trains at the full rate"
        return self.then.explain_unreached(epochs)


plugin = Warmup
