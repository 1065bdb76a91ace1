"""Summaries over layers and epochs against NumPy, and what does not change them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.stats.summaries import bound, find_step, find_weights, summarise

SUMMARIES = ("mean", "min", "max", "slope", "area", "peak_minus_last")


@st.composite
def curves(draw: st.DrawFn, low: float = -1e6, high: float = 1e6) -> tuple[list[int], list[float]]:
    places = sorted(draw(st.sets(st.integers(0, 200), min_size=2, max_size=8)))
    values = draw(st.lists(st.floats(low, high), min_size=len(places), max_size=len(places)))
    return places, values


def numpy_summary(summary: str, x: np.ndarray, y: np.ndarray, less_is_better: bool) -> float:
    return {
        "mean": lambda: y.mean(),
        "min": lambda: y.min(),
        "max": lambda: y.max(),
        "slope": lambda: np.polyfit(x - x.mean(), y, 1)[0],
        "area": lambda: np.trapezoid(y, x) / (x[-1] - x[0]),
        "peak_minus_last": lambda: (y.min() if less_is_better else y.max()) - y[-1],
    }[summary]()


@given(curves(), st.sampled_from(SUMMARIES), st.booleans())
def test_the_summaries_are_numpys(curve, summary, less_is_better):
    x, y = (np.array(part, dtype=float) for part in curve)
    found = summarise(summary, *curve, less_is_better=less_is_better)
    assert found == pytest.approx(numpy_summary(summary, x, y, less_is_better), abs=1e-9 * max(1, np.abs(y).max()))


def test_by_hand():
    assert summarise("slope", (1, 2, 3, 4), (0.1, 0.3, 0.2, 0.6), less_is_better=False) == pytest.approx(0.14)
    # Evaluated after epochs 1, 5 and 10: (0.2 + 0.6)/2 for four epochs and (0.6 + 0.8)/2 for five, over nine.
    assert summarise("area", (1, 5, 10), (0.2, 0.6, 0.8), less_is_better=False) == pytest.approx((1.6 + 3.5) / 9)
    assert summarise("peak_minus_last", (1, 5, 10), (0.2, 0.9, 0.8), less_is_better=False) == pytest.approx(0.1)
    assert summarise("peak_minus_last", (1, 5, 10), (2.0, 0.5, 0.8), less_is_better=True) == pytest.approx(-0.3)


@given(curves(), st.sampled_from(("mean", "min", "max")), st.randoms())
def test_the_order_of_places_makes_no_difference_to_mean_and_extremes(curve, summary, random):
    places, values = curve
    shuffled = random.sample(values, len(values))
    assert summarise(summary, places, values, less_is_better=False) == pytest.approx(
        summarise(summary, places, shuffled, less_is_better=False), rel=1e-12, abs=1e-9
    )


@given(curves(), st.sampled_from(SUMMARIES), st.floats(0.01, 100), st.floats(-100, 100))
def test_rescaling_rescales_the_summary(curve, summary, factor, shift):
    places, values = curve
    moved = [factor * value + shift for value in values]
    level = 0.0 if summary in ("slope", "peak_minus_last") else shift
    expected = factor * summarise(summary, places, values, less_is_better=False) + level
    tolerance = 1e-9 * (1 + max(map(abs, moved)))
    assert summarise(summary, places, moved, less_is_better=False) == pytest.approx(expected, abs=tolerance)


@given(curves(0.0, 1.0), st.sampled_from(SUMMARIES), st.booleans(), st.booleans())
def test_no_summary_leaves_its_bounds(curve, summary, less_is_better, known):
    places, values = curve
    low, high = bound(summary, places if known else None, 0.0, 1.0, less_is_better=less_is_better)
    assert low - 1e-12 <= summarise(summary, places, values, less_is_better=less_is_better) <= high + 1e-12


@given(st.sets(st.integers(0, 50), min_size=2, max_size=6))
def test_the_steepest_slope_is_reached(places):
    x = sorted(places)
    weights = find_weights("slope", x)
    steepest = [float(weight > 0) for weight in weights]
    _, high = bound("slope", x, 0, 1, less_is_better=False)
    assert summarise("slope", x, steepest, less_is_better=False) == pytest.approx(high)


def test_bounds_that_are_open_stay_open():
    assert bound("slope", (1, 2), 0.0, math.inf, less_is_better=False) == (-math.inf, math.inf)
    assert bound("peak_minus_last", None, 0.0, math.inf, less_is_better=True) == (-math.inf, 0.0)
    assert bound("area", None, 0.0, math.inf, less_is_better=False) == (0.0, math.inf)


@given(curves(0.0, 1.0), st.sampled_from(SUMMARIES), st.integers(2, 1000))
def test_summaries_of_whole_steps_are_whole_steps(curve, summary, count):
    """Shares of ``count`` samples: whatever is made of them is a multiple of the step that is told."""
    places, values = curve
    whole = [round(value * count) for value in values]
    steps = summarise(summary, places, whole, less_is_better=False) / find_step(summary, places)
    assert steps == pytest.approx(round(steps), abs=1e-6)


def test_equal_values_have_no_slope_at_all():
    assert summarise("slope", (1, 5, 10, 15), (0.1,) * 4, less_is_better=False) == 0.0
    assert summarise("area", (1, 5, 10, 15), (0.1,) * 4, less_is_better=False) == 0.1
