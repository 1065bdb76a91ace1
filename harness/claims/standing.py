"""The standing of every claim, by a pure replay of the verdicts.

Ancestry counts, not the order in which concurrent verdicts happen to be listed: only a verdict that was entered in
knowledge of a walk-back undoes it. Branches merged in any order therefore give the same standing.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any

from harness.domain.claim_graph import find_grounds
from harness.records import Banner, Change, Claim, Claims, ClaimStanding, Move
from harness.records.claims import Status


def find_known_claims(claims: Claims, moves: Sequence[Move]) -> Claims:
    """Return the claims of the file, then those that verdicts moved and that it no longer holds, as last registered."""
    gone: dict[str, Claim] = {}
    for move in moves:
        for moved in _find_moved(move):
            if moved not in claims.claims:
                gone |= {name: move.claims.claims[name] for name in (moved, *find_grounds(move.claims, moved))}
    return Claims(claims={**claims.claims, **{name: gone[name] for name in gone if name not in claims.claims}})


def replay_verdicts(claims: Claims, moves: Sequence[Move]) -> dict[str, ClaimStanding]:
    """Return the standing of every claim after these verdicts, in the order of ``find_known_claims``.

    - walked back: a verdict walks it back, and none that provably came later restores it;
    - in question: it stands, directly or through others, on a claim that is walked back;
    - supported: a verdict supports it; a walk-back that was undone leaves it as it was before;
    - untested: none of these.

    ``moves`` are verdicts in ledger order, so that a verdict is listed after all that provably precede it. Support
    alone never undoes a walk-back.
    """
    replay = _Replay(find_known_claims(claims, moves))
    for move in moves:
        replay.add(move)
    return replay.standings()


def find_changes(claims: Claims, moves: Sequence[Move]) -> tuple[Change, ...]:
    """Return every change of standing, verdict by verdict in ledger order."""
    replay = _Replay(find_known_claims(claims, moves))
    before = replay.standings()
    found = []
    for move in moves:
        replay.add(move)
        after = replay.standings() if _find_moved(move) else before
        found += [
            Change(claim=name, before=before[name].status, after=after[name].status, verdict=move.verdict)
            for name in before
            if before[name].status != after[name].status
        ]
        before = after
    return tuple(found)


def suppose_each(claims: Claims, moves: Sequence[Move], supposed: Sequence[Move]) -> tuple[tuple[Change, ...], ...]:
    """Return, for each of several supposed verdicts, the changes that it alone would bring after ``moves``."""
    replay = _Replay(find_known_claims(claims, [*moves, *supposed]))
    for move in moves:
        replay.add(move)
    before = replay.standings()
    same: dict[Any, list[tuple[str, Status, Status]]] = {}  # many a verdict would do the same
    found: list[tuple[Change, ...]] = []
    for move in supposed:
        done = move.implication
        key = (done.supports, done.walks_back, done.restores, move.earlier if done.restores else None)
        if key not in same:
            then = replay.copy()
            then.add(move)
            after = then.standings() if _find_moved(move) else before
            told = ((name, before[name].status, after[name].status) for name in before)
            same[key] = [(name, old, new) for name, old, new in told if old != new]
        changes = (Change(claim=name, before=old, after=new, verdict=move.verdict) for name, old, new in same[key])
        found.append(tuple(changes))
    return tuple(found)


class _Replay:
    """The effects of the verdicts so far on each claim."""

    def __init__(self, known: Claims) -> None:
        self._beneath = {name: find_grounds(known, name) for name in known.claims}
        self._supports: dict[str, list[str]] = {name: [] for name in known.claims}
        self._backs: dict[str, list[str]] = {name: [] for name in known.claims}
        self._fallen: dict[str, list[str]] = {name: [] for name in known.claims}
        self._restored: dict[str, list[str]] = {name: [] for name in known.claims}
        self._order: dict[str, int] = {}

    def copy(self) -> _Replay:
        """Return a replay that goes on from here by itself."""
        twin = copy(self)
        twin._supports, twin._backs, twin._fallen, twin._restored = (
            {name: list(verdicts) for name, verdicts in kept.items()}
            for kept in (self._supports, self._backs, self._fallen, self._restored)
        )
        twin._order = dict(self._order)
        return twin

    def add(self, move: Move) -> None:
        """Add the next verdict in ledger order."""
        self._order[move.verdict] = len(self._order)
        for name in move.implication.supports:
            self._supports[name].append(move.verdict)
        for name in move.implication.walks_back:
            self._backs[name].append(move.verdict)
            self._fallen[name].append(move.verdict)
        for name in move.implication.restores:
            if any(verdict in move.earlier for verdict in self._backs[name]):
                self._restored[name].append(move.verdict)
            self._fallen[name] = [verdict for verdict in self._fallen[name] if verdict not in move.earlier]

    def standings(self) -> dict[str, ClaimStanding]:
        """Return the current standing of every claim."""
        return {name: self._standing(name) for name in self._beneath}

    def _standing(self, name: str) -> ClaimStanding:
        ground = tuple(below for below in self._beneath if below in self._beneath[name] and self._fallen[below])
        status: Status
        if self._fallen[name]:
            status, because = "walked back", self._fallen[name]
        elif ground:
            causes = {verdict for below in ground for verdict in self._fallen[below]}
            status, because = "in question", sorted(causes, key=self._order.__getitem__)
        elif self._supports[name]:
            status, because = "supported", self._supports[name]
        else:
            status, because = "untested", []
        return ClaimStanding(
            status=status,
            supported_by=tuple(self._supports[name]),
            walked_back_by=tuple(self._fallen[name]),
            restored_by=tuple(self._restored[name]),
            ground=ground,
            because=tuple(because),
        )


def find_banners(claims: Claims, moves: Sequence[Move], verdict: str) -> tuple[Banner, ...]:
    """Return notices about the claims that a verdict moved and that no longer stand as it says."""
    standings = replay_verdicts(claims, moves)
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


def _find_moved(move: Move) -> tuple[str, ...]:
    return (*move.implication.supports, *move.implication.walks_back, *move.implication.restores)
