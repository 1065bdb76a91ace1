"""Where a result came from: env.json. Everything a verdict prints that is neither registered nor measured."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from harness.plugins.fields import Unit
from harness.records.base import Record


class DataRecord(Record):
    """The data that were used."""

    fingerprint: str
    """SHA-256 over the decoded arrays of both splits."""
    origin: str
    """Where they came from, in words."""
    canonical: bool
    """Whether they are the data set's official files."""
    train: Annotated[int, Unit("images")]
    """Size of the training split."""
    test: Annotated[int, Unit("images")]
    """Size of the test split."""


class Attempt(Record):
    """A run that was started, whatever became of it."""

    run: str
    """Digest of its run_started event, first 12 digits."""
    status: Literal["open", "finished", "failed", "aborted", "pilot"]
    """pilot, or how far it came."""
    started: str
    """Claimed time, UTC."""
    outcome: str | None = None
    """Of its verdict; None where there is none."""
    reason: str | None = None
    """Why it was closed without results."""


class Provenance(Record):
    """What the verdict prints about how the result was made."""

    run: str
    """First 12 digits of the run_started event."""
    registration: str
    """Digest of the event that registered the hypothesis first."""
    registered_time: str
    """Claimed time of that event, UTC."""
    started: str
    """Claimed time, UTC."""
    finished: str
    """Claimed time, UTC."""
    commit: str | None
    """Git commit of the code; None where there is none."""
    no_commit: str | None = Field(default=None, exclude_if=lambda value: value is None)
    """Why there is none: "no git", "no repository", …; None also in verdicts written before this was noted."""
    dirty: bool | None
    """Whether tracked files differed from the commit, run folders aside."""
    dirty_digest: str | None
    """SHA-256 of that difference."""
    harness: str
    """Version of this package."""
    code: str = ""
    """SHA-256 over this package's Python files; empty in verdicts written before it was noted."""
    packages: dict[str, str]
    """Package → version."""
    python: str
    """The interpreter's version."""
    platform: str
    """Operating system and processor."""
    device: str
    """What trained, in words."""
    arithmetic: dict[str, str] = Field(default_factory=dict, exclude_if=lambda value: not value)
    """What selected its arithmetic besides, as in the run_started event; empty in verdicts from before it was noted."""
    data_notes: dict[str, tuple[str, ...]] = Field(default_factory=dict, exclude_if=lambda value: not value)
    """Data-set name → what was counted in its images, one sentence each: copies across the splits, uneven classes."""
    command: str
    """The command, as another person could give it."""
    durations: Annotated[dict[str, float], Unit("s")]
    """Stage → seconds."""
    resumed: Annotated[int, Unit("times")]
    """How many times the attempt was resumed."""
    hand_picked_seeds: bool
    """Whether the file lists its seeds."""
    weights: dict[str, str]
    """File below the run's weights/ folder → SHA-256, for what ``save`` kept."""
    cohorts: Annotated[tuple[int, ...], Unit("replicas")]
    """Replicas per cohort, in the order trained."""
    attempts: tuple[Attempt, ...]
    """All attempts at this hypothesis up to this verdict, in ledger order."""
    deviations: tuple[str, ...]
    """What differed from the registration, one sentence each."""
    words: str | None = None
    """What differed besides and is meant for words: templates, and code that reports, checks and keeps records."""
    tried: tuple[str, ...] = ()
    """What the results show of deviations in code of which nothing was known before, or what would: a sentence each."""
    undrawn: tuple[str, ...] = ()
    """Figures that could not be drawn where the verdict was written: names of files below the run's folder."""
    amendments: tuple[str, ...] = ()
    """What was amended before this run and is no deviation, one sentence each."""
