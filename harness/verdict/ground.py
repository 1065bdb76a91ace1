"""Tables of the epochs at which each arm was read, of estimands that compare replicas that have come equally far."""

from __future__ import annotations

from collections.abc import Sequence

from harness.domain.costs import describe_spent, find_affordable
from harness.records import Decision, Estimand, Ground, Hypothesis, Measurements
from harness.records.readings import EpochSpent, EpochWhen
from harness.verdict.tables import Table, collect_estimands
from harness.verdict.text import Markdown, format_percent, format_together


def tabulate_ground(hypothesis: Hypothesis, measurements: Measurements, decision: Decision) -> Table | None:
    """Return a row per estimand and arm that was read at equal ground; None if there is none."""
    specs = {**hypothesis.estimands, **hypothesis.exploratory}
    results = [*collect_estimands(decision).values(), *decision.exploratory]
    rows = [
        [
            result.name,
            hypothesis.arms[ground.arm].label,
            *_describe(
                ground, specs[result.name], _find_budget(specs[result.name], ground.arm, hypothesis, measurements)
            ),
        ]
        for result in results
        for ground in result.ground
    ]
    return Table("", ["Estimand", "Arm", "Epochs", "What it had come to there", "Seeds"], rows) if rows else None


def _find_budget(estimand: Estimand, arm: str, hypothesis: Hypothesis, measurements: Measurements) -> float | None:
    if not isinstance(estimand.epoch, EpochSpent):
        return None
    return find_affordable(estimand, arm, hypothesis.arms, measurements).budget


def _describe(ground: Ground, estimand: Estimand, budget: float | None) -> list[str]:
    """Return the epochs at which an arm was read, how far it had come there, and how many of its seeds came so far."""
    epochs = [epoch for epoch in ground.epochs if epoch is not None]
    amounts = [amount for amount in ground.amounts if amount is not None]
    reached = f"{len(epochs)} of {len(ground.epochs)}"
    return [_span([str(epoch) for epoch in sorted(epochs)]), _describe_amounts(amounts, estimand, budget), reached]


def _describe_amounts(amounts: Sequence[float], estimand: Estimand, budget: float | None) -> str:
    if not amounts:
        return "–"
    if isinstance(estimand.epoch, EpochSpent) and budget is not None:
        ends = sorted({min(amounts), max(amounts)})  # replicas that stopped spent less
        spent = _span([describe_spent(end, estimand.epoch.spent) for end in ends])
        share = _span([format_percent(end / budget) for end in ends])
        return f"{spent}, {share} of {describe_spent(budget, estimand.epoch.spent)}"
    assert isinstance(estimand.epoch, EpochWhen), "only such estimands note their ground"
    return f"{estimand.epoch.when.metric} {_span(format_together(sorted(amounts)))}"


def _span(texts: Sequence[str]) -> Markdown:
    """Return the range of ascending numbers: ``3 to 5``, or the one that they all are."""
    return Markdown(" to ".join(dict.fromkeys((texts[0], texts[-1]))) if texts else "–")
