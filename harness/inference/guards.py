"""Guards: what must hold for a decision to mean anything. Each is tested across seeds and filters none of them."""

from __future__ import annotations

from typing import Literal

from harness.criteria import Criterion, Target
from harness.criteria.median import Median, sign_p
from harness.criteria.t import T
from harness.criteria.welch import Welch
from harness.criteria.wilcoxon import Wilcoxon
from harness.inference.estimands import Sample
from harness.records import Guard, GuardResult

TESTS: dict[Target, tuple[str, Criterion]] = {
    "mean": ("one-sample t test", T(name="t")),
    "median": ("exact sign test", Median(name="median")),
    "pseudomedian": ("signed-rank test", Wilcoxon(name="wilcoxon")),
}
UNPAIRED: tuple[str, Criterion] = ("Welch's t test", Welch(name="welch"))


def judge_guard(name: str, guard: Guard, sample: Sample, target: Target) -> GuardResult:
    """Test a guard at its α: verified, violated if the reverse test rejects, else unverified.

    Guards and decisions form a conjunction: an outcome is only given where each guard is verified at its own level, so
    no level is divided. A value on the threshold does not hold.
    """
    side: Literal["above", "below"] = "above" if guard.above is not None else "below"
    threshold = guard.above if guard.above is not None else guard.below
    assert threshold is not None
    x = sample.x
    holding = int(((x > threshold) if side == "above" else (x < threshold)).sum())
    test, p, reverse = _p_values(sample, target, side, threshold, holding)
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


def guard_chances(
    guard: Guard, target: Target, unpaired: bool, value: float, sd: float, n: int, alpha: float
) -> tuple[str, float, float]:
    """Name of the test, and chances that it shows the guard to hold, and not to hold, at ``alpha`` with ``n`` seeds.

    ``value`` and ``sd`` > 0: true value of the estimand, and the spread of the seeds' normal values.
    """
    name, criterion = UNPAIRED if unpaired else TESTS[target]
    distance = value - guard.above if guard.above is not None else (guard.below or 0.0) - value
    verified, violated = (
        1 - (1.0 if (missed := criterion.type_two(way, sd, n, alpha)) is None else missed)
        for way in (distance, -distance)
    )
    return name, verified, violated


def _p_values(
    sample: Sample, target: Target, side: str, threshold: float, holding: int
) -> tuple[str, float | None, float | None]:
    """Name of the test, p that the guard does not hold, p that it does; None where the test cannot be made."""
    name, criterion = UNPAIRED if sample.data.ndim == 2 else TESTS[target]
    n = len(sample.x)
    if sample.blocked:
        return f"{name}, not made: a seed has no value", None, None
    if target == "median":  # the reverse of "above" is "on the threshold or below", which no criterion's side is
        return (name, sign_p(holding, n), sign_p(n - holding, n)) if n else (f"{name}, not made: no seeds", None, None)
    if n < 2:
        return f"{name}, not made: fewer than 2 seeds", None, None
    if sample.degenerate:
        return f"{name}, not made: the seeds do not differ", None, None
    above, below = criterion.p_greater(sample.data, threshold), criterion.p_less(sample.data, threshold)
    return (name, above, below) if side == "above" else (name, below, above)
