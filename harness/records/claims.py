"""The claims file, and what outcomes do to claims: ``harness.claims`` works it out, verdicts and commands print it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from harness.records.base import Id, Record, Text
from harness.records.decision_specs import Implication


class Claim(Record):
    """A statement that verdicts support or walk back."""

    statement: Text = Field(examples=["Vanilla DFA lets the residual stream grow without bound."])
    """What is claimed."""
    stands_on: tuple[Id, ...] = ()
    """Claims that it presupposes; it comes into question when one of them is walked back."""
    first_made: Text | None = Field(default=None, examples=["the README"])
    """Where it was made first."""


class Claims(Record):
    """The file hypotheses/claims.yaml."""

    claims: dict[Id, Claim] = Field(default_factory=dict)
    """Claim id → claim."""


class Consequences(Record):
    """What one outcome does to the claims in hypotheses/claims.yaml, each tuple in the file's order."""

    supported: tuple[str, ...] = ()
    """Claims that the outcome supports."""
    walked_back: tuple[str, ...] = ()
    """Claims that it walks back."""
    restored: tuple[str, ...] = ()
    """Claims that it restores."""
    in_question: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Claim → the walked-back claims that it stands on, directly or through others."""

    @property
    def moves(self) -> bool:
        """Whether any claim is touched."""
        return bool(self.supported or self.walked_back or self.restored or self.in_question)


Status = Literal["untested", "supported", "in question", "walked back"]


@dataclass(frozen=True)
class Move:
    """A verdict, as far as claims are concerned."""

    verdict: str
    """Digest of its event."""
    run: str
    """Short name of its run."""
    hypothesis: str
    outcome: str
    deviated: bool
    """Whether the run deviated from its registration in more than words."""
    implication: Implication
    """Of its outcome, as registered."""
    claims: Claims
    """As registered: what the verdict speaks of."""
    earlier: frozenset[str] = frozenset()
    """Digests of the verdicts that were entered provably before it; left empty where nothing depends on them, because
    the verdict neither walks back nor restores."""


class ClaimStanding(Record):
    """How a claim stands, and which verdicts made it so, each tuple in ledger order."""

    status: Status
    """By the last verdict that moved it or its ground."""
    supported_by: tuple[str, ...] = ()
    """Verdicts that support it, in ledger order."""
    walked_back_by: tuple[str, ...] = ()
    """Verdicts that walk it back and that no later one undid."""
    restored_by: tuple[str, ...] = ()
    """Verdicts that undid a walk-back."""
    ground: tuple[str, ...] = ()
    """Walked-back claims that it stands on, directly or through others."""
    because: tuple[str, ...] = ()
    """The verdicts that this status follows from; empty if untested."""


class Change(Record):
    """A claim's change of standing, and the verdict that caused it."""

    claim: str
    """The claim's id."""
    before: Status
    """Its standing before the verdict."""
    after: Status
    """Its standing after it."""
    verdict: str
    """The verdict that changed it."""


class Banner(Record):
    """What later verdicts did to a claim that a verdict had moved."""

    claim: str
    """The claim's id."""
    did: Literal["supports", "restores", "walks back"]
    """What the verdict says of the claim."""
    now: Status
    """How it stands today."""
    because: tuple[str, ...]
    """Verdicts that made it so."""
    ground: tuple[str, ...] = ()
    """The claims that it stands on and that fell."""
