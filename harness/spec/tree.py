"""A YAML document as a tree in which every key and value knows its place in the file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from harness.errors import Finding

Path = tuple[str | int, ...]
MAX_FINDINGS = 100
"""Maximum number of findings per file and stage of reading; more help nobody, and each costs time."""
Severity = Literal["error", "warning", "note"]
SHOWN = 160
"""Number of characters of a line that a finding quotes."""
Place = tuple[int, int]
"""Line and column, both counted from 1."""


@dataclass(
    slots=True
)  # never changed, but not frozen: creation would take three times as long, and a file has hundreds
class Node:
    """A value, its place, and the place of its key (for a list item, its own)."""

    value: str | int | float | bool | dict[str, Node] | list[Node] | None
    at: Place
    key_at: Place
    base: Node | None = None
    """The overridden mapping, if this one is an override; missing keys are reported there."""

    def get(self, part: str | int) -> Node | None:
        """Return the child under a key or an index; None if there is none."""
        if isinstance(self.value, dict) and isinstance(part, str):
            return self.value.get(part)
        if isinstance(self.value, list) and isinstance(part, int) and 0 <= part < len(self.value):
            return self.value[part]
        return None

    def items(self, *path: str | int) -> dict[str, Node]:
        """Return the entries of the mapping at ``path``; empty if there is no mapping."""
        node: Node | None = self
        for part in path:
            node = node.get(part) if node is not None else None
        return node.value if node is not None and isinstance(node.value, dict) else {}

    def nearest(self, path: Path) -> tuple[Node, Path]:
        """Return the deepest existing node along ``path``, and the rest of the path."""
        node = self
        for position, part in enumerate(path):
            child = node.get(part)
            if child is None:
                return node, path[position:]
            node = child
        return node, ()

    def plain(self) -> Any:
        """Return the value as plain data; sequences become tuples, as in the records."""
        if isinstance(self.value, dict):
            return {key: child.plain() for key, child in self.value.items()}
        if isinstance(self.value, list):
            return tuple(child.plain() for child in self.value)
        return self.value


@dataclass(frozen=True)
class Problem:
    """A problem that a rule found, at a path of the expanded document."""

    path: Path
    message: str
    remedy: str | None = None
    on_key: bool = False
    """True to point at the key rather than at the value."""
    severity: Severity = "error"
    """Severity; a warning does not stop a run."""
    rule: str = "form"
    """Name of the check that found it, from ``harness.spec.checks``."""


class _Quoting(Finding):
    """A finding that quotes only the surroundings of its place if the line is long; ``source`` keeps the whole line."""

    def __str__(self) -> str:
        if self.source is None or len(self.source) <= SHOWN:
            return super().__str__()
        start = max(0, min(self.column - 1 - SHOWN // 2, len(self.source) - SHOWN))
        end = start + SHOWN
        before, after = "…" if start else "", "…" if end < len(self.source) else ""
        quoted = before + self.source[start:end] + after
        caret = " " * (self.column - 1 - start + len(before)) + "^"
        text = f"{self.file}:{self.line}:{self.column}: {self.kind}{self.message}\n    {quoted}\n    {caret}"
        return f"{text}\n    → {self.remedy}" if self.remedy else text


@dataclass(frozen=True)
class Source:
    """A file's name and lines, which findings quote."""

    file: str
    lines: tuple[str, ...]

    def finding(
        self, at: Place, message: str, remedy: str | None = None, severity: str = "error", rule: str = "syntax"
    ) -> Finding:
        """Return a finding at a place of this file, with its line."""
        line, column = at
        text = self.lines[line - 1] if 0 < line <= len(self.lines) else None
        return _Quoting(self.file, line, column, message, remedy, text, severity, rule)

    def findings(self, root: Node, problems: Iterable[Problem]) -> list[Finding]:
        """Return problems as findings at the value's place, or at the nearest existing key's if there is no value."""
        found = []
        for problem in problems:
            node, rest = root.nearest(problem.path)
            at = node.key_at if problem.on_key or rest else node.at
            found.append(self.finding(at, problem.message, problem.remedy, problem.severity, problem.rule))
        return found
