"""Amendments: what changes a registration, which registration is in force, and which runs a change is not before."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Literal

from harness.errors import DeviationRefused, UsageError
from harness.ledger.ancestry import Ancestry
from harness.ledger.bodies import AmendedBody, AttemptState, RegisteredBody
from harness.ledger.differing import meaningful
from harness.ledger.event import Event
from harness.ledger.events import Ledger
from harness.ledger.history import attempts, run_name
from harness.ledger.pins import Pins
from harness.ledger.registration import Registration, canonical, find_registration, fixed_by
from harness.records import Hypothesis, Record


class Amendment(Record):
    """An ``amended`` event, and what it came too late for."""

    digest: str
    """Of its event."""
    claimed_time: str
    """Of its event, UTC."""
    body: AmendedBody
    """What it says."""
    after: tuple[str, ...]
    """Runs of the hypothesis that it is a descendant of, in ledger order: their results may have been seen."""
    beside: tuple[str, ...]
    """Runs that are neither before nor after it, because another branch started them."""
    pilots: tuple[str, ...]
    """Pilots that it is not provably before."""

    @property
    def deviates(self) -> bool:
        """Whether what is run under it deviates: it changed more than words and is not provably before every run."""
        words = self.body.kind == "comment" or (
            self.body.kind == "surroundings" and not meaningful(self.body.differences)  # from before they had a kind
        )
        return not words and bool(self.after or self.beside)

    @property
    def when(self) -> str:
        """When it was made, as far as ancestry tells."""
        if self.after:
            when = f"after run {run_name(self.after[0])} started"
        elif self.beside:
            when = f"not provably before run {run_name(self.beside[0])}"
        else:
            when = "before any run"
        return f"{when}, and not provably before pilot {run_name(self.pilots[0])}" if self.pilots else when

    @property
    def lines(self) -> tuple[str, ...]:
        """What it changed, one sentence each, with when and why."""
        return tuple(f"{line}, amended {self.when}: {self.body.reason}" for line in self.body.differences)


def amendments(events: Sequence[Event], hypothesis_id: str, ancestry: Ancestry | None = None) -> tuple[Amendment, ...]:
    """All amendments of a hypothesis in ledger order, classified by ancestry.

    ``events``: parents first; with the ``ancestry`` of a whole ledger, those on the hypothesis are enough.
    """
    ancestry = Ancestry(events) if ancestry is None else ancestry
    own = [event for event in events if event.body.get("hypothesis") == hypothesis_id]
    runs = [event.digest for event in own if event.type == "run_started"]
    pilots = [event.digest for event in own if event.type == "pilot"]
    found = []
    for event in own:
        if event.type != "amended":
            continue
        not_after = [run for run in runs if not ancestry.before(event.digest, run)]
        after = [run for run in not_after if ancestry.before(run, event.digest)]
        found.append(
            Amendment(
                digest=event.digest,
                claimed_time=event.claimed_time,
                body=AmendedBody.model_validate(event.body),
                after=tuple(after),
                beside=tuple(run for run in not_after if run not in after),
                pilots=tuple(pilot for pilot in pilots if not ancestry.before(event.digest, pilot)),
            )
        )
    return tuple(found)


def in_force(ledger: Ledger, hypothesis_id: str) -> Registration | None:
    """The registration with its amendments: what a run is held against now.

    Raises:
        DeviationRefused: two branches amended it side by side, and nothing says which one counts.
        Tampered: as ``Ledger.events``.
    """
    first = find_registration(ledger, hypothesis_id)
    last = last_amendments(ledger, first)
    if len(last) > 1:
        names = " and ".join(f"{event.digest[:12]} ({event.body['reason']})" for event in last)
        raise DeviationRefused(
            f"two branches amended {hypothesis_id} side by side: {names}",
            where=str(ledger.root),
            remedy="decide what is to count, write it into the file, and give harness amend FILE --reason …",
        )
    return _amended(first, last[0]) if first is not None and last else first


def latest(ledger: Ledger, hypothesis_id: str) -> Registration | None:
    """As ``in_force``; of amendments that stand side by side the last in ledger order: what the next one amends."""
    first = find_registration(ledger, hypothesis_id)
    last = last_amendments(ledger, first)
    return _amended(first, last[-1]) if first is not None and last else first


def last_amendments(ledger: Ledger, registration: Registration | None) -> tuple[Event, ...]:
    """A registration's amendments that no other is a descendant of, in ledger order: several after some merges."""
    if registration is None:
        return ()
    events = ledger.events()
    ancestry = Ancestry(events)
    own = [e for e in events if e.type == "amended" and e.body["registration"] == registration.digest]
    return tuple(event for event in own if not any(ancestry.before(event.digest, other.digest) for other in own))


