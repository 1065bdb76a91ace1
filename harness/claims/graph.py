"""The effects of one outcome on claims: those that it moves, and those that stand on one it walks back."""

from __future__ import annotations

from harness.domain.claim_graph import find_grounds
from harness.records import Claims, Consequences, Implication


def find_consequences(claims: Claims, implication: Implication) -> Consequences:
    """Return the effects on the claims of an outcome with this implication.

    A claim is in question if it stands on a walked-back one, directly or through other claims, unless it is walked back
    itself. A claim can be supported and in question at once: support does not restore what it stands on.
    """
    fallen = set(implication.walks_back)
    in_question = {}
    for name in claims.claims:
        ground = find_grounds(claims, name) & fallen
        if ground and name not in fallen:
            in_question[name] = _order(claims, ground)
    return Consequences(
        supported=_order(claims, implication.supports),
        walked_back=_order(claims, implication.walks_back),
        restored=_order(claims, implication.restores),
        in_question=in_question,
    )


def _order(claims: Claims, names: set[str] | tuple[str, ...]) -> tuple[str, ...]:
    """Return the names in the order of the claims file, each once.

    Raises:
        KeyError: A name is not a claim (``harness.spec`` refuses such a file).
    """
    for name in names:
        claims.claims[name]
    return tuple(name for name in claims.claims if name in names)
