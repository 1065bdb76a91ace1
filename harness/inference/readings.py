"""A replica's contribution to an estimand: one finite number, or the reason why there is none."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from harness.domain.places import is_worst_known, list_layers
from harness.inference.epochs import Chosen, choose_epochs
from harness.metrics import Metric
from harness.records import Estimand, Flaw, Hypothesis, Measurements, ReplicaResult
from harness.records.measurements import digest_measured
from harness.stats.distributions import beta_quantile
from harness.stats.summaries import NEED_TWO, summarise

LARGEST = 1e150  # the square of a larger number overflows
TOO_LARGE = "is too large to compute with"
BOUNDS_SLACK = 1e-6  # a cosine of 1 may come out as a little more


@dataclass(frozen=True)
class Reading:
    """One arm's value at one seed, after the transform; ``flaw`` says why there is none, or a stand-in."""

    value: float | None
    flaw: Flaw | None = None
    scale: float = 0.0
    """Largest magnitude of what the value was computed from, which says how far rounding may have moved it."""
    chosen: Chosen = field(default_factory=lambda: Chosen(()))
    """The place where the value was read."""


class Cell(NamedTuple):
    """The number of one epoch and layer of a replica, after the transform, or what is wrong with it."""

    value: float | None
    flaw: Flaw | None
    size: float = 0.0
    """Largest magnitude of what the value was computed from."""


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
    spec, found = hypothesis.arms[arm], []
    for index in range(len(measurements.seeds)):
        replica = by_seed.get(index)
        worst_case = takes_worst(hypothesis, replica)
        chosen = choose_epochs(estimand, arm, replica, hypothesis, measurements)
        reading = _take_reading(estimand, replica, chosen, worst_case, spec.label)
        found.append(replace(reading, chosen=chosen))
    return tuple(found)


def takes_worst(hypothesis: Hypothesis, replica: ReplicaResult | None) -> bool:
    """Tell whether a replica without a value counts with the worst one, by the policy for how it came to have none."""
    failed = replica is not None and replica.status == "failed"
    policy = hypothesis.exclusions.failed if failed else hypothesis.exclusions.diverged
    return policy == "worst_case"


def is_blocked(missing: Sequence[int], estimand: Estimand, hypothesis: Hypothesis, measurements: Measurements) -> bool:
    """Tell whether seeds without a value keep an estimand from being tested; no seed of a failed replica is dropped."""
    if not missing or hypothesis.exclusions.diverged != "exclude":
        return bool(missing)
    failed = find_diverged(measurements, ("failed",))
    return any(index in failed.get(arm, ()) for arm in estimand.arms for index in missing)


def _take_reading(
    estimand: Estimand, replica: ReplicaResult | None, chosen: Chosen, worst_case: bool, label: str
) -> Reading:
    """Read all cells and summarise them: over layers at each epoch, then over epochs."""
    epochs, layers = chosen.epochs, list_layers(estimand)
    rows = [[_read_cell(estimand, replica, epoch, layer, worst_case) for layer in layers] for epoch in epochs]
    flaw = _find_flaw(estimand, replica, rows, worst_case, chosen.problem)
    worst = None
    if flaw is not None:
        worst = estimand.metric.worst if worst_case and estimand.samples != "std" and is_worst_known(estimand) else None
        worst = None if _transform(estimand, worst) is None else worst
        flaw = flaw.model_copy(update={"label": label, "stand_in": worst})
        if worst is None:
            return Reading(None, flaw)
    filled = [[cell.value if cell.flaw is None else _transform(estimand, worst) for cell in row] for row in rows]
    if not rows:
        return Reading(_transform(estimand, worst), flaw)
    values = [[value for value in row if value is not None] for row in filled]
    value = _summarise(estimand, epochs, layers, values)
    if not is_usable(value):
        return Reading(None, Flaw(label=label, value=value if math.isfinite(value) else None, problem=TOO_LARGE))
    sizes = (
        max(abs(value), cell.size)
        for row, cells in zip(values, rows, strict=True)
        for value, cell in zip(row, cells, strict=True)
    )
    return Reading(value, flaw, max(sizes))


def _find_flaw(
    estimand: Estimand,
    replica: ReplicaResult | None,
    rows: Sequence[Sequence[Cell]],
    worst_case: bool,
    unread: str | None,
) -> Flaw | None:
    """Return what is wrong with the first flawed cell, or with there being none, or too few; None if all are sound.

    ``unread`` is why there are none.
    """
    if not rows:
        return _find_failure(replica, None, worst_case) or Flaw(problem=unread)
    if flaws := [cell.flaw for row in rows for cell in row if cell.flaw is not None]:
        return flaws[0]
    few = (estimand.layers in NEED_TWO and len(rows[0]) < 2, estimand.epochs in NEED_TWO and len(rows) < 2)
    for found, noun in zip(few, ("layer", "epoch"), strict=True):
        if found:
            return Flaw(problem=f"one {noun} is too few for this summary")
    return None


def _summarise(
    estimand: Estimand, epochs: Sequence[int], layers: Sequence[int], values: Sequence[Sequence[float]]
) -> float:
    less = estimand.better == "lower"
    over_layers = [
        row[0] if estimand.layers is None else summarise(estimand.layers, layers, row, less_is_better=less)
        for row in values
    ]
    if estimand.epochs is None:
        return over_layers[0]
    return summarise(estimand.epochs, epochs, over_layers, less_is_better=less)


