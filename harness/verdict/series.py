"""Measured values arranged for tables and figures. Missing values are left out, never filled in."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from harness.domain.places import describe_layers
from harness.metrics import parse_metric
from harness.records import STANDARD_METRICS, Measurements
from harness.stats.summaries import LayerSummary, summarise


def choose_summary(name: str) -> str:
    """Return the summary of probe samples to show: the median of skewed quantities, the mean of others."""
    kind = parse_metric(name)
    if not kind.per_sample:
        return "value"
    return "median" if kind.log_axis else "mean"


def list_metrics(measurements: Measurements) -> tuple[str, ...]:
    """Return the keys of all metrics of a run: the standard ones in their usual order, then others by name.

    The order in which results.json lists them must not matter, because it is sorted there.
    """
    found = {name for replica in measurements.replicas for name in replica.metrics}
    standard = [name for name in STANDARD_METRICS if name in found]
    return (*standard, *sorted(found.difference(standard)))


def label_axis(
    name: str,
    summary: str,
    layer: int | tuple[int, ...] | None = None,
    layers: LayerSummary | None = None,
    log10: bool = False,
) -> str:
    """Return a metric in words: ``BP gradient norm, layer 2, median over samples``."""
    kind = parse_metric(name)
    parts = [("log10 of " if log10 else "") + kind.title + (f" ({kind.unit})" if kind.unit else "")]
    if layer is not None:
        parts.append(describe_layers(layer, layers))
    if summary != "value":
        parts.append(f"{summary} over samples")
    return ", ".join(parts)


def collect_tracks(
    measurements: Measurements,
    arm: str,
    name: str,
    summary: str,
    layer: int | tuple[int, ...],
    layers: LayerSummary | None = None,
    log10: bool = False,
) -> dict[int, dict[int, float]]:
    """Return seed index → epoch → finite value, for one arm, metric and layer (0 for metrics without layers).

    Of several layers, it is their summary; with ``log10`` that of the logarithms.
    """
    places = sorted(set(layer)) if isinstance(layer, tuple) else [layer]
    found: dict[int, dict[int, float]] = {}
    for replica in measurements.replicas:
        series = replica.metrics.get(name)
        if replica.arm != arm or series is None or summary not in series.values:
            continue
        rows = zip(series.epochs, series.values[summary], strict=True)
        if layers is None:
            place = places[0]
            values = ((epoch, row[place] if place < len(row) else None) for epoch, row in rows)
        else:
            values = ((epoch, _summarise_layers(row, places, layers, log10)) for epoch, row in rows)
        found[replica.seed_index] = {epoch: value for epoch, value in values if value is not None}
    return found


def _summarise_layers(
    row: Sequence[float | None], places: Sequence[int], layers: LayerSummary, log10: bool
) -> float | None:
    """Return the summary of several layers at an epoch; None if one of them has no value."""
    values = [row[place] if place < len(row) else None for place in places]
    known = [value for value in values if value is not None and (value > 0 or not log10)]
    if len(known) < len(values):
        return None
    logs = [math.log10(value) if log10 else value for value in known]
    return summarise(layers, places, logs, less_is_better=False)


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
    found: list[list[float]] = [[] for _ in range(layers)]
    for row in collect_final_rows(measurements, arm, name, summary).values():
        for values, value in zip(found, row, strict=False):
            if value is not None:
                values.append(value)
    return found


def collect_final_rows(
    measurements: Measurements, arm: str, name: str, summary: str
) -> dict[int, tuple[float | None, ...]]:
    """Return seed index → the values of all layers at the last evaluated epoch; None where one is not finite."""
    epoch = find_last_epoch(measurements, arm, name)
    found: dict[int, tuple[float | None, ...]] = {}
    for replica in measurements.replicas:
        series = replica.metrics.get(name)
        if replica.arm != arm or series is None or summary not in series.values:
            continue
        last = epoch if replica.stopped_epoch is None else replica.stopped_epoch
        if last not in series.epochs:
            continue
        found[replica.seed_index] = series.values[summary][series.epochs.index(last)]
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
    return parse_metric(name).log_axis and bool(positive) and max(positive) >= 10 * min(positive)
