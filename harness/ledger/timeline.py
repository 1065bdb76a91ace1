"""A hypothesis's life as a timeline: every event that concerns it, in ledger order, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from harness.beacons import format_time
from harness.errors import UsageError
from harness.ledger.amendments import Amendment, list_amendments
from harness.ledger.attempt_records import AttemptProgress
from harness.ledger.bodies import (
    AmendedBody,
    AnchoredBody,
    LookBody,
    RegisteredBody,
    RunAbortedBody,
    RunFailedBody,
    RunFinishedBody,
    RunResumedBody,
    RunStartedBody,
    SeededBody,
    TunedBody,
    VerdictBody,
    WalkBackBody,
)
from harness.ledger.covered import HEAD_DIGITS
from harness.ledger.differing import WORDS_ONLY, keep_meaningful
from harness.ledger.event import Event
from harness.ledger.events import Ledger
from harness.ledger.explored import describe_exploration
from harness.ledger.index import LedgerIndex, name_run
from harness.ledger.measured_body import MeasuredBody
from harness.ledger.prior_data_bodies import ExploredBody, PeekedBody, PilotBody
from harness.ledger.progress import describe_progress
from harness.ledger.rerun_bodies import RepeatedBody, ReplicatedBody
from harness.ledger.seeding import CHOOSABLE, find_delay_end
from harness.records import Record
from harness.wording import format_count, quote_outcome

Told = tuple[str, tuple[str, ...]]
"""A sentence about an event, and details of it."""


class Moment(Record):
    """One event of a hypothesis's life."""

    digest: str
    """Digest of the event."""
    type: str
    """The event's type."""
    claimed_time: str
    """Claimed time of the event, UTC."""
    actor: str
    """Name of whoever appended it, by their own account."""
    text: str
    """The event in one sentence."""
    details: tuple[str, ...]
    """More about it, one sentence each."""
    beside: bool
    """True if another branch appended it: it is not provably after the moment above it."""


def read_timeline(ledger: Ledger, hypothesis_id: str) -> tuple[Moment, ...]:
    """List registrations, amendments with differences, attempts, looks, verdicts, walk-backs, reruns, anchors.

    Raises:
        UsageError: the ledger has nothing about the hypothesis.
        Tampered: as ``Ledger.events``.
    """
    index = ledger.index()
    classified = {amendment.digest: amendment for amendment in list_amendments(index, hypothesis_id)}
    own: set[str] = set()
    found: list[Moment] = []
    for event in index.may_concern(hypothesis_id):
        if not _concerns(event, hypothesis_id, own, index):
            continue
        text, details = _describe(event, hypothesis_id, classified)
        above = found[-1].digest if found else None
        own.add(event.digest)
        found.append(
            Moment(
                digest=event.digest,
                type=event.type,
                claimed_time=event.claimed_time,
                actor=event.actor,
                text=text,
                details=details,
                beside=above is not None and not index.before(above, event.digest),
            )
        )
    if not found:
        raise UsageError(
            f"the ledger has nothing about {hypothesis_id!r}",
            where=str(ledger.root),
            remedy="harness list shows the hypotheses; name the trail's folder with --verdicts",
        )
    return tuple(found)


def _concerns(event: Event, hypothesis_id: str, own: Set[str], index: LedgerIndex) -> bool:
    """Tell whether an event is about the hypothesis, by itself or through an event of ``own``, those before it."""
    body = event.content
    if isinstance(body, AnchoredBody):
        return any(digest == body.head or index.before(digest, body.head) for digest in own)
    if isinstance(body, WalkBackBody) and any(verdict in own for verdict in body.concerns):
        return True
    if body is None:  # of a later version
        return event.body.get("hypothesis") == hypothesis_id or event.body.get("run") in own
    return getattr(body, "hypothesis", None) == hypothesis_id or getattr(body, "run", None) in own


def _describe(event: Event, hypothesis_id: str, classified: Mapping[str, Amendment]) -> Told:
    """Say what happened by an event; ``classified``: the hypothesis's amendments by their events."""
    match event.content:
        case RegisteredBody() as body:
            return f"registered: {body.title}", (_describe_seeds(event, body), *_list_data(body.data))
        case SeededBody() as body:
            text = f"seeds were drawn from the round of {body.time}"
            return text, (f"value {body.value[:12]}…, record {body.record[:12]}, normal form {body.form[:12]}",)
        case AmendedBody() as body:
            amendment = classified[event.digest]
            changed = body.differences or ("only comments and layout differ",)
            remark = (amendment.remark,) if amendment.remark else ()
            return f"amended, {amendment.when}: {body.reason}", (*changed, *remark)
        case RunStartedBody() as body:
            text = f"an attempt started on {body.device}, with {format_count(len(body.seeds), 'seed')}"
            return text, _list_deviations(body)
        case WalkBackBody() as body:
            return _describe_walk_back(body, hypothesis_id)
        case PilotBody() as body:
            return f"a pilot was run: {', '.join(f'{key} {value}' for key, value in body.settings.items())}", ()
        case ExploredBody() as body:
            return f"earlier results were explored, {describe_exploration(body)}", ()
        case AnchoredBody() as body:
            how = "stamped by" if body.kind == "tsa" else "signed with"
            when = f" at {body.time}" if body.time else ""
            return f"everything up to {body.head[:HEAD_DIGITS]} was {how} {body.by}{when}", ()
        case None:
            return event.type, ()  # a type from a later version: it is named, and not passed over
        case body:
            return _describe_run(body)


