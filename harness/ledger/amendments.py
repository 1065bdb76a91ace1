"""Amendments: what changes a registration, which registration is in force, and which runs a change is not before."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from harness.errors import DeviationRefused, UsageError
from harness.ledger.bodies import AmendedBody, AttemptState, PilotBody, RegisteredBody
from harness.ledger.differing import keep_meaningful
from harness.ledger.event import Event
from harness.ledger.events import Ledger
from harness.ledger.index import Entry, LedgerIndex, StartedRun, name_run
from harness.ledger.pins import Pins
from harness.ledger.registration import Registration, find_registration, make_registration, write_canonical
from harness.ledger.runs import list_attempts
from harness.records import Hypothesis, Record


class Amendment(Record):
    """An ``amended`` event, and what it came too late for."""

    digest: str
    """Digest of its event."""
    claimed_time: str
    """Claimed time of its event, UTC."""
    body: AmendedBody
    """The event's body."""
    after: tuple[str, ...]
    """Runs of the hypothesis that it is a descendant of, in ledger order: their results may have been seen."""
    beside: tuple[str, ...]
    """Runs that are neither before nor after it, because another branch started them."""
    pilots: tuple[str, ...]
    """Pilots that it is not provably before."""

    @property
    def deviates(self) -> bool:
        """Tell whether runs under it deviate: it changed more than words and is not provably before every run."""
        words = self.body.kind == "comment" or (
            self.body.kind == "surroundings"
            and not keep_meaningful(self.body.differences)  # from before they had a kind
        )
        return not words and bool(self.after or self.beside)

    @property
    def when(self) -> str:
        """Say when it was made, as far as ancestry tells."""
        if self.after:
            when = f"after run {name_run(self.after[0])} started"
        elif self.beside:
            when = f"not provably before run {name_run(self.beside[0])}"
        else:
            when = "before any run"
        return f"{when}, and not provably before pilot {name_run(self.pilots[0])}" if self.pilots else when

    @property
    def lines(self) -> tuple[str, ...]:
        """List what it changed, one sentence each, with when and why."""
        return tuple(f"{line}, amended {self.when}: {self.body.reason}" for line in self.body.differences)


def list_amendments(index: LedgerIndex, hypothesis_id: str) -> tuple[Amendment, ...]:
    """Return all amendments of a hypothesis in ledger order, classified by ancestry."""
    runs = [start.digest for start in index.starts(hypothesis_id)]
    pilots = [pilot.digest for pilot in index.of(hypothesis_id, PilotBody)]
    found = []
    for entry in index.of(hypothesis_id, AmendedBody):
        not_after = [run for run in runs if not index.before(entry.digest, run)]
        after = [run for run in not_after if index.before(run, entry.digest)]
        found.append(
            Amendment(
                digest=entry.digest,
                claimed_time=entry.claimed_time,
                body=entry.body,
                after=tuple(after),
                beside=tuple(run for run in not_after if run not in after),
                pilots=tuple(pilot for pilot in pilots if not index.before(entry.digest, pilot)),
            )
        )
    return tuple(found)


def find_in_force(ledger: Ledger, hypothesis_id: str) -> Registration | None:
    """Return the registration with its amendments: what a run is held against now.

    Raises:
        DeviationRefused: two branches amended it side by side, and nothing says which one counts.
        Tampered: as ``Ledger.events``.
    """
    first = find_registration(ledger, hypothesis_id)
    last = list_last_amendments(ledger, first)
    if len(last) > 1:
        names = " and ".join(f"{entry.digest[:12]} ({entry.body.reason})" for entry in last)
        raise DeviationRefused(
            f"two branches amended {hypothesis_id} side by side: {names}",
            where=str(ledger.root),
            remedy="decide what is to count, write it into the file, and give harness amend FILE --reason …",
        )
    return _apply(first, last[0]) if first is not None and last else first


def find_latest(ledger: Ledger, hypothesis_id: str) -> Registration | None:
    """Return the registration that the next amendment amends.

    This is ``find_in_force``; of amendments that stand side by side, the last in ledger order.
    """
    first = find_registration(ledger, hypothesis_id)
    last = list_last_amendments(ledger, first)
    return _apply(first, last[-1]) if first is not None and last else first


def list_last_amendments(ledger: Ledger, registration: Registration | None) -> tuple[Entry[AmendedBody], ...]:
    """Return a registration's amendments that no other descends from, in ledger order: several after some merges."""
    if registration is None:
        return ()
    index = ledger.index()
    own = [entry for entry in index.entries(AmendedBody) if entry.body.registration == registration.digest]
    return tuple(entry for entry in own if not any(index.before(entry.digest, other.digest) for other in own))


def find_registration_of(index: LedgerIndex, run: StartedRun) -> Registration:
    """Return the registration, with amendments, that a run was started under; whatever was amended since.

    Raises:
        UsageError: it is not in this trail.
    """
    first = index.entry(run.body.registration)
    if first is None or not isinstance(first.body, RegisteredBody):
        raise UsageError(f"the registration of run {run.name} is not in this trail", where=run.body.registration)
    registration = make_registration(first.digest, first.claimed_time, first.body)
    if run.body.amendment is None:
        return registration
    amendment = index.body(run.body.amendment)
    if not isinstance(amendment, AmendedBody):
        raise UsageError(f"the amendment of run {run.name} is not in this trail", where=run.body.amendment)
    return make_registration(first.digest, first.claimed_time, amendment, run.body.amendment)


class Version(NamedTuple):
    """A hypothesis as it is to be registered from here on."""

    raw: bytes
    """The YAML file."""
    claims_raw: bytes
    """The claims file."""
    hypothesis: Hypothesis
    """The meaning of both."""
    pins: Pins
    """The code that later runs will use."""
    data: Mapping[str, str]
    """Data set → fingerprint, where it is known."""


def amend(
    ledger: Ledger,
    before: Registration,
    now: Version,
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
    raw, claims_raw, hypothesis, pins, data = now
    if before.raw == hashlib.sha256(raw).hexdigest() and not differences:
        raise UsageError(
            "nothing differs from what is registered",
            where=hypothesis.id,
            remedy="change the file first; the amendment then records what was changed, and why",
        )
    listed = before.seeds if before.hand_picked_seeds else None
    if hypothesis.seeds.list != listed:
        raise DeviationRefused(
            "an amendment may change how many seeds are derived, never which: whoever chooses seeds can try until "
            "the outcome pleases",
            where=f"{hypothesis.id}, seeds",
            remedy="keep the registered seeds, or register the question under a new id",
        )
    seen = _find_attempts(ledger, hypothesis.id)
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
        canonical=ledger.store_object(write_canonical(hypothesis)),
        claims=ledger.store_object(claims_raw),
        seeds=hypothesis.seeds.list or hypothesis.seeds.number,
        pins=pins,
        data=dict(data),
        kind=kind,
        differences=tuple(differences),
        reason=reason,
        attempts=seen,
    )
    return ledger.record(body)


def _find_attempts(ledger: Ledger, hypothesis_id: str) -> dict[str, AttemptState]:
    """Return every attempt's full digest → what had become of it."""
    digests = ledger.index().attempts_and_pilots(hypothesis_id)
    return {
        digest: AttemptState(status=attempt.status, outcome=attempt.outcome)
        for digest, attempt in zip(digests, list_attempts(ledger, hypothesis_id), strict=True)
    }


def _apply(registration: Registration, amendment: Entry[AmendedBody]) -> Registration:
    return make_registration(registration.digest, registration.claimed_time, amendment.body, amendment.digest)
