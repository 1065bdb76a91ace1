"""Checks of conditions on a metric, and of metrics that choose an epoch: they can hold, and spare the test split."""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.domain.measured import find_lack
from harness.metrics import Metric
from harness.plugins.registry import find_members
from harness.records import Arm
from harness.records.readings import Onset
from harness.spec.tree import Path, Problem
from harness.wording import format_count, format_for_file, suggest


def check_threshold(
    path: Path, condition: Onset, name: str, bounds: tuple[float, float], then: tuple[str, str]
) -> Iterator[Problem]:
    """Yield a threshold that no value of a metric passes, or that every value does; ``then`` is what follows."""
    low, high = bounds
    key = "above" if condition.above is not None else "below"
    written = f"{key} {format_for_file(condition.threshold)}"
    remedy = f"it lies between {_describe(low)} and {_describe(high)}"
    if not any(condition.holds(end) for end in bounds):
        yield Problem((*path, key), f"{name} is never {written}: {then[0]}", remedy)
    elif all(condition.holds(end) for end in bounds):
        yield Problem((*path, key), f"{name} is always {written}: {then[1]}", remedy)


def _describe(end: float) -> str:
    return format_for_file(end) if math.isfinite(end) else "inf" if end > 0 else "-inf"


def check_lasting(path: Path, condition: Onset, name: str, arm: Arm) -> Iterator[Problem]:
    """Yield a condition that must hold at more evaluations in a row than an arm has."""
    there = len(arm.setup.evaluated_epochs)
    if condition.evaluations > there:
        asked = format_count(condition.evaluations, "evaluation")
        message = f"the condition must hold at {asked} in a row, but arm {name!r} has {there}"
        remedy = f"ask for {there} or fewer, or evaluate more often: setup.evaluation.every_epochs"
        yield Problem((*path, "evaluations"), message, remedy)


def check_name(at: Path, name: str, what: str) -> Iterator[Problem]:
    """Yield a name that is no metric's, or that of one with several values, none of which says ``what``."""
    metric = find_metric(name)
    if metric is None:
        known = find_members("metrics")
        yield Problem(at, f"no metric is called {name!r}{suggest(name, known)}", f"known: {', '.join(known)}")
    elif not is_single(metric):
        message = f"{name} has several values per replica and epoch: none of them says {what}"
        yield Problem(at, message, f"choose by a metric with one: {list_choosers()}")


def check_measured(at: Path, metric: str, name: str, arm: Arm) -> Iterator[Problem]:
    """Yield a metric that chooses an arm's epoch but is not measured on the arm, or not defined there."""
    kind = find_metric(metric)
    if kind is None or not is_single(kind):
        return  # reported elsewhere
    if (lack := find_lack(kind, arm.rule)) is not None:
        message = f"{metric} is not defined for arm {name!r}: rule {arm.rule.name} {lack[0]}"
        yield Problem(at, message, f"choose by another metric: {list_choosers()}")
    if metric not in arm.setup.evaluation.keys:
        message = f"{metric} is not measured on arm {name!r}"
        remedy = f"add it to setup.evaluation.metrics, which are: {', '.join(arm.setup.evaluation.keys)}"
        yield Problem(at, message, remedy)


def find_metric(name: str) -> type[Metric] | None:
    """Return the metric plug-in of a name; None if there is none."""
    found = find_members("metrics").get(name)
    return found if found is not None and issubclass(found, Metric) else None


def is_single(metric: type[Metric]) -> bool:
    """Tell whether a metric has one value per replica and epoch."""
    return not (metric.layered or metric.per_sample)


def reads_test(name: str) -> bool:
    """Tell whether a metric with one value per replica and epoch reads the test split."""
    metric = find_metric(name)
    return metric is not None and is_single(metric) and metric.split == "test"


def list_choosers() -> str:
    """Return the metrics that may choose an epoch."""
    found = ((name, find_metric(name)) for name in find_members("metrics"))
    return ", ".join(
        name for name, kind in found if kind and kind.better is not None and kind.split != "test" and is_single(kind)
    )
