"""The search for the settings of tuned arms, for the template: candidates, the choice, and how close others were."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from harness.domain.tuning import describe_values, write_settings, write_value
from harness.metrics import parse_metric
from harness.records import Arm, Candidate, Distribution, Hypothesis, Search, TunedArm
from harness.records.tuning import Value
from harness.wording import format_count, format_together

LOST = {False: "diverged", True: "failed or diverged"}
"""Trained by a program → words for what keeps a seed of a candidate from a value."""
Space = Mapping[str, tuple[Value, ...] | Distribution]


class SearchView(NamedTuple):
    """A search with formatted texts."""

    metric: str
    """Label of the metric by which was chosen."""
    better: str
    """Direction in which it is better: higher or lower."""
    seeds: int
    """Number of tuning seeds."""
    arms: list[ArmView]
    lost: str
    """Words for what keeps a seed from a value."""
    judges: bool
    """True if a program's own metric both chooses and judges."""


class ArmView(NamedTuple):
    """The search for one arm."""

    label: str
    heads: list[str]
    rows: list[list[str]]
    """A row per candidate, in the order of the file or of their draws."""
    told: list[str]
    """Sentences on what was chosen and how clearly."""


def describe_search(hypothesis: Hypothesis, search: Search | None) -> SearchView | None:
    """Return a search as the page shows it; None if nothing was tuned."""
    if search is None:
        return None
    assert hypothesis.tuning is not None, "only a tuned hypothesis has a search"
    arms = [
        _describe_arm(hypothesis.arms[name], arm, hypothesis.tuning.space[name], len(search.seeds))
        for name, arm in search.arms.items()
    ]
    lost = LOST[any(hypothesis.arms[name].is_program for name in search.arms)]
    metric = parse_metric(search.metric)
    judged = {decision.estimand for decision in hypothesis.decisions.values()}
    read = {one.key for name in judged for one in hypothesis.estimands[name].metrics.values()}
    judges = metric.declared and search.metric in read
    return SearchView(metric.label, search.better, len(search.seeds), arms, lost, judges)


def _describe_arm(registered: Arm, arm: TunedArm, space: Space, seeds: int) -> ArmView:
    lost = LOST[registered.is_program]
    paths = list(arm.choice.values)
    heads = [*paths, "Mean", *(f"Seed {number}" for number in range(1, seeds + 1)), "What became of it"]
    numbers = [value for one in arm.candidates for value in (one.mean, *one.measured) if value is not None]
    texts = dict(zip(numbers, format_together(numbers), strict=True)) if numbers else {}
    rows = [
        [
            *(write_value(candidate.values[path]) for path in paths),
            *(texts.get(value, "–") if value is not None else "–" for value in (candidate.mean, *candidate.measured)),
            _say_place(arm, position, candidate, lost),
        ]
        for position, candidate in enumerate(arm.candidates)
    ]
    return ArmView(registered.label, heads, rows, _tell(arm, space, seeds, lost))


def _say_place(arm: TunedArm, position: int, candidate: Candidate, lost: str) -> str:
    found = ["chosen"] if position == arm.chosen else ["next best"] if position == arm.runner_up else []
    if candidate.diverged:
        found.append(f"{lost} at {format_count(candidate.diverged, 'seed')}")
    return ", ".join(found)


def _tell(arm: TunedArm, space: Space, seeds: int, lost: str) -> list[str]:
    said = [f"Chosen of {format_count(len(arm.candidates), 'candidate')}: {write_settings(arm.choice.values)}."]
    if any(isinstance(values, Distribution) for values in space.values()):
        ranges = "; ".join(f"{path} {describe_values(values)}" for path, values in space.items())
        said.append(f"The tuning seeds drew the candidates from these ranges: {ranges}.")
    if arm.choice.diverged:
        said.append(f"No candidate was without a seed that {lost}.")
    if arm.runner_up is not None:
        other, gap = arm.candidates[arm.runner_up], arm.gap
        if other.diverged > arm.choice.diverged or gap is None:
            at = f"at {other.diverged} of {seeds} seeds"
            said.append(f"The next best, {write_settings(other.values)}, {lost} {at}.")
        else:
            behind = "equal in the mean" if gap == 0 else f"{format_together([gap])[0]} behind in the mean"
            said.append(f"The next best, {write_settings(other.values)}, is {behind}.")
    if arm.edges:
        at = "lies" if len(arm.edges) == 1 else "lie"
        drawn = any(isinstance(space[path], Distribution) for path in arm.edges)
        edge = "what was drawn" if drawn else "the space"
        said.append(f"The chosen {' and '.join(arm.edges)} {at} at the edge of {edge}: a better value may lie beyond.")
    return said
