"""Summaries of one number per place, where places are layers or epochs: means, extremes, slopes, areas, peaks.

Linear summaries are given by exact weights, from which their value, their bounds and the step between their possible
values follow.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Literal

LayerSummary = Literal["mean", "min", "max", "slope"]
EpochSummary = Literal["mean", "min", "max", "slope", "area", "peak_minus_last"]
Summary = LayerSummary | EpochSummary

NEED_TWO = ("slope", "area", "peak_minus_last")
"""Summaries that say nothing about fewer than two places."""
MONOTONE = ("mean", "min", "max", "area")
"""Summaries that never fall if a value rises, so that worse values never make them better."""


def find_weights(summary: Summary, places: Sequence[int]) -> tuple[Fraction, ...] | None:
    """Return the weights of a linear summary of the values at ascending ``places``; None if it is not linear.

    A slope is that of the least-squares line, per place. An area is that of the trapezoids between neighbouring places,
    divided by the distance from the first to the last, so that it has the values' unit.
    """
    count = len(places)
    if summary == "mean":
        return (Fraction(1, count),) * count
    if summary == "slope":
        middle = Fraction(sum(places), count)
        square = sum((place - middle) ** 2 for place in places)
        return tuple((place - middle) / square for place in places)
    if summary == "area":
        ends = (places[0], *places, places[-1])
        width = 2 * (places[-1] - places[0])
        return tuple(Fraction(after - before, width) for before, after in zip(ends, ends[2:], strict=False))
    return None


def summarise(summary: Summary, places: Sequence[int], values: Sequence[float], *, less_is_better: bool) -> float:
    """Return the summary of finite values at ascending places.

    A peak is the greatest value, or the smallest of a quantity of which less is better.
    """
    if summary == "min":
        return min(values)
    if summary == "max":
        return max(values)
    if summary == "peak_minus_last":
        return (min(values) if less_is_better else max(values)) - values[-1]
    if summary == "mean":
        return math.fsum(values) / len(values)
    weights = find_weights(summary, places)
    assert weights is not None, "the others are linear"
    # Weights of a slope add up to 0 and those of an area to 1: differences from one value leave equal values equal.
    start = values[0]
    change = math.fsum(float(weight) * (value - start) for weight, value in zip(weights, values, strict=True))
    return change if summary == "slope" else start + change


def bound(
    summary: Summary, places: Sequence[int] | None, low: float, high: float, *, less_is_better: bool
) -> tuple[float, float]:
    """Return the closed interval of a summary of values that lie between ``low`` and ``high``.

    Without known places, a slope is bounded by that between neighbouring ones: it is a mean of slopes between pairs.
    """
    if summary == "peak_minus_last":
        return (low - high, 0.0) if less_is_better else (0.0, high - low)
    if summary != "slope":
        return low, high
    if math.isinf(high - low):
        return -math.inf, math.inf
    weights = find_weights("slope", places) if places is not None and len(places) > 1 else None
    steepest = float(sum(weight for weight in weights if weight > 0)) if weights is not None else 1.0
    return -steepest * (high - low), steepest * (high - low)


def find_step(summary: Summary, places: Sequence[int]) -> float:
    """Return the step between possible summaries of values that are multiples of 1."""
    weights = find_weights(summary, places)
    if weights is None:
        return 1.0
    below = math.lcm(*(weight.denominator for weight in weights))
    return math.gcd(*(int(weight * below) for weight in weights)) / below
