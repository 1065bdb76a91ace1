"""The claims file, and the effects of outcomes on claims.

``harness.claims`` computes it; verdicts and commands print it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from harness.records.base import Id, Record, Text
from harness.records.decision_specs import Implication


class Claim(Record):
    """A statement that verdicts support or walk back."""

    statement: Text = Field(examples=["Vanilla DFA lets the residual stream grow without bound."])
    """The statement itself, as one sentence."""
    stands_on: tuple[Id, ...] = ()
    """Claims that this one presupposes. When one of them is walked back, this claim is in question."""
    first_made: Text | None = Field(default=None, examples=["the README"])
    """Place where the claim was first made, such as a paper, a section or a README. It changes nothing; give it if
    readers should be able to look it up."""


class Claims(Record):
    """The file hypotheses/claims.yaml, which lists the claims that verdicts move."""

    claims: dict[Id, Claim] = Field(default_factory=dict)
    """Claim id → claim."""


class Consequences(Record):
    """The effects of one outcome on the claims of hypotheses/claims.yaml. Every tuple is in the file's order."""

    supported: tuple[str, ...] = ()
    """Claims that the outcome supports."""
    walked_back: tuple[str, ...] = ()
    """Claims that the outcome walks back."""
    restored: tuple[str, ...] = ()
    """Claims that the outcome restores."""
    in_question: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Claim → the walked-back claims that it stands on, directly or through others."""

    @property
    def moves(self) -> bool:
        """True if the outcome touches any claim."""
        return bool(self.supported or self.walked_back or self.restored or self.in_question)


Status = Literal["untested", "supported", "in question", "walked back"]


@dataclass(frozen=True)
class Move:
    """A verdict, as far as it concerns claims."""

    verdict: str
    """Digest of the verdict's event."""
    run: str
    """Short name of the verdict's run."""
    hypothesis: str
    outcome: str
    deviated: bool
    """True if the run deviated from its registration in more than wording."""
    implication: Implication
    """The registered implication of the verdict's outcome."""
    claims: Claims
    """The claims as registered, which are those that the verdict speaks of."""
    earlier: frozenset[str] = frozenset()
    """Digests of the verdicts that provably precede this one in the ledger. It is empty if nothing depends on them,
    because the verdict neither walks back nor restores a claim."""


class ClaimStanding(Record):
    """The standing of a claim, and the verdicts that led to it. Every tuple is in ledger order."""

    status: Status
    """The status that the last verdict about the claim, or about a claim it stands on, left it with."""
    supported_by: tuple[str, ...] = ()
    """Verdicts that support the claim."""
    walked_back_by: tuple[str, ...] = ()
    """Verdicts that walk the claim back and that no later verdict has undone."""
    restored_by: tuple[str, ...] = ()
    """Verdicts that undid a walk-back."""
    ground: tuple[str, ...] = ()
    """Walked-back claims that this one stands on, directly or through others."""
    because: tuple[str, ...] = ()
    """Verdicts from which the status follows; empty if the claim is untested."""


class Change(Record):
    """A change of a claim's standing, with the verdict that caused it."""

    claim: str
    """Id of the claim."""
    before: Status
    """Status before the verdict."""
    after: Status
    """Status after the verdict."""
    verdict: str
    """Digest of the verdict that changed it."""


class Banner(Record):
    """A notice on an earlier verdict: what later verdicts did to a claim that it had moved."""

    claim: str
    """Id of the claim."""
    did: Literal["supports", "restores", "walks back"]
    """Effect on the claim that the earlier verdict states."""
    now: Status
    """Status of the claim today."""
    because: tuple[str, ...]
    """Verdicts from which that status follows."""
    ground: tuple[str, ...] = ()
    """Walked-back claims that the claim stands on."""
