"""Seed numbers: what they are derived from, and the event that draws them from a beacon's round.

There are two derivations, by name. ``harness/seed/v1`` takes the registration's event alone, which its author writes:
whoever varies a comment, a title or a time has other seeds to try. ``harness/seed/v2`` takes what is trained and
decided (the normal form) and a round of a public beacon that is later than the registration: nobody could have chosen
these. docs/decisions/0044.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import ValidationError

from harness.beacons import Beacon, Drawn, Registered, format_time
from harness.errors import HarnessError, UsageError
from harness.ledger.bodies import AmendedBody, RegisteredBody, SeededBody
from harness.ledger.index import Entry, LedgerIndex
from harness.plugins.registry import find_members

FROM_REGISTRATION = "harness/seed/v1"
FROM_ROUND = "harness/seed/v2"
FROM_NONCE = "harness/seed/fresh-v1"
FOR_TUNING = "harness/seed/tuning-v1"
NEVER = datetime.max.replace(tzinfo=UTC)
CHOOSABLE = "seeds its author could have chosen"
"""Words of every page, listing and audit for seeds that follow from the registration alone."""


def derive_seeds(registration_digest: str, count: int) -> tuple[int, ...]:
    """Derive the first ``count`` seed numbers that follow from a registration's event alone.

    Seed i is the first 6 bytes, big-endian, of SHA-256("harness/seed/v1" ‖ 0 ‖ registration ‖ i as 8 bytes).
    """
    return _derive(FROM_REGISTRATION, bytes.fromhex(registration_digest), count)


def derive_from_round(form_digest: str, value: str, count: int) -> tuple[int, ...]:
    """Derive the first ``count`` seed numbers that follow from a normal form and a beacon's value.

    Seed i is the first 6 bytes, big-endian, of SHA-256("harness/seed/v2" ‖ 0 ‖ SHA-256(form) ‖ value ‖ i as 8 bytes).
    The form's digest stands for the form, so that the event alone gives the seeds.
    """
    return _derive(FROM_ROUND, bytes.fromhex(form_digest) + bytes.fromhex(value), count)


def derive_from_nonce(form_digest: str, nonce: str, count: int) -> tuple[int, ...]:
    """Derive the seeds of a repetition, which follow from a normal form and a nonce that a reader chose.

    Seed i is the first 6 bytes, big-endian, of SHA-256("harness/seed/fresh-v1" ‖ 0 ‖ SHA-256(form) ‖ SHA-256(nonce) ‖
    i as 8 bytes).
    """
    material = bytes.fromhex(form_digest) + hashlib.sha256(nonce.encode()).digest()
    return _derive(FROM_NONCE, material, count)


def derive_tuning_seeds(deciding: tuple[int, ...], count: int) -> tuple[int, ...]:
    """Derive the seeds of a search from those that decide, all that are registered, whatever these follow from.

    They are the first that are none of these among the first 6 bytes, big-endian, of SHA-256("harness/seed/tuning-v1" ‖
    0 ‖ each deciding seed as 8 bytes ‖ i as 8 bytes).
    """
    material = b"".join(seed.to_bytes(8, "big") for seed in deciding)
    numbers = _derive(FOR_TUNING, material, count + len(deciding))
    return tuple(number for number in numbers if number not in {*deciding})[:count]


def _derive(name: str, material: bytes, count: int) -> tuple[int, ...]:
    start = name.encode() + b"\0" + material
    numbers = tuple(
        int.from_bytes(hashlib.sha256(start + index.to_bytes(8, "big")).digest()[:6], "big") for index in range(count)
    )
    if len(set(numbers)) < count:  # two equal among 10,000: one in five million registrations
        raise HarnessError("two seeds of this registration are equal", remedy="register it again")
    return numbers


def list_seeds(
    registration: str, body: RegisteredBody | AmendedBody, seeded: SeededBody | None, count: int | None = None
) -> tuple[int, ...]:
    """Return the seeds of a registration, or the first ``count``; none while its beacon's round was not drawn."""
    if not isinstance(body.seeds, int):
        return body.seeds
    count = body.seeds if count is None else min(count, body.seeds)
    if body.beacon is None:
        return derive_seeds(registration, count)
    return () if seeded is None else derive_from_round(seeded.form, seeded.value, count)


