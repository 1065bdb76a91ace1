"""Intervals of exploratory estimands whose summary over seeds is no mean: of that very summary, where there is one."""

from __future__ import annotations

from harness.domain.standard_tests import INTERVAL_LEVEL, choose_interval
from harness.inference.bands import find_interval
from harness.inference.samples import Sample
from harness.records import Estimand, EstimandResult


def describe_exploratory(estimand: Estimand, sample: Sample) -> EstimandResult:
    """Return an exploratory result with the 95% interval of its summary over seeds, if that is no mean and has one."""
    criterion, result = choose_interval(estimand), sample.result
    if criterion is None or sample.degenerate or sample.blocked:
        return result
    if result.n < criterion.smallest_n((1 - INTERVAL_LEVEL) / 2):
        return result
    interval = find_interval(criterion, sample, INTERVAL_LEVEL)
    return result if interval is None else result.model_copy(update={"summary95": interval})
