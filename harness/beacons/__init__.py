"""Beacons: sources of public randomness whose rounds are verified offline, from a record that the trail keeps.

The round is fixed by rule when a hypothesis is registered: it is the first whose own time is later than the
registration and a stated delay. Nobody can know its value before that time, and everybody can check it afterwards.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from shlex import quote
from typing import Annotated, ClassVar

from pydantic import Field

from harness.errors import HarnessError
from harness.plugins.fields import Unit
from harness.plugins.registry import Plugin

YEAR = 366 * 24 * 60 * 60
"""The longest delay, in seconds."""
LAST_YEAR = 9000
"""Later times are refused, so that no calculation with them leaves the calendar."""


@dataclass(frozen=True)
class Registered:
    """Purpose that a round is drawn for."""

    digest: str
    """SHA-256 of the registration's event, 64 hexadecimal digits."""
    time: datetime
    """Time of the registration, as its event claims it; with its time zone."""

    def __post_init__(self) -> None:
        if self.time.tzinfo is None:
            raise ValueError("a registration's time needs its time zone")


@dataclass(frozen=True)
class Drawn:
    """A round that was verified."""

    value: bytes
    """The public randomness, as the beacon publishes it: 32 or 64 bytes."""
    round: str
    """Name of the round, for people."""
    time: datetime
    """The beacon's own time of the round, UTC."""


class Beacon(Plugin):
    """Interface of a beacon plug-in.

    A record says nothing but what is verified, in one way of writing it. ``kept`` makes it from what the beacon
    answers, and ``verify`` refuses every other. A round has one value, whoever wrote its record.
    """

    largest: ClassVar[int] = 2**16
    """The largest answer that is read, in bytes."""
    names_registration: ClassVar[bool] = False
    """True if a round names the registration that it is for, so that whoever made it had seen the registration."""

    delay: Annotated[int, Unit("s")] = Field(default=60, ge=1, le=YEAR, examples=[60])
    """Least time from the registration to the round: time to publish the registration in."""

    @abstractmethod
    def due(self, registered: Registered) -> str:
        """Return which round is due, for people: "the first …", with its number where that is known beforehand.

        Raises:
            HarnessError: this beacon, with these parameters, can have no round that is due.
        """

    @abstractmethod
    def instructions(self, registered: Registered) -> str:
        """Return what a person does to get the answer that ``kept`` reads, as text with commands."""

    @abstractmethod
    def trusts(self) -> str:
        """Return who could have chosen a round's value, or known it before its time: what a reader has to believe.

        A beacon whose key is a parameter may be the author's own: then it says that it is nobody's known key.
        """

    @property
    def foreign_key(self) -> str | None:
        """Return the key that a parameter names and harness does not know, or None: its author may hold it."""
        return None

    def urls(self, registered: Registered) -> tuple[str, ...]:
        """Return the addresses whose answers, one after the other, ``kept`` reads; none where no address has them."""
        return ()

    def earliest(self, registered: Registered) -> datetime:
        """Return the time, UTC, before which the round that is due cannot exist: asking for it sooner is useless."""
        return self.after(registered)

    def after(self, registered: Registered) -> datetime:
        """Return the registration's time and the delay, UTC: the round's own time is later.

        Raises:
            HarnessError: the time is out of any calendar.
        """
        if not 1970 <= registered.time.year < LAST_YEAR:
            raise self.refused(f"no round is due after a registration of {registered.time.isoformat()}")
        return registered.time.astimezone(UTC) + timedelta(seconds=self.delay)

    def kept(self, answer: bytes) -> bytes:
        """Return the record that the trail keeps, from what the beacon answers, without verifying it.

        A record is its own answer: ``kept(kept(x)) == kept(x)``.

        Raises:
            HarnessError: these bytes are not what the beacon answers.
        """
        if len(answer) > self.largest:
            raise self.refused(f"its answer has {len(answer)} bytes, and none has more than {self.largest}")
        return self.rewritten(answer)

    def verify(self, record: bytes, registered: Registered) -> Drawn:
        """Return the round that is due, if the record is that round's and the beacon's own.

        Raises:
            HarnessError: it is of another round, of another chain or key, altered, or not in the form that is kept.
            UsageError: a library or program that verifying takes is missing.
        """
        if self.kept(record) != record:
            raise self.refused("its record is not in the form that a trail keeps")
        return self.drawn(record, registered)

    @abstractmethod
    def rewritten(self, answer: bytes) -> bytes:
        """Return an answer in the one form that is kept; ``kept`` for answers that are not too large."""

    @abstractmethod
    def drawn(self, record: bytes, registered: Registered) -> Drawn:
        """Return what ``verify`` returns, for a record in the form that is kept."""

    def refused(self, problem: str, remedy: str | None = None) -> HarnessError:
        """Return the error that says why a record is not accepted."""
        if remedy is None:
            remedy = "get the round's record again, from the beacon itself or from somebody who mirrors it"
        return HarnessError(problem, where=f"beacon {self.name}", remedy=remedy)


def format_time(time: datetime) -> str:
    """Return a time for people, UTC, to the second or, where it has parts of one, as exactly as it is."""
    return time.astimezone(UTC).isoformat(sep=" ").replace("+00:00", " UTC")


def write_download(urls: tuple[str, ...]) -> str:
    """Return the command that writes the answers of addresses one after the other into a file."""
    return "curl --fail --silent --show-error " + " ".join(map(quote, urls)) + " > answer"
