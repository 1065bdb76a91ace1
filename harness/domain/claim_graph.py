"""What a claim stands on, directly or through other claims."""

from __future__ import annotations

from harness.records import Claims


def grounds(claims: Claims, name: str) -> set[str]:
    """Return every claim that ``name`` presupposes, directly or not.

    Claims that stand on one another in a circle end the walk, they do not hang it. A name that is no claim stands on
    nothing: what is wrong with the file is for ``harness.spec`` to say.
    """
    reached: set[str] = set()
    waiting = [name]
    while waiting:
        claim = claims.claims.get(waiting.pop())
        new = set(claim.stands_on) - reached if claim is not None else set()
        reached |= new
        waiting += new
    return reached
