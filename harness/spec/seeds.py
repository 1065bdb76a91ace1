"""The number of seeds: whether it can reach a decision at all, and when looks are taken."""

from __future__ import annotations

import math
from collections.abc import Iterator

from pydantic import ValidationError

from harness.criteria import NEVER, Criterion
from harness.records import DecisionSpec, Estimand
from harness.registry import members
from harness.spec.bands import tests_of
from harness.spec.draft import Draft
from harness.spec.tree import Problem


def some_seeds(number: int) -> str:
    """``1 seed``, ``2 seeds``."""
    return f"{number} seed" if number == 1 else f"{number} seeds"


def seed_problems(draft: Draft) -> Iterator[Problem]:
    """Decisions that no data from so few seeds could make.

    An interior atom is tested two-sided, at α/2 on either side; several decisions under any or table, and planned
    looks, divide α further.
    """
    if draft.seeds is None:
        return
    number = draft.seeds.number
    parts = 1
    if draft.combine is not None and draft.combine.rule != "all":
        parts = len(draft.names("decisions"))
    if draft.stopping.kind == "looks" and draft.stopping.at:
        parts *= len(draft.stopping.at)
    for name, decision in draft.decisions.items():
        estimand, criterion = draft.estimands.get(decision.estimand), decision.criterion
        if estimand is None or (criterion.needs_bounds and not _bounded(estimand)):
            continue  # reported by their own rules
        fewest, level = _fewest(decision, criterion, estimand, criterion.alpha / parts)
        if number >= fewest:
            continue
        start = f"{some_seeds(number)} can't decide {name!r}: criterion {criterion.name}"
        if fewest == NEVER:
            message = f"{start} can't test at level {level:g}, whatever the number of seeds"
        else:
            message = f"{start} needs {fewest} at level {level:g}"
        remedies = [f"register {some_seeds(fewest)} or more"] if fewest < NEVER else []
        if able := list(_able(decision, estimand, criterion.alpha / parts, number, draft.stopping.kind == "anytime")):
            remedies.append(f"take a criterion that can decide with {number}: {' or '.join(able)}")
        elif fewest == NEVER:
            remedies.append("take a larger alpha")
        key = "count" if draft.seeds.count is not None else "list"
        yield Problem(("seeds", key), message, ", or ".join(remedies))


def _fewest(decision: DecisionSpec, criterion: Criterion, estimand: Estimand, alpha: float) -> tuple[int, float]:
    """The fewest seeds with which each atom could be rejected, and the level of the test that asks for so many."""
    bound = criterion.on(estimand.domain)
    tests = tests_of(estimand.signed(decision.bands), estimand.domain)
    needed = [(bound.smallest_n(alpha / parts, cut), alpha / parts) for cut, parts in tests]
    return max(needed, key=lambda need: (need[0], -need[1]), default=(0, alpha))


def _able(decision: DecisionSpec, estimand: Estimand, alpha: float, number: int, anytime: bool) -> Iterator[str]:
    """Other criteria of the same kind that could decide with so many seeds."""
    asked = decision.criterion
    for name, kind in members("criteria").items():
        try:
            other = kind.model_validate({"name": name})
        except ValidationError:
            continue  # it has parameters to choose
        assert isinstance(other, Criterion)
        alike = (other.targets, other.unpaired) == (asked.targets, asked.unpaired) and (other.anytime or not anytime)
        possible = _bounded(estimand) or not other.needs_bounds
        if alike and possible and _fewest(decision, other, estimand, alpha)[0] <= number:
            yield name


def _bounded(estimand: Estimand) -> bool:
    """Whether its values lie between known bounds."""
    low, high = estimand.domain
    return math.isfinite(high - low)


def stopping_problems(draft: Draft) -> Iterator[Problem]:
    """Planned looks must rise and end at the registered number; nothing else takes any."""
    stopping = draft.stopping
    if stopping.kind != "looks":
        if stopping.at is not None:
            yield Problem(
                ("stopping", "at"), f"stopping {stopping.kind} takes no looks", "remove at, or set kind: looks"
            )
        return
    if not stopping.at:
        yield Problem(("stopping",), "say at how many seeds the looks are taken", "add at: [5, 10]", on_key=True)
        return
    if list(stopping.at) != sorted(set(stopping.at)) or stopping.at[0] < 2:
        yield Problem(("stopping", "at"), "looks must rise from 2 or more, each above the last")
    if draft.seeds is not None and stopping.at[-1] != draft.seeds.number:
        number = draft.seeds.number
        registered = f"{number} {'is' if number == 1 else 'are'} registered"
        message = f"the last look is at {some_seeds(stopping.at[-1])}, but {registered}"
        yield Problem(("stopping", "at", len(stopping.at) - 1), message, "end at the number registered")
