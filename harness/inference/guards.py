"""Guards, the conditions for a decision to mean anything. Each is tested across seeds and filters none of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from harness.criteria.median import sign_p
from harness.domain.scales import choose_scale
from harness.domain.standard_tests import choose_test
from harness.inference.estimands import build_title, name_unit
from harness.inference.samples import Sample
from harness.records import Estimand, Guard, GuardPower, GuardResult, Hypothesis

DIGITS = 6  # of a probability


def judge_guard(name: str, guard: Guard, sample: Sample, estimand: Estimand) -> GuardResult:
    """Test a guard at its α: verified, violated if the reverse test rejects, else unverified.

    Guards and decisions form a conjunction: an outcome is only given if each guard is verified at its own level, so no
    level is divided. A value on the threshold does not hold.
    """
    side: Literal["above", "below"] = "above" if guard.above is not None else "below"
    threshold = guard.above if guard.above is not None else guard.below
    assert threshold is not None
    cut = choose_scale(estimand).enter(threshold)
    least, greatest = (sample.x, sample.x) if sample.upper is None else (sample.data, sample.upper)
    holding = int(((least > cut) if side == "above" else (greatest < cut)).sum())
    failing = int(((greatest <= cut) if side == "above" else (least >= cut)).sum())
    test, p, reverse = _p_values(sample, estimand, side, cut, (holding, failing))
    status: Literal["verified", "unverified", "violated"] = "unverified"
    if p is not None and p <= guard.alpha:
        status = "verified"
    elif reverse is not None and reverse <= guard.alpha:
        status = "violated"
    return GuardResult(
        name=name,
        estimand=sample.result,
        side=side,
        threshold=threshold,
        alpha=guard.alpha,
        test=test,
        holding=holding,
        p=p,
        p_reverse=reverse,
        status=status,
        otherwise=guard.otherwise,
    )


def _p_values(
    sample: Sample, estimand: Estimand, side: str, threshold: float, counts: tuple[int, int]
) -> tuple[str, float | None, float | None]:
    """Return the name of the test, p that the guard does not hold, p that it does; None if the test is impossible.

    ``counts``: seeds at which it is certain that it holds, and that it does not.
    """
    holding, failing = counts
    name, criterion = choose_test(estimand)
    n = len(sample.x)
    if sample.blocked:
        return f"{name}, not made: a seed has no value", None, None
    if (
        estimand.seeds == "median"
    ):  # the reverse of "above" is "on the threshold or below", which no criterion's side is
        return (name, sign_p(holding, n), sign_p(failing, n)) if n else (f"{name}, not made: no seeds", None, None)
    if n < 2:
        return f"{name}, not made: fewer than 2 seeds", None, None
    if sample.degenerate:
        return f"{name}, not made: the seeds do not differ", None, None
    above, below = criterion.p_greater(sample.data, threshold), criterion.p_less(sample.greatest, threshold)
    return (name, above, below) if side == "above" else (name, below, above)


@dataclass(frozen=True)
class Truth:
    """The assumed true distribution of a guard's estimand."""

    value: float
    sd: float
    source: str
    """Source of both numbers, in words."""


def compute_guard_power(hypothesis: Hypothesis, truths: Mapping[str, Truth]) -> tuple[GuardPower, ...]:
    """Return how likely all registered seeds, assumed normal, show that each guard of ``truths`` holds, or does not."""
    return tuple(
        _power_of(name, guard, hypothesis, truths[name]) for name, guard in hypothesis.guards.items() if name in truths
    )


def _power_of(name: str, guard: Guard, hypothesis: Hypothesis, truth: Truth) -> GuardPower:
    estimand, n = hypothesis.estimands[guard.estimand], hypothesis.seeds.number
    alpha = guard.alpha / len(hypothesis.looks)
    threshold = guard.above if guard.above is not None else guard.below
    assert threshold is not None
    value, cut = map(choose_scale(estimand).enter, (truth.value, threshold))
    distance = value - cut if guard.above is not None else cut - value
    test, criterion = choose_test(estimand)
    missed = [criterion.type_two(way, truth.sd, n, alpha) for way in (distance, -distance)]
    verified, violated = (0.0 if chance is None else round(1 - chance, DIGITS) for chance in missed)
    return GuardPower(
        name=name,
        title=build_title(estimand, hypothesis),
        unit=name_unit(estimand),
        side="above" if guard.above is not None else "below",
        threshold=threshold,
        test=test,
        alpha=alpha,
        seeds=n,
        effect=truth.value,
        sd=truth.sd,
        source=truth.source,
        verified=verified,
        violated=violated,
    )
