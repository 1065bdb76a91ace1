"""Trails held in memory, as an attacker takes them apart and puts them together again."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import rfc8785

from harness.ledger.audit import AuditReport, Evidence, Step, TrailFiles, TrustedInputs, audit
from harness.ledger.audit.evidence import EVENTS, OBJECTS
from harness.ledger.carried import BESIDE
from harness.ledger.event import Event
from harness.ledger.events import sort_events
from harness.pipeline.audit import AuditRequest, audit_trail, list_steps

LOADED = """
import importlib, pkgutil, harness.pipeline
for module in pkgutil.iter_modules(harness.pipeline.__path__):
    if module.name != "preload":
        importlib.import_module(f"harness.pipeline.{module.name}")
"""
"""Begins a program that forks many verbs, and loads what they need once for all of them."""
DIGESTS = re.compile(rb"(?<![0-9a-f])(?:[0-9a-f]{64}|[0-9a-f]{12})(?![0-9a-f])")


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass
class Trail:
    """Path below verdicts/ → bytes; ``odd``: path → what it is instead of a file."""

    files: dict[str, bytes]
    odd: dict[str, str] = field(default_factory=dict)
    known_head: str | None = None
    require_anchor: bool = False

    def copy(self) -> Trail:
        return Trail(dict(self.files), dict(self.odd), self.known_head, self.require_anchor)

    @classmethod
    def read(cls, verdicts: Path) -> Trail:
        listed = TrailFiles(verdicts)
        evidence = listed.paths - {*BESIDE}
        kept = [path for path in evidence if "/work/" not in path and not path.endswith(".lock")]
        return cls({path: listed.read(path) for path in kept})

    def write(self, verdicts: Path) -> None:
        for name, data in self.files.items():
            path = verdicts / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    # Events -------------------------------------------------------------------------------------------------------

    def events(self) -> list[tuple[str, dict[str, Any]]]:
        """(digest, event) in ledger order."""
        found = {}
        for path, data in self.files.items():
            if path.startswith(EVENTS):
                event = Event.model_validate(json.loads(data))
                found[path.removeprefix(EVENTS).removesuffix(".json")] = event
        return [(event.digest, event.model_dump(mode="json")) for event in sort_events(found)]

    def find(self, kind: str, hypothesis: str | None = None, place: int = 0) -> tuple[str, dict[str, Any]]:
        runs = {d: e["body"]["hypothesis"] for d, e in self.events() if e["type"] == "run_started"}

        def whose(event: dict[str, Any]) -> str | None:
            return event["body"].get("hypothesis") or runs.get(event["body"].get("run"))

        wanted = [p for p in self.events() if p[1]["type"] == kind and hypothesis in (None, whose(p[1]))]
        return wanted[place]

    def path(self, digest: str) -> str:
        return f"{EVENTS}{digest}.json"

    def heads(self) -> list[str]:
        events = self.events()
        parents = {parent for _, event in events for parent in event["parents"]}
        return sorted(digest for digest, _ in events if digest not in parents)

    def put(self, event: dict[str, Any]) -> str:
        data = rfc8785.dumps(event)
        self.files[self.path(sha(data))] = data
        return sha(data)

    def append(self, kind: str, body: dict[str, Any], parents: list[str] | None = None) -> str:
        """An event as another clone would add it."""
        return self.put(
            {
                "v": 1,
                "type": kind,
                "parents": sorted(self.heads() if parents is None else parents),
                "claimed_time": "2026-01-02T03:04:05Z",
                "actor": "Mallory",
                "body": body,
            }
        )

    def keep(self, data: bytes) -> str:
        """An object."""
        self.files[f"{OBJECTS}{sha(data)}"] = data
        return sha(data)

    def kept(self, digest: str) -> bytes:
        return self.files[f"{OBJECTS}{digest}"]

    def folder(self, run: str) -> str:
        (event,) = [event for digest, event in self.events() if digest == run]
        return f"{event['body']['hypothesis']}/{run[:12]}"

    def rebuild(self, edit: Callable[[str, dict[str, Any]], dict[str, Any] | None]) -> None:
        """Change or drop events, and everything that follows from their digests: the names of later events, folders,
        and what stands in results and pages. What a careful attacker does."""
        renamed: dict[str, str] = {}
        dropped: dict[str, list[str]] = {}

        def mapped(data: bytes) -> bytes:
            return DIGESTS.sub(lambda m: renamed.get(m[0].decode(), m[0].decode()).encode(), data)

        def rewrite(folder: str, name: str) -> None:
            """A file of a run, under its new folder, and what its digest becomes."""
            before = self.files.pop(f"{folder}/{name}", None)
            if before is not None:
                after = mapped(before)
                renamed[sha(before)] = sha(after)
                self.files[mapped(f"{folder}/{name}".encode()).decode()] = after

        before = self.events()
        folders = {d: f"{e['body']['hypothesis']}/{d[:12]}" for d, e in before if e["type"] == "run_started"}
        for digest, event in before:
            run = event["body"].get("run")
            if event["type"] in ("run_finished", "verdict") and run in folders:
                for name in event["body"].get("files", {"results.json": ""}):
                    rewrite(folders[run], name)
            del self.files[self.path(digest)]
            kept = edit(digest, json.loads(json.dumps(event)))
            parents = [p for parent in event["parents"] for p in dropped.get(parent, [parent])]
            if kept is None:
                dropped[digest] = parents
                continue
            if kept["parents"] == event["parents"]:
                kept["parents"] = parents
            kept = json.loads(mapped(json.dumps(kept).encode()))
            kept["parents"] = sorted(set(kept["parents"]))
            new = self.put(kept)
            renamed |= {digest: new, digest[:12]: new[:12]}
        for path in [path for path in self.files if "/weights/" in path]:  # not named by events, and not in git
            self.files[mapped(path.encode()).decode()] = self.files.pop(path)


class InMemory(TrailFiles):
    """A trail's files that were never on a disk."""

    def __init__(self, trail: Trail) -> None:
        self.trail = trail
        super().__init__(Path("verdicts"))

    def _list(self) -> None:
        self.paths = set(self.trail.files)
        self.odd = dict(self.trail.odd)

    def read(self, path: str, limit: int = 2**30) -> bytes:
        data = self.trail.files[path]
        if len(data) > limit:
            raise OSError("it is too large")
        self._digests[path] = sha(data)
        return data

    def left_out(self) -> None:
        """There is no git."""

    def swap(self, path: str, data: bytes) -> None:
        self.trail.files[path] = data
        self._digests.pop(path, None)


