"""Comparison of arms at one seed: the readings of the arms there → one number, and the comparison in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from harness.records import Estimand
from harness.records.trends import Trend
from harness.wording import format_exact, join_words

PP_DECIMALS = 9  # finer than one sample in any data set; removes binary rounding from 100·(a − b)
NAMED = 6  # arms of a trend, or tasks, that a title names
INTERACTION = (1, -1, -1, 1)


def compare(estimand: Estimand, numbers: Sequence[float]) -> float:
    """Return an estimand's value at a seed, in its unit, from its arms' readings in the order of ``estimand.arms``.

    The sum of the weighted readings is rounded once, so that the order of the arms makes no difference.
    """
    return _weigh(tuple(estimand.weights.values()), numbers, estimand.unit)


def compare_tasks(estimand: Estimand, numbers: Sequence[float]) -> tuple[float, ...]:
    """Return the value of every task at a seed, as ``compare`` does that of the estimand; their mean is that value."""
    by_arm = dict(zip(estimand.arms, numbers, strict=True))
    return tuple(
        _weigh(tuple(task.values()), [by_arm[arm] for arm in task], estimand.unit) for task in estimand.tasks or ()
    )


def _weigh(weights: Sequence[float], numbers: Sequence[float], unit: str) -> float:
    if tuple(weights) == (1.0,):
        value = numbers[0]
    else:
        value = math.fsum(weight * number for weight, number in zip(weights, numbers, strict=True))
    if unit != "pp":
        return value
    largest = max(abs(weight) for weight in weights)
    return round(100 * value, PP_DECIMALS - math.floor(math.log10(largest or 1.0)))


def describe_comparison(estimand: Estimand, labels: Mapping[str, str]) -> str:
    """Return the arms of an estimand and what is done with them: ``(A − B) − (C − D)``, ``mean of A and B − C``."""
    terms = [(labels[arm], weight) for arm, weight in estimand.weights.items()]
    if estimand.trend is not None:
        return describe_trend(estimand.trend, labels)
    if estimand.tasks is not None:
        return describe_tasks(estimand.tasks, labels)
    return describe_weights(terms) if estimand.ratio is None else describe_ratio(terms)


def describe_trend(trend: Trend, labels: Mapping[str, str]) -> str:
    """Return a trend in words: ``slope per step of penalty.strength over A, B and C``."""
    names = [labels[arm] for arm in sorted(trend.arms, key=lambda arm: trend.arms[arm])]
    over = join_words(names) if len(names) <= NAMED else f"{len(names)} arms, from {names[0]} to {names[-1]}"
    return f"slope {trend.per}{'' if trend.shape == 'log_linear' else ' of'} {trend.over} over {over}"


def describe_tasks(tasks: Sequence[Mapping[str, float]], labels: Mapping[str, str]) -> str:
    """Return pooled contrasts in words: ``tasks A − B; C − D``."""
    parts = [describe_weights([(labels[arm], weight) for arm, weight in task.items()]) for task in tasks]
    return f"tasks {'; '.join(parts) if len(parts) <= NAMED else f'from {parts[0]} to {parts[-1]}'}"


def describe_weights(terms: Sequence[tuple[str, float]]) -> str:
    """Return a weighted sum in words, positive terms first; an interaction as the difference of two differences."""
    if tuple(weight for _, weight in terms) == INTERACTION:
        a, b, c, d = (name for name, _ in terms)
        return f"({a} − {b}) − ({c} − {d})"
    above = _describe_side([(name, weight) for name, weight in terms if weight > 0])
    below = _describe_side([(name, -weight) for name, weight in terms if weight < 0])
    if not above or not below:
        return above or f"−{below}"
    return f"{above} − {f'({below})' if ' + ' in below else below}"


def describe_ratio(terms: Sequence[tuple[str, float]]) -> str:
    """Return a ratio in words: ``A / B``, ``(A / B) / (C / D)``, or ``A × B / (C × D)``."""
    if tuple(weight for _, weight in terms) == INTERACTION:
        a, b, c, d = (name for name, _ in terms)
        return f"({a} / {b}) / ({c} / {d})"
    above = [name if weight == 1 else f"{name}^{format_exact(weight)}" for name, weight in terms if weight > 0]
    below = [name if weight == -1 else f"{name}^{format_exact(-weight)}" for name, weight in terms if weight < 0]
    divisor = " × ".join(below)
    return f"{' × '.join(above) or '1'} / {f'({divisor})' if len(below) > 1 else divisor}"


def _describe_side(terms: Sequence[tuple[str, float]]) -> str:
    """Return terms of positive weight: ``A``, ``mean of A and B``, or ``2 × A + B``."""
    if len(terms) > 1 and all(math.isclose(weight, 1 / len(terms)) for _, weight in terms):
        return f"mean of {join_words([name for name, _ in terms])}"
    return " + ".join(name if weight == 1 else f"{format_exact(weight)} × {name}" for name, weight in terms)