def read_curve(
    estimand: Estimand, replica: ReplicaResult | None, epochs: Sequence[int], worst_case: bool
) -> tuple[Cell, ...]:
    """Return a replica's value at each epoch, summarised over layers, or what is wrong with it."""
    layers = list_layers(estimand)
    found = []
    for epoch in epochs:
        cells = [_read_cell(estimand, replica, epoch, layer, worst_case) for layer in layers]
        flaw = next((cell.flaw for cell in cells if cell.flaw is not None), None)
        values = [cell.value for cell in cells if cell.value is not None]
        found.append(Cell(_summarise(estimand, (epoch,), layers, [values]) if flaw is None else None, flaw))
    return tuple(found)


def _read_cell(estimand: Estimand, replica: ReplicaResult | None, epoch: int, layer: int, worst_case: bool) -> Cell:
    """Read the metric of one epoch and layer, less the other where there is one."""
    failure = _find_failure(replica, epoch, worst_case)
    numbers = []
    for metric in estimand.metrics.values():
        raw = _find_stored(estimand, metric, replica, epoch, layer)
        problem = failure or _find_problem(estimand, metric, raw, epoch, layer)
        number = _transform(estimand, raw)
        if problem is not None or number is None:
            return Cell(None, problem)
        numbers.append(number)
    first, *subtracted = numbers
    return Cell(first - math.fsum(subtracted), None, max(map(abs, numbers)))


def _find_failure(replica: ReplicaResult | None, epoch: int | None, worst_case: bool) -> Flaw | None:
    """Return why nothing measured on a replica counts at an epoch, or at all; None if it does."""
    if replica is None:
        return Flaw(problem="this replica was not measured")
    if replica.status == "failed":
        return Flaw(problem=f"failed: {replica.failure}")
    if replica.status == "diverged":
        since = replica.diverged_epoch
        before = since is not None and epoch is not None and epoch < since
        if not (worst_case and before):
            return Flaw(problem="diverged" if since is None else f"diverged in epoch {since}")
    if replica.stopped_epoch is not None and epoch is not None and epoch > replica.stopped_epoch:
        return Flaw(problem=f"stopped at epoch {replica.stopped_epoch}, before epoch {epoch}")
    return None


def _find_problem(estimand: Estimand, metric: Metric, raw: float | None, epoch: int, layer: int) -> Flaw | None:
    """Return why a measured value cannot be used; None if it can."""
    if raw is None:
        where = f" in layer {layer}" if isinstance(estimand.layer, tuple) else ""
        return Flaw(problem=f"no finite {metric.called}{where} at epoch {epoch}")
    low, high = metric.bounds
    if estimand.choose_samples(metric) != "std" and not low - BOUNDS_SLACK <= raw <= high + BOUNDS_SLACK:
        return Flaw(value=raw, problem=f"lies outside the bounds of {metric.called}")
    if _transform(estimand, raw) is None:
        return Flaw(value=raw, problem="has no logarithm" if is_usable(raw) else TOO_LARGE)
    return None


def _find_stored(
    estimand: Estimand, metric: Metric, replica: ReplicaResult | None, epoch: int, layer: int
) -> float | None:
    """Return the number in the measurements; None if there is none or it is not finite."""
    series = None if replica is None else replica.metrics.get(metric.key)
    if series is None or epoch not in series.epochs:
        return None
    rows = series.values.get(estimand.choose_samples(metric) or "value", ())
    row, place = series.epochs.index(epoch), layer if metric.layered else 0
    if row >= len(rows) or place >= len(rows[row]):
        return None
    value = rows[row][place]
    return value if value is not None and math.isfinite(value) else None


def _transform(estimand: Estimand, raw: float | None) -> float | None:
    if raw is None or not is_usable(raw):
        return None
    if not estimand.in_logs:
        return raw
    return math.log10(raw) if raw > 0 else None


def find_diverged(
    measurements: Measurements, statuses: tuple[str, ...] = ("diverged", "failed")
) -> Mapping[str, tuple[int, ...]]:
    """Return arm → indices of the seeds whose replica diverged or, by a program, failed, for arms that have any."""
    found: dict[str, tuple[int, ...]] = {}
    for result in measurements.replicas:
        if result.status in statuses:
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
    """Return arm → finished seeds whose final weights equal another seed's: the seed was not applied.

    Of a program that names no weights, what it measured stands for them. That may be equal by chance, so that only
    equal measurements of all seeds count.
    """
    finished: dict[str, int] = {}
    for result in measurements.replicas:
        finished[result.arm] = finished.get(result.arm, 0) + (result.status == "finished")
    by_weights: dict[tuple[str, str], list[int]] = {}
    for result in measurements.replicas:
        if result.status == "finished":
            by_weights.setdefault((result.arm, result.weights_sha256), []).append(result.seed_index)
    found: dict[str, list[int]] = {}
    for (arm, _), indices in by_weights.items():
        if len(indices) == 1:
            continue
        if len(indices) == finished[arm] or not any(
            result.arm == arm and result.seed_index in indices and names_no_weights(result)
            for result in measurements.replicas
        ):
            found.setdefault(arm, []).extend(indices)
    return {arm: tuple(sorted(indices)) for arm, indices in found.items()}


def names_no_weights(result: ReplicaResult) -> bool:
    """Tell whether a program named no digest of its weights, so that what it measured stands for them."""
    return result.raw is not None and result.weights_sha256 == digest_measured(result.metrics)
