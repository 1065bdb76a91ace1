"""One event: its form, its bytes, and how a file is read back and checked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import rfc8785
from pydantic import StringConstraints, ValidationError, field_validator
from pydantic_core import from_json, to_json

from harness.errors import HarnessError, Tampered
from harness.ledger import carried, mending
from harness.ledger.bodies import BODIES, EventType
from harness.ledger.pins import Digest
from harness.records import Record
from harness.system.reading import LARGEST_EVENT, LARGEST_FILE, NotAFile, read_regular

VERSION: Literal[1] = 1
PUT_FILE = "put the file itself there; a trail holds no links, pipes or devices"
Time = Annotated[str, StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$")]


class Event(Record):
    """One event. ``body`` has the form that ``harness.ledger.bodies`` gives for its type."""

    v: Literal[1] = VERSION
    """Version of this form."""
    type: str
    """The type of the event: a key of ``BODIES``."""
    parents: tuple[Digest, ...]
    """Digests of all heads when it was appended, sorted."""
    claimed_time: Time
    """UTC, whole seconds; what the writer's clock said, which proves nothing."""
    actor: str
    """A name; never an e-mail address."""
    body: dict[str, Any]
    """The body, as its type's record has it."""

    @field_validator("parents")
    @classmethod
    def _sorted(cls, parents: tuple[str, ...]) -> tuple[str, ...]:
        if list(parents) != sorted(set(parents)):
            raise ValueError("parents are sorted, each once")
        return parents

    def to_bytes(self) -> bytes:
        """Return the file's content.

        Raises:
            ValueError: NaN, an infinity or an integer of 2^53 or more somewhere in the body.
        """
        return rfc8785.dumps(self.model_dump(mode="json"))

    @cached_property
    def content(self) -> Record | None:
        """Return the body as its type's record; None for a type that this version does not know.

        Raises:
            ValidationError: a body of another form.
        """
        return BODIES[self.type].model_validate(self.body) if self.type in BODIES else None

    @cached_property
    def digest(self) -> str:
        """Return the SHA-256 of its bytes, which is its name."""
        return hashlib.sha256(self.to_bytes()).hexdigest()


def read_event(path: Path, digest: str, what: str) -> Event:
    """Read the event in a file that is named by its digest; ``what`` says in an error which event that is.

    Raises:
        Tampered: missing, another content than its name says, not canonical, or not of its type's form.
    """
    return parse_event(read_named(path, digest, what, LARGEST_EVENT), str(path))


def parse_event(data: bytes, where: str) -> Event:
    """Return the event that a file holds; ``where`` names the file in errors.

    Raises:
        Tampered: not canonical, or not of its type's form.
        HarnessError: of a form that a later version writes.
    """
    try:
        value, canonical = _read(data)
        if isinstance(value, dict) and value.get("v", VERSION) != VERSION:
            raise HarnessError(
                f"an event of form {str(value['v'])[:40]}; this version reads form {VERSION}",
                where=where,
                remedy="update harness",
            )
        event = Event.model_validate(value)
        _ = event.content  # checks its form
        if not (canonical and type(value.get("v")) is int) and event.to_bytes() != data:  # true is 1, too
            raise Tampered("not in canonical form (RFC 8785)", where=where)
    except ValidationError as error:
        problem = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'event'}: {e['msg']}" for e in error.errors()[:5])
        raise Tampered(f"not an event as harness writes it ({problem})", where=where) from error
    except (ValueError, OverflowError, RecursionError) as error:  # an integer of 400 digits is no double
        raise Tampered(f"not an event as harness writes it ({error})", where=where) from error
    vars(event)["digest"] = hashlib.sha256(data).hexdigest()  # of its canonical bytes: no need to write them again
    return event


class StoredFixing(NamedTuple):
    """A registration or an amendment, as far as it is read from bytes whose trail is not here."""

    type: EventType
    """registered or amended."""
    hypothesis: str
    """The hypothesis's id."""
    claimed_time: str
    """UTC; what the writer's clock said."""


def read_fixing(data: bytes) -> StoredFixing | None:
    """Read which hypothesis an event registers or amends; None if it does neither, or cannot be read."""
    try:
        event = json.loads(data)
        type_ = EventType(event["type"])
        if type_ in (EventType.REGISTERED, EventType.AMENDED):
            return StoredFixing(type_, str(event["body"]["hypothesis"]), str(event["claimed_time"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    return None


def _read(data: bytes) -> tuple[Any, bool]:
    """Read the JSON value, and tell whether the bytes are certainly canonical (RFC 8785); if not, nothing is said.

    pydantic reads and writes three times as fast as ``json``, and writes a plain value as RFC 8785 does but for the
    order of keys, which it keeps.
    """
    try:
        value = from_json(data, allow_inf_nan=False)
        if data.isascii() and _plain([value]) and to_json(value) == data:
            return value, True
    except ValueError:
        pass
    return json.loads(data, parse_int=_integer), False


def _plain(value: dict[str, Any] | list[Any]) -> bool:
    """Tell whether keys are in order, and numbers of a kind of which there is one way to write them."""
    inner: Iterable[Any] = value
    if isinstance(value, dict):
        if list(value) != sorted(value):
            return False
        inner = value.values()
    for one in inner:
        kind = type(one)
        if kind is str:
            continue
        if kind is float or (kind is int and abs(one) >= 2**53) or (kind in (dict, list) and not _plain(one)):
            return False
    return True


def read_named(path: Path, digest: str, what: str, limit: int = LARGEST_FILE) -> bytes:
    """Read the bytes of a file that is named by their digest.

    Raises:
        Tampered: missing, no file at all, or other bytes than its name says.
        HarnessError: no permission to read it, or it has more bytes than ``limit``.
    """
    try:
        data = read_regular(path, limit)
    except FileNotFoundError:
        missing = Tampered(f"{what} is missing", where=str(path), expected=digest, got="no such file")
        if (lacking := carried.find_left_out(_root(path))) is not None:
            missing = Tampered(f"{what} is not here: {lacking.what}", where=str(path), remedy=lacking.remedy)
        raise missing from None
    except NotAFile as error:
        raise Tampered(f"{what} is {error}", where=str(path), remedy=PUT_FILE) from error
    except OSError as error:
        reason = f"{what} could not be read: {error.strerror or error}"
        raise HarnessError(reason, where=str(path), remedy="check the file's permissions and size") from error
    if (got := hashlib.sha256(data).hexdigest()) != digest:
        if (command := mending.advise(path, _root(path), data, digest)) is not None:
            raise Tampered(f"{what}: {mending.CHANGED}", where=str(path), remedy=command)
        raise Tampered(f"{what} is not what its name says", where=str(path), expected=digest, got=got)
    return data


def _root(path: Path) -> Path:
    """Return the trail of an event's or object's file, which lies two folders below it."""
    return path.parent.parent.parent


def _integer(text: str) -> int | float:
    """Read an integer as RFC 8785 means it, which knows doubles only: Python would take 1e20 for another number."""
    number = int(text)
    return number if abs(number) < 2**53 else float(number)