def offline(trail: Trail) -> list[Step]:
    """The steps that need neither git nor a second look at the disk."""
    asked = AuditRequest(TrustedInputs(trail.known_head, trail.require_anchor))
    return [s for s in list_steps(Path("no hypotheses"), asked) if s.number in (1, 3, 4, 5, 7)]


def audited(trail: Trail, without: int | None = None) -> AuditReport:
    return audit(Evidence(InMemory(trail)), [step for step in offline(trail) if step.number != without])


def sorts(report: AuditReport) -> set[str]:
    return {finding.code for finding in report.findings}


def find_codes(project: Path) -> set[str]:
    """Audit a project's own trail, with its hypotheses and its git."""
    return sorts(audit_trail(project / "verdicts", project / "hypotheses", AuditRequest()))


def write_words(trail: Trail, words: str) -> None:
    """Enter a failed attempt and an amendment that have these words wherever a person writes some."""
    _, event = trail.find("run_started", "first")
    started = trail.append("run_started", event["body"] | {"deviations": [words], "command": words, "device": words})
    trail.append("run_failed", {"run": started, "reason": words})
    amended, event = trail.find("amended")
    seen = [digest for digest, one in trail.events() if one["type"] in ("run_started", "pilot")]
    states = {digest: {"status": "open", "outcome": None} for digest in seen}
    trail.append("amended", event["body"] | {"amends": amended, "reason": words, "attempts": states})
