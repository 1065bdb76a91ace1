"""A replica's contribution to an estimand: one finite number, or the reason why there is none."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from harness.records import Estimand, Flaw, Hypothesis, Measurements, ReplicaResult
from harness.stats.distributions import beta_quantile

LARGEST = 1e150  # the square of a larger number overflows
TOO_LARGE = "is too large to compute with"
BOUNDS_SLACK = 1e-6  # a cosine of 1 may come out as a little more


@dataclass(frozen=True)
class Reading:
    """One arm's value at one seed, after the transform; ``flaw`` says why there is none, or a stand-in."""

    value: float | None
    flaw: Flaw | None = None


def is_usable(value: float | None) -> bool:
    """Tell whether a sum of squares of such numbers is finite."""
    return value is not None and math.isfinite(value) and abs(value) <= LARGEST


def take_readings(
    estimand: Estimand, arm: str, hypothesis: Hypothesis, measurements: Measurements
) -> tuple[Reading, ...]:
    """Return one reading per seed of an arm, under the file's policy for diverged replicas.

    A value that is missing or not finite although the replica did not diverge is treated as if it had diverged.
    """
    by_seed = {result.seed_index: result for result in measurements.replicas if result.arm == arm}
    epoch = estimand.epoch if estimand.epoch is not None else measurements.epochs.get(arm)
    worst_case = hypothesis.exclusions.diverged == "worst_case"
    label = hypothesis.arms[arm].label
    return tuple(
        _take_reading(estimand, by_seed.get(index), epoch, worst_case, label)
        for index in range(len(measurements.seeds))
    )


def _take_reading(
    estimand: Estimand, replica: ReplicaResult | None, epoch: int | None, worst_case: bool, label: str
) -> Reading:
    raw = _find_stored(estimand, replica, epoch)
    problem = _find_problem(estimand, replica, raw, epoch, worst_case)
    if problem is None:
        return Reading(_transform(estimand, raw))
    worst = estimand.metric.worst if worst_case and estimand.samples != "std" else None
    value = _transform(estimand, worst)
    return Reading(value, problem.model_copy(update={"label": label, "stand_in": None if value is None else worst}))


def _find_problem(
    estimand: Estimand, replica: ReplicaResult | None, raw: float | None, epoch: int | None, worst_case: bool
) -> Flaw | None:
    """Return why the measured value cannot be used; None if it can."""
    if replica is None:
        return Flaw(problem="this replica was not measured")
    if replica.status == "diverged":
        since = replica.diverged_epoch
        before = since is not None and epoch is not None and epoch < since
        if not (worst_case and before):
            return Flaw(problem="diverged" if since is None else f"diverged in epoch {since}")
    if raw is None:
        when = "" if epoch is None else f" at epoch {epoch}"
        return Flaw(problem=f"no finite {estimand.metric.name}{when}")
    low, high = estimand.metric.bounds
    if estimand.samples != "std" and not low - BOUNDS_SLACK <= raw <= high + BOUNDS_SLACK:
        return Flaw(value=raw, problem=f"lies outside the bounds of {estimand.metric.name}")
    if _transform(estimand, raw) is None:
        return Flaw(value=raw, problem="has no logarithm" if is_usable(raw) else TOO_LARGE)
    return None


def _find_stored(estimand: Estimand, replica: ReplicaResult | None, epoch: int | None) -> float | None:
    """Return the number in the measurements; None if there is none or it is not finite."""
    series = None if replica is None else replica.metrics.get(estimand.metric.name)
    if series is None or epoch not in series.epochs:
        return None
    rows = series.values.get(estimand.samples or "value", ())
    row, column = series.epochs.index(epoch), estimand.layer or 0
    if row >= len(rows) or column >= len(rows[row]):
        return None
    value = rows[row][column]
    return value if value is not None and math.isfinite(value) else None


def _transform(estimand: Estimand, raw: float | None) -> float | None:
    if raw is None or not is_usable(raw):
        return None
    if estimand.transform != "log10":
        return raw
    return math.log10(raw) if raw > 0 else None


def find_diverged(measurements: Measurements) -> Mapping[str, tuple[int, ...]]:
    """Return arm → indices of the seeds whose replica diverged, for arms that have any."""
    found: dict[str, tuple[int, ...]] = {}
    for result in measurements.replicas:
        if result.status == "diverged":
            found[result.arm] = (*found.get(result.arm, ()), result.seed_index)
    return {arm: tuple(sorted(indices)) for arm, indices in found.items()}


def estimate_divergence_rate(failed: int, replicas: int) -> tuple[float, float, float]:
    """Return the rate of divergence and its Clopper–Pearson 95% interval (1934, doi 10.1093/biomet/26.4.404).

    The ends of the interval are quantiles of beta distributions.
    """
    low = beta_quantile(0.025, failed, replicas - failed + 1) if failed else 0.0
    high = 1 - beta_quantile(0.025, replicas - failed, failed + 1) if failed < replicas else 1.0
    return failed / replicas, low, high


def find_unapplied_seeds(measurements: Measurements) -> Mapping[str, tuple[int, ...]]:
    """Return arm → finished seeds whose final weights equal another seed's: the seed was not applied."""
    by_weights: dict[tuple[str, str], list[int]] = {}
    for result in measurements.replicas:
        if result.status == "finished":
            by_weights.setdefault((result.arm, result.weights_sha256), []).append(result.seed_index)
    found: dict[str, list[int]] = {}
    for (arm, _), indices in by_weights.items():
        if len(indices) > 1:
            found.setdefault(arm, []).extend(indices)
    return {arm: tuple(sorted(indices)) for arm, indices in found.items()}
