"""Events that an anchor covers: the one that it is over, and all that this one's writer had before them."""

from __future__ import annotations

from harness.ledger.bodies import AnchoredBody, RegisteredBody
from harness.ledger.index import LedgerIndex, StartedRun
from harness.records import Anchor
from harness.wording import format_count

MOST = 10
"""Hypotheses that are named; more are counted."""
HEAD_DIGITS = 32
"""Digits by which a head is shown at the least: nobody can make another event that begins with as many."""


def covers(index: LedgerIndex, head: str, event: str) -> bool:
    """Tell whether an anchor over ``head`` covers an event."""
    return event == head or index.before(event, head)


def describe_cover(index: LedgerIndex, head: str) -> str:
    """Say what an anchor over ``head`` covers, and which registrations it does not, as a clause."""
    if index.event(head) is None:
        return "it covers nothing that is here"
    count = sum(covers(index, head, event.digest) for event in index.events)
    registered = {entry.body.hypothesis: entry.digest for entry in reversed(index.entries(RegisteredBody))}
    inside = [name for name, digest in sorted(registered.items()) if covers(index, head, digest)]
    told = _name_some([f"{name} ({_describe_state(index, head, name)})" for name in inside])
    outside = _name_some(sorted(registered.keys() - set(inside)))
    covered = f"it covers {format_count(count, 'event')}: {told or 'no registration'}"
    return f"{covered}; and not what came later, the registration of {outside}" if outside else covered


def list_before(index: LedgerIndex, run: StartedRun) -> tuple[Anchor, ...]:
    """Return the anchors that cover a run's registration and were entered before the run was started."""
    return tuple(
        Anchor(head=entry.body.head, kind=entry.body.kind, by=entry.body.by, time=entry.body.time)
        for entry in index.entries(AnchoredBody)
        if index.before(entry.digest, run.digest) and covers(index, entry.body.head, run.body.registration)
    )


def _describe_state(index: LedgerIndex, head: str, hypothesis: str) -> str:
    """Say how far a hypothesis had come by an event: an anchor from before the first attempt is worth the most."""
    runs = [run for run in index.starts(hypothesis) if covers(index, head, run.digest)]
    verdicts = [
        verdict for run in runs for verdict in index.verdicts(run.digest) if covers(index, head, verdict.digest)
    ]
    if not runs:
        return "registered, no attempt yet"
    judged = format_count(len(verdicts), "verdict") if verdicts else "no verdict yet"
    return f"registered, {format_count(len(runs), 'attempt')}, {judged}"


def _name_some(names: list[str]) -> str:
    more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    return f"{', '.join(names[:MOST])}{more}"
