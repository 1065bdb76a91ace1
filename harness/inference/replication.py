"""Comparison of a run's statistics with those of a rerun from the same seeds."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import accumulate
from statistics import stdev

from harness.domain.tuning import write_settings
from harness.records import Candidate, Decision, EstimandResult, Search
from harness.stats.distributions import t_exceeded
from harness.wording import RATIO_UNIT, format_count, format_number, format_together, quote_outcome, typeset

SAME = 1e-9  # relative difference of means that count as equal


def list_disagreements(before: Decision, now: Decision, level: float) -> tuple[str, ...]:
    """List the disagreements of a rerun with its run, one sentence each; none within the registered tolerance.

    The outcome must be the same, and the mean of every estimand of a decision or a guard must lie in the interval in
    which the mean of an independent repetition with as many seeds would lie with probability ``level``:

        mean ± t((1 + level) / 2, n − 1) · sd · √(1/n + 1/m)

    The median of onsets, which have no mean, must lie among the old ones as far from their ends as the median of an
    independent repetition would with this probability; with few seeds it may lie anywhere.

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
        if old.never is not None and new.never is not None and old.n and new.n:
            found += _compare_onsets(old, new, level)
        elif (old.mean is None) != (new.mean is None):
            found.append(f"{old.name}: one of the two has no value at all")
        elif old.mean is not None and new.mean is not None:
            limit = _shift(old, new, level)
            ratio = old.unit == RATIO_UNIT and min(old.mean, new.mean) > 0  # their spread is that of the logarithms
            first, second = (math.log10(mean) if ratio else mean for mean in (old.mean, new.mean))
            if not abs(second - first) <= max(limit, SAME * abs(first)):
                was, now_is = (typeset(text) for text in format_together([old.mean, new.mean]))
                by = f"a factor of {format_number(10**limit)}" if ratio else format_number(limit)
                found.append(f"{old.name}: the mean moved from {was} to {now_is}, by more than {by}")
    return tuple(found)


def list_search_disagreements(before: Search | None, now: Search | None, level: float) -> tuple[str, ...]:
    """List where a search that was trained again disagrees with the first, one sentence each; none without a search.

    Every arm's choice must be the same, as many seeds of each candidate must have diverged, and its mean must have
    moved no further than that of an estimand may.
    """
    if before is None or now is None:
        return () if before is now else ("one of the two has no search",)
    found = []
    for name, old in before.arms.items():
        new = now.arms[name]
        if old.choice.values != new.choice.values:
            words = write_settings(new.choice.values), write_settings(old.choice.values)
            found.append(f"the search chose {words[0]} for {name}, it was {words[1]}")
        for one, other in zip(old.candidates, new.candidates, strict=True):
            what = f"{name} with {write_settings(one.values)}"
            found += [f"{what}{told}" for told in _compare_candidates(one, other, level)]
    return tuple(found)


def _compare_candidates(old: Candidate, new: Candidate, level: float) -> Iterator[str]:
    """Yield what differs between a candidate and the same trained again, after its name."""
    if old.diverged != new.diverged:
        yield f" diverged at {format_count(new.diverged, 'seed')}, it was {format_count(old.diverged, 'seed')}"
    elif old.mean is not None and new.mean is not None:
        values = [value for value in old.measured if value is not None]
        n = len(values)
        limit = t_exceeded((1 - level) / 2, n - 1) * stdev(values) * math.sqrt(2 / n) if n > 1 else 0.0
        if not abs(new.mean - old.mean) <= max(limit, SAME * abs(old.mean)):
            was, now_is = (typeset(text) for text in format_together([old.mean, new.mean]))
            yield f": the mean moved from {was} to {now_is}, by more than {format_number(limit)}"


def _compare_onsets(old: EstimandResult, new: EstimandResult, level: float) -> list[str]:
    """Return the disagreement between the medians of onsets, if there is one.

    Of n old and m new values in random order, the number of old ones below the k-th new one is i with probability
    C(i + k − 1, i)·C(n − i + m − k, n − i)/C(n + m, n) (Fligner and Wolfe 1976, The American Statistician 30, 78–85).
    """
    ends = [seed.between or (seed.value, seed.value) for seed in old.values if seed.value is not None]
    n, m, k = old.n, new.n, (new.n + 1) // 2
    chances = [math.comb(i + k - 1, i) * math.comb(n - i + m - k, n - i) / math.comb(n + m, n) for i in range(n + 1)]
    rank = sum(total <= (1 - level) / 2 for total in accumulate(chances))
    if not 0 < rank <= n or old.median is None or new.median is None:
        return []
    low, high = sorted(low for low, _ in ends)[rank - 1], sorted(high for _, high in ends)[n - rank]
    if low <= new.median <= high:
        return []
    texts = format_together([old.median, new.median, low, high], never=old.never)
    was, now_is, least, greatest = (typeset(text) for text in texts)
    return [f"{old.name}: the median moved from {was} to {now_is}, out of {least} to {greatest}"]


def _tested(decision: Decision) -> tuple[EstimandResult, ...]:
    return (*(part.estimand for part in decision.decisions), *(guard.estimand for guard in decision.guards))


def _shift(old: EstimandResult, new: EstimandResult, level: float) -> float:
    """Return the tolerance of the mean; 0 if the spread between seeds is unknown."""
    if old.sd is None or new.n == 0:
        return 0.0
    return t_exceeded((1 - level) / 2, old.n - 1) * old.sd * math.sqrt(1 / old.n + 1 / new.n)
