"""Onsets: the epoch at which a condition begins to hold on a replica, known only up to the evaluations around it.

An onset is an ordered value and no more: "never" comes after every epoch, by how much nobody knows. So each seed's
value is an interval of possible values. That a value is large is tested with the intervals' lower ends, that it is
small with their upper ends. Since values further from the cut never give the criteria for onsets a larger p, their p is
at least that of the unknown values, wherever these lie, and no error rate is exceeded.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.criteria import Target, estimate_parameter
from harness.domain.places import list_evaluated
from harness.inference.epochs import find_last_epoch
from harness.inference.readings import Cell, is_blocked, read_curve, takes_worst
from harness.inference.samples import Sample, note_flaws
from harness.records import Estimand, EstimandResult, Flaw, Hypothesis, Measurements, SeedValue
from harness.records.readings import Onset

FAR = 1e7
"""Stands for infinity in the input of a criterion, which takes finite numbers: far beyond every number of epochs."""
BEYOND = FAR / 10
"""Magnitude from which on a criterion's result was computed from a stand-in."""


@dataclass(frozen=True)
class Began:
    """The onset on one replica; ``flaw`` says why there is none to tell."""

    value: float | None
    """Evaluated epoch at which the condition is first seen to hold; infinite if it never is."""
    lower: float = 0.0
    upper: float = 0.0
    """Ends of the interval of epochs in which it begins to hold, both included."""
    flaw: Flaw | None = None


def evaluate_onsets(
    name: str, estimand: Estimand, hypothesis: Hypothesis, measurements: Measurements, *, title: str, unit: str
) -> Sample:
    """Compute the onset, or the difference of two arms' onsets, at every seed, and its summary over seeds."""
    onset = estimand.onset
    assert onset is not None
    per_arm = [_find_onsets(onset, estimand, arm, hypothesis, measurements) for arm in estimand.arms]
    values = tuple(_compare(index, found) for index, found in enumerate(zip(*per_arm, strict=True)))
    known = [seed for seed in values if seed.value is not None]
    ends = [seed.between or (seed.value, seed.value) for seed in known]
    x, lower, upper = (
        np.clip(np.array(numbers, dtype=np.float64), -FAR, FAR)
        for numbers in ([seed.value for seed in known], [low for low, _ in ends], [high for _, high in ends])
    )
    missing = tuple(seed.seed_index for seed in values if seed.value is None)

    estimates = [_estimate(estimand.seeds, ends) for ends in (lower, upper)] if len(x) else [0.0, 0.0]
    result = EstimandResult(
        name=name,
        title=title,
        unit=unit,
        values=values,
        n=len(x),
        mean=None,
        median=_estimate("median", x) if len(x) else None,
        sd=None,
        interval90=None,
        interval95=None,
        pseudomedian=_estimate("pseudomedian", x) if len(x) and estimand.seeds == "pseudomedian" else None,
        between=(estimates[0], estimates[1]) if estimates[0] != estimates[1] else None,
        never=("second arm never", "first arm never") if len(estimand.arms) > 1 else ("", "never"),
    )
    unusable = {
        arm: tuple(index for index, one in enumerate(own) if one.flaw is not None)
        for arm, own in zip(estimand.arms, per_arm, strict=True)
    }
    blocked = is_blocked(missing, estimand, hypothesis, measurements)
    return Sample(result, x, lower, missing, blocked, degenerate=False, unusable=unusable, upper=upper)


def _estimate(target: Target, numbers: np.ndarray) -> float:
    return restore_infinity(estimate_parameter(target, numbers))


def restore_infinity(value: float) -> float:
    """Return a number computed by a criterion, infinite if it was computed from a stand-in for infinity."""
    return math.copysign(math.inf, value) if abs(value) > BEYOND else value


def _compare(index: int, found: Sequence[Began]) -> SeedValue:
    """Return one arm's onset, or the first minus the second.

    Never minus an epoch is infinite. If both are never, the difference is 0, as that of two equal values, but could be
    anything: whether and when either would have come later, nobody knows.
    """
    flaws = tuple(one.flaw for one in found if one.flaw is not None)
    numbers = [one.value for one in found if one.value is not None]
    if len(numbers) < len(found):
        return note_flaws(index, None, flaws)
    if len(found) == 1:
        value, between = numbers[0], (found[0].lower, found[0].upper)
    else:
        first, second = found
        value = 0.0 if numbers[0] == numbers[1] else numbers[0] - numbers[1]
        between = (first.lower - second.upper, first.upper - second.lower)
    return SeedValue(seed_index=index, value=value, between=between if between[0] != between[1] else None)


def _find_onsets(
    onset: Onset, estimand: Estimand, arm: str, hypothesis: Hypothesis, measurements: Measurements
) -> tuple[Began, ...]:
    by_seed = {result.seed_index: result for result in measurements.replicas if result.arm == arm}
    setup = hypothesis.arms[arm].setup
    label = hypothesis.arms[arm].label
    found = []
    for index in range(len(measurements.seeds)):
        replica = by_seed.get(index)
        epochs = list_evaluated(setup, find_last_epoch(replica, arm, measurements))
        curve = read_curve(estimand, replica, epochs, takes_worst(hypothesis, replica))
        began = find_onset(onset, epochs, curve)
        if began.flaw is not None:
            began = Began(None, flaw=began.flaw.model_copy(update={"label": label}))
        found.append(began)
    return tuple(found)


def find_onset(onset: Onset, epochs: Sequence[int], curve: Sequence[Cell]) -> Began:
    """Return the onset of a condition on a curve over evaluated epochs.

    A value that can't be used before the onset is certain makes it unknown: it might have been the onset. Where the
    condition holds at the last evaluations, but at too few of them, what was seen to begin may yet be the onset.
    """
    row = 0
    for place, cell in enumerate(curve):
        if cell.value is None:
            return Began(None, flaw=cell.flaw)
        row = row + 1 if onset.holds(cell.value) else 0
        if row == onset.evaluations:
            start = place - row + 1
            return Began(float(epochs[start]), _follow(epochs, start), float(epochs[start]))
    return Began(math.inf, _follow(epochs, len(epochs) - row), math.inf)


def _follow(epochs: Sequence[int], place: int) -> float:
    """Return the epoch after the evaluation before ``place``: 1 before the first."""
    return (epochs[place - 1] if place else 0) + 1.0
