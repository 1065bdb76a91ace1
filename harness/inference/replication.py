"""Comparison of a run's statistics with those of a rerun from the same seeds."""

from __future__ import annotations

import math

from harness.records import Decision, EstimandResult
from harness.stats.distributions import t_exceeded
from harness.wording import format_number, format_together, quote_outcome, typeset

SAME = 1e-9  # relative difference of means that count as equal


def list_disagreements(before: Decision, now: Decision, level: float) -> tuple[str, ...]:
    """List the disagreements of a rerun with its run, one sentence each; none within the registered tolerance.

    The outcome must be the same, and the mean of every estimand of a decision or a guard must lie in the interval in
    which the mean of an independent repetition with as many seeds would lie with probability ``level``:

        mean ± t((1 + level) / 2, n − 1) · sd · √(1/n + 1/m)

    A rerun has the same seeds, so its mean moves less than an independent one's unless something else changed.
    Source: Patil, Peng & Leek, What should researchers expect when they replicate studies?, Perspectives on
    Psychological Science 11 (2016), doi:10.1177/1745691616646366.
    """
    found = []
    if before.outcome != now.outcome:
        found.append(f"the outcome is {quote_outcome(now.outcome)}, it was {quote_outcome(before.outcome)}")
    ours = {result.name: result for result in _tested(now)}
    for old in {result.name: result for result in _tested(before)}.values():
        new = ours[old.name]
        if (old.mean is None) != (new.mean is None):
            found.append(f"{old.name}: one of the two has no value at all")
        elif old.mean is not None and new.mean is not None:
            limit = _shift(old, new, level)
            if not abs(new.mean - old.mean) <= max(limit, SAME * abs(old.mean)):
                was, now_is = (typeset(text) for text in format_together([old.mean, new.mean]))
                found.append(f"{old.name}: the mean moved from {was} to {now_is}, by more than {format_number(limit)}")
    return tuple(found)


def _tested(decision: Decision) -> tuple[EstimandResult, ...]:
    return (*(part.estimand for part in decision.decisions), *(guard.estimand for guard in decision.guards))


def _shift(old: EstimandResult, new: EstimandResult, level: float) -> float:
    """Return the tolerance of the mean; 0 if the spread between seeds is unknown."""
    if old.sd is None or new.n == 0:
        return 0.0
    return t_exceeded((1 - level) / 2, old.n - 1) * old.sd * math.sqrt(1 / old.n + 1 / new.n)
