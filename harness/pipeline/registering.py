"""Registering without running, amending a registration, closing an attempt that was left open."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness import ledger, spec, verdict
from harness.errors import UsageError
from harness.ledger import Event, Ledger
from harness.pipeline.project import Reporter, Settings, open_ledger, project_of
from harness.pipeline.steps import data_deviations, data_sets, look_around, registered_claims
from harness.records import Hypothesis

LONGEST_REASON = 2000


@dataclass(frozen=True)
class Entered:
    """What was entered into the ledger about a hypothesis."""

    hypothesis: Hypothesis
    event: Event
    data: dict[str, str | None]
    """Data set → fingerprint; None where it would have to be downloaded first."""


def register(path: Path, settings: Settings, reporter: Reporter) -> Entered:
    """Register a hypothesis without running it. Data are fingerprinted where they can be had without a download.

    Raises:
        InvalidHypothesis, UsageError: nothing was entered; also if it is registered already.
    """
    loaded = spec.load(path)
    trail = open_ledger(path, settings)
    pins = ledger.pins(loaded.hypothesis, verdict.default_templates())
    data = fingerprints(loaded.hypothesis, path, settings, reporter)
    known = {name: digest for name, digest in data.items() if digest is not None}
    look_around(loaded, trail, settings, reporter)
    with ledger.one_at_a_time(trail, loaded.hypothesis.id):
        event = ledger.register(trail, loaded.raw, loaded.claims_raw, loaded.hypothesis, pins, known)
    return Entered(loaded.hypothesis, event, data)


def amend(path: Path, settings: Settings, reporter: Reporter, reason: str) -> Entered:
    """Enter what differs between a registration and the file, code, claims and data as they are now, with the reason.

    Raises:
        InvalidHypothesis, UsageError: nothing was entered; also if nothing differs or nothing was registered.
        DeviationRefused: it would choose other seeds, or another number of them after a run started.
    """
    reason = given(reason)
    loaded = spec.load(path)
    hypothesis = loaded.hypothesis
    trail = open_ledger(path, settings)
    pins = ledger.pins(hypothesis, verdict.default_templates())
    data = fingerprints(hypothesis, path, settings, reporter)
    known = {name: digest for name, digest in data.items() if digest is not None}
    with ledger.one_at_a_time(trail, hypothesis.id), trail.locked():
        before = ledger.latest(trail, hypothesis.id)
        if before is None:
            raise UsageError(
                "this hypothesis is not registered, so there is nothing to amend",
                where=str(path),
                remedy="register it as it is: harness register FILE",
            )
        comparison = ledger.compare(before, hypothesis, loaded.raw, pins, trail)
        around = (
            *comparison.code.deviations,
            *registered_claims(before, loaded, trail)[1],
            *data_deviations(before.data, known),
        )
        kind: Literal["comment", "surroundings", "meaning"] = "surroundings" if around else "comment"
        event = ledger.amend(
            trail,
            before,
            loaded.raw,
            loaded.claims_raw,
            hypothesis,
            pins,
            {name: known.get(name) or before.data[name] for name in data if name in known or name in before.data},
            kind="meaning" if comparison.differences else kind,
            differences=(*comparison.differences, *around, *comparison.code.in_words),
            reason=reason,
        )
    return Entered(hypothesis, event, data)


def close(name: str, verdicts: Path, reason: str) -> Event:
    """Close an attempt that was left open: it stays in the ledger, aborted, with the reason.

    Raises:
        UsageError: there is no open attempt of that name, or a process is running it.
    """
    reason = given(reason)
    trail = Ledger(verdicts)
    started = ledger.find_attempt(trail, name)
    hypothesis = str(started.body["hypothesis"])
    with ledger.one_at_a_time(trail, hypothesis), trail.locked():
        status = {attempt.run: attempt for attempt in ledger.attempts(trail, hypothesis)}
        attempt = status[ledger.run_name(started.digest)]
        if attempt.status != "open":
            finished = attempt.status == "finished" and attempt.outcome is None
            raise UsageError(
                f"attempt {attempt.run} of {hypothesis} is not open: it is {attempt.status}",
                where=str(verdicts),
                remedy="give harness run again: it judges what is finished"
                if finished
                else "there is nothing to close",
            )
        with ledger.nobody_writing(trail, started):
            return trail.append("run_aborted", {"run": started.digest, "reason": reason})


def fingerprints(hypothesis: Hypothesis, path: Path, settings: Settings, reporter: Reporter) -> dict[str, str | None]:
    """Data set → SHA-256 over its arrays, for every arm; None where it is not here, since nothing is downloaded."""
    root = project_of(path, settings).data
    found = {
        name: dataset.load(root, reporter.say).fingerprint if dataset.present(root) else None
        for name, dataset in data_sets(hypothesis, settings).items()
    }
    reporter.heed()
    return found


def given(reason: str) -> str:
    """A reason that says something.

    Raises:
        UsageError: it is empty, or too long for an event.
    """
    reason = reason.strip()
    if not reason or len(reason) > LONGEST_REASON:
        raise UsageError(
            "the reason is empty" if not reason else f"the reason has {len(reason)} letters",
            where="--reason",
            remedy=f"say why, in at most {LONGEST_REASON} letters: it is kept for good",
        )
    return reason
