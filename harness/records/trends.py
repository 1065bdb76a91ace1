"""Trends: how a metric changes over a number by which arms differ."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from harness.plugins.fields import Unit
from harness.records.base import Name, Record

PER = {"linear": "per unit", "log_linear": "per tenfold", "ranks": "per step"}
"""Shape → divisor of a slope in words."""


class Trend(Record):
    """A trend over arms: at each seed, the slope of the least-squares line through the arms' values."""

    over: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$", max_length=200)] = Field(
        examples=["penalty.strength"]
    )
    """Path inside the arms to the number by which they differ. An arm without penalty has the strength 0."""
    arms: Annotated[dict[Name, float], Unit("the number's own")] = Field(min_length=1, examples=["penalized"])
    """Arms of the trend. In the file: the name of an arm with a ``matrix``, for all arms that it makes; or a list of
    arms. The numbers are read from the arms, and order the arms."""
    shape: Literal["linear", "log_linear", "ranks"]
    """Scale of the slope. linear: per unit of the number; log_linear: per tenfold of it, which needs numbers above 0;
    ranks: per step from one arm to the next, whatever the numbers are; monotone: every step by itself, each with an
    estimand and a decision of its own, NAME_1 for the first step, which ``combine`` joins under NAME."""

    @property
    def weights(self) -> Mapping[str, float]:
        """Arm → weight of its value in the slope: (p − p̄) / Σ (p − p̄)², for positions p. It is 0 if all are equal."""
        places = {arm: self._place(value) for arm, value in self.arms.items()}
        centre = math.fsum(places.values()) / len(places)
        square = math.fsum((place - centre) ** 2 for place in places.values())
        return {arm: (place - centre) / square if square else 0.0 for arm, place in places.items()}

    def _place(self, value: float) -> float:
        if self.shape == "linear":
            return value
        if self.shape == "ranks":
            return float(sum(other < value for other in self.arms.values()))
        return math.log10(value) if value > 0 else 0.0  # a check refuses numbers without a logarithm

    @property
    def per(self) -> str:
        """Divisor of the slope in words: ``per step``."""
        return PER[self.shape]
