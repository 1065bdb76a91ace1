"""Siblings of a hypothesis: what else a ledger holds on the same claims, or asks nearly the same.

A claim that is tested twenty times is supported once by chance. So a page lists every registered hypothesis that could
have moved its claims, whatever became of it, and an audit lists them again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from pydantic import ValidationError
from pydantic_core import from_json

from harness import ledger, spec
from harness.domain.near_copies import Copy, Described, compare, describe, sketch
from harness.errors import HarnessError
from harness.ledger import Ledger
from harness.ledger.index import Entry, Fixing, LedgerIndex
from harness.records import Claim, Hypothesis, Sibling

Read = Callable[[str], bytes | None]
"""Reads an object by its digest; None if it is not there as it was written."""


@dataclass(frozen=True)
class Version:
    """Part of a registered hypothesis by which siblings are told."""

    claims: dict[str, str]
    """Claims that an outcome moves → their statements, without what makes no difference."""
    sketches: frozenset[str] = frozenset()
    """Short texts of its decisions, of which near-copies share one."""


class Siblings:
    """The siblings of all hypotheses of a ledger; each registered file is read once."""

    def __init__(self, index: LedgerIndex, read: Read) -> None:
        """Look for siblings in ``index``, with the registered files that ``read`` gives."""
        self._index, self._read = index, read
        self._versions: dict[tuple[str, str], Version] = {}
        self._statements: dict[str, Mapping[str, str] | None] = {}
        self._described: dict[str, Described | None] = {}

    def list_at(self, hypothesis: str, moment: str | None = None) -> tuple[Sibling, ...]:
        """Return the siblings of a hypothesis, by id: those that are entered before an event, or by now."""
        own = self._list_entered(hypothesis, moment)
        found = []
        for other in self._index.hypotheses:
            theirs = self._list_entered(other, moment) if other != hypothesis else []
            claims = sorted({claim for one in own for two in theirs for claim in self._list_shared(one, two)})
            copies = {self._compare(one, two) for one in own for two in theirs} - {None}
            if claims or copies:
                known = self._index if moment is None else self._index.past(other, moment)
                found.append(
                    Sibling(
                        hypothesis=other,
                        registered=theirs[0].claimed_time,
                        claims=tuple(claims),
                        asks="same" if "same" in copies else "near" if copies else None,
                        **ledger.describe_state(ledger.list_attempts(known, other))._asdict(),
                    )
                )
        return tuple(found)

    def list_on_claims(self, hypothesis: str) -> frozenset[str]:
        """Return the other hypotheses that could move one of the same claims, whenever they were registered."""
        moved = [self._version(entry).claims for entry in self._index.fixing(hypothesis)]
        keys = {key for claims in moved for pair in claims.items() for key in pair}
        return frozenset().union(*(self._on_claim.get(key, ()) for key in keys)) - {hypothesis}

    def list_on(self, name: str, claim: Claim) -> frozenset[str]:
        """Return the hypotheses that could move a claim, by its name or by its statement."""
        return frozenset().union(*(self._on_claim.get(key, ()) for key in (name, normalise(claim.statement))))

    @cached_property
    def _on_claim(self) -> dict[str, set[str]]:
        """Return claim, by id and by statement → the hypotheses that could move it."""
        found: dict[str, set[str]] = {}
        for entry in self._index.fixing():
            for pair in self._version(entry).claims.items():
                for key in pair:
                    found.setdefault(key, set()).add(entry.body.hypothesis)
        return found

    def _list_entered(self, hypothesis: str, moment: str | None) -> list[Entry[Fixing]]:
        entries = self._index.fixing(hypothesis)
        return [entry for entry in entries if moment is None or self._index.before(entry.digest, moment)]

    def _list_shared(self, one: Entry[Fixing], other: Entry[Fixing]) -> Iterator[str]:
        mine, theirs = self._version(one).claims, self._version(other).claims
        statements = {*theirs.values()}
        return (claim for claim, statement in mine.items() if claim in theirs or statement in statements)

    def _compare(self, one: Entry[Fixing], other: Entry[Fixing]) -> Copy | None:
        if not self._version(one).sketches & self._version(other).sketches:
            return None
        mine, theirs = self._describe(one), self._describe(other)
        return None if mine is None or theirs is None else compare(mine, theirs)

    def _version(self, entry: Entry[Fixing]) -> Version:
        key = (entry.body.canonical, entry.body.claims)
        if key not in self._versions:
            self._versions[key] = read_version(self._read(entry.body.canonical), self._list_statements(entry))
        return self._versions[key]

    def _list_statements(self, entry: Entry[Fixing]) -> Mapping[str, str] | None:
        """Return claim → statement of a registered claims file, which many registrations share."""
        digest = entry.body.claims
        if digest not in self._statements:
            self._statements[digest] = read_statements(self._read(digest))
        return self._statements[digest]

    def _describe(self, entry: Entry[Fixing]) -> Described | None:
        digest = entry.body.canonical
        if digest not in self._described:
            try:
                self._described[digest] = describe(Hypothesis.model_validate_json(self._read(digest) or b""))
            except (ValidationError, HarnessError):
                self._described[digest] = None
        return self._described[digest]


def list_siblings_now(trail: Ledger, hypothesis: str) -> tuple[Sibling, ...]:
    """Return the siblings of a hypothesis that a ledger holds."""
    return read_siblings(trail).list_at(hypothesis)


def read_siblings(trail: Ledger) -> Siblings:
    """Return the siblings of a ledger's hypotheses. What is wrong with one's files stops nothing here."""

    def read(digest: str) -> bytes | None:
        try:
            return trail.read_object(digest)
        except (HarnessError, OSError):
            return None

    return Siblings(trail.index(), read)


def read_statements(claims: bytes | None) -> dict[str, str] | None:
    """Read claim → statement, without what makes no difference, of a claims file; None if it can't be read."""
    try:
        known = {} if claims is None else spec.parse_claims(claims).claims
    except (HarnessError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return {name: normalise(claim.statement) for name, claim in known.items()}


def read_version(canonical: bytes | None, statements: Mapping[str, str] | None) -> Version:
    """Read what siblings are told by; of what can't be read, nothing."""
    try:
        form = from_json(canonical or b"")  # twice as fast as json
        moved = {
            claim
            for implication in form["implications"].values()
            for verb in ("supports", "walks_back", "restores")
            for claim in implication[verb]
        }
        if statements is None:
            return Version({}, frozenset() if moved else sketch(form))
        return Version({claim: statements.get(claim, normalise(claim)) for claim in sorted(moved)}, sketch(form))
    except (HarnessError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return Version({})


def normalise(statement: str) -> str:
    """Return a statement without what makes no difference: case, spaces, punctuation. It is never a claim's id."""
    return "= " + " ".join("".join(char if char.isalnum() else " " for char in statement.casefold()).split())
