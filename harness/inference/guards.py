"""Guards: what must hold for a decision to mean anything. Each is tested across seeds and filters none of them."""

from __future__ import annotations

import math
from typing import Literal

from harness.criteria.t import T
from harness.inference.estimands import Sample
from harness.records import Guard, GuardResult


def judge_guard(name: str, guard: Guard, sample: Sample, target: Literal["mean", "median"]) -> GuardResult:
    """Test a guard at its α: verified, violated if the reverse test rejects, else unverified.

    Guards and decisions form a conjunction: an outcome is only given where each guard is verified at its own level, so
    no level is divided. A value on the threshold does not hold.
    """
    side: Literal["above", "below"] = "above" if guard.above is not None else "below"
    threshold = guard.above if guard.above is not None else guard.below
    assert threshold is not None
    x = sample.x
    holding = int(((x > threshold) if side == "above" else (x < threshold)).sum())
    test, p, reverse = _p_values(guard, sample, target, side, threshold, holding)
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
    guard: Guard, sample: Sample, target: str, side: str, threshold: float, holding: int
) -> tuple[str, float | None, float | None]:
    """Name of the test, p that the guard does not hold, p that it does; None where the test cannot be made."""
    name = "exact sign test" if target == "median" else "one-sample t test"
    n = len(sample.x)
    if sample.blocked:
        return f"{name}, not made: a seed has no value", None, None
    if target == "median":
        return (name, sign_p(holding, n), sign_p(n - holding, n)) if n else (f"{name}, not made: no seeds", None, None)
    if n < 2:
        return f"{name}, not made: fewer than 2 seeds", None, None
    if sample.degenerate:
        return f"{name}, not made: the seeds do not differ", None, None
    student = T(name="t", alpha=guard.alpha)
    above, below = student.p_greater(sample.x, threshold), student.p_less(sample.x, threshold)
    return (name, above, below) if side == "above" else (name, below, above)


def sign_p(count: int, n: int) -> float:
    """P(at least ``count`` of ``n`` ≥ 1 fair coins): exact one-sided sign test."""
    return float(sum(math.comb(n, heads) for heads in range(count, n + 1)) / 2**n)
