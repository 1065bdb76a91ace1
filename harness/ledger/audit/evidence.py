"""The evidence that all steps look at: the events that could be read, and the files that they name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError
from pydantic_core import from_json

from harness.errors import HarnessError, Tampered
from harness.ledger.anchors import ENDINGS
from harness.ledger.audit.files import TrailFiles
from harness.ledger.audit.findings import AuditFinding
from harness.ledger.bodies import AnchoredBody
from harness.ledger.carried import Hindrance
from harness.ledger.committed import CommittedCode
from harness.ledger.event import Event, parse_event
from harness.ledger.events import sort_events
from harness.ledger.index import LedgerIndex, StartedRun, name_run
from harness.ledger.mending import find_unnamed_original
from harness.ledger.prior_data_bodies import PilotBody
from harness.ledger.second import Surroundings
from harness.records import Provenance
from harness.system.reading import LARGEST_EVENT

EVENTS = "ledger/events/"
OBJECTS = "objects/sha256/"
ANCHORS = "ledger/anchors/"
DIGEST = re.compile(r"[0-9a-f]{64}")


class Outline(NamedTuple):
    """The part of a registered canonical form that is kept in memory: a thousand whole ones would take 70 MB."""

    arms: tuple[str, ...] | None
    """Names of the arms, sorted; None if the form has none."""
    stopping: Any
    """The stopping rule as the form has it."""
    beacon: Any
    """The beacon that seeds are derived from as the form has it; None if it names none."""
    tuning: Any
    """The search for the settings of arms as the form has it; None without one."""


class Evidence:
    """A trail as an audit sees it. What could not be read is in ``problems``, and in nothing else."""

    def __init__(self, files: TrailFiles, project: Path | None = None, around: Surroundings | None = None) -> None:
        self.files = files
        self.project = project
        """The project's folder, if it is known: its repository should hold the trail."""
        self.around = around
        """Surroundings that other trails may lie in; None: nobody looks for them."""
        self._expect_names()
        self.problems: list[AuditFinding] = []
        """Findings of step 1 about events."""
        self.index = LedgerIndex(sort_events(dict(self._events())))
        """The events that are what they say, with their bodies."""
        self.committed: dict[str, CommittedCode] = {}
        """Commit → its code, of those that were looked up."""
        self.remembered: frozenset[str] = frozenset()
        """Judged runs and registrations that this very code found nothing against: see ``seeds`` and ``similar``."""
        self.sound: set[str] = set()
        """Runs and registrations that this audit found nothing against, in the same notation."""
        self.normal_forms: dict[str, str] = {}
        """Digest of a registered form → its normal form, of those that this very code compared with others."""
        self._outlines: dict[str, Outline] = {}
        self._pages: dict[str, Provenance] = {}
        for run, verdict in self.index.judged():
            named = verdict.body.files.items()
            self.files.expected |= {f"{run.folder}/{name}": digest for name, digest in named}
        for anchor in self.index.entries(AnchoredBody):
            self.files.expected[f"{ANCHORS}{anchor.body.head}{ENDINGS[anchor.body.kind]}"] = anchor.body.file

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
        pilots = self.index.entries(PilotBody)
        return tuple(f"{pilot.body.hypothesis}/pilot-{name_run(pilot.digest)}/" for pilot in pilots)

    def as_written(self) -> dict[str, bytes]:
        """Return path → what was written, of every file of which only line ends or blanks were changed since."""
        found = {path: self.files.read(path) for path in self.mended}
        for path in sorted(self.files.paths):
            if path.startswith(self.pilots):
                with suppress(OSError):
                    if (written := find_unnamed_original(self.files.root, path, self.files.read(path))) is not None:
                        found[path] = written
        return found

    @cached_property
    def lacking(self) -> Hindrance | None:
        """Return what git has of the trail and was told to leave out here."""
        return self.files.left_out()

    @property
    def cut(self) -> bool:
        """Tell whether events were left out here or may not be read: then nothing can be said of those that are here.

        Nothing tells of the last ones, which no other names.
        """
        if any(EVENTS.startswith(folder) for folder in self.files.closed):
            return True
        return self.lacking is not None and any(path.startswith(EVENTS) for path in self.lacking.paths)

    def left_out(self, path: str) -> bool:
        """Tell whether git has a file that is not here, and was told to leave it out, or nobody may look for it."""
        if path.startswith(tuple(self.files.closed)):
            return True
        return self.lacking is not None and path in self.lacking.paths

    def page(self, run: StartedRun, digest: str | None) -> Provenance | None:
        """Return what a judged run's env.json says; None if it isn't the file of this digest, or cannot be read."""
        path = f"{run.folder}/env.json"
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

    def read_kept(self, path: str, digest: str) -> bytes | None:
        """Read a file of the trail; None if it is missing, unreadable, or not the one of this digest."""
        try:
            if path not in self.files.paths or self.files.digest(path) != digest:
                return None
            data = self.files.read(path)
            return data if self.files.digest(path) == digest else None  # its digest may have been known from before
        except OSError:
            return None

    def object(self, digest: str) -> bytes | None:
        """Read a registered object; None if it is missing or altered."""
        return self.read_kept(f"{OBJECTS}{digest}", digest)

    def form(self, digest: str) -> dict[str, Any] | None:
        """Read a registered canonical form as plain data; None if it is missing, altered, or no mapping."""
        if (data := self.object(digest)) is None:
            return None
        try:
            form = from_json(data)  # twice as fast as json
        except (ValueError, RecursionError):
            return None
        if not isinstance(form, dict):
            return None
        arms, seeds = form.get("arms"), form.get("seeds")
        names = tuple(sorted(arms)) if isinstance(arms, dict) else None
        beacon = seeds.get("beacon") if isinstance(seeds, dict) else None
        self._outlines[digest] = Outline(names, form.get("stopping"), beacon, form.get("tuning"))
        return form

    def outline(self, digest: str) -> Outline | None:
        """Return the part of a registered canonical form that runs are compared with; None as for ``form``."""
        if digest not in self._outlines and self.form(digest) is None:
            return None
        return self._outlines[digest]

    def at(self, digest: str) -> str:
        """Write an event for a person: its file."""
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

    def _problem(self, code: str, what: str, where: str, expected: str | None = None, got: str | None = None) -> None:
        self.problems.append(AuditFinding(code, what, where, expected, got))
