"""A learning rate that drops at milestones, as PyTorch's ``MultiStepLR``."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, field_validator

from harness.plugins.fields import Unit
from harness.schedules import Schedule
from harness.wording import join_words


class Step(Schedule):
    """Epoch t, from 0, trains at lr·γ^k, where k is the number of milestones m ≤ t.

    Equation:
        η_t = η·γ^#{milestones m ≤ t}

    Source:
        As PyTorch's ``MultiStepLR``; the usual schedule of residual networks (He et al. 2016, arXiv 1512.03385).

    Use:
        To repeat published experiments that name the epochs at which the rate drops.

    Traps:
        Epochs count from 0: with the milestone 100, epoch 99 is the last at η. A milestone at or after the last epoch
        never comes, of which ``harness check`` warns.
    """

    name: Literal["step"]
    milestones: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Unit("epochs")] = Field(
        min_length=1, examples=[[100, 150]]
    )
    """Numbers of epochs, ascending, after which the learning rate drops: with 100, the first hundred epochs train at
    lr, and the next one at lr·γ."""
    gamma: Annotated[float, Unit("1")] = Field(default=0.1, gt=0)
    """Factor γ by which the learning rate drops at each milestone."""

    @field_validator("milestones")
    @classmethod
    def _ascend(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if any(later <= earlier for earlier, later in pairwise(value)):
            raise ValueError("milestones must ascend, each once")
        return value

    def factor(self, epoch: int, epochs: int) -> float:
        """Return γ^k."""
        return float(self.gamma ** sum(milestone <= epoch for milestone in self.milestones))

    def explain_idle(self) -> str | None:
        """Return that a factor of 1 drops nothing."""
        return "gamma is 1, so that no milestone changes the rate" if self.gamma == 1 else None

    def explain_unreached(self, epochs: int) -> str | None:
        """Return the milestones after which no epoch is left to train."""
        late = [f"{milestone:,}" for milestone in self.milestones if milestone >= epochs]
        noun = "milestone" if len(late) == 1 else "milestones"
        return f"no epoch comes after {noun} {join_words(late)}" if late else None


plugin = Step
