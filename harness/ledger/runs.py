"""Attempts at a hypothesis: what became of each, and which one a name stands for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

from harness.errors import UsageError
from harness.ledger.bodies import LookBody, RunAbortedBody, RunFailedBody, RunFinishedBody
from harness.ledger.differing import keep_meaningful
from harness.ledger.events import Ledger
from harness.ledger.index import Closing, Entered, Entry, StartedRun, name_run
from harness.ledger.linked import describe_deviating
from harness.ledger.measured_body import MeasuredBody
from harness.ledger.prior_data_bodies import PeekedBody, PilotBody
from harness.ledger.progress import describe_progress, read_progress
from harness.records import Attempt, Record
from harness.wording import suggest

PILOT = "pilot-"
"""Beginning of a pilot's name."""
SHORTEST_RUN = 4  # digits that a person must give to name a run
STATUS: Mapping[type[Record], Literal["finished", "failed", "aborted"]] = {
    RunFinishedBody: "finished",
    RunFailedBody: "failed",
    RunAbortedBody: "aborted",
}
"""Body of the event that ends an attempt → what became of the attempt."""


def list_attempts(ledger: Entered, hypothesis_id: str) -> tuple[Attempt, ...]:
    """Return all attempts at a hypothesis in ledger order, pilots among them; nothing is left out.

    If two branches closed the same attempt, or judged it, the first in ledger order counts.

    Raises:
        Tampered: as ``Ledger.events``.
    """
    index = ledger.index()
    found = []
    for digest in index.attempts_and_pilots(hypothesis_id):
        entry, end, verdict = index.entry(digest), next(iter(index.closings(digest)), None), index.verdict(digest)
        assert entry is not None
        found.append(
            Attempt(
                run=name_run(digest),
                status="pilot" if isinstance(entry.body, PilotBody) else name_status(end),
                started=entry.claimed_time,
                outcome=verdict.body.outcome if verdict else None,
                reason=describe_end(end.body) if end is not None else None,
            )
        )
    return tuple(found)


def name_status(end: Entry[Closing] | None) -> Literal["finished", "failed", "aborted", "open"]:
    """Return what became of an attempt by the event that ended it, if one did."""
    return "open" if end is None else STATUS[type(end.body)]


class State(NamedTuple):
    """State of a hypothesis: number of attempts without pilots, state of the last, and last outcome."""

    attempts: int
    became: Literal["never run", "open", "finished", "failed", "aborted", "judged"]
    outcome: str | None


def describe_state(attempts: Iterable[Attempt]) -> State:
    """Return what became of a hypothesis by its attempts."""
    started = [attempt for attempt in attempts if attempt.status != "pilot"]
    outcomes = [attempt.outcome for attempt in started if attempt.outcome is not None]
    if outcomes:
        return State(len(started), "judged", outcomes[-1])
    last = started[-1].status if started else "never run"
    assert last != "pilot"
    return State(len(started), last, None)


def describe_end(body: Closing) -> str | None:
    """Say why an attempt ended without results and how far it had come, as its event has it; None if it has results."""
    if isinstance(body, RunFinishedBody):
        return None
    came = describe_progress(body.progress)
    return f"{body.reason} ({came})" if came else body.reason


def find_deviating(ledger: Ledger, hypothesis_id: str) -> Mapping[str, str]:
    """Return the attempts that deviate from what was registered, by their own first event: short name → a word or two.

    Raises:
        Tampered: as ``Ledger.events``.
    """
    starts = ledger.index().starts(hypothesis_id)
    return {start.name: describe_deviating(start.body) for start in starts if keep_meaningful(start.body.deviations)}


def list_open_attempts(ledger: Ledger, hypothesis_id: str) -> tuple[StartedRun, ...]:
    """Return the attempts at a hypothesis that no event closes, in ledger order: to be resumed or closed.

    Raises:
        Tampered: as ``Ledger.events``.
    """
    index = ledger.index()
    return tuple(start for start in index.starts(hypothesis_id) if not index.closings(start.digest))


def list_looks(ledger: Ledger, run: str) -> tuple[LookBody, ...]:
    """Return the looks that a run, named by its full digest, took, in ledger order.

    Raises:
        Tampered: as ``Ledger.events``.
    """
    return tuple(look.body for look in ledger.index().looks(run))