def registration_of(ledger: Ledger, started: Event) -> Registration:
    """The registration, with amendments, that an attempt was started under; whatever was amended since.

    Raises:
        UsageError: it is not in this trail.
    """
    return registration_in({event.digest: event for event in ledger.events()}, started)


def registration_in(events: Mapping[str, Event], started: Event) -> Registration:
    """``registration_of`` over events that were read already, by digest."""
    found = {}
    for what, type_ in (("registration", "registered"), ("amendment", "amended")):
        name = started.body.get(what)
        found[what] = event = events.get(str(name))
        if name is not None and (event is None or event.type != type_):
            raise UsageError(f"the {what} of run {run_name(started.digest)} is not in this trail", where=str(name))
    first, amendment = found["registration"], found["amendment"]
    assert first is not None  # the form of run_started asks for it
    registration = fixed_by(first.digest, first.claimed_time, RegisteredBody.model_validate(first.body))
    return registration if amendment is None else _amended(registration, amendment)


def amend(
    ledger: Ledger,
    before: Registration,
    raw: bytes,
    claims_raw: bytes,
    hypothesis: Hypothesis,
    pins: Pins,
    data: Mapping[str, str],
    *,
    kind: Literal["comment", "surroundings", "meaning"],
    differences: Sequence[str],
    reason: str,
) -> Event:
    """Append an amendment of ``before``, its files as objects first.

    Raises:
        UsageError: nothing differs.
        DeviationRefused: it would choose other seeds, or another number of them after a run started.
        StorageFailed, Tampered: as ``Ledger.append``.
    """
    if before.raw == hashlib.sha256(raw).hexdigest() and not differences:
        raise UsageError(
            "nothing differs from what is registered",
            where=hypothesis.id,
            remedy="change the file first; the amendment then records what was changed, and why",
        )
    listed = before.seeds if before.hand_picked_seeds else None
    if hypothesis.seeds.list != listed:
        raise DeviationRefused(
            "an amendment may change how many seeds are derived, and never which: that would be a second roll",
            where=f"{hypothesis.id}, seeds",
            remedy="keep the registered seeds, or register the question under a new id",
        )
    seen = _seen(ledger, hypothesis.id)
    if hypothesis.seeds.number != len(before.seeds) and any(state.status != "pilot" for state in seen.values()):
        raise DeviationRefused(
            f"{hypothesis.id} was run with {len(before.seeds)} registered seeds, and an amendment to "
            f"{hypothesis.seeds.number} is refused: who may choose when to stop can stop when the outcome pleases",
            where=f"{hypothesis.id}, seeds",
            remedy="keep the registered number, or register the question under a new id, which has fresh seeds",
        )
    for template in pins.template_bytes.values():
        ledger.store_object(template)
    body = AmendedBody(
        hypothesis=hypothesis.id,
        registration=before.digest,
        amends=before.amendment or before.digest,
        raw=ledger.store_object(raw),
        canonical=ledger.store_object(canonical(hypothesis)),
        claims=ledger.store_object(claims_raw),
        seeds=hypothesis.seeds.list or hypothesis.seeds.number,
        pins=pins,
        data=dict(data),
        kind=kind,
        differences=tuple(differences),
        reason=reason,
        attempts=seen,
    )
    return ledger.append("amended", body)


def _seen(ledger: Ledger, hypothesis_id: str) -> dict[str, AttemptState]:
    """Every attempt's full digest → what had become of it."""
    full = {run_name(event.digest): event.digest for event in ledger.events()}
    return {
        full[attempt.run]: AttemptState(status=attempt.status, outcome=attempt.outcome)
        for attempt in attempts(ledger, hypothesis_id)
    }


def _amended(registration: Registration, amendment: Event) -> Registration:
    body = AmendedBody.model_validate(amendment.body)
    return fixed_by(registration.digest, registration.claimed_time, body, amendment.digest)
