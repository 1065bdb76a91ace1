"""The ledger: a hash DAG of events, one read-only file each, and the objects that they name.

    ledger/events/<sha256>.json     exact RFC 8785 bytes, named by their own digest
    objects/sha256/<sha256>         registered files, verbatim

An event's parents are all heads at the time, so "before" means ancestry and two branches merge in git without
conflict: the next event joins their heads.
"""

from __future__ import annotations

import hashlib
import heapq
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from harness.errors import HarnessError, Tampered
from harness.ledger.bodies import BODIES, TYPES
from harness.ledger.durable import publish
from harness.ledger.event import Event, read_event, read_named
from harness.ledger.git import find_actor as current_actor
from harness.ledger.index import LedgerIndex
from harness.records import Record
from harness.system.locks import Lock

__all__ = ["Event", "Ledger"]

LOCK_SECONDS = 60
DIGEST = re.compile(r"[0-9a-f]{64}")


class Ledger:
    """The events and objects below one verdicts folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "ledger" / "events"
        self._objects = root / "objects" / "sha256"
        self._events = f"{self.folder}{os.sep}"
        self._seen: dict[str, tuple[tuple[int, ...], Event]] = {}
        self._index = LedgerIndex(())

    def index(self) -> LedgerIndex:
        """Return all events with their typed bodies, by type, hypothesis and run, as they are at this moment.

        Raises:
            Tampered: as ``events``.
        """
        found = self._read_all()
        if found.keys() != self._index.digests:
            self._index = LedgerIndex(sort_events(found))
        return self._index

    def events(self) -> tuple[Event, ...]:
        """Return all events, parents first.

        Among events that could both come next, the earlier claimed time is first, then the smaller digest. Adding
        events, or merging another branch's, never changes the order of those already there.

        Raises:
            Tampered: a file that is not named by its digest, is not canonical, has no valid body, or is missing
                although another event names it as a parent.
            HarnessError: no permission to read them.
        """
        return self.index().events

    def heads(self) -> tuple[str, ...]:
        """Return the digests of the events that no other names as a parent, sorted; one after any append.

        Raises:
            Tampered: as ``events``.
        """
        return self.index().heads

    def record(self, body: Record, *, first: Callable[[Event], object] = lambda _: None) -> Event:
        """Append an event of the type whose body this is.

        Raises:
            StorageFailed, Tampered: as ``append``.
        """
        return self.append(TYPES[type(body)], body, first=first)

    def append(
        self,
        type: str,  # noqa: A002
        body: Mapping[str, Any] | Record,
        actor: str | None = None,
        *,
        first: Callable[[Event], object] = lambda _: None,
    ) -> Event:
        """Append an event after all heads, durably, and return it.

        ``actor`` defaults to git's user name; ``first`` is called with the event before it is written.

        Raises:
            ValueError: an unknown type or a body of another form.
            Tampered: as ``events``.
            StorageFailed: it could not be written; the ledger is as it was.
        """
        if type not in BODIES:
            raise ValueError(f"{type!r} is not a type of event; known are {', '.join(BODIES)}")
        content = BODIES[type].model_validate(body).model_dump(mode="json")
        with self.locked():
            event = Event(
                type=type,
                parents=self.heads(),
                claimed_time=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                actor=actor if actor is not None else current_actor(self.root),
                body=content,
            )
            first(event)
            publish(self._path(event.digest), event.to_bytes())
        return event

    @cached_property
    def _lock(self) -> Lock:
        return Lock(self.root / "ledger" / ".lock", LOCK_SECONDS)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the ledger's lock, for reading and then appending as one step; it may be taken again inside.

        Raises:
            StorageFailed: no permission, or another process holds it for more than a minute.
        """
        with self._lock.held():
            yield

    def store_object(self, data: bytes) -> str:
        """Keep ``data`` verbatim and return its digest; the same data again changes nothing.

        Raises:
            StorageFailed: it could not be written.
            Tampered: there is an object of this name with another content.
        """
        digest = hashlib.sha256(data).hexdigest()
        path = self._objects / digest
        if not path.exists():
            publish(path, data)
        self.read_object(digest)
        return digest

    def read_object(self, digest: str) -> bytes:
        """Read the object of this digest.

        Raises:
            ValueError: not a digest.
            Tampered: it is missing or its content is another.
        """
        return read_named(self.object_path(digest), digest, "a registered object")

    def object_path(self, digest: str) -> Path:
        """Return where the object of this digest is kept.

        Raises:
            ValueError: not a digest.
        """
        if not DIGEST.fullmatch(digest):
            raise ValueError(f"{digest!r} is no SHA-256 digest")
        return self._objects / digest

    def _path(self, digest: str) -> Path:
        return self.folder / f"{digest}.json"

    def _read_all(self) -> dict[str, Event]:
        """Digest → event. Temporary files (leading dot) are no events; anything else must be one."""
        found: dict[str, Event] = {}
        # Parents are looked up beside the listing: an event may be appended while the folder is being listed.
        todo: list[tuple[str, str | None]] = [(digest, None) for digest in self._names()]
        while todo:
            digest, child = todo.pop()
            if digest not in found:
                what = f"an event that {child} names as its parent" if child else "an event"
                found[digest] = self._read(digest, what)
                todo.extend((parent, digest) for parent in found[digest].parents)
        return found

    def _read(self, digest: str, what: str) -> Event:
        """Return the event of this digest; its file is read again only if it was touched since this ledger read it."""
        try:
            # Texts, not Path objects: this is done for every event at every look.
            status = os.stat(f"{self._events}{digest}.json")  # noqa: PTH116
        except OSError:
            return read_event(self._path(digest), digest, what)  # says what is wrong
        touched = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        seen = self._seen.get(digest)
        if seen is None or seen[0] != touched:
            seen = self._seen[digest] = (touched, read_event(self._path(digest), digest, what))
        return seen[1]

    def _names(self) -> list[str]:
        try:
            names = sorted(name for name in os.listdir(self.folder) if not name.startswith("."))  # noqa: PTH208
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise HarnessError(
                f"the trail's events can't be read: {error.strerror or error}",
                where=str(self.folder),
                remedy="give the command as a user who may read the trail, or have its owner allow it",
            ) from error
        for name in names:
            if not (name.endswith(".json") and DIGEST.fullmatch(name[:-5])):
                remedy = "give it back its name (git status shows it), or move it elsewhere if it is not an event"
                where = str(self.folder / name)
                raise Tampered("a file that is not named as an event", where=where, remedy=remedy)
        return [name[:-5] for name in names]


def sort_events(found: Mapping[str, Event]) -> tuple[Event, ...]:
    """Sort events into the order that ``Ledger.events`` promises; parents that are not among them are passed over."""
    parents = {digest: [parent for parent in event.parents if parent in found] for digest, event in found.items()}
    waiting = {digest: len(known) for digest, known in parents.items()}
    children: dict[str, list[str]] = {digest: [] for digest in found}
    for digest, known in parents.items():
        for parent in known:
            children[parent].append(digest)
    ready = [(found[digest].claimed_time, digest) for digest, count in waiting.items() if count == 0]
    heapq.heapify(ready)
    ordered = []
    while ready:
        _, digest = heapq.heappop(ready)
        ordered.append(found[digest])
        for child in children[digest]:
            waiting[child] -= 1
            if waiting[child] == 0:
                heapq.heappush(ready, (found[child].claimed_time, child))
    return tuple(ordered)
