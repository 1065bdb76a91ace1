"""Where a result came from: env.json. Everything a verdict prints that is neither registered nor measured."""

from __future__ import annotations

from typing import Literal

from harness.records.base import Record


class DataRecord(Record):
    """The data that were used."""

    fingerprint: str
    """SHA-256 over the decoded arrays of both splits."""
    origin: str
    canonical: bool
    """Whether they are the data set's official files."""
    train: int
    test: int


class Attempt(Record):
    """A run that was started, whatever became of it."""

    run: str
    """Digest of its run_started event, first 12 digits."""
    status: Literal["open", "finished", "failed", "aborted", "pilot"]
    started: str
    """Claimed time, UTC."""
    outcome: str | None = None
    reason: str | None = None


class Provenance(Record):
    """What the verdict prints about how the result was made."""

    run: str
    registration: str
    registered_time: str
    started: str
    finished: str
    commit: str | None
    """Git commit of the code; None outside a repository."""
    dirty: bool | None
    """Whether tracked files differed from the commit, run folders aside."""
    dirty_digest: str | None
    """SHA-256 of that difference."""
    harness: str
    """Version of this package."""
    code: str = ""
    """SHA-256 over this package's Python files; empty in verdicts written before it was noted."""
    packages: dict[str, str]
    python: str
    platform: str
    device: str
    command: str
    durations: dict[str, float]
    """Stage → seconds."""
    resumed: int
    """How many times the attempt was resumed."""
    hand_picked_seeds: bool
    weights: dict[str, str]
    """File below the run's weights/ folder → SHA-256, for what ``save`` kept."""
    cohorts: tuple[int, ...]
    """Replicas per cohort, in the order trained."""
    attempts: tuple[Attempt, ...]
    """All attempts at this hypothesis up to this verdict, in ledger order."""
    deviations: tuple[str, ...]
    """What differed from the registration, one sentence each."""
    amendments: tuple[str, ...] = ()
    """What was amended before this run and is no deviation, one sentence each."""