def find_seeded(index: LedgerIndex, registration: str) -> Entry[SeededBody] | None:
    """Return the event that drew a registration's seeds, the first if branches entered several; None before it."""
    body = index.body(registration)
    found = index.of(body.hypothesis, SeededBody) if isinstance(body, RegisteredBody) else ()
    return next((entry for entry in found if entry.body.registration == registration), None)


def read_beacon(told: Mapping[str, Any]) -> Beacon:
    """Return the beacon that a registration fixed, by its parameters as the event has them.

    Raises:
        UsageError: no plug-in of its name is installed.
        HarnessError: the plug-in refuses the parameters.
    """
    name = str(told.get("name"))
    kind = find_members("beacons").get(name)
    if kind is None:
        raise UsageError(f"no beacon is called {name!r} here", where="beacons", remedy="install the plug-in's package")
    try:
        beacon = kind.model_validate(told)
    except ValidationError as error:
        problem = f"these are not parameters of the beacon {name}: {error.errors()[0]['msg']}"
        raise HarnessError(problem, where="beacons", remedy="use the version of the plug-in that it names") from error
    assert isinstance(beacon, Beacon)
    return beacon


def is_same_beacon(one: Any, other: Any) -> bool:
    """Tell whether two sets of parameters are of one beacon; those that a plug-in gained since have their defaults."""
    if one == other or not (isinstance(one, dict) and isinstance(other, dict)):
        return bool(one == other)
    try:
        return read_beacon(one) == read_beacon(other)
    except HarnessError:
        return False


def explain_known(index: LedgerIndex, registration: str, moment: tuple[str | None, datetime]) -> str | None:
    """Say since when the seeds of a registration with a beacon could be known at a moment; None if they could not.

    A moment is an event and its time; without an event it is now. Without a beacon this says nothing: then seeds could
    be known from the registration on.
    """
    event, time = moment
    registered, seeded = index.entry(registration), find_seeded(index, registration)
    if registered is None or not isinstance(registered.body, RegisteredBody) or registered.body.beacon is None:
        return None
    if seeded is None:
        end = find_delay_end(registered.claimed_time, registered.body.beacon)
        return None if time <= end else f"after its round could be known ({format_time(end)})"
    if event is None or index.before(seeded.digest, event):
        return "after its seeds were drawn"
    if not index.before(event, seeded.digest):
        return "not provably before its seeds were drawn"
    drawn = read_time(seeded.body.time)
    return None if time < drawn else f"after its round was known ({format_time(drawn)})"


def read_registered(digest: str, claimed_time: str) -> Registered:
    """Return what a round is drawn for."""
    return Registered(digest, read_time(claimed_time))


def read_time(text: str) -> datetime:
    """Return the time that an event tells; one that no calendar has is later than all others."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return NEVER


def write_time(time: datetime) -> str:
    """Return a time as ``seeded`` events have it: UTC, to the second or as exactly as the beacon tells it."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def find_delay_end(claimed_time: str, beacon: Mapping[str, Any]) -> datetime:
    """Return the time that a registration's round is later than, which needs no plug-in: registration and delay."""
    delay = beacon.get("delay")
    try:
        return read_time(claimed_time) + timedelta(seconds=delay if isinstance(delay, int) else 0)
    except OverflowError:
        return NEVER


def describe_round(drawn: Drawn) -> dict[str, str]:
    """Return the fields of a ``seeded`` event that a verified record gives."""
    return {"value": drawn.value.hex(), "time": write_time(drawn.time), "derivation": FROM_ROUND}
