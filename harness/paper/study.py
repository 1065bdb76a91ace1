"""All that a paper tells of one judged run: its registered form, its verdict, and what the ledger holds beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.ledger import Amendment, Entry, Registration, StartedRun
from harness.ledger.rerun_bodies import RepeatedBody, ReplicatedBody
from harness.records import Anchor, Attempt, Decision, Hypothesis, Measurements, Provenance
from harness.records.tuning import Values
from harness.wording import describe_tree


@dataclass(frozen=True)
class Family:
    """The family that a hypothesis was registered in, as it stands."""

    name: str
    members: int
    alpha: float
    adjusted: float | None
    """p after Holm; None if the run is not that of its hypothesis's last verdict."""


@dataclass(frozen=True)
class Study:
    """A judged run, its files compared with the ledger's digests, and its hypothesis's story."""

    form: Hypothesis
    """The hypothesis as it was run; tuned arms as they were chosen."""
    registration: Registration
    """Registration that the run was held against."""
    run: StartedRun
    verdict: str
    """Digest of the verdict event."""
    files: Mapping[str, str]
    """File below the run's folder → digest, as the verdict names them."""
    decision: Decision
    measurements: Measurements
    provenance: Provenance
    attempts: tuple[Attempt, ...]
    """All attempts that the ledger holds by now, pilots among them."""
    deviating: Mapping[str, str]
    """Short names of those that deviate, with a word or two about it."""
    anchors: tuple[Anchor, ...]
    """Anchors that cover the registration and were entered before the run was started."""
    later_anchors: tuple[Anchor, ...]
    """Anchors that cover it and came later."""
    amendments: tuple[Amendment, ...]
    replicated: tuple[ReplicatedBody, ...]
    repeated: tuple[Entry[RepeatedBody], ...]
    family: Family | None
    choices: Mapping[str, Values]
    """Tuned arm → settings that its search chose, by path; empty without a search."""
    number: int = 1
    """Place in the paper, from 1."""

    @property
    def short(self) -> str:
        """Name in the paper: H1."""
        return f"H{self.number}"

    @property
    def tree(self) -> str:
        """State of the project's files against its commit when the run was started, in words."""
        environment = self.run.body.environment
        return describe_tree(environment.commit, dirty=environment.dirty, reason=environment.no_commit)

    @property
    def started(self) -> tuple[Attempt, ...]:
        """Attempts without pilots."""
        return tuple(attempt for attempt in self.attempts if attempt.status != "pilot")
