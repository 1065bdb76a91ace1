"""The epochs at which a replica is read, where each has its own: the best by a metric, or the first to come so far."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.domain.costs import describe_spent, find_affordable
from harness.domain.places import describe_condition, list_epochs
from harness.metrics import parse_metric
from harness.records import Estimand, Hypothesis, Measurements, ReplicaResult
from harness.records.readings import BestEpoch, Condition, EpochSpent, EpochWhen


@dataclass(frozen=True)
class Chosen:
    """The epochs at which a replica is read; ``problem`` says why there are none."""

    epochs: tuple[int, ...]
    problem: str | None = None
    amount: float | None = None
    """The value there of the metric that a condition is about, or what the replica had spent."""


def choose_epochs(
    estimand: Estimand, arm: str, replica: ReplicaResult | None, hypothesis: Hypothesis, measurements: Measurements
) -> Chosen:
    """Return the epochs at which a replica is read: those of its arm, or one of its own."""
    epoch = estimand.epoch
    if isinstance(epoch, BestEpoch):
        found = find_best_epoch(epoch.best, replica)
        return Chosen(found, None if found else f"no finite {epoch.best} to choose the epoch by")
    if isinstance(epoch, EpochWhen):
        return find_first_epoch(epoch.when, replica)
    if isinstance(epoch, EpochSpent):
        return _find_affordable_epoch(estimand, epoch, arm, replica, hypothesis, measurements)
    epochs = list_epochs(estimand, hypothesis.arms[arm].setup, find_last_epoch(replica, arm, measurements))
    return Chosen(epochs, None if epochs else "none of its epochs was evaluated")


def find_last_epoch(replica: ReplicaResult | None, arm: str, measurements: Measurements) -> int | None:
    """Return the last epoch of a replica: that at which it stopped, or its arm's."""
    stopped = None if replica is None else replica.stopped_epoch
    return measurements.epochs.get(arm) if stopped is None else stopped


def _find_affordable_epoch(
    estimand: Estimand,
    epoch: EpochSpent,
    arm: str,
    replica: ReplicaResult | None,
    hypothesis: Hypothesis,
    measurements: Measurements,
) -> Chosen:
    """Return the last evaluated epoch of a replica within its arm's budget."""
    last, per_epoch, budget = find_affordable(estimand, arm, hypothesis.arms, measurements)
    if budget is None or per_epoch is None:
        return Chosen((), f"its {epoch.spent} are not known")
    if last is None:
        first = f"the first epoch alone takes {describe_spent(per_epoch, epoch.spent)}"
        return Chosen((), f"{first}, more than {describe_spent(budget, epoch.spent)}")
    if replica is not None and replica.stopped_epoch is not None:
        last = min(last, replica.stopped_epoch)
    return Chosen((last,), amount=float(last * per_epoch))


def find_best_epoch(metric: str, replica: ReplicaResult | None) -> tuple[int, ...]:
    """Return the earliest evaluated epoch at which a metric of a replica is best; none without a finite value."""
    less = parse_metric(metric).better == "lower"
    finite = [(value if less else -value, epoch) for epoch, value in _list_values(metric, replica) if value is not None]
    return (min(finite)[1],) if finite else ()


def find_first_epoch(condition: Condition, replica: ReplicaResult | None) -> Chosen:
    """Return the first evaluated epoch at which a condition holds, at so many evaluations in a row.

    A value that is not finite before that leaves it unknown: it might have been the first.
    """
    row: list[tuple[int, float]] = []
    for epoch, value in _list_values(condition.metric, replica):
        if value is None:
            return Chosen((), f"no finite {condition.metric} at epoch {epoch} to choose the epoch by")
        row = [*row, (epoch, value)] if condition.holds(value) else []
        if len(row) == condition.evaluations:
            (first, amount), *_ = row
            return Chosen((first,), amount=amount)
    return Chosen((), f"never {describe_condition(condition)}")


def _list_values(metric: str, replica: ReplicaResult | None) -> Iterator[tuple[int, float | None]]:
    """Yield each evaluated epoch and the value of a metric that has one per replica."""
    series = None if replica is None else replica.metrics.get(metric)
    if series is not None:
        for epoch, row in zip(series.epochs, series.values.get("value", ()), strict=True):
            yield epoch, row[0]
