"""Measured values arranged for tables and figures. Missing values are left out, never filled in."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from harness.metrics import Metric
from harness.plugins.registry import find_members
from harness.records import STANDARD_METRICS, Measurements


def find_metric(name: str) -> type[Metric]:
    """Return the metric plug-in of a name, for its label, unit and axis."""
    found = find_members("metrics")[name]
    assert issubclass(found, Metric)
    return found


def choose_summary(name: str) -> str:
    """Return the summary of probe samples to show: the median of skewed quantities, the mean of others."""
    kind = find_metric(name)
    if not kind.per_sample:
        return "value"
    return "median" if kind.log_axis else "mean"


def list_metrics(measurements: Measurements) -> tuple[str, ...]:
    """Return the names of all metrics of a run: the standard ones in their usual order, then others by name.

    The order in which results.json lists them must not matter, because it is sorted there.
    """
    found = {name for replica in measurements.replicas for name in replica.metrics}
    standard = [name for name in STANDARD_METRICS if name in found]
    return (*standard, *sorted(found.difference(standard)))


def label_axis(name: str, summary: str, layer: int | None = None) -> str:
    """Return a metric in words: ``BP gradient norm, layer 2, median over samples``."""
    kind = find_metric(name)
    parts = [kind.label + (f" ({kind.unit})" if kind.unit else "")]
    if layer is not None:
        parts.append(f"layer {layer}")
    if summary != "value":
        parts.append(f"{summary} over samples")
    return ", ".join(parts)


def collect_tracks(
    measurements: Measurements, arm: str, name: str, summary: str, layer: int
) -> dict[int, dict[int, float]]:
    """Return seed index → epoch → finite value, for one arm, metric and layer (0 for metrics without layers)."""
    found: dict[int, dict[int, float]] = {}
    for replica in measurements.replicas:
        series = replica.metrics.get(name)
        if replica.arm != arm or series is None or summary not in series.values:
            continue
        rows = zip(series.epochs, series.values[summary], strict=True)
        values = ((epoch, row[layer]) for epoch, row in rows if layer < len(row))
        found[replica.seed_index] = {epoch: value for epoch, value in values if value is not None}
    return found


def count_layers(measurements: Measurements, name: str) -> int:
    """Return the number of layers that a metric was measured on."""
    found = (replica.metrics[name].values for replica in measurements.replicas if name in replica.metrics)
    return max((max(map(len, rows), default=0) for values in found for rows in values.values()), default=0)


def find_last_epoch(measurements: Measurements, arm: str, name: str) -> int | None:
    """Return the last epoch at which a metric was evaluated in an arm."""
    epochs = [
        max(replica.metrics[name].epochs)
        for replica in measurements.replicas
        if replica.arm == arm and name in replica.metrics and replica.metrics[name].epochs
    ]
    return max(epochs, default=None)


def collect_final_values(
    measurements: Measurements, arm: str, name: str, summary: str, layers: int = 1
) -> list[list[float]]:
    """Return each layer's finite values at the last evaluated epoch, one per seed that has one."""
    epoch = find_last_epoch(measurements, arm, name)
    found: list[list[float]] = [[] for _ in range(layers)]
    for replica in measurements.replicas:
        series = replica.metrics.get(name)
        if replica.arm != arm or series is None or summary not in series.values or epoch not in series.epochs:
            continue
        row = series.values[summary][series.epochs.index(epoch)]
        for values, value in zip(found, row, strict=False):
            if value is not None:
                values.append(value)
    return found


def compute_mean_sd(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Return mean and standard deviation (n − 1) over seeds; None if there are too few values."""
    if not values:
        return None, None
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None


def compute_centre_and_spread(values: Sequence[float], log: bool) -> tuple[float, float, float]:
    """Return mean, mean − sd and mean + sd; on a log axis of the logarithms, so that no end is negative."""
    shown = [math.log10(value) for value in values] if log else list(values)
    mean, sd = compute_mean_sd(shown)
    assert mean is not None
    ends = (mean, mean - (sd or 0.0), mean + (sd or 0.0))
    if not log:
        return ends
    low, middle, high = (10.0 ** max(-300.0, min(300.0, end)) for end in (ends[1], ends[0], ends[2]))
    return middle, low, high


def needs_log_axis(name: str, values: Sequence[float]) -> bool:
    """Tell whether a figure needs a log axis: the metric asks for one and its values span a decade or more."""
    positive = [value for value in values if value > 0]
    return find_metric(name).log_axis and bool(positive) and max(positive) >= 10 * min(positive)