def count_peeks(ledger: Entered, hypothesis_id: str) -> int:
    """Count how often values of attempts at a hypothesis were shown before their end.

    Raises:
        Tampered: as ``Ledger.events``.
    """
    index = ledger.index()
    return sum(len(index.peeks(start.digest)) for start in index.starts(hypothesis_id))


def record_peek(ledger: Ledger, run: StartedRun) -> bool:
    """Enter that values of an open attempt are shown from here on; False, and nothing is entered, if it has ended.

    Raises:
        StorageFailed: it could not be written: nothing may be shown then.
        Tampered: as ``Ledger.events``.
    """
    with ledger.locked():
        if ledger.index().closings(run.digest):
            return False
        ledger.record(PeekedBody(run=run.digest, progress=read_progress(ledger, run)))
    return True


def list_measurements(ledger: Entered, run: str | None = None) -> tuple[Entry[MeasuredBody], ...]:
    """Return what was measured again on the stored weights of a run, or of all, in ledger order.

    Raises:
        Tampered: as ``Ledger.events``.
    """
    return tuple(entry for entry in ledger.index().entries(MeasuredBody) if run in (None, entry.body.run))


def find_attempt(ledger: Ledger, name: str) -> StartedRun:
    """Find the attempt whose digest begins with ``name``.

    Raises:
        UsageError: none does, or several do.
        Tampered: as ``Ledger.events``.
    """
    found = [start for start in ledger.index().starts() if start.digest.startswith(name)]
    if len(found) != 1 or len(name) < SHORTEST_RUN:
        problem = "no attempt's digest begins" if not found else "it takes more digits to tell which attempt begins"
        meant = "" if found else suggest(name, [start.name for start in ledger.index().starts()])
        raise UsageError(
            f"{problem} with {name!r}{meant}",
            where=str(ledger.root),
            remedy="harness show HYPOTHESIS --history lists them",
        )
    return found[0]


def list_recorded_files(ledger: Ledger, run: str) -> dict[str, str]:
    """Return file below the run's folder → digest, as the first verdict on a run, named by its full digest, has it."""
    verdict = ledger.index().verdict(run)
    assert verdict is not None
    return dict(verdict.body.files)


def is_called(run: StartedRun, name: str) -> bool:
    """Tell whether a name stands for a run: it is its hypothesis's id, or its first digits."""
    return name == run.hypothesis or (len(name) >= SHORTEST_RUN and run.digest.startswith(name))


def find_judged(ledger: Ledger, name: str) -> StartedRun:
    """Find the attempt of a hypothesis's last verdict, or the judged one whose first digits are ``name``.

    Raises:
        UsageError: nothing of that name was judged.
        Tampered: as ``Ledger.events``.
    """
    index = ledger.index()
    judged = index.judged_runs
    for start in reversed(judged):
        if is_called(start, name):
            return start
    known = sorted({start.hypothesis for start in judged})
    if name in index.hypotheses:
        remedy = f"harness show {name} --history lists what was done; harness run with its file leads to one"
    elif (pilot := find_pilot(ledger, name)) is not None:
        remedy = f"{name} is a pilot, which is not judged: read {ledger.root / locate_pilot(pilot) / 'verdict.md'}"
    elif known:
        remedy = f"verdicts here are on: {', '.join(known)}"
    else:
        remedy = "name the trail's folder with --verdicts, or run a hypothesis first"
    names = [*known, *(start.name for start in reversed(judged)), *index.hypotheses]
    meant = "" if name in index.hypotheses else suggest(name, names)
    raise UsageError(f"there is no verdict on {name!r}{meant}", where=str(ledger.root), remedy=remedy)


def find_pilot(ledger: Entered, name: str) -> Entry[PilotBody] | None:
    """Find the last pilot that a name stands for, "pilot-" and its first digits or these alone; None if none is.

    Raises:
        Tampered: as ``Ledger.events``.
    """
    digits = name.removeprefix(PILOT)
    found = [one for one in ledger.index().entries(PilotBody) if one.digest.startswith(digits)]
    return found[-1] if found and len(digits) >= SHORTEST_RUN else None


def name_pilot(digest: str) -> str:
    """Return the name of a pilot, that of its folder, by its event's digest."""
    return f"{PILOT}{name_run(digest)}"


def locate_pilot(pilot: Entry[PilotBody]) -> str:
    """Return a pilot's folder below that of the trail."""
    return f"{pilot.body.hypothesis}/{name_pilot(pilot.digest)}"
