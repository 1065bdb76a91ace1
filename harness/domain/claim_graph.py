"""The graph of claims: which claims a claim stands on, directly or through others."""

from __future__ import annotations

from harness.records import Claims


def find_grounds(claims: Claims, name: str) -> set[str]:
    """Return every claim that ``name`` presupposes, directly or indirectly.

    A cycle of claims ends the search instead of looping forever. An unknown claim stands on nothing; reporting what is
    wrong with the file is up to ``harness.spec``.
    """
    reached: set[str] = set()
    waiting = [name]
    while waiting:
        claim = claims.claims.get(waiting.pop())
        new = set(claim.stands_on) - reached if claim is not None else set()
        reached |= new
        waiting += new
    return reached
