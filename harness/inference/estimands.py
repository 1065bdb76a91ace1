"""Estimands: one number per seed from the measurements, and their summary over seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from harness.criteria import estimate_parameter as average
from harness.domain.standard_tests import choose_mean_test
from harness.inference.readings import TOO_LARGE, Reading, is_usable, take_readings
from harness.records import Estimand, EstimandResult, Flaw, Hypothesis, Measurements, SeedValue
from harness.wording import format_exact

RELATIVE_SPREAD = 1e-12
SMALLEST_SPREAD = 1e-150  # the square of a smaller number loses its digits
PP_DECIMALS = 9  # finer than one sample in any data set; removes binary rounding from 100·(a − b)


@dataclass(frozen=True)
class Sample:
    """An estimand's values over the seeds, ready to be tested."""

    result: EstimandResult
    x: np.ndarray
    """Values that exist, float64 [n], all finite."""
    data: np.ndarray
    """Input of a criterion: ``x``, or for unpaired arms their values, float64 [n, 2]."""
    missing: tuple[int, ...]
    """Seeds without a value."""
    blocked: bool
    """True if seeds are missing and the file does not allow to exclude them."""
    degenerate: bool
    """True if two or more values have no spread, or too little to be more than rounding."""
    unusable: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Arm → indices of seeds whose number could not be used as it is, whatever stands in for it."""


def evaluate(name: str, estimand: Estimand, hypothesis: Hypothesis, measurements: Measurements) -> Sample:
    """Compute the estimand's value at every seed, and its summary over seeds."""
    per_arm = [take_readings(estimand, arm, hypothesis, measurements) for arm in estimand.arms]
    values = tuple(_compute_at_seed(index, pair, estimand) for index, pair in enumerate(zip(*per_arm, strict=True)))
    x = np.array([v.value for v in values if v.value is not None], dtype=np.float64)
    missing = tuple(v.seed_index for v in values if v.value is None)
    arms = np.array(
        [
            [r.value for r in pair]
            for v, pair in zip(values, zip(*per_arm, strict=True), strict=True)
            if v.value is not None
        ],
        dtype=np.float64,
    ).reshape(len(x), len(estimand.arms))
    blocked = bool(missing) and hypothesis.exclusions.diverged != "exclude"
    unpaired = estimand.pairing == "unpaired"
    data = arms * (100 if estimand.unit == "pp" else 1) if unpaired else x
    sd = math.hypot(*np.atleast_1d(data.std(axis=0, ddof=1))) if len(x) > 1 else None
    degenerate = sd is not None and sd <= _find_smallest_spread(
        x, arms, estimand, find_resolution(estimand, hypothesis, measurements)
    )
    testable = sd is not None and not degenerate and not blocked
    student = choose_mean_test(estimand).criterion
    result = EstimandResult(
        name=name,
        title=build_title(estimand, hypothesis),
        unit=name_unit(estimand),
        values=values,
        n=len(x),
        mean=float(x.mean()) if len(x) else None,
        median=average("median", x) if len(x) else None,
        sd=sd,
        interval90=keep_finite(student.interval(data, 0.90)) if testable else None,
        interval95=keep_finite(student.interval(data, 0.95)) if testable else None,
        correlation=None if unpaired else _correlate(arms),
        pseudomedian=average("pseudomedian", x) if len(x) and estimand.seeds == "pseudomedian" else None,
    )
    unusable = {
        arm: tuple(index for index, reading in enumerate(own) if reading.flaw is not None)
        for arm, own in zip(estimand.arms, per_arm, strict=True)
    }
    return Sample(result, x, data, missing, blocked, degenerate, unusable)


def _compute_at_seed(index: int, pair: Sequence[Reading], estimand: Estimand) -> SeedValue:
    flaws = tuple(reading.flaw for reading in pair if reading.flaw is not None)
    numbers = [reading.value for reading in pair if reading.value is not None]
    if len(numbers) < len(pair):
        return _note_flaws(index, None, flaws)
    value = numbers[0] - numbers[1] if estimand.contrast is not None else numbers[0]
    if estimand.unit == "pp":
        value = round(100 * value, PP_DECIMALS)
    if not is_usable(value):
        return _note_flaws(index, None, (Flaw(value=value, problem=TOO_LARGE),))
    return _note_flaws(index, value, flaws)


def _note_flaws(index: int, value: float | None, flaws: tuple[Flaw, ...]) -> SeedValue:
    note = "; ".join(flaw.describe(format_exact) for flaw in flaws) or None
    return SeedValue(seed_index=index, value=value, note=note, flaws=flaws)


def find_resolution(estimand: Estimand, hypothesis: Hypothesis, measurements: Measurements) -> float:
    """Return the step between possible values in the estimand's unit; 0 if there is none or it is not constant."""
    if estimand.transform == "log10":
        return 0.0
    steps = []
    for arm in estimand.arms:
        dataset = hypothesis.arms[arm].setup.dataset
        record = measurements.data.get(dataset.name)
        steps.append(estimand.metric.resolution(record.test if record is not None else dataset.test_count))
    return max(steps) * (100 if estimand.unit == "pp" else 1)


def _find_smallest_spread(x: np.ndarray, arms: np.ndarray, estimand: Estimand, step: float) -> float:
    """Return the largest standard deviation that is rounding, relative to the mean, the arms' values or the step."""
    scale = float(np.abs(arms).max()) * (100 if estimand.unit == "pp" else 1)
    rounding = 4 * float(np.finfo(np.float64).eps) * scale
    return max(RELATIVE_SPREAD * abs(float(x.mean())), rounding, step / math.sqrt(12), SMALLEST_SPREAD)


def _correlate(arms: np.ndarray) -> float | None:
    """Return Pearson's r of two arms over seeds, [n, 2]; None without a contrast, or if r is undefined or always ±1."""
    if arms.shape[1] != 2 or len(arms) < 3:
        return None
    centred = arms - arms.mean(axis=0)
    norms = np.sqrt((centred**2).sum(axis=0))
    rounding = 4 * np.finfo(np.float64).eps * np.abs(arms).max(axis=0) * math.sqrt(len(arms))
    if bool((norms <= rounding).any()):
        return None
    a, b = (centred / norms).T
    return float(np.clip(a @ b, -1.0, 1.0))


def keep_finite(interval: tuple[float, float]) -> tuple[float, float] | None:
    """Return the interval, or None if an end is not finite."""
    return interval if all(math.isfinite(end) for end in interval) else None


def name_unit(estimand: Estimand) -> str:
    """Return the estimand's unit: "pp", "log10", the metric's unit, or an empty string."""
    if estimand.unit == "pp":
        return "pp"
    return "log10" if estimand.transform == "log10" else estimand.metric.unit


def build_title(estimand: Estimand, hypothesis: Hypothesis) -> str:
    """Return the estimand in words, with the arms' labels."""
    parts = [estimand.metric.label, " − ".join(hypothesis.arms[arm].label for arm in estimand.arms)]
    if estimand.transform == "log10":
        parts[0] = f"log10 of {parts[0]}"
    if estimand.layer is not None:
        parts.append(f"layer {estimand.layer}")
    if estimand.epoch is not None:
        parts.append(f"epoch {estimand.epoch}")
    if estimand.samples is not None:
        parts.append(f"{'standard deviation' if estimand.samples == 'std' else estimand.samples} over samples")
    parts.append(f"{estimand.seeds} over seeds" + (", unpaired" if estimand.pairing == "unpaired" else ""))
    return ", ".join(parts)
