"""What became of every attempt at a hypothesis."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from harness.errors import UsageError
from harness.ledger.bodies import LookBody
from harness.ledger.differing import meaningful
from harness.ledger.event import Entered
from harness.ledger.events import Event, Ledger
from harness.records import Attempt

RUN_DIGITS = 12
SHORTEST_RUN = 4  # digits that a person must give to name a run
CLOSING: dict[str, Literal["finished", "failed", "aborted"]] = {
    "run_finished": "finished",
    "run_failed": "failed",
    "run_aborted": "aborted",
}


def run_name(digest: str) -> str:
    """The short name of an attempt, and of its folder: the first 12 digits of its run_started event."""
    return digest[:RUN_DIGITS]


def attempts(ledger: Entered, hypothesis_id: str) -> tuple[Attempt, ...]:
    """All attempts at a hypothesis in ledger order, pilots among them; nothing is left out.

    If two branches closed the same attempt, or judged it, the first in ledger order counts.

    Raises:
        Tampered: as ``Ledger.events``.
    """
    events = ledger.events()
    closed = _first_by_run(event for event in events if event.type in CLOSING)
    judged = _first_by_run(event for event in events if event.type == "verdict")
    found = []
    for event in events:
        if event.type not in ("run_started", "pilot") or event.body["hypothesis"] != hypothesis_id:
            continue
        end, verdict = closed.get(event.digest), judged.get(event.digest)
        found.append(
            Attempt(
                run=run_name(event.digest),
                status="pilot" if event.type == "pilot" else CLOSING[end.type] if end else "open",
                started=event.claimed_time,
                outcome=verdict.body["outcome"] if verdict else None,
                reason=end.body.get("reason") if end else None,
            )
        )
    return tuple(found)


def deviating(ledger: Ledger, hypothesis_id: str) -> frozenset[str]:
    """The short names of the attempts at a hypothesis that deviate from what was registered, by their own first event.

    Raises:
        Tampered: as ``Ledger.events``.
    """
    return frozenset(
        run_name(event.digest)
        for event in ledger.events()
        if event.type == "run_started"
        and event.body["hypothesis"] == hypothesis_id
        and meaningful(event.body.get("deviations", ()))
    )


def open_attempts(ledger: Ledger, hypothesis_id: str) -> tuple[Event, ...]:
    """The run_started events of a hypothesis that no event closes, in ledger order: to be resumed or closed.

    Raises:
        Tampered: as ``Ledger.events``.
    """
    events = ledger.events()
    closed = {event.body["run"] for event in events if event.type in CLOSING}
    return tuple(
        event
        for event in events
        if event.type == "run_started" and event.body["hypothesis"] == hypothesis_id and event.digest not in closed
    )


def _first_by_run(events: Iterable[Event]) -> dict[str, Event]:
    found: dict[str, Event] = {}
    for event in events:
        found.setdefault(event.body["run"], event)
    return found


def looks(ledger: Ledger, run: str) -> tuple[LookBody, ...]:
    """The looks that a run took, in ledger order.

    Raises:
        Tampered: as ``Ledger.events``.
    """
    found = [event for event in ledger.events() if event.type == "look" and event.body["run"] == run]
    return tuple(LookBody.model_validate(event.body) for event in found)


def find_attempt(ledger: Ledger, name: str) -> Event:
    """The run_started event whose digest begins with ``name``.

    Raises:
        UsageError: none does, or several do.
        Tampered: as ``Ledger.events``.
    """
    found = [event for event in ledger.events() if event.type == "run_started" and event.digest.startswith(name)]
    if len(found) != 1 or len(name) < SHORTEST_RUN:
        problem = "no attempt's digest begins" if not found else "it takes more digits to tell which attempt begins"
        raise UsageError(
            f"{problem} with {name!r}", where=str(ledger.root), remedy="harness show HYPOTHESIS --history lists them"
        )
    return found[0]


def recorded_files(ledger: Ledger, run: str) -> dict[str, str]:
    """File below the run's folder → digest, from the first verdict event on a run_started event's digest."""
    events = ledger.events()
    verdict = next(event for event in events if event.type == "verdict" and event.body["run"] == run)
    return dict(verdict.body["files"])


def find_judged(ledger: Ledger, name: str) -> Event:
    """The run_started event of a hypothesis's last verdict, or of the judged run whose first digits are ``name``.

    Raises:
        UsageError: nothing of that name was judged.
        Tampered: as ``Ledger.events``.
    """
    events = ledger.events()
    runs = {event.digest: event for event in events if event.type == "run_started"}
    judged = [runs[event.body["run"]] for event in events if event.type == "verdict" and event.body["run"] in runs]
    for event in reversed(judged):
        if name == event.body["hypothesis"] or (len(name) >= SHORTEST_RUN and event.digest.startswith(name)):
            return event
    known = sorted({str(event.body["hypothesis"]) for event in judged})
    raise UsageError(
        f"there is no verdict on {name!r}",
        where=str(ledger.root),
        remedy=f"verdicts here are on: {', '.join(known)}"
        if known
        else "name the trail's folder with --verdicts, or run a hypothesis first",
    )
