"""Exploratory results, for the template: each with the summary over seeds that the file asks for, and its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from harness.criteria import Target
from harness.domain.standard_tests import INTERVAL_LEVEL, choose_interval
from harness.records import Estimand, EstimandResult
from harness.verdict.text import Markdown, append_unit, format_together
from harness.wording import format_count, write_possible

INTERVALS: Mapping[Target, str] = {
    "median": "of a median it lies between two of the seeds' values (sign test)",
    "pseudomedian": "of a pseudomedian between two means of pairs of them (signed-rank test, for symmetric values)",
    "iqm": "of an interquartile mean it is the bootstrap's",
}
"""Summary → what its interval is."""
DASH = Markdown("–")


class Row(NamedTuple):
    """An exploratory result with formatted texts."""

    title: str
    estimate: Markdown
    interval: Markdown
    n: str


def find_shown(result: EstimandResult, spec: Estimand | None) -> tuple[float | None, tuple[float, float] | None]:
    """Return the estimate that is shown and its 95% interval: of the summary over seeds that the file asks for."""
    if spec is None or spec.seeds == "mean":
        return result.mean, result.interval95
    return result.estimate(spec.seeds), result.summary95


def write_row(result: EstimandResult, spec: Estimand | None) -> Row:
    """Return an exploratory result as a row: title, estimate, 95% interval and number of seeds."""
    value, interval = find_shown(result, spec)
    if value is None:
        return Row(result.title, DASH, DASH, str(result.n))
    texts = format_together([value, *(interval or ())], never=result.never)
    named = "" if spec is None or spec.seeds == "mean" else f"{spec.summary} "
    estimate = Markdown(f"{named}{append_unit(texts[0], result.unit)}{write_between(result)}")
    shown = append_unit(f"{texts[1]} to {texts[2]}", result.unit) if interval is not None else DASH
    return Row(result.title, estimate, shown, str(result.n))


def write_notes(results: Sequence[EstimandResult], estimands: Mapping[str, Estimand]) -> list[str]:
    """Say of summaries other than means what their intervals are, and of each without one why; nothing of means."""
    named = [(result, estimands.get(result.name)) for result in results]
    others = [(result, spec) for result, spec in named if spec is not None and spec.seeds != "mean"]
    kinds = dict.fromkeys(spec.seeds for result, spec in others if result.summary95 is not None)
    notes = [f"The interval is that of the summary: {'; '.join(INTERVALS[kind] for kind in kinds)}."] if kinds else []
    lacking = [(result, spec) for result, spec in others if result.summary95 is None and result.n]
    return notes + [f"{result.title}: no interval, because {_explain(result, spec)}." for result, spec in lacking]


def _explain(result: EstimandResult, spec: Estimand) -> str:
    criterion = choose_interval(spec)
    if criterion is None:
        return "there is none of this summary for arms that are not paired"
    fewest = criterion.smallest_n((1 - INTERVAL_LEVEL) / 2)
    if result.n < fewest:
        return f"that of this summary takes {format_count(fewest, 'seed')}, and there are {result.n}"
    return "its values do not tell one"


def write_between(result: EstimandResult) -> str:
    """Return how far the evaluations tell an onset's estimate: `` (26 to 30, by the evaluations)``."""
    return "" if result.between is None else f" ({write_possible(*result.between, '')}, by the evaluations)"
