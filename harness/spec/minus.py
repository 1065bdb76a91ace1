"""Checks of differences of two metrics: both are on one scale, and nothing is asked that a difference does not have."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator

from harness.metrics import Metric
from harness.records import Estimand
from harness.spec.tree import Path, Problem
from harness.wording import format_exact


def check_minus(path: Path, estimand: Estimand, declared: Collection[str]) -> Iterator[Problem]:
    """Yield what keeps two metrics from being subtracted, and what is not defined for their difference.

    ``declared``: the metrics that the file declares of a program; of any other one of its own, another check tells.
    """
    metric, minus = estimand.metric, estimand.minus
    if minus is None:
        return
    at = (*path, "minus")
    known = all(one.called in declared for one in (metric, minus) if one.declared)
    if metric.key == minus.key:
        yield Problem(at, f"{metric.called} minus itself is always zero", "name another metric, or remove minus")
    elif known and (why := _explain_mismatch(metric, minus)) is not None:
        remedy = "subtract a metric with the same unit and bounds, or decide about each of the two"
        yield Problem(at, f"{minus.called} can't be subtracted from {metric.called}: {why}", remedy)
    needs = "remove minus, or"
    if estimand.ratio is not None:
        message = "a difference of two metrics has no ratio: it may be 0 or negative"
        yield Problem((*path, "ratio"), message, f"{needs} write contrast: first - second")
    if estimand.transform == "log10":
        message = "a difference of two metrics has no logarithm: it may be 0 or negative"
        yield Problem((*path, "transform"), message, f"{needs} remove transform")
    if estimand.onset is not None:
        message = "an onset is the epoch at which one metric has come so far, and minus names a second"
        yield Problem((*path, "onset"), message, f"{needs} remove onset", on_key=True)


def _explain_mismatch(metric: Metric, minus: Metric) -> str | None:
    """Return why two metrics are not on one scale; None if they are.

    They are if they have the same unit and bounds. Without a unit, bounds on both sides must say what the scale is, or
    both must be one metric that is measured under two conditions.
    """
    if (metric.unit, metric.of_loss) != (minus.unit, minus.of_loss):
        return f"their units differ, {_name_unit(metric)} and {_name_unit(minus)}"
    if metric.bounds != minus.bounds:
        return f"their bounds differ, {_write_bounds(metric)} and {_write_bounds(minus)}"
    if not metric.unit and metric.name != minus.name and not all(map(math.isfinite, metric.bounds)):
        return "they have neither a unit nor bounds on both sides, which would say that their scale is the same"
    return None


def _name_unit(metric: Metric) -> str:
    return metric.unit or ("that of the loss" if metric.of_loss else "none")


def _write_bounds(metric: Metric) -> str:
    low, high = (format_exact(end) if math.isfinite(end) else f"{'−' * (end < 0)}∞" for end in metric.bounds)
    return f"{low} … {high}"
