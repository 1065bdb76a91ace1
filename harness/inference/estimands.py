"""Estimands: one number per seed from the measurements, and their summary over seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from harness.criteria import Target
from harness.criteria import estimate_parameter as average
from harness.domain.places import describe_onset, describe_places, find_finest_step
from harness.domain.scales import Scale, choose_scale
from harness.domain.standard_tests import choose_mean_test
from harness.inference.comparisons import compare, compare_tasks, describe_comparison
from harness.inference.onsets import evaluate_onsets
from harness.inference.readings import TOO_LARGE, Reading, is_blocked, is_usable, take_readings
from harness.inference.samples import Sample, keep_finite, note_flaws
from harness.records import Estimand, EstimandResult, Flaw, Ground, Hypothesis, Measurements, SeedValue
from harness.records.readings import EpochSpent, EpochWhen
from harness.wording import RATIO_UNIT

RELATIVE_SPREAD = 1e-12
SMALLEST_SPREAD = 1e-150  # the square of a smaller number loses its digits


def evaluate(name: str, estimand: Estimand, hypothesis: Hypothesis, measurements: Measurements) -> Sample:
    """Compute the estimand's value at every seed, and its summary over seeds."""
    if estimand.onset is not None:
        words = {"title": build_title(estimand, hypothesis), "unit": name_unit(estimand)}
        return evaluate_onsets(name, estimand, hypothesis, measurements, **words)
    per_arm = [take_readings(estimand, arm, hypothesis, measurements) for arm in estimand.arms]
    values = tuple(_compute_at_seed(index, pair, estimand) for index, pair in enumerate(zip(*per_arm, strict=True)))
    scale = choose_scale(estimand)
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
    blocked = is_blocked(missing, estimand, hypothesis, measurements)
    unpaired = estimand.pairing == "unpaired"
    compared = arms * (100 if estimand.unit == "pp" else 1) if unpaired else x
    data = _pool_tasks(estimand, arms) if estimand.seeds == "iqm" and estimand.tasks else compared
    sd = math.hypot(*np.atleast_1d(compared.std(axis=0, ddof=1))) if len(x) > 1 else None
    step = find_resolution(estimand, hypothesis, measurements)
    size = _find_size(estimand, per_arm)
    degenerate = sd is not None and sd <= _find_smallest_spread(x, size, len(estimand.arms), step)
    testable = sd is not None and not degenerate and not blocked
    student = choose_mean_test(estimand).criterion

    def average_over(target: Target) -> float | None:
        return scale.leave(average(target, data if target == "iqm" else x)) if len(x) else None

    def interval(level: float) -> tuple[float, float] | None:
        return keep_finite(scale.leave_interval(student.interval(compared, level))) if testable else None

    result = EstimandResult(
        name=name,
        title=build_title(estimand, hypothesis),
        unit=name_unit(estimand),
        values=tuple(_leave(scale, value) for value in values),
        n=len(x),
        mean=average_over("mean"),
        median=average_over("median"),
        sd=sd,
        interval90=interval(0.90),
        interval95=interval(0.95),
        correlation=None if unpaired else _correlate(arms),
        pseudomedian=average_over("pseudomedian") if estimand.seeds == "pseudomedian" else None,
        iqm=average_over("iqm") if estimand.seeds == "iqm" else None,
        ground=_note_ground(estimand, per_arm),
    )
    unusable = {
        arm: tuple(index for index, reading in enumerate(own) if reading.flaw is not None)
        for arm, own in zip(estimand.arms, per_arm, strict=True)
    }
    return Sample(result, x, data, missing, blocked, degenerate, estimand.task_count, unusable, scale=scale)


def _pool_tasks(estimand: Estimand, arms: np.ndarray) -> np.ndarray:
    """Return the values of the tasks from those of the arms, [n, arms] → [n, tasks]."""
    values = [compare_tasks(estimand, numbers) for numbers in arms.tolist()]
    return np.array(values, dtype=np.float64).reshape(len(arms), estimand.task_count)


def _compute_at_seed(index: int, pair: Sequence[Reading], estimand: Estimand) -> SeedValue:
    flaws = tuple(reading.flaw for reading in pair if reading.flaw is not None)
    numbers = [reading.value for reading in pair if reading.value is not None]
    if len(numbers) < len(pair):
        return note_flaws(index, None, flaws)
    value = compare(estimand, numbers)
    if not (is_usable(value) and is_usable(choose_scale(estimand).leave(value))):
        return note_flaws(index, None, (Flaw(value=value, problem=TOO_LARGE),))
    return note_flaws(index, value, flaws)


