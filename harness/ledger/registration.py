"""Registering a hypothesis, deriving its seeds, and telling what changed since."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import rfc8785

from harness.domain.form_differences import find_differences, write_value
from harness.errors import UsageError
from harness.ledger import carried
from harness.ledger.bodies import AmendedBody, RegisteredBody, SeededBody
from harness.ledger.differing import CodeDifferences, compare_code
from harness.ledger.events import Event, Ledger
from harness.ledger.index import Entry
from harness.ledger.pins import Pins, pin_code
from harness.ledger.seeding import derive_seeds, find_seeded, list_seeds
from harness.plugins.fields import Unit
from harness.records import Hypothesis, Record

__all__ = [
    "Comparison",
    "Pins",
    "Registration",
    "choose_seeds",
    "compare",
    "derive_seeds",
    "find_registration",
    "list_differences",
    "pin_code",
    "register",
    "write_canonical",
]


class Registration(Record):
    """A hypothesis as it is registered: by its first registration, or by an amendment of it."""

    digest: str
    """Digest of the first registration's event."""
    claimed_time: str
    """Claimed time of the first registration, UTC."""
    amendment: str | None = None
    """Digest of the amendment that fixed the rest, if there was one."""
    raw: str
    """Digest of the YAML file, which is an object."""
    canonical: str
    """Digest of the hypothesis with its defaults as RFC 8785 bytes, which are an object."""
    claims: str
    """Digest of the claims file, which is an object."""
    seeds: Annotated[tuple[int, ...], Unit("seed numbers")]
    """Derived from the event's digest or a beacon's round, or hand-picked; empty while the round was not drawn."""
    number: Annotated[int, Unit("seeds")]
    """Number of seeds."""
    hand_picked_seeds: bool
    """True if the file lists its seeds."""
    beacon: dict[str, Any] | None = None
    """The beacon from which seeds are derived, with its parameters; None: they are not derived from one."""
    seeded: str | None = None
    """Digest of the event that drew them; None before it, and without a beacon."""
    pins: Pins
    """The code that it fixed, by digest."""
    data: dict[str, str]
    """Data-set name → fingerprint, where it was known."""


class Comparison(Record):
    """A hypothesis, as it is now, against its registration."""

    status: Literal["identical", "comment_only", "changed"]
    """identical: byte for byte; comment_only: another text with the same meaning; changed: another meaning."""
    differences: tuple[str, ...]
    """Field by field, "arms.penalized.penalty.strength: 0.01 → 0.02"; empty unless changed."""
    code: CodeDifferences
    """Differences in the code, by what it is meant for."""


def write_canonical(hypothesis: Hypothesis) -> bytes:
    """Write the hypothesis with all defaults as RFC 8785 bytes: the same meaning gives the same bytes."""
    return rfc8785.dumps(hypothesis.model_dump(mode="json"))


def register(
    ledger: Ledger,
    loaded_raw: bytes,
    claims_raw: bytes,
    hypothesis: Hypothesis,
    pins: Pins,
    data: Mapping[str, str] | None = None,
) -> Event:
    """Append the registration, its files as objects first. ``data`` maps data sets to fingerprints, where known.

    Raises:
        UsageError: the hypothesis is registered already.
        StorageFailed, Tampered: as ``Ledger.append``.
    """
    with ledger.locked():
        carried.prepare(ledger.root)
        if (earlier := find_registration(ledger, hypothesis.id)) is not None:
            raise UsageError(
                f"the hypothesis is registered already, by event {earlier.digest[:12]} ({earlier.claimed_time})",
                where=hypothesis.id,
                remedy="run it as it is, change it with harness amend FILE --reason …, or give a new question a new id",
            )
        for template in pins.template_bytes.values():
            ledger.store_object(template)
        body = RegisteredBody(
            hypothesis=hypothesis.id,
            title=hypothesis.title,
            raw=ledger.store_object(loaded_raw),
            canonical=ledger.store_object(write_canonical(hypothesis)),
            claims=ledger.store_object(claims_raw),
            seeds=hypothesis.seeds.list or hypothesis.seeds.number,
            pins=pins,
            data=dict(data or {}),
            beacon=list_parameters(hypothesis),
        )
        return ledger.record(body)


