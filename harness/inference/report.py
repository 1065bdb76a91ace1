"""The reasoning in words: plain sentences that a statistician can agree with."""

from __future__ import annotations

from collections.abc import Sequence

from harness.criteria import Criterion, Target
from harness.records import BandDecision, EstimandResult

PILOT = "This is a pilot: it gives no outcome."
NOT_TESTED = {
    "too_few": "With so few seeds nothing can be tested: there is only a point estimate.",
    "degenerate": "All seeds give the same value up to rounding, so their spread says nothing about chance and no test "
    "is made.",
    "diverged": "A seed has no value, and the file allows no decision without it.",
    "seed_not_applied": "Two seeds ended with identical weights: the seed was not applied, and they are one sample.",
}


def number(value: float) -> str:
    """Four digits: 30.62, 0.004, 1.2e-09."""
    return f"{value:.4g}"


def p_value(p: float) -> str:
    """``p = 0.00234``, or ``p < 1e-06``."""
    return f"p = {p:.3g}" if p >= 1e-6 else "p < 1e-06"


def listing(names: Sequence[str], word: str = "and") -> str:
    """``a, b and c``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {word} {names[-1]}"


def estimate(result: EstimandResult, target: Target) -> str:
    """``30.62 pp``, or words that there is none."""
    value = result.estimate(target)
    return "no value" if value is None else f"{number(value)} {result.unit}".strip()


def interval(decision: BandDecision) -> str | None:
    """``90% interval 28.94 to 32.3``."""
    if decision.interval is None:
        return None
    low, high = decision.interval
    return f"{100 * decision.interval_level:g}% interval {number(low)} to {number(high)}"


def explain(decision: BandDecision, criterion: Criterion, pilot: bool) -> tuple[str, ...]:
    """The steps of one decision: estimate, bands excluded, what blocks, what would have been needed."""
    steps = [_estimate_step(decision, criterion.targets)]
    dropped = [value for value in decision.estimand.values if value.value is None]
    if dropped and decision.status != "diverged":
        steps.append(
            f"{len(dropped)} of {len(decision.estimand.values)} seeds are left out because they have no value."
        )
    if replaced := [value for value in decision.estimand.values if value.value is not None and value.note is not None]:
        steps.append(f"At {len(replaced)} of {len(decision.estimand.values)} seeds the worst value stands in.")
    if decision.status != "tested":
        steps.append(NOT_TESTED[decision.status])
        steps.append(PILOT if pilot else f"So the outcome is {decision.outcome}.")
        return tuple(steps)
    steps += _exclusions(decision)
    if pilot:
        steps.append(PILOT)
    elif decision.outcome != "inconclusive":
        p = f" (largest {p_value(decision.p)})" if decision.p is not None else ""
        steps.append(f"Every band but {decision.outcome} is excluded{p}, so the outcome is {decision.outcome}.")
    else:
        plans = criterion.type_two(1.0, 1.0, 2, decision.alpha) is not None
        steps += _undecided(decision, plans)
    return tuple(steps)


def _estimate_step(decision: BandDecision, target: Target) -> str:
    result = decision.estimand
    text = f"The estimate of {result.title} is {estimate(result, target)} from {result.n} seed{'s' * (result.n != 1)}"
    if result.sd is not None:
        text += f", with a standard deviation of {number(result.sd)} between seeds"
    span = interval(decision)
    return f"{text}; {span}." if span else f"{text}."


def _exclusions(decision: BandDecision) -> list[str]:
    sentences = []
    for band, parts in decision.bands.items():
        tests = [test for test in decision.atoms if test.outcome == band]
        if not tests or band in decision.alive:
            continue
        largest = max(test.p for test in tests)
        sentences.append(
            f"A true value in {band}, {parts}, is excluded ({p_value(largest)}, at most α = {decision.alpha:g})."
        )
    return sentences


def _undecided(decision: BandDecision, plans: bool) -> list[str]:
    """``plans``: the criterion has a formula for how many seeds it takes."""
    if not decision.alive:
        return ["Every band is excluded, which the criterion's assumptions do not allow: the outcome is inconclusive."]
    first = f"Not excluded are {listing(decision.alive)}, so the outcome is inconclusive"
    if decision.boundary is not None and decision.p is not None:
        p = f"{p_value(decision.p)}, above α = {decision.alpha:g}"
        first += f": the boundary at {number(decision.boundary)} blocks ({p})"
    sentences = [f"{first}."]
    if decision.seeds_needed is not None:
        text = f"If the estimate were the truth, {decision.seeds_needed} seeds in all would decide with 80% power"
        if decision.seeds_needed_pessimistic is not None:
            text += f", {decision.seeds_needed_pessimistic} if the standard deviation is at its upper 80% limit"
        sentences.append(f"{text}. They would have to be fresh seeds under a fresh registration.")
    elif not plans:
        sentences.append(
            f"How many seeds would decide can't be said for the criterion {decision.criterion}, which supposes no form "
            "of the distribution."
        )
    elif decision.boundary is not None:
        sentences.append("The estimate is so close to the boundary that no reasonable number of seeds would decide.")
    return sentences


def summary_of(decision: BandDecision, target: Target, p: float | None, looks: int) -> str:
    """Outcome, estimate, interval and ``p``, which is over all planned looks, of one decision, in one sentence."""
    parts = [f"{decision.estimand.title} is {estimate(decision.estimand, target)}"]
    if span := interval(decision):
        parts.append(span)
    if p is not None:
        parts.append(p_value(p) + (f" over {looks} looks" if looks > 1 else ""))
    lost = len(decision.estimand.values) - decision.estimand.n
    parts.append(f"n = {decision.estimand.n}" + (f" of {len(decision.estimand.values)} seeds" if lost else ""))
    head = decision.outcome
    if decision.outcome == "inconclusive" and decision.status == "tested" and decision.alive:
        head += f" between {listing(decision.alive)}"
    elif decision.status != "tested":
        reason = NOT_TESTED[decision.status]
        return f"{head.capitalize()}: {', '.join(parts)}; {reason[0].lower()}{reason[1:]}"
    return f"{head.capitalize()}: {', '.join(parts)}."
