"""Registering a hypothesis, deriving its seeds, and telling what changed since."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import rfc8785

from harness.domain.form_differences import find_differences, write_value
from harness.errors import HarnessError, UsageError
from harness.ledger import carried
from harness.ledger.bodies import AmendedBody, RegisteredBody
from harness.ledger.differing import CodeDifferences, compare_code
from harness.ledger.events import Event, Ledger
from harness.ledger.pins import Pins, pin_code
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

SEED_TAG = b"harness/seed/v1\0"


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
    """Derived from the event's digest, or hand-picked."""
    hand_picked_seeds: bool
    """True if the file lists its seeds."""
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
        )
        return ledger.record(body)


def find_registration(ledger: Ledger, hypothesis_id: str) -> Registration | None:
    """Find the first registration of the hypothesis in ledger order.

    Raises:
        Tampered: as ``Ledger.events``.
    """
    found = ledger.index().of(hypothesis_id, RegisteredBody)
    return make_registration(found[0].digest, found[0].claimed_time, found[0].body) if found else None


def make_registration(
    digest: str, claimed_time: str, body: RegisteredBody | AmendedBody, amendment: str | None = None
) -> Registration:
    """Return what the registration ``digest`` fixes, or an amendment of it."""
    return Registration(
        digest=digest,
        claimed_time=claimed_time,
        amendment=amendment,
        raw=body.raw,
        canonical=body.canonical,
        claims=body.claims,
        seeds=derive_seeds(digest, body.seeds) if isinstance(body.seeds, int) else body.seeds,
        hand_picked_seeds=not isinstance(body.seeds, int),
        pins=body.pins,
        data=body.data,
    )


def choose_seeds(registration_digest: str, hypothesis: Hypothesis) -> tuple[int, ...]:
    """Return the seeds of ``hypothesis``: its list as it is, or 48-bit numbers derived from the first registration.

    Seed i is the first 6 bytes, big-endian, of SHA-256("harness/seed/v1" ‖ 0 ‖ registration ‖ i as 8 bytes), so no
    confirming number can be older than the registration and a rerun cannot roll again.
    """
    return hypothesis.seeds.list or derive_seeds(registration_digest, hypothesis.seeds.number)


def derive_seeds(registration_digest: str, count: int) -> tuple[int, ...]:
    """Derive the first ``count`` seed numbers that follow from a registration's event."""
    start = SEED_TAG + bytes.fromhex(registration_digest)
    numbers = tuple(
        int.from_bytes(hashlib.sha256(start + index.to_bytes(8, "big")).digest()[:6], "big") for index in range(count)
    )
    if len(set(numbers)) < count:  # two equal among 10,000: one in five million registrations
        raise HarnessError("two seeds of this registration are equal", remedy="register it again")
    return numbers


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
