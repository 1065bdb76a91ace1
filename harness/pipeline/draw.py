"""Drawing seeds: the round of a beacon that a registration fixed is waited for, fetched, or taken from a file.

Nothing is lost by stopping here: the registration is in the ledger, and the same command goes on.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from harness import ledger, spec
from harness.beacons import Beacon, Drawn, Registered, format_time
from harness.domain.normal_form import encode_normal_form
from harness.errors import HarnessError, UsageError
from harness.ledger import Ledger, Registration
from harness.ledger.bodies import SeededBody
from harness.ledger.seeding import (
    CHOOSABLE,
    describe_round,
    find_seeded,
    read_beacon,
    read_registered,
    read_time,
)
from harness.pipeline.program import pin
from harness.pipeline.run_steps import refuse_changes
from harness.pipeline.session import Session
from harness.records import Draw, Hypothesis
from harness.system.network import fetch
from harness.system.reading import read_regular

PATIENCE = timedelta(minutes=10)
"""Longest time for which a round is waited for; nobody should have to hold a machine for longer."""
OVERDUE = timedelta(minutes=1)
"""Time after it is due for which a round is asked for again: clocks differ, and relays are late."""
PAUSE = 3.0  # seconds between two requests
BLINK = 0.2  # seconds after which somebody who asked to stop is heeded
OPTION = "--round"


@dataclass(frozen=True)
class Drawing:
    """A registration whose seeds are drawn."""

    hypothesis: Hypothesis
    """The hypothesis."""
    seeds: str
    """Origin of its seeds."""
    fresh: bool
    """True if they were drawn just now."""


def draw_seeds(file: Path, session: Session) -> Drawing:
    """Draw the seeds of a registered hypothesis without running it.

    Raises:
        InvalidHypothesis, UsageError: it is not registered, names no beacon, or the file is not what was registered.
        HarnessError: the round is not due or not to be had; the message says what is due when and how to hand it over.
    """
    loaded, trail = spec.load(file), session.trail
    hypothesis = loaded.hypothesis
    with ledger.lock_hypothesis(trail, hypothesis.id):
        before = ledger.find_in_force(trail, hypothesis.id)
        if before is None:
            remedy = "register it first: harness register FILE"
            raise UsageError("this hypothesis is not registered", where=str(file), remedy=remedy)
        refuse_changes(before, loaded, trail, pin(hypothesis, session))
        if before.beacon is None:
            message = f"its file names no beacon: it has {describe_seeds(hypothesis, before)}"
            remedy = "name a beacon under seeds before a question is registered"
            raise UsageError(message, where=str(file), remedy=remedy)
        drawn = find_or_draw(before, hypothesis, session)
    return Drawing(hypothesis, describe_seeds(hypothesis, drawn, trail), before.seeded is None)


def refuse_idle_round(hypothesis: Hypothesis, session: Session) -> None:
    """Refuse a round that was handed over for a hypothesis that has none: before anything is entered.

    Raises:
        UsageError: it names no beacon, or is not registered.
    """
    if session.settings.round_file is None:
        return
    if hypothesis.seeds.beacon is None:
        message = "it has no effect: the file names no beacon, and no round is drawn for it"
        raise UsageError(message, where=OPTION, remedy="leave it out")
    if ledger.find_registration(session.trail, hypothesis.id) is None:
        message = f"{hypothesis.id} is not registered, so that no round can be its own"
        raise UsageError(message, where=OPTION, remedy="register it first: harness register FILE")


def find_or_draw(registration: Registration, hypothesis: Hypothesis, session: Session) -> Registration:
    """Return a registration with its seeds; if a beacon's round is still to be drawn, draw it and enter that.

    ``hypothesis`` means what is registered. A draw that is there is verified again: somebody else may have entered it.

    Raises:
        UsageError: a file was handed over that is not the round's record.
        HarnessError: the round is not due or not to be had, or the draw that is there is not the round's.
    """
    given = session.settings.round_file
    if registration.beacon is None:
        return registration
    trail, beacon = session.trail, read_beacon(registration.beacon)
    made = read_registered(registration.digest, registration.claimed_time)
    if registration.seeded is not None:
        _verify_draw(trail, registration, beacon, made)
        if given is not None:
            _refuse_other(trail, registration, beacon.kept(_read_file(given, beacon)), given)
        return registration
    record, drawn = _take(given, beacon, made) if given is not None else _await(beacon, made, hypothesis.id, session)
    session.reporter.heed()
    enter_draw(trail, registration, hypothesis, record, drawn)
    session.reporter.say(f"seeds drawn: {drawn.round}")
    found = ledger.find_in_force(trail, hypothesis.id)
    assert found is not None
    return found


def enter_draw(
    trail: Ledger, registration: Registration, hypothesis: Hypothesis, record: bytes, drawn: Drawn
) -> SeededBody:
    """Append the event that draws a registration's seeds, its objects first."""
    with trail.locked():
        body = SeededBody(
            hypothesis=hypothesis.id,
            registration=registration.digest,
            amendment=registration.amendment,
            form=trail.store_object(encode_normal_form(hypothesis)),
            record=trail.store_object(record),
            **describe_round(drawn),
        )
        trail.record(body)
    return body