def _note_ground(estimand: Estimand, per_arm: Sequence[Sequence[Reading]]) -> tuple[Ground, ...]:
    """Return where each arm was read, if arms are compared having come as far or spent as much; else nothing."""
    if not isinstance(estimand.epoch, EpochWhen | EpochSpent):
        return ()
    return tuple(
        Ground(
            arm=arm,
            epochs=tuple(next(iter(reading.chosen.epochs), None) for reading in own),
            amounts=tuple(reading.chosen.amount for reading in own),
        )
        for arm, own in zip(estimand.arms, per_arm, strict=True)
    )


def _leave(scale: Scale, seed: SeedValue) -> SeedValue:
    """Return a seed's value in the estimand's unit."""
    return seed if seed.value is None else seed.model_copy(update={"value": scale.leave(seed.value)})


def find_resolution(estimand: Estimand, hypothesis: Hypothesis, measurements: Measurements) -> float:
    """Return the step between possible values in the estimand's unit; 0 if there is none or it is not constant.

    It is the largest step by which one sample of one arm can move the value: a smaller spread than that says nothing.
    """
    if estimand.in_logs:
        return 0.0
    steps = []
    for arm, weight in estimand.weights.items():
        setup = hypothesis.arms[arm].setup
        record = measurements.data.get(setup.dataset.name)
        resolutions = []
        for metric in estimand.metrics.values():
            split = metric.measured_split
            count = record.count(split, arm) if record is not None else setup.count(split)
            resolutions.append(metric.resolution(count) if count else 0.0)
        step = max(resolutions) if all(resolutions) else 0.0  # less a number without steps, it has none
        step *= find_finest_step(estimand, setup, measurements.epochs.get(arm))
        steps.append(abs(weight) * step)
    return max(steps) * (100 if estimand.unit == "pp" else 1)


def _find_size(estimand: Estimand, per_arm: Sequence[Sequence[Reading]]) -> float:
    """Return the largest magnitude of what was added up to the values, in the estimand's unit."""
    sizes = [
        abs(weight) * max(reading.scale, abs(reading.value or 0.0))
        for weight, own in zip(estimand.weights.values(), per_arm, strict=True)
        for reading in own
    ]
    largest = max(sizes, default=0.0) * (100 if estimand.unit == "pp" else 1)
    # The rounding of a ratio's value is that of its logarithm, however near 0 that is.
    return max(largest, 1.0) if estimand.ratio is not None else largest


def _find_smallest_spread(x: np.ndarray, size: float, arms: int, step: float) -> float:
    """Return the largest standard deviation that is rounding, relative to the mean, the arms' values or the step.

    ``size`` is the largest magnitude of what the values were computed from, of so many ``arms``.
    """
    rounding = max(4, arms) * float(np.finfo(np.float64).eps) * size
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


def name_unit(estimand: Estimand) -> str:
    """Return the unit: "pp", "log10", "ratio", the metric's own, or an empty string; and of a slope per what it is.

    That of an onset is epochs.
    """
    if estimand.onset is not None:
        return "epochs"
    if estimand.ratio is not None:
        return RATIO_UNIT
    unit = "pp" if estimand.unit == "pp" else "log10" if estimand.transform == "log10" else estimand.metric.unit
    return f"{unit} {estimand.per}".strip()


def build_title(estimand: Estimand, hypothesis: Hypothesis) -> str:
    """Return the estimand in words, with the arms' labels."""
    labels = {arm: hypothesis.arms[arm].label for arm in estimand.arms}
    metrics = " minus ".join(metric.title for metric in estimand.metrics.values())
    parts = [metrics, describe_comparison(estimand, labels)]
    if estimand.transform == "log10":
        parts[0] = f"log10 of {parts[0]}"
    if estimand.onset is not None:
        parts[0] = describe_onset(estimand.onset, parts[0])
    parts += describe_places(estimand)
    if estimand.samples is not None:
        parts.append(f"{'standard deviation' if estimand.samples == 'std' else estimand.samples} over samples")
    parts.append(f"{estimand.summary} over seeds" + (", unpaired" if estimand.pairing == "unpaired" else ""))
    return ", ".join(parts)