def _describe_seeds(event: Event, body: RegisteredBody) -> str:
    """Say what seeds a registration has, and who could have chosen them."""
    if not isinstance(body.seeds, int):
        return f"{len(body.seeds)} hand-picked seeds"
    if body.beacon is None:
        return f"{body.seeds} derived seeds, {CHOOSABLE}"
    end = format_time(find_delay_end(event.claimed_time, body.beacon))
    return f"{body.seeds} seeds, to be drawn from the first round of {body.beacon.get('name')} later than {end}"


def _describe_run(body: Record) -> Told:
    """Say what became of a run."""
    match body:
        case TunedBody():
            chosen = [f"{arm}: {path} {value}" for arm, one in body.chosen.items() for path, value in one.items()]
            return f"run {name_run(body.run)} chose the settings of its arms", tuple(chosen)
        case LookBody():
            after = f"run {name_run(body.run)} was looked at after {format_count(body.seeds, 'seed')}"
            return f"{after}: {body.outcome or 'nothing is decided, it goes on'}", ()
        case PeekedBody():
            shown = f"values of run {name_run(body.run)} were looked at before its end, from here on: prior data"
            return shown, _list_progress(body.progress)
        case RunFinishedBody():
            return f"run {name_run(body.run)} finished", ()
        case RunFailedBody():
            return f"run {name_run(body.run)} failed: {body.reason}", _list_progress(body.progress)
        case RunAbortedBody():
            return f"run {name_run(body.run)} was closed: {body.reason}", _list_progress(body.progress)
        case RunResumedBody():
            return f"run {name_run(body.run)} was resumed", _list_progress(body.progress)
        case VerdictBody():
            return f"verdict on run {name_run(body.run)}: {body.outcome}", ()
        case RepeatedBody():
            agrees = "it does not agree" if body.differences else "it agrees"
            again = f"run {name_run(body.run)} was repeated with seeds from the nonce {body.nonce}: {body.outcome}"
            return f"{again}; {agrees}", body.differences
        case MeasuredBody():
            return describe_measurement(body), ()
        case ReplicatedBody():
            found = {"bits": "to the same bits", "statistics": "to the same statistics", "none": "and does not agree"}
            again = f"run {name_run(body.run)} was trained again on {body.device}, {found[body.agreement]}"
            return again, body.differences
    raise AssertionError(f"a type of event without words: {type(body).__name__}")


def describe_measurement(body: MeasuredBody) -> str:
    """Say what was measured on stored weights, and on which."""
    by_epoch: dict[int, list[str]] = {}
    for arm, epoch in body.epochs.items():
        by_epoch.setdefault(epoch, []).append(arm)
    of = "; ".join(f"{', '.join(arms)} at epoch {epoch}" for epoch, arms in by_epoch.items())
    weights = f"{format_count(len(body.weights), 'file')} of weights"
    return f"run {name_run(body.run)} was measured again, exploratory: {', '.join(body.metrics)} ({of}; {weights})"


def _list_progress(progress: AttemptProgress | None) -> tuple[str, ...]:
    return (came,) if (came := describe_progress(progress)) else ()


def _list_deviations(body: RunStartedBody) -> tuple[str, ...]:
    """List what a run differs in from its registration: what makes it deviate, then what concerns words only."""
    serious = keep_meaningful(body.deviations)
    words = [line.removeprefix(WORDS_ONLY) for line in body.deviations if line not in serious]
    words += [body.words] if body.words else []
    return (*(f"deviates: {line}" for line in serious), *(f"in what is meant for words only: {line}" for line in words))


def _list_data(data: Mapping[str, str]) -> Sequence[str]:
    return [f"data of {name}: {fingerprint[:12]}" for name, fingerprint in data.items()]


def _describe_walk_back(body: WalkBackBody, hypothesis_id: str) -> Told:
    claims = ", ".join(body.claims)
    question = tuple(
        f"comes into question: {claim}, which stands on {', '.join(ground)}"
        for claim, ground in body.in_question.items()
    )
    if body.hypothesis == hypothesis_id:
        return f"this outcome, {quote_outcome(body.outcome)}, walks back {claims}", question
    return f"{body.hypothesis} ({body.outcome}) walks back what a verdict here supported: {claims}", question
