"""Provenance of a result: env.json.

It holds everything that a verdict prints and that is neither registered nor measured.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from harness.plugins.distributions import Package
from harness.plugins.fields import Unit
from harness.plugins.splits import SplitName
from harness.records.base import Record
from harness.records.linked import LinkedRuns
from harness.records.plan import Companion
from harness.records.program import ProgramRun


class UsedData(Record):
    """The part of a data set that some arms used."""

    arms: tuple[str, ...]
    """Names of these arms, in the order of the file."""
    fingerprint: str
    """SHA-256 over the arrays that were trained and tested on."""
    train: Annotated[int, Unit("images")]
    """Number of images that were trained on."""
    test: Annotated[int, Unit("images")]
    """Number of test images."""
    classes: tuple[str, ...]
    """Names of the classes."""
    validation: Annotated[int | None, Unit("images")] = None
    """Number of images of the validation split; None if there is none."""
    validation_fingerprint: str | None = None
    """SHA-256 over the arrays of the validation split; None if there is none."""


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
    used: tuple[UsedData, ...] = Field(default=(), exclude_if=lambda value: not value)
    """Parts of it that arms used, for arms with a subset or a validation split; empty if all arms used all of it."""

    def count(self, split: SplitName, arm: str) -> int:
        """Return the size of a split as an arm used it; 0 for a validation split that there is not."""
        whole = {"train": self.train, "validation": 0, "test": self.test}
        for part in self.used:
            if arm in part.arms:
                whole = {"train": part.train, "validation": part.validation or 0, "test": part.test}
        return whole[split]


class Anchor(Record):
    """Evidence from outside that a registration existed before a run was started."""

    head: str
    """Digest of the event that it is over; it covers this event and all before it."""
    kind: Literal["tsa", "ssh"]
    """tsa: an RFC 3161 time stamp; ssh: a signature."""
    by: str
    """The authority's address, or the key's fingerprint."""
    time: str | None = None
    """The time that the stamp tells, UTC; None for a signature, which tells none."""


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


class Sibling(Record):
    """Another registered hypothesis that moves one of the same claims, or asks nearly the same question."""

    hypothesis: str
    """The hypothesis's id."""
    registered: str
    """Claimed time of its first registration, UTC."""
    claims: tuple[str, ...]
    """Claims that both move, by the names that this one has for them."""
    asks: Literal["same", "near"] | None
    """same: it trains and decides the same; near: one of its decisions asks nearly the same as one here."""
    attempts: Annotated[int, Unit("attempts")]
    """Number of its attempts, without pilots."""
    became: Literal["never run", "open", "finished", "failed", "aborted", "judged"]
    """State: "judged" if it has a verdict, otherwise that of its last attempt."""
    outcome: str | None = None
    """Outcome of its last verdict; None without one."""


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


class Launch(Record):
    """The jobs that a run's cohorts were trained in, elsewhere than in the process that wrote its verdict."""

    launcher: str
    """Name of the launcher."""
    jobs: Annotated[int, Unit("jobs")]
    """Number of jobs."""
    tries: Annotated[int, Unit("tries")]
    """Number of times that one was started."""
    ended: Annotated[dict[str, int], Unit("tries")]
    """End of a try other than with results, for people → number of tries that ended so."""
    devices: Annotated[dict[str, int], Unit("tries")] = Field(default_factory=dict)
    """Device that tries found → their number; those that were ended before are in none."""
    seconds: Annotated[float, Unit("s")] = 0.0
    """Time for which all of them were at work, as far as their workers told."""


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
    of_commit: bool | None = Field(default=None, exclude_if=lambda value: value is None)
    """True if that commit holds this very code of harness, False if it holds other code of harness; None if it holds
    none, and in verdicts from before it was recorded."""
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
    loaded: dict[str, Package] | None = Field(default=None, exclude_if=lambda value: value is None)
    """Other people's packages, none that harness requires, that were loaded when the run had been trained and judged,
    or are behind a plug-in; None in verdicts from before it was recorded."""
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
    peeks: Annotated[int, Unit("times")] = Field(default=0, exclude_if=lambda value: not value)
    """Number of times that values of attempts at this hypothesis were shown before their end, up to this verdict."""
    hand_picked_seeds: bool
    """True if the file lists its seeds."""
    drawn: Draw | None = Field(default=None, exclude_if=lambda value: value is None)
    """The beacon's round that the seeds follow from; None if they follow from the registration alone, or are
    hand-picked."""
    weights: dict[str, str]
    """File below the run's weights/ folder → SHA-256, for everything that ``save`` kept."""
    cohorts: Annotated[tuple[int, ...], Unit("replicas")]
    """Number of replicas per cohort, in the order of training."""
    launch: Launch | None = Field(default=None, exclude_if=lambda value: value is None)
    """The jobs that trained the cohorts; None if they were trained where the run was started."""
    together: tuple[Companion, ...] = Field(default=(), exclude_if=lambda value: not value)
    """The hypotheses whose replicas trained in cohorts with those of this run, itself among them, as in the run_started
    event; empty if it trained alone. The numbers in ``cohorts`` count them all."""
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
    anchors: tuple[Anchor, ...] | None = Field(default=None, exclude_if=lambda value: value is None)
    """Anchors that cover the registration and were entered before the run was started; None in verdicts from before
    they were recorded."""
    amendments: tuple[str, ...] = ()
    """Amendments before this run that are not deviations, one sentence each."""
    linked: LinkedRuns | None = Field(default=None, exclude_if=lambda value: value is None)
    """The account of runs that were made elsewhere; None where harness trained, or ran the program."""
    program: ProgramRun | None = Field(default=None, exclude_if=lambda value: value is None)
    """Circumstances of the program that trained and measured in harness's place; None where harness did."""
    siblings: tuple[Sibling, ...] | None = Field(default=None, exclude_if=lambda value: value is None)
    """Other registered hypotheses on the same claims, or nearly the same, at the end of the run; None in verdicts from
    before they were listed, and in pilots."""
