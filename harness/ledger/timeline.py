"""A hypothesis's life as a timeline: every event that concerns it, in ledger order, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.errors import UsageError
from harness.ledger.amendments import amendments
from harness.ledger.ancestry import Ancestry
from harness.ledger.differing import WORDS_ONLY, meaningful
from harness.ledger.event import Event
from harness.ledger.events import Ledger
from harness.ledger.history import run_name
from harness.records import Record
from harness.wording import counted, named

Told = tuple[str, tuple[str, ...]]
"""What happened, and details of it."""


class Moment(Record):
    """One event of a hypothesis's life."""

    digest: str
    """Of the event."""
    type: str
    """The event's type."""
    claimed_time: str
    """Of the event, UTC."""
    actor: str
    """Who appended it, by their own account."""
    text: str
    """What happened, in one sentence."""
    details: tuple[str, ...]
    """More about it, one sentence each."""
    beside: bool
    """Whether another branch appended it: it is not provably after the moment above it."""


def timeline(ledger: Ledger, hypothesis_id: str) -> tuple[Moment, ...]:
    """Registrations, amendments with differences, attempts, looks, verdicts, walk-backs, reruns, anchors.

    Raises:
        UsageError: the ledger has nothing about the hypothesis.
        Tampered: as ``Ledger.events``.
    """
    events = ledger.events()
    ancestry = Ancestry(events)
    classified = {amendment.digest: amendment for amendment in amendments(events, hypothesis_id)}
    own: dict[str, Event] = {}
    found: list[Moment] = []
    for event in events:
        if not _concerns(event, hypothesis_id, own, ancestry):
            continue
        if event.type == "amended":
            amendment = classified[event.digest]
            changed = amendment.body.differences or ("only comments and layout differ",)
            told: Told = (f"amended, {amendment.when}: {amendment.body.reason}", changed)
        else:
            told = _told(event.type, event.body, hypothesis_id)
        above = found[-1].digest if found else None
        own[event.digest] = event
        found.append(
            Moment(
                digest=event.digest,
                type=event.type,
                claimed_time=event.claimed_time,
                actor=event.actor,
                text=told[0],
                details=told[1],
                beside=above is not None and not ancestry.before(above, event.digest),
            )
        )
    if not found:
        raise UsageError(
            f"the ledger has nothing about {hypothesis_id!r}",
            where=str(ledger.root),
            remedy="harness list shows the hypotheses; name the trail's folder with --verdicts",
        )
    return tuple(found)


def _concerns(event: Event, hypothesis_id: str, own: Mapping[str, Event], ancestry: Ancestry) -> bool:
    body = event.body
    if event.type == "anchored":
        return any(digest == body["head"] or ancestry.before(digest, body["head"]) for digest in own)
    if event.type == "walk_back" and any(verdict in own for verdict in body.get("concerns", ())):
        return True
    return body.get("hypothesis") == hypothesis_id or body.get("run") in own


def _told(type_: str, body: Mapping[str, Any], hypothesis_id: str) -> Told:
    run = run_name(body["run"]) if "run" in body else ""
    if type_ == "registered":
        many = isinstance(body["seeds"], int)
        seeds = f"{body['seeds']} derived seeds" if many else f"{len(body['seeds'])} hand-picked seeds"
        return f"registered: {body['title']}", (seeds, *_data(body["data"]))
    if type_ == "run_started":
        return f"an attempt started on {body['device']}, with {counted(len(body['seeds']), 'seed')}", _differing(body)
    if type_ == "look":
        after = f"run {run} was looked at after {counted(body['seeds'], 'seed')}"
        return f"{after}: {body['outcome'] or 'nothing is decided, it goes on'}", ()
    if type_ == "run_finished":
        return f"run {run} finished", ()
    if type_ in ("run_failed", "run_aborted"):
        return f"run {run} {'failed' if type_ == 'run_failed' else 'was closed'}: {body['reason']}", ()
    if type_ == "verdict":
        return f"verdict on run {run}: {body['outcome']}", ()
    if type_ == "walk_back":
        return _walk_back(body, hypothesis_id)
    if type_ == "replicated":
        found = {"bits": "to the same bits", "statistics": "to the same statistics", "none": "and does not agree"}
        again = f"run {run} was trained again on {body['device']}, {found[body['agreement']]}"
        return again, tuple(body["differences"])
    if type_ == "pilot":
        scale = ", ".join(f"{key} {value}" for key, value in body["settings"].items())
        return f"a pilot was run: {scale}", ()
    if type_ == "anchored":
        how = "stamped by" if body["kind"] == "tsa" else "signed with"
        return f"everything up to {body['head'][:12]} was {how} {body['by']}", ()
    return type_, ()  # a type from a later version: it is named, and not passed over


def _differing(body: Mapping[str, Any]) -> tuple[str, ...]:
    """What a run differs in from its registration: what makes it deviate, then what concerns words only."""
    deviations = body.get("deviations", ())
    serious = meaningful(deviations)
    words = [line.removeprefix(WORDS_ONLY) for line in deviations if line not in serious]
    words += [body["words"]] if body.get("words") else []
    return (*(f"deviates: {line}" for line in serious), *(f"in what is meant for words only: {line}" for line in words))


def _data(data: Mapping[str, str]) -> Sequence[str]:
    return [f"data of {name}: {fingerprint[:12]}" for name, fingerprint in data.items()]


def _walk_back(body: Mapping[str, Any], hypothesis_id: str) -> Told:
    claims = ", ".join(body["claims"])
    question = tuple(
        f"comes into question: {claim}, which stands on {', '.join(ground)}"
        for claim, ground in body["in_question"].items()
    )
    if body["hypothesis"] == hypothesis_id:
        return f"this outcome, {named(body['outcome'])}, walks back {claims}", question
    return f"{body['hypothesis']} ({body['outcome']}) walks back what a verdict here supported: {claims}", question
