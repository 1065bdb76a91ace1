"""Strict YAML for pre-registrations, read from PyYAML's events without constructing any object.

It refuses, each with its place: more than 1 MiB, 40 levels, 20,000 values or 10,000 characters per line, before they
cost anything; anchors, aliases, tags, directives, merge keys, several documents, duplicate keys, keys that are not
strings, control characters, text that is not in Unicode's composed form (NFC), and scalars that YAML versions read
differently (``harness.spec.scalars``).
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Any

import yaml

from harness.errors import Finding
from harness.spec.scalars import Surprising, resolve
from harness.spec.syntax import describe_error
from harness.spec.text import CONTROL, MAX_LINE, decode
from harness.spec.tree import MAX_FINDINGS, Node, Place, Source

MAX_DEPTH = 40
MAX_NODES = 20_000
SCANNER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's scanner if PyYAML was built with it, which is 15 times faster. Only its events are used."""
TOO_DEEP = (f"nested more than {MAX_DEPTH} levels deep", "a pre-registration has about six levels")
NO_REUSE = "write the value out where it is meant: what is registered must read as it stands"


@dataclass(frozen=True)
class Document:
    """A file as read. ``root`` is None if it could not be parsed."""

    source: Source
    root: Node | None
    findings: tuple[Finding, ...]


def read(data: bytes, file: str) -> Document:
    """Read a file's bytes. Problems are in the document's findings and are never raised."""
    text, source, findings = decode(data, file)
    if text is None:
        return Document(source, None, tuple(findings))
    reader = _Reader(source, text, findings)
    root = reader.document()
    return Document(source, root, tuple(reader.findings))


class _Fatal(Exception):
    """Error after which nothing can be read; the finding is already recorded."""


@dataclass
class _Reader:
    """Composes nodes from events and records what is not allowed."""

    source: Source
    text: str
    findings: list[Finding]
    count: int = 0
    place: Place = (1, 1)
    """Place of the last event."""

    def document(self) -> Node | None:
        """Return the document's root; None if reading had to stop."""
        try:
            events = SCANNER(
                self.text
            )  # parses one event ahead, so that reading can stop before the rest costs anything
            try:
                return self._document(events)
            finally:
                events.dispose()
        except _Fatal:
            pass
        except yaml.MarkedYAMLError as error:
            wrong = describe_error(error, self.source.lines)
            if "nesting" in wrong.message:  # scanners read a line ahead, and some meet a limit of their own in it
                self._note(wrong.place or self.place, *TOO_DEEP)
            else:
                self._note(wrong.place or self.place, f"not YAML: {wrong.message}", wrong.remedy)
        except (ValueError, OverflowError):
            # The Python scanner passes an escape beyond U+10FFFF and an absurd %YAML version to chr() and int().
            self._note(self.place, "not YAML: an escape is out of range after this", "write the character itself")
        return None

    def _take(self, events: Any) -> Any:
        event = events.get_event()
        self.place = _read_place(event.start_mark)
        return event

    def _document(self, events: Any) -> Node | None:
        self._take(events)  # the stream's start
        if isinstance(events.peek_event(), yaml.StreamEndEvent):
            self._note((1, 1), "the file is empty", "harness new writes one to start from")
            return None
        start = self._take(events)
        if start.version or start.tags:
            self._note(
                _read_place(start.start_mark), "YAML directives (%YAML, %TAG) are not allowed", "remove the line"
            )
        root = self._node(events, 0, None)
        self._take(events)  # the document's end
        following = events.peek_event()
        if not isinstance(following, yaml.StreamEndEvent):
            self._stop(
                _read_place(following.start_mark), "a second document starts here", "keep one document in a file"
            )
        return root

    def _node(self, events: Any, depth: int, key_at: Place | None) -> Node:
        event = self._take(events)
        at = self.place
        self.count += 1
        if len(self.findings) > MAX_FINDINGS:
            self._stop(at, f"more than {MAX_FINDINGS} findings", "correct those above this place first")
        if self.count > MAX_NODES:
            self._stop(at, f"more than {MAX_NODES:,} values", "a pre-registration has some hundreds")
        if isinstance(event, yaml.AliasEvent):
            self._note(at, f"the alias *{event.anchor} is not allowed", NO_REUSE)
            return Node(None, at, key_at or at)
        if event.anchor is not None:
            self._note(at, f"the anchor &{event.anchor} is not allowed", NO_REUSE)
        if event.tag is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            self._note(at, f"the tag {tag} is not allowed", "remove it: the key says what type a value has")
        if isinstance(event, yaml.ScalarEvent):
            return Node(self._scalar(event, at), at, key_at or at)
        if depth >= MAX_DEPTH:
            self._stop(at, *TOO_DEEP)
        if isinstance(event, yaml.SequenceStartEvent):
            items = []
            while not isinstance(events.peek_event(), yaml.SequenceEndEvent):
                items.append(self._node(events, depth + 1, None))
            self._take(events)
            return Node(items, at, key_at or at)
        return Node(self._mapping(events, depth), at, key_at or at)

    def _mapping(self, events: Any, depth: int) -> dict[str, Node]:
        entries: dict[str, Node] = {}
        while not isinstance(events.peek_event(), yaml.MappingEndEvent):
            before = len(self.findings)
            key = self._node(events, depth + 1, None)
            value = self._node(events, depth + 1, key.at)
            name = key.value
            if not isinstance(name, str):
                if len(self.findings) == before:
                    self._note(key.at, "a key must be a string", "quote it if a string is meant")
            elif name == "<<":
                self._note(key.at, "the merge key << is not allowed", NO_REUSE)
            elif name in entries:
                line = entries[name].key_at[0]
                self._note(key.at, f"the key {name!r} stands here twice (first on line {line})", "remove one")
            else:
                entries[name] = value
        self._take(events)
        return entries

    def _scalar(self, event: Any, at: Place) -> str | int | float | bool | None:
        text: str = event.value
        if not event.style:  # None, or empty from libyaml
            try:
                return resolve(text)
            except Surprising as surprise:
                self._note(at, str(surprise), surprise.remedy)
        elif event.style == '"':  # only here can an escape bring in what the file's own text does not show
            if len(text) > MAX_LINE:
                self._note(at, f"a string of more than {MAX_LINE:,} characters", "shorten it")
            elif match := CONTROL.search(text):
                self._note(at, f"control character U+{ord(match.group()):04X} in this string", "remove the escape")
            elif not unicodedata.is_normalized("NFC", text) and all(f.line != at[0] for f in self.findings):
                self._note(at, "this string is not in Unicode's composed form (NFC)", "write the composed character")
        return text

    def _note(self, at: Place, message: str, remedy: str) -> None:
        self.findings.append(self.source.finding(at, message, remedy))

    def _stop(self, at: Place, message: str, remedy: str) -> None:
        self._note(at, message, remedy)
        raise _Fatal


def _read_place(mark: yaml.Mark) -> Place:
    return mark.line + 1, mark.column + 1
