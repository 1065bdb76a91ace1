"""Checks of claims.yaml: the claims that implications move, and the claims that those stand on."""

from __future__ import annotations

from collections.abc import Iterator

from harness.records import Claims
from harness.spec.tree import Problem
from harness.wording import suggest


def check_claims(claims: Claims) -> Iterator[Problem]:
    """Yield claims that stand on unknown claims or on themselves."""
    for name, claim in claims.claims.items():
        for position, below in enumerate(claim.stands_on):
            if below not in claims.claims:
                message = f"there is no claim {below!r}{suggest(below, claims.claims)}"
                yield Problem(("claims", name, "stands_on", position), message, "add it, or correct the id")
    for cycle in _find_cycles(claims):
        message = f"these claims stand on one another: {' → '.join(cycle)}"
        yield Problem(
            ("claims", cycle[0], "stands_on"),
            message,
            "remove one of these links: a claim can't presuppose itself",
            on_key=True,
        )


def _find_cycles(claims: Claims) -> Iterator[list[str]]:
    """Yield each cycle that a depth-first search closes, from its first claim back to it."""
    done: set[str] = set()
    for start in claims.claims:
        trail: list[str] = []
        # A stack of iterators instead of recursion: a chain of claims may be longer than Python's stack.
        pending = [iter((start,))]
        while pending:
            name = next(pending[-1], None)
            if name is None:
                pending.pop()
                if trail:
                    done.add(trail.pop())
            elif name in trail:
                yield [*trail[trail.index(name) :], name]
            elif name not in done and name in claims.claims:
                trail.append(name)
                pending.append(iter(claims.claims[name].stands_on))