def list_parameters(hypothesis: Hypothesis) -> dict[str, Any] | None:
    """Return the beacon of a hypothesis by its parameters, as events have it; None if it names none."""
    beacon = hypothesis.seeds.beacon
    return None if beacon is None else beacon.model_dump(mode="json")


def find_registration(ledger: Ledger, hypothesis_id: str) -> Registration | None:
    """Find the first registration of the hypothesis in ledger order.

    Raises:
        Tampered: as ``Ledger.events``.
    """
    index = ledger.index()
    found = index.of(hypothesis_id, RegisteredBody)
    return make_registration(found[0], seeded=find_seeded(index, found[0].digest)) if found else None


def make_registration(
    first: Entry[RegisteredBody],
    amendment: Entry[AmendedBody] | None = None,
    seeded: Entry[SeededBody] | None = None,
) -> Registration:
    """Return what a registration fixes, or an amendment of it, with the seeds if they are known yet."""
    body: RegisteredBody | AmendedBody = first.body if amendment is None else amendment.body
    return Registration(
        digest=first.digest,
        claimed_time=first.claimed_time,
        amendment=None if amendment is None else amendment.digest,
        raw=body.raw,
        canonical=body.canonical,
        claims=body.claims,
        seeds=list_seeds(first.digest, body, None if seeded is None else seeded.body),
        number=body.seeds if isinstance(body.seeds, int) else len(body.seeds),
        hand_picked_seeds=not isinstance(body.seeds, int),
        beacon=body.beacon,
        seeded=None if seeded is None else seeded.digest,
        pins=body.pins,
        data=body.data,
    )


def choose_seeds(registration_digest: str, hypothesis: Hypothesis) -> tuple[int, ...]:
    """Return the seeds of a hypothesis without a beacon: its list as it is, or derived from the first registration."""
    return hypothesis.seeds.list or derive_seeds(registration_digest, hypothesis.seeds.number)


def compare(registration: Registration, hypothesis: Hypothesis, raw: bytes, pins: Pins, ledger: Ledger) -> Comparison:
    """Compare the registration with the file, its meaning and the code as they are now.

    Raises:
        Tampered: the registered form is missing from the ledger's objects or was changed there.
    """
    now = write_canonical(hypothesis)
    changed: tuple[str, ...] = ()
    if hashlib.sha256(now).hexdigest() != registration.canonical:
        changed = compare_meanings(json.loads(ledger.read_object(registration.canonical)), json.loads(now))
    same_text = hashlib.sha256(raw).hexdigest() == registration.raw
    return Comparison(
        status="changed" if changed else "identical" if same_text else "comment_only",
        differences=changed,
        code=compare_code(registration.pins, pins),
    )


def list_differences(before: Hypothesis, now: Hypothesis) -> tuple[str, ...]:
    """List field by field what ``now`` says otherwise than ``before``."""
    return compare_forms(before.model_dump(mode="json"), now.model_dump(mode="json"))


def compare_meanings(before: dict[str, Any], now: dict[str, Any]) -> tuple[str, ...]:
    """List field by field what one canonical form says otherwise than another, fields added to the form since aside.

    A file that does not use them means what it meant, so they are no difference. A form that today's records refuse is
    compared as it is.
    """
    old, new = _in_todays_form(before), _in_todays_form(now)
    return compare_forms(before, now) if old is None or new is None else compare_forms(old, new)


def compare_forms(before: Any, now: Any) -> tuple[str, ...]:
    """List field by field what one JSON value says otherwise than another, as they are."""
    return tuple(
        f"{one.field}: {write_value(one.before)} → {write_value(one.now)}" for one in find_differences(before, now)
    )


def _in_todays_form(form: dict[str, Any]) -> Any:
    """Return a canonical form with the fields that were added since, at their defaults; None if it is refused today."""
    try:
        return json.loads(write_canonical(Hypothesis.model_validate(form)))
    except ValueError:
        return None
