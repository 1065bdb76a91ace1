"""What all steps look at: the events that could be read, their bodies, and which of them was before which."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError
from pydantic_core import from_json

from harness.errors import HarnessError, Tampered
from harness.ledger.ancestry import Ancestry
from harness.ledger.anchors import ENDINGS
from harness.ledger.audit.files import LARGEST_EVENT, TrailFiles
from harness.ledger.audit.findings import AuditFinding
from harness.ledger.bodies import RegisteredBody, RunStartedBody, VerdictBody
from harness.ledger.carried import Hindrance
from harness.ledger.event import Event, parse_event
from harness.ledger.events import in_order
from harness.ledger.history import CLOSING, run_name
from harness.ledger.mending import unnamed_original
from harness.ledger.second import Surroundings
from harness.records import Provenance, Record

EVENTS = "ledger/events/"
OBJECTS = "objects/sha256/"
ANCHORS = "ledger/anchors/"
DIGEST = re.compile(r"[0-9a-f]{64}")


class Outline(NamedTuple):
    """The part of a registered canonical form that is kept in memory: a thousand whole ones would take 70 MB."""

    arms: tuple[str, ...] | None
    """Their names, sorted; None if the form has none."""
    stopping: Any
    """As the form has it."""


class Past(NamedTuple):
    """What the ledger held of a hypothesis at some moment."""

    held: tuple[Event, ...]

    def events(self) -> tuple[Event, ...]:
        """Return the events, parents first."""
        return self.held


class Evidence:
    """A trail as an audit sees it. What could not be read is in ``problems``, and in nothing else."""

    def __init__(self, files: TrailFiles, project: Path | None = None, around: Surroundings | None = None) -> None:
        self.files = files
        self.project = project
        """The project's folder, if it is known: its repository should hold the trail."""
        self.around = around
        """Where other trails may lie; None: nobody looks for them."""
        self._expect_names()
        self.problems: list[AuditFinding] = []
        """What step 1 reports of events."""
        events = dict(self._events())
        self.order: tuple[Event, ...] = in_order(events)
        self.events: dict[str, Event] = {event.digest: event for event in self.order}
        self.bodies: dict[str, Record] = {
            digest: event.content for digest, event in self.events.items() if event.content is not None
        }
        self._outlines: dict[str, Outline] = {}
        self._pages: dict[str, Provenance] = {}
        self.ancestry = Ancestry(self.order)
        self.types: dict[str, list[str]] = defaultdict(list)
        """Type → digests, in ledger order."""
        for event in self.order:
            self.types[event.type].append(event.digest)
        self._subjects: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for event in self.order:
            if self.knows(event, "hypothesis"):
                self._subjects[str(event.body["hypothesis"])][event.type].append(event.digest)
        self.closings = self._by_run(event.digest for event in self.order if event.type in CLOSING)
        """run_started event → what closes it."""
        self.verdicts = self._by_run(self.types["verdict"])
        """run_started event → verdict events."""
        for run, _, verdict in self.judged():
            self.files.expected |= {f"{self.folder(run)}/{name}": digest for name, digest in verdict.files.items()}
        for digest in self.types["anchored"]:
            body = self.events[digest].body
            self.files.expected[f"{ANCHORS}{body['head']}{ENDINGS[body['kind']]}"] = str(body["file"])

    @cached_property
    def mended(self) -> dict[str, str]:
        """Path → digest of every file whose line ends were changed since it was written, and nothing else."""
        for path in sorted(self.files.expected):
            if path in self.files.paths:
                with suppress(OSError):
                    self.files.digest(path)
        return dict(sorted(self.files.mended.items()))

    @property
    def pilots(self) -> tuple[str, ...]:
        """Beginnings of the paths of pilots' files, whose digests no event names."""
        return tuple(f"{self.whose(digest)}/pilot-{run_name(digest)}/" for digest in self.types["pilot"])

    def as_written(self) -> dict[str, bytes]:
        """Path → what was written, of every file of which only line ends or blanks were changed since."""
        found = {path: self.files.read(path) for path in self.mended}
        for path in sorted(self.files.paths):
            if path.startswith(self.pilots):
                with suppress(OSError):
                    if (written := unnamed_original(self.files.root, path, self.files.read(path))) is not None:
                        found[path] = written
        return found

    @cached_property
    def lacking(self) -> Hindrance | None:
        """What git has of the trail and was told to leave out here."""
        return self.files.left_out()

    @property
    def cut(self) -> bool:
        """Tell whether events were left out here, the last ones too, which no other names: then nothing can be said of
        those that are here.
        """
        return self.lacking is not None and any(path.startswith(EVENTS) for path in self.lacking.paths)

    def left_out(self, path: str) -> bool:
        """Tell whether git has a file that is not here, and was told to leave it out."""
        return self.lacking is not None and path in self.lacking.paths

    @property
    def heads(self) -> tuple[str, ...]:
        """Events that no other names as a parent, sorted."""
        parents = {parent for event in self.order for parent in event.parents}
        return tuple(sorted(set(self.events) - parents))

    @property
    def hypotheses(self) -> tuple[str, ...]:
        """Every hypothesis that an event names, sorted."""
        return tuple(sorted(self._subjects))

    def of(self, hypothesis: str, *types: str) -> list[str]:
        """The events of these types that name the hypothesis, type by type in ledger order."""
        return [digest for kind in types for digest in self._subjects[hypothesis][kind]]

    def knows(self, event: Event, field: str) -> bool:
        """Whether the event is of a known type that has this field."""
        return event.digest in self.bodies and field in event.body

    def before(self, earlier: str, later: str) -> bool:
        """Whether the first event is an ancestor of the second: the only meaning of "before"."""
        return earlier in self.events and later in self.events and self.ancestry.before(earlier, later)

    def past(self, hypothesis: str, moment: str) -> Past:
        """Return the events about a hypothesis that are before another event."""
        return Past(tuple(event for event in self._stories[hypothesis] if self.before(event.digest, moment)))

    @cached_property
    def _stories(self) -> Mapping[str, list[Event]]:
        found: dict[str, list[Event]] = defaultdict(list)
        for event in self.order:
            if (hypothesis := self.whose(event.digest)) is not None:
                found[hypothesis].append(event)
        return found

    def registration(self, digest: str) -> RegisteredBody | None:
        """The body of a registered event; None if there is no such event."""
        body = self.bodies.get(digest)
        return body if isinstance(body, RegisteredBody) else None

    def start(self, digest: str) -> RunStartedBody | None:
        """The body of a run_started event; None if there is no such event."""
        body = self.bodies.get(digest)
        return body if isinstance(body, RunStartedBody) else None

    def starts(self, hypothesis: str | None = None) -> Iterator[tuple[str, RunStartedBody]]:
        """run_started events in ledger order, of one hypothesis or of all."""
        for digest in self.types["run_started"] if hypothesis is None else self.of(hypothesis, "run_started"):
            body = self.start(digest)
            if body is not None:
                yield digest, body

    def judged(self) -> Iterator[tuple[str, RunStartedBody, VerdictBody]]:
        """Runs with their first verdict, in ledger order."""
        for digest, body in self.starts():
            for verdict in self.verdicts[digest][:1]:
                said = self.bodies[verdict]
                assert isinstance(said, VerdictBody)
                yield digest, body, said

    def whose(self, digest: str) -> str | None:
        """The hypothesis that an event is about, through its run if need be."""
        event = self.events.get(digest)
        if event is None or event.digest not in self.bodies:
            return None
        if "hypothesis" in event.body:
            return str(event.body["hypothesis"])
        return self.whose(str(event.body["run"])) if event.body.get("run") in self.events else None

    def folder(self, run: str) -> str:
        """Where the files of a run lie, below the trail."""
        body = self.bodies[run]
        return f"{body.hypothesis}/{run_name(run)}"  # type: ignore[attr-defined]

    def page(self, run: str, digest: str | None) -> Provenance | None:
        """What a judged run's env.json says; None if it is not the file of this digest, or cannot be read."""
        path = f"{self.folder(run)}/env.json"
        if digest is None or path not in self.files.paths:
            return None
        try:
            if digest not in self._pages:
                data = self.files.read(path)
                if self.files.digest(path) == digest:
                    self._pages[digest] = Provenance.model_validate_json(data)
            return self._pages[digest] if self.files.digest(path) == digest else None
        except (OSError, ValidationError):
            return None

    def form(self, digest: str) -> dict[str, Any] | None:
        """A registered canonical form as plain data; None if it is not there, not what its name says, or no mapping."""
        path = f"{OBJECTS}{digest}"
        try:
            if path not in self.files.paths or self.files.digest(path) != digest:
                return None
            form = from_json(self.files.read(path))  # twice as fast as json
        except (OSError, ValueError, RecursionError):
            return None
        if not isinstance(form, dict):
            return None
        arms = form.get("arms")
        self._outlines[digest] = Outline(tuple(sorted(arms)) if isinstance(arms, dict) else None, form.get("stopping"))
        return form

    def outline(self, digest: str) -> Outline | None:
        """What runs are compared with of a registered canonical form; None as for ``form``."""
        if digest not in self._outlines and self.form(digest) is None:
            return None
        return self._outlines[digest]

    def at(self, digest: str) -> str:
        """An event for a person: its file."""
        return self.files.shown(f"{EVENTS}{digest}.json")

    def _expect_names(self) -> None:
        for path in self.files.paths:
            name = path.rsplit("/", 1)[-1].removesuffix(".json")
            if path.startswith((EVENTS, OBJECTS)) and DIGEST.fullmatch(name):
                self.files.expected[path] = name

    def _events(self) -> Iterator[tuple[str, Event]]:
        """Every event that is what it says; ``problems`` gets the others."""
        for path in sorted(self.files.paths):
            name = path.removeprefix(EVENTS)
            if name == path or name.startswith("."):
                continue
            digest = name.removesuffix(".json")
            where = self.files.shown(path)
            if digest == name or not DIGEST.fullmatch(digest):
                self._problem("event-name", "a file that is not named as an event", where)
                continue
            try:
                data = self.files.read(path, LARGEST_EVENT)
            except OSError as error:
                self._problem("unreadable", f"an event that cannot be read: {error.strerror or error}", where)
                continue
            if (got := self.files.digest(path)) != digest:
                self._problem("event-bytes", "an event that is not what its name says", where, digest, got)
                continue
            try:
                yield digest, parse_event(data, where)
            except Tampered as error:
                self._problem("event-form", error.message, where)
            except HarnessError as error:
                self._problem("event-version", error.message, where)

    def _problem(self, sort: str, what: str, where: str, expected: str | None = None, got: str | None = None) -> None:
        self.problems.append(AuditFinding(sort, what, where, expected, got))

    def _by_run(self, digests: Iterable[str]) -> dict[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        for digest in digests:
            found[str(self.events[digest].body["run"])].append(digest)
        return found
