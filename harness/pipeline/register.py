"""Registering without running, amending a registration, closing an attempt that was left open."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness import ledger, spec
from harness.errors import UsageError
from harness.ledger import Entry, Event, Ledger
from harness.ledger.bodies import AmendedBody, RunAbortedBody
from harness.pipeline.data_sets import collect_data_sets, list_data_deviations
from harness.pipeline.draw import describe_seeds
from harness.pipeline.prior_data import refuse_undeclared
from harness.pipeline.program import pin
from harness.pipeline.registered_claims import list_changed_claims
from harness.pipeline.run_steps import look_around
from harness.pipeline.session import Session
from harness.pipeline.starts import find_sources
from harness.records import Attempt, Hypothesis

LONGEST_REASON = 2000


@dataclass(frozen=True)
class Registering:
    """A registration or an amendment that was entered into the ledger."""

    hypothesis: Hypothesis
    """The hypothesis as it is registered now."""
    event: Event
    """The event that was appended."""
    data: dict[str, str | None]
    """Data set → fingerprint; None where it would have to be downloaded first."""
    seeds: str
    """Seeds that a run will have, and who could have chosen them, in words."""


@dataclass(frozen=True)
class Amending(Registering):
    """An amendment that was entered into the ledger."""

    body: AmendedBody
    """The event's body."""
    known: str | None
    """Words for the amendment's place after the beacon's round could be known; None if it could not be yet."""
    remark: str | None
    """Remark on it that is no deviation; None if there is none."""


def register_hypothesis(file: Path, session: Session) -> Registering:
    """Register a hypothesis without running it. Data are fingerprinted where they can be had without a download.

    Raises:
        InvalidHypothesis, UsageError: nothing was entered; also if it is registered already.
    """
    loaded, trail = spec.load(file), session.trail
    pins = pin(loaded.hypothesis, session)
    data = take_fingerprints(loaded.hypothesis, session)
    known = {name: digest for name, digest in data.items() if digest is not None}
    with ExitStack() as held:
        held.enter_context(ledger.lock_project(session.project.root))
        look_around(loaded, session)
        held.enter_context(ledger.lock_hypothesis(trail, loaded.hypothesis.id))
        event = ledger.register(trail, loaded.raw, loaded.claims_raw, loaded.hypothesis, pins, known)
    found = ledger.find_registration(trail, loaded.hypothesis.id)
    return Registering(loaded.hypothesis, event, data, describe_seeds(loaded.hypothesis, found, trail))


def amend_registration(file: Path, session: Session, reason: str) -> Amending:
    """Enter what differs between a registration and the file, code, claims and data as they are now, with the reason.

    Raises:
        InvalidHypothesis, UsageError: nothing was entered; also if nothing differs or nothing was registered.
        DeviationRefused: it would choose other seeds, or another number of them after a run started or they were known.
    """
    reason = check_reason(reason)
    loaded, trail = spec.load(file), session.trail
    hypothesis = loaded.hypothesis
    pins = pin(hypothesis, session)
    data = take_fingerprints(hypothesis, session)
    known = {name: digest for name, digest in data.items() if digest is not None}
    with ledger.lock_hypothesis(trail, hypothesis.id), trail.locked():
        before = ledger.find_latest(trail, hypothesis.id)
        if before is None:
            raise UsageError(
                "this hypothesis is not registered, so there is nothing to amend",
                where=str(file),
                remedy="register it as it is: harness register FILE",
            )
        refuse_undeclared(loaded, trail, before.digest)
        comparison = ledger.compare(before, hypothesis, loaded.raw, pins, trail)
        around = (
            *comparison.code.deviations,
            *ledger.list_program_differences(before.pins.program, pins.program),
            *list_changed_claims(before, loaded, trail),
            *list_data_deviations(before.data, known),
        )
        kind: Literal["comment", "surroundings", "meaning"] = "surroundings" if around else "comment"
        fixed = {name: known.get(name) or before.data[name] for name in data if name in known or name in before.data}
        event = ledger.amend(
            trail,
            before,
            ledger.Version(loaded.raw, loaded.claims_raw, hypothesis, pins, fixed),
            kind="meaning" if comparison.differences else kind,
            differences=(*comparison.differences, *around, *comparison.code.in_words),
            reason=reason,
        )
    body = event.content
    assert isinstance(body, AmendedBody)
    (made,) = [one for one in ledger.list_amendments(trail.index(), hypothesis.id) if one.digest == event.digest]
    seeds = describe_seeds(hypothesis, before, trail)
    return Amending(hypothesis, event, data, seeds, body, made.known, made.remark)


def close_attempt(name: str, trail: Ledger, reason: str) -> Entry[RunAbortedBody]:
    """Close an attempt that was left open: it stays in the ledger, aborted, with the reason.

    Raises:
        UsageError: there is no open attempt of that name, or a process is running it.
    """
    reason = check_reason(reason)
    run = ledger.find_attempt(trail, name)
    hypothesis = run.hypothesis
    with ledger.lock_hypothesis(trail, hypothesis), trail.locked():
        status: dict[str, Attempt] = {attempt.run: attempt for attempt in ledger.list_attempts(trail, hypothesis)}
        attempt = status[run.name]
        if attempt.status != "open":
            finished = attempt.status == "finished" and attempt.outcome is None
            raise UsageError(
                f"attempt {attempt.run} of {hypothesis} is not open: it is {attempt.status}",
                where=str(trail.root),
                remedy="give harness run again: it judges what is finished"
                if finished
                else "there is nothing to close",
            )
        with ledger.lock_working_files(trail, run):
            body = RunAbortedBody(run=run.digest, reason=reason, progress=ledger.read_progress(trail, run))
            return Entry(trail.record(body), body)


def take_fingerprints(hypothesis: Hypothesis, session: Session) -> dict[str, str | None]:
    """Return data set → SHA-256 over its arrays, for every arm; None where it is not here: nothing is downloaded.

    Stored weights that arms start from are among them, by what their run's env.json names.
    """
    root, reporter = session.project.data, session.reporter
    found = {
        name: dataset.load(root, reporter.say).fingerprint if dataset.present(root) else None
        for name, dataset in collect_data_sets(hypothesis, session.settings).items()
    }
    reporter.heed()
    return found | find_sources(hypothesis, session.trail).fingerprints


def check_reason(reason: str) -> str:
    """Return a reason that says something, without blanks around it.

    Raises:
        UsageError: it is empty, or too long for an event.
    """
    reason = reason.strip()
    if not reason or len(reason) > LONGEST_REASON:
        raise UsageError(
            "the reason is empty" if not reason else f"the reason has {len(reason):,} characters",
            where="--reason",
            remedy=f"say why, in at most {LONGEST_REASON:,} characters: it is kept for good",
        )
    return reason
