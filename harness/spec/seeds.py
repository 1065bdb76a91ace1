"""Checks of the number of seeds, which must suffice for a decision, and of the looks."""

from __future__ import annotations

import math
from collections.abc import Iterator

from pydantic import ValidationError

from harness.criteria import NEVER, Criterion
from harness.domain.scales import find_tested_atoms
from harness.domain.tuning import count_candidates
from harness.plugins.registry import find_members
from harness.records import DecisionSpec, Estimand
from harness.spec.draft import Draft
from harness.spec.tree import Problem
from harness.wording import format_count, format_level

MAX_REPLICAS = 20_000
"""Maximum number of replicas: far beyond practice, while a plan still takes only seconds."""


def check_seeds(draft: Draft) -> Iterator[Problem]:
    """Yield decisions that no data from so few seeds could reach.

    An interior atom is tested two-sided, at α/2 on either side; several decisions under any or table, and planned
    looks, divide α further.
    """
    if draft.seeds is None:
        return
    number = draft.seeds.number
    tuning = draft.tuning
    searched = 0 if tuning is None else tuning.seeds * sum(count_candidates(tuning, name) for name in tuning.space)
    if (replicas := number * len(draft.names("arms")) + searched) > MAX_REPLICAS:
        message = f"{replicas:,} replicas: {format_count(number, 'seed')} of {len(draft.names('arms')):,} arms"
        message += f", and {searched:,} of the search" if searched else ""
        yield Problem(("seeds",), message, f"at most {MAX_REPLICAS:,} are allowed", on_key=True)
    parts = 1
    if draft.combine is not None and draft.combine.rule != "all":
        parts = len(draft.names("decisions"))
    parts *= draft.stopping.parts
    first: list[tuple[int, float, str]] = []
    for name, decision in draft.decisions.items():
        estimand, criterion = draft.estimands.get(decision.estimand), decision.criterion
        if estimand is None or (criterion.needs_bounds and not _is_bounded(estimand)):
            continue  # reported by their own rules
        needs = _find_needs(decision, criterion, estimand, criterion.alpha / parts)
        fewest, own = max(needs, key=lambda need: (need[0], -need[1]))
        first.append((*min(needs), name))
        if number >= fewest:
            continue
        start = f"{format_count(number, 'seed')} can't decide {name!r}: criterion {criterion.name}"
        if fewest == NEVER:
            message = f"{start} can't test at level {format_level(own)}, whatever the number of seeds"
        else:
            message = f"{start} needs {fewest} at level {format_level(own)}"
        remedies = [f"register {format_count(fewest, 'seed')} or more"] if fewest < NEVER else []
        if able := list(
            _find_able(decision, estimand, criterion.alpha / parts, number, draft.stopping.kind == "anytime")
        ):
            remedies.append(f"choose a criterion that can decide with {number}: {' or '.join(able)}")
        elif fewest == NEVER:
            remedies.append("choose a larger alpha")
        key = "count" if draft.seeds.count is not None else "list"
        yield Problem(("seeds", key), message, ", or ".join(remedies))
    if draft.stopping.at and first and draft.stopping.at[0] < min(first)[0] <= number:
        fewest, own, name = min(first)
        message = f"nothing can be decided at {format_count(draft.stopping.at[0], 'seed')}: {name!r} needs {fewest} to "
        message += f"exclude anything at level {format_level(own)}"
        yield Problem(("stopping", "at", 0), message, f"look first at {format_count(fewest, 'seed')} or more")


def _find_needs(
    decision: DecisionSpec, criterion: Criterion, estimand: Estimand, alpha: float
) -> list[tuple[int, float]]:
    """Return, for each atom, the fewest seeds with which it could be rejected, and the level of its test."""
    bound = criterion.on(estimand.test_domain).over(estimand.task_count)
    atoms = find_tested_atoms(decision.about_signed_summary(estimand).bands, estimand)
    tests = [(atom.level(alpha), cut) for atom in atoms for cut in atom.cuts]
    return [(bound.smallest_n(level, cut), level) for level, cut in tests] or [(0, alpha)]


def _find_able(decision: DecisionSpec, estimand: Estimand, alpha: float, number: int, anytime: bool) -> Iterator[str]:
    """Yield other criteria of the same kind that could decide with so many seeds."""
    asked = decision.criterion
    for name, kind in find_members("criteria").items():
        try:
            other = kind.model_validate({"name": name})
        except ValidationError:
            continue  # it has required parameters
        assert isinstance(other, Criterion)
        alike = (other.targets, other.unpaired) == (asked.targets, asked.unpaired) and (other.anytime or not anytime)
        possible = _is_bounded(estimand) or not other.needs_bounds
        if alike and possible and max(_find_needs(decision, other, estimand, alpha))[0] <= number:
            yield name


def _is_bounded(estimand: Estimand) -> bool:
    """Tell whether the estimand's values lie between known bounds."""
    low, high = estimand.test_domain
    return math.isfinite(high - low)


def check_stopping(draft: Draft) -> Iterator[Problem]:
    """Yield looks that do not ascend to the registered number, and criteria that may not be judged at any."""
    stopping = draft.stopping
    if stopping.kind == "anytime":
        for name, decision in draft.decisions.items():
            if not decision.criterion.anytime:
                test = decision.criterion.name
                message = f"criterion {test} can't be judged at any number of seeds: looking repeatedly, it would "
                message += "decide wrongly more often than its α says"
                valid = [known for known, kind in find_members("criteria").items() if getattr(kind, "anytime", False)]
                remedy = f"use an anytime-valid criterion ({', '.join(valid)}), or planned looks: "
                yield Problem(("decisions", name, "criterion"), message, f"{remedy}{{kind: looks, at: […]}}")
    if stopping.kind == "fixed":
        if stopping.at is not None:
            yield Problem(("stopping", "at"), "stopping fixed takes no looks", "remove at, or set kind: looks")
        return
    if not stopping.at:
        if stopping.kind == "looks" or stopping.at is not None:
            yield Problem(("stopping",), "say at how many seeds the looks are taken", "add at: [5, 10]", on_key=True)
        return
    if list(stopping.at) != sorted(set(stopping.at)) or stopping.at[0] < 2:
        yield Problem(("stopping", "at"), "looks must ascend from 2 or more, without repetition")
    if draft.seeds is not None and stopping.at[-1] != draft.seeds.number:
        number = draft.seeds.number
        registered = f"{number} {'is' if number == 1 else 'are'} registered"
        message = f"the last look is at {format_count(stopping.at[-1], 'seed')}, but {registered}"
        yield Problem(("stopping", "at", len(stopping.at) - 1), message, "end at the number registered")
