"""Provenance of a result: env.json.

It holds everything that a verdict prints and that is neither registered nor measured.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from harness.plugins.fields import Unit
from harness.records.base import Record


class DataRecord(Record):
    """The data that a run used."""

    fingerprint: str
    """SHA-256 over the decoded arrays of both splits."""
    origin: str
    """Origin of the data, in words."""
    canonical: bool
    """True if they are the data set's official files."""
    train: Annotated[int, Unit("images")]
    """Size of the training split."""
    test: Annotated[int, Unit("images")]
    """Size of the test split."""


class Attempt(Record):
    """A run that was started, whatever became of it."""

    run: str
    """First 12 digits of the digest of its run_started event."""
    status: Literal["open", "finished", "failed", "aborted", "pilot"]
    """"pilot", or the stage that the run reached."""
    started: str
    """Claimed time of the start, UTC."""
    outcome: str | None = None
    """Outcome of its verdict; None without a verdict."""
    reason: str | None = None
    """Reason why it was closed without results."""


class Draw(Record):
    """The beacon's round that a run's seeds follow from."""

    event: str
    """Digest of the event that drew them."""
    time: str
    """The beacon's own time of the round, UTC."""
    value: str
    """Value of the round, hexadecimal."""
    record: str
    """Digest of the round's record, which is an object of the trail."""


class Provenance(Record):
    """The circumstances of a run that its verdict prints."""

    run: str
    """First 12 digits of the digest of the run_started event."""
    registration: str
    """Digest of the event that first registered the hypothesis."""
    registered_time: str
    """Claimed time of that event, UTC."""
    started: str
    """Claimed time of the start, UTC."""
    finished: str
    """Claimed time of the end, UTC."""
    commit: str | None
    """Git commit of the code; None if there is none."""
    no_commit: str | None = Field(default=None, exclude_if=lambda value: value is None)
    """Reason why there is no commit ("no git", "no repository", …). None also in verdicts from before it was recorded.
    """
    dirty: bool | None
    """True if tracked files outside the run folders differed from the commit."""
    dirty_digest: str | None
    """SHA-256 of that difference."""
    harness: str
    """Version of this package."""
    code: str = ""
    """SHA-256 over this package's Python files; empty in verdicts from before it was recorded."""
    packages: dict[str, str]
    """Package → version."""
    python: str
    """Version of the Python interpreter."""
    platform: str
    """Operating system and processor."""
    device: str
    """Device that trained, in words."""
    arithmetic: dict[str, str] = Field(default_factory=dict, exclude_if=lambda value: not value)
    """Whatever else selected the arithmetic, as in the run_started event; empty in verdicts from before it was
    recorded."""
    data_notes: dict[str, tuple[str, ...]] = Field(default_factory=dict, exclude_if=lambda value: not value)
    """Data-set name → facts counted in its images, one sentence each: copies across the splits, uneven classes."""
    command: str
    """The command, as another person could give it."""
    durations: Annotated[dict[str, float], Unit("s")]
    """Stage → duration."""
    resumed: Annotated[int, Unit("times")]
    """Number of times that the attempt was resumed."""
    hand_picked_seeds: bool
    """True if the file lists its seeds."""
    drawn: Draw | None = Field(default=None, exclude_if=lambda value: value is None)
    """The beacon's round that the seeds follow from; None if they follow from the registration alone, or are
    hand-picked."""
    weights: dict[str, str]
    """File below the run's weights/ folder → SHA-256, for everything that ``save`` kept."""
    cohorts: Annotated[tuple[int, ...], Unit("replicas")]
    """Number of replicas per cohort, in the order of training."""
    attempts: tuple[Attempt, ...]
    """All attempts at this hypothesis up to this verdict, in ledger order."""
    deviations: tuple[str, ...]
    """Deviations from the registration, one sentence each."""
    words: str | None = None
    """Differences from the registration that concern wording only: templates, and code that reports, checks and keeps
    records."""
    tried: tuple[str, ...] = ()
    """Evidence from the results about deviations in code whose effect was unknown, or a way to obtain it, one sentence
    each."""
    undrawn: tuple[str, ...] = ()
    """Figures that could not be drawn when the verdict was written, as names of files below the run's folder."""
    amendments: tuple[str, ...] = ()
    """Amendments before this run that are not deviations, one sentence each."""
