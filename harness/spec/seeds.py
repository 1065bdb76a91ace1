"""The number of seeds: whether it can reach a decision at all, and when looks are taken."""

from __future__ import annotations

from collections.abc import Iterator

from harness.records import DecisionSpec
from harness.spec.draft import Draft
from harness.spec.tree import Problem

MAX_REPLICAS = 20_000
"""Far beyond what anybody trains; a plan of that many still takes seconds."""


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
    if (replicas := number * len(draft.names("arms"))) > MAX_REPLICAS:
        message = f"{replicas:,} replicas: {some_seeds(number)} of {len(draft.names('arms')):,} arms"
        yield Problem(("seeds",), message, f"at most {MAX_REPLICAS:,} are allowed", on_key=True)
    parts = 1
    if draft.combine is not None and draft.combine.rule != "all":
        parts = len(draft.names("decisions"))
    if draft.stopping.kind == "looks" and draft.stopping.at:
        parts *= len(draft.stopping.at)
    for name, decision in draft.decisions.items():
        alpha = decision.criterion.alpha / parts / (2 if _has_interior(decision) else 1)
        fewest = decision.criterion.smallest_n(alpha)
        if number < fewest:
            test = decision.criterion.name
            message = f"{some_seeds(number)} can't decide {name!r}: criterion {test} needs {fewest} at level {alpha:g}"
            key = "count" if draft.seeds.count is not None else "list"
            yield Problem(("seeds", key), message, f"register {some_seeds(fewest)} or more")


def _has_interior(decision: DecisionSpec) -> bool:
    """Whether a point or a bounded interval is an atom: not so only where one cut splits the line."""
    intervals = [interval for band in decision.bands.values() for interval in band]
    ends = {end for interval in intervals for end in (interval.lower, interval.upper) if end is not None}
    points = any(interval.lower is not None and interval.lower == interval.upper for interval in intervals)
    return len(ends) > 1 or points


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
