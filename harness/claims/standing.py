"""How every claim stands: a pure replay of the verdicts.

What counts is ancestry, and not the order in which concurrent verdicts happen to be listed: a walk-back is undone only
by a verdict that was entered in knowledge of it. So branches that are merged in any order give the same standing.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.claims.graph import grounds
from harness.records import Banner, Change, Claims, ClaimStanding, Move


def known_claims(claims: Claims, moves: Sequence[Move]) -> Claims:
    """The claims of the file, then those that a verdict moved and that are not in it any more, as last registered."""
    gone = {}
    for move in moves:
        registered = Claims(claims=move.claims)
        for moved in _moved(move):
            for name in (moved, *grounds(registered, moved)):
                gone[name] = move.claims[name]
    return Claims(claims={**claims.claims, **{name: gone[name] for name in gone if name not in claims.claims}})


def fold(claims: Claims, moves: Sequence[Move]) -> dict[str, ClaimStanding]:
    """The standing of every claim after these verdicts, in the order of ``known_claims``.

    - walked back: a verdict walks it back, and none that came provably later restores it;
    - in question: it stands, directly or through others, on a claim that is walked back;
    - supported: a verdict supports it; a walk-back that was undone leaves it as it was before;
    - untested: none of these.

    ``moves``: verdicts in ledger order. Support alone never undoes a walk-back.
    """
    known = known_claims(claims, moves)
    fallen: dict[str, tuple[str, ...]] = {}
    undone: dict[str, tuple[str, ...]] = {}
    for name in known.claims:
        back = [move for move in moves if name in move.implication.walks_back]
        restoring = [move for move in moves if name in move.implication.restores]
        undone[name] = tuple(
            move.verdict for move in restoring if any(earlier.verdict in move.earlier for earlier in back)
        )
        fallen[name] = tuple(
            move.verdict for move in back if not any(move.verdict in later.earlier for later in restoring)
        )
    walked_back = {name for name, verdicts in fallen.items() if verdicts}
    standings = {}
    for name in known.claims:
        supports = tuple(move.verdict for move in moves if name in move.implication.supports)
        beneath = grounds(known, name) & walked_back
        ground = tuple(below for below in known.claims if below in beneath)
        common = {
            "supported_by": supports,
            "walked_back_by": fallen[name],
            "restored_by": undone[name],
            "ground": ground,
        }
        if fallen[name]:
            standings[name] = ClaimStanding(status="walked back", because=fallen[name], **common)
        elif ground:
            causes = {verdict for below in ground for verdict in fallen[below]}
            because = tuple(move.verdict for move in moves if move.verdict in causes)
            standings[name] = ClaimStanding(status="in question", because=because, **common)
        elif supports:
            standings[name] = ClaimStanding(status="supported", because=supports, **common)
        else:
            standings[name] = ClaimStanding(status="untested", **common)
    return standings


def changes(claims: Claims, moves: Sequence[Move]) -> tuple[Change, ...]:
    """Every change of standing, verdict by verdict in ledger order."""
    known = known_claims(claims, moves)
    before = fold(known, ())
    found = []
    for count, move in enumerate(moves, 1):
        if not _moved(move):
            continue
        after = fold(known, moves[:count])
        found += [
            Change(claim=name, before=before[name].status, after=after[name].status, verdict=move.verdict)
            for name in known.claims
            if before[name].status != after[name].status
        ]
        before = after
    return tuple(found)


def banners(claims: Claims, moves: Sequence[Move], verdict: str) -> tuple[Banner, ...]:
    """What a reader of a verdict must know of the claims that it moved: those that do not stand as it says."""
    standings = fold(claims, moves)
    (move,) = [move for move in moves if move.verdict == verdict]
    found = []
    for did, names in (("supports", move.implication.supports), ("restores", move.implication.restores)):
        for name in names:
            now = standings[name]
            if now.status in ("walked back", "in question"):
                found.append(Banner(claim=name, did=did, now=now.status, because=now.because, ground=now.ground))
    for name in move.implication.walks_back:
        now = standings[name]
        if now.status != "walked back":
            found.append(Banner(claim=name, did="walks back", now=now.status, because=now.restored_by))
    return tuple(found)


def _moved(move: Move) -> tuple[str, ...]:
    return (*move.implication.supports, *move.implication.walks_back, *move.implication.restores)
