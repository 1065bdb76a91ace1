"""An estimand's values over the seeds, as they are handed to the tests."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from harness.domain.scales import PLAIN, Scale
from harness.records import EstimandResult, Flaw, SeedValue
from harness.wording import format_exact


@dataclass(frozen=True)
class Sample:
    """An estimand's values over the seeds, ready to be tested."""

    result: EstimandResult
    x: np.ndarray
    """Values that exist, float64 [n], all finite."""
    data: np.ndarray
    """Input of a criterion: ``x``; for unpaired arms their values, float64 [n, 2]; for pooled tasks theirs, [n, tasks].
    Where values are only known to lie in an interval, its lower ends."""
    missing: tuple[int, ...]
    """Seeds without a value."""
    blocked: bool
    """True if seeds are missing and the file does not allow to exclude them."""
    degenerate: bool
    """True if two or more values have no spread, or too little to be more than rounding."""
    tasks: int = 1
    """Number of values at a seed that are pooled."""
    unusable: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Arm → indices of seeds whose number could not be used as it is, whatever stands in for it."""
    upper: np.ndarray | None = None
    """Upper ends of the intervals in which the values are known to lie, float64 [n]; None if they are known exactly."""
    scale: Scale = PLAIN
    """Scale of the test, on which the values are; ``result`` is in the estimand's unit."""

    @property
    def greatest(self) -> np.ndarray:
        """Values at their greatest, whereas ``data`` holds them at their least: what tests that they are small get."""
        return self.data if self.upper is None else self.upper


def note_flaws(index: int, value: float | None, flaws: tuple[Flaw, ...]) -> SeedValue:
    """Return a seed's value with what is wrong with it."""
    note = "; ".join(flaw.describe(format_exact) for flaw in flaws) or None
    return SeedValue(seed_index=index, value=value, note=note, flaws=flaws)


def keep_finite(interval: tuple[float, float]) -> tuple[float, float] | None:
    """Return the interval, or None if an end is not finite."""
    return interval if all(math.isfinite(end) for end in interval) else None
