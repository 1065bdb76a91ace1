"""Amendments: what changes a registration, which registration is in force, and which runs a change is not before."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal, NamedTuple, cast

from harness.errors import DeviationRefused, UsageError
from harness.ledger.attempt_records import AttemptState
from harness.ledger.bodies import AmendedBody, RegisteredBody, SeededBody
from harness.ledger.differing import keep_meaningful
from harness.ledger.event import Event
from harness.ledger.events import Ledger
from harness.ledger.index import Entry, LedgerIndex, StartedRun, name_run
from harness.ledger.pins import Pins
from harness.ledger.prior_data_bodies import PilotBody
from harness.ledger.registration import (
    Registration,
    find_registration,
    list_parameters,
    make_registration,
    write_canonical,
)
from harness.ledger.runs import list_attempts
from harness.ledger.seeding import explain_known, find_seeded, is_same_beacon, read_time
from harness.records import Hypothesis, Record

KNOWN_ALWAYS = "its seeds were known since its registration, so whoever amended it could have trained them first"
"""Remark on an amendment before any run, of a registration without a beacon."""


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
    known: str | None = None
    """Words for the amendment's place after the seeds that a beacon drew could be known; None if they could not be, or
    if the registration has no beacon."""
    drawn: bool = False
    """True if a beacon draws the seeds; otherwise they could be known from the registration on."""

    @property
    def deviates(self) -> bool:
        """Tell whether runs under it deviate.

        They do if it changed more than words, and not provably before every run and before anybody could know what a
        beacon drew. Without a beacon that was always possible, which ``remark`` says.
        """
        return not self.in_words and bool(self.after or self.beside or self.known)

    @property
    def in_words(self) -> bool:
        """Tell whether it changed words only."""
        return self.body.kind == "comment" or (
            self.body.kind == "surroundings"
            and not keep_meaningful(self.body.differences)  # from before they had a kind
        )

    @property
    def remark(self) -> str | None:
        """Say of an amendment that is no deviation what its author could have known; None if there is nothing to say.

        It is no part of ``lines``, which stored pages repeat.
        """
        return None if self.drawn or self.in_words or self.deviates else KNOWN_ALWAYS

    @property
    def when(self) -> str:
        """Say when it was made, as far as ancestry tells."""
        if self.after:
            when = f"after run {name_run(self.after[0])} started"
        elif self.beside:
            when = f"not provably before run {name_run(self.beside[0])}"
        elif self.known:
            when = self.known
        else:
            when = "before its seeds could be known" if self.drawn else "before any run"
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
        moment = (entry.digest, read_time(entry.claimed_time))
        first = index.body(entry.body.registration)
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
                known=explain_known(index, entry.body.registration, moment),
                drawn=isinstance(first, RegisteredBody) and first.beacon is not None,
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
    return _apply(ledger, last[0]) if last else first


def find_latest(ledger: Ledger, hypothesis_id: str) -> Registration | None:
    """Return the registration that the next amendment amends.

    This is ``find_in_force``; of amendments that stand side by side, the last in ledger order.
    """
    first = find_registration(ledger, hypothesis_id)
    last = list_last_amendments(ledger, first)
    return _apply(ledger, last[-1]) if last else first


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
    amendment, seeded = index.entry(run.body.amendment or ""), index.entry(run.body.seeded or "")
    if run.body.amendment is not None and (amendment is None or not isinstance(amendment.body, AmendedBody)):
        raise UsageError(f"the amendment of run {run.name} is not in this trail", where=run.body.amendment)
    if run.body.seeded is not None and (seeded is None or not isinstance(seeded.body, SeededBody)):
        raise UsageError(f"the draw of seeds of run {run.name} is not in this trail", where=run.body.seeded)
    return make_registration(
        cast("Entry[RegisteredBody]", first),
        cast("Entry[AmendedBody] | None", amendment),
        cast("Entry[SeededBody] | None", seeded),
    )


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
        DeviationRefused: it would choose other seeds, or another number of them after a run started or they were known.
        StorageFailed, Tampered: as ``Ledger.append``.
    """
    raw, claims_raw, hypothesis, pins, data = now
    if before.raw == hashlib.sha256(raw).hexdigest() and not differences:
        raise UsageError(
            "nothing differs from what is registered",
            where=hypothesis.id,
            remedy="change the file first; the amendment then records what was changed, and why",
        )
    listed, parameters = before.seeds if before.hand_picked_seeds else None, list_parameters(hypothesis)
    if hypothesis.seeds.list != listed or not is_same_beacon(parameters, before.beacon):
        raise DeviationRefused(
            "an amendment may change how many seeds are derived, never which, nor the beacon that draws them: whoever "
            "chooses seeds can try until the outcome pleases",
            where=f"{hypothesis.id}, seeds",
            remedy="keep the registered seeds and beacon, or register the question under a new id",
        )
    seen = _find_attempts(ledger, hypothesis.id)
    started = any(state.status != "pilot" for state in seen.values())
    known = explain_known(ledger.index(), before.digest, (None, datetime.now(UTC)))
    if hypothesis.seeds.number != before.number and (started or known):
        state = "was run with" if started else "has"
        raise DeviationRefused(
            f"{hypothesis.id} {state} {before.number} registered seeds, and an amendment to {hypothesis.seeds.number} "
            f"{f'{known} ' if known and not started else ''}is refused: whoever may choose when to stop can stop when "
            "the outcome pleases",
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
        beacon=before.beacon,
    )
    return ledger.record(body)


def _find_attempts(ledger: Ledger, hypothesis_id: str) -> dict[str, AttemptState]:
    """Return every attempt's full digest → what had become of it."""
    digests = ledger.index().attempts_and_pilots(hypothesis_id)
    return {
        digest: AttemptState(status=attempt.status, outcome=attempt.outcome)
        for digest, attempt in zip(digests, list_attempts(ledger, hypothesis_id), strict=True)
    }


def _apply(ledger: Ledger, amendment: Entry[AmendedBody]) -> Registration:
    index = ledger.index()
    first = index.entry(amendment.body.registration)
    return make_registration(
        cast("Entry[RegisteredBody]", first), amendment, find_seeded(index, amendment.body.registration)
    )