def describe_draw(trail: Ledger, registration: Registration) -> Draw | None:
    """Return what a verdict's page says of the draw; None if seeds do not come from a beacon."""
    seeded = find_seeded(trail.index(), registration.digest)
    if seeded is None:
        return None
    body = seeded.body
    return Draw(event=seeded.digest, time=body.time, value=body.value, record=body.record)


def describe_seeds(hypothesis: Hypothesis, registration: Registration | None, trail: Ledger | None = None) -> str:
    """Say which seeds a run will have, and who could have chosen them."""
    beacon = hypothesis.seeds.beacon
    if hypothesis.seeds.list is not None:
        return "hand-picked seeds"
    if beacon is None:
        return CHOOSABLE
    if registration is None:
        return f"seeds from the first round of {beacon.name} later than its registration and {beacon.delay} s"
    seeded = find_seeded(trail.index(), registration.digest) if trail is not None else None
    if seeded is not None:
        return f"seeds drawn from {beacon.name}'s round of {format_time(read_time(seeded.body.time))}"
    made = read_registered(registration.digest, registration.claimed_time)
    return f"seeds to be drawn from {beacon.due(made)}, not before {format_time(beacon.earliest(made))}"


def _verify_draw(trail: Ledger, registration: Registration, beacon: Beacon, made: Registered) -> None:
    """Verify the draw that is in the ledger.

    Raises:
        HarnessError: its record is not the round's, or it says something else than the record.
    """
    seeded = find_seeded(trail.index(), registration.digest)
    assert seeded is not None
    drawn = beacon.verify(trail.read_object(seeded.body.record), made)
    if drawn.value.hex() != seeded.body.value:
        message = f"the draw {seeded.digest[:12]} tells another value than the round's record"
        raise HarnessError(message, where=str(trail.root), remedy="harness audit says more; its seeds are not used")


def _refuse_other(trail: Ledger, registration: Registration, record: bytes, given: Path) -> None:
    """Refuse a file that is not the record of the draw that is there: whoever gives it believes that it counts."""
    seeded = find_seeded(trail.index(), registration.digest)
    if seeded is not None and trail.read_object(seeded.body.record) != record:
        message = f"the seeds were drawn already, by event {seeded.digest[:12]}, from another record"
        raise UsageError(message, where=str(given), remedy=f"leave {OPTION} out")


def _take(given: Path, beacon: Beacon, made: Registered) -> tuple[bytes, Drawn]:
    """Return the record in a file and the round, verified.

    Raises:
        UsageError: it cannot be read, or is not the record of the round that is due.
    """
    try:
        record = beacon.kept(_read_file(given, beacon))
        return record, beacon.verify(record, made)
    except UsageError:
        raise
    except HarnessError as error:
        message = f"this is not the round that is due: {error.message}"
        raise UsageError(message, where=str(given), remedy=beacon.instructions(made)) from error


def _read_file(given: Path, beacon: Beacon) -> bytes:
    try:
        return read_regular(given, beacon.largest, follow=True)
    except OSError as error:
        message = f"this file can't be read: {error.strerror or error}"
        raise UsageError(message, where=str(given), remedy="check the path") from error


def _await(beacon: Beacon, made: Registered, name: str, session: Session) -> tuple[bytes, Drawn]:
    """Wait until the round is there, fetch and verify it.

    Raises:
        HarnessError: it is due too late to be waited for, no address has it, or none answered.
    """
    due, urls = beacon.earliest(made), beacon.urls(made)
    if not urls:
        raise _not_yet(f"no address has {beacon.due(made)}", beacon, made, name)
    if (left := due - datetime.now(UTC)) > PATIENCE:
        message = f"{beacon.due(made)} is due at {format_time(due)}, and a run waits {_minutes(PATIENCE)} at most"
        raise _not_yet(message, beacon, made, name)
    if left > timedelta():
        session.reporter.say(
            f"waiting until {format_time(due)} for {beacon.due(made)}: whoever stops this loses nothing, the same "
            "command goes on"
        )
    _sleep_until(due, session)
    while True:
        try:
            return _fetch(urls, beacon, made)
        except UsageError:
            raise
        except HarnessError as error:
            if datetime.now(UTC) > due + OVERDUE:
                raise _not_yet(f"{beacon.due(made)} is not to be had: {error.message}", beacon, made, name) from error
        _sleep_until(datetime.now(UTC) + timedelta(seconds=PAUSE), session)


def _fetch(urls: Sequence[str], beacon: Beacon, made: Registered) -> tuple[bytes, Drawn]:
    record = beacon.kept(b"".join(fetch(url, beacon.largest) for url in urls))
    return record, beacon.verify(record, made)


def _sleep_until(moment: datetime, session: Session) -> None:
    while (left := (moment - datetime.now(UTC)).total_seconds()) > 0:
        session.reporter.heed()
        time.sleep(min(left, BLINK))


def _not_yet(problem: str, beacon: Beacon, made: Registered, name: str) -> HarnessError:
    remedy = (
        f"give the same command again later; or get the round, here or elsewhere, and hand it over with {OPTION} "
        f"answer:\n{beacon.instructions(made)}"
    )
    return HarnessError(f"the seeds of {name} are not drawn: {problem}", where=f"beacon {beacon.name}", remedy=remedy)


def _minutes(span: timedelta) -> str:
    return f"{span.total_seconds() / 60:.0f} min"
