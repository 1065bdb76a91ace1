"""A YAML document as a tree in which every key and value knows its place in the file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from harness.errors import Finding

Path = tuple[str | int, ...]
MAX_FINDINGS = 100
"""Of a file, at each stage of its reading; more help nobody, and each costs time."""
Severity = Literal["error", "warning", "note"]
SHOWN = 160
"""Characters of a line that a finding quotes."""
Place = tuple[int, int]
"""Line and column, both from 1."""


@dataclass(slots=True)  # never changed, but not frozen: making one would take thrice as long, and a file has hundreds
class Node:
    """A value, its place, and the place of its key (for a list's item: its own)."""

    value: str | int | float | bool | dict[str, Node] | list[Node] | None
    at: Place
    key_at: Place
    base: Node | None = None
    """Of a mapping that overrides another: that other one, where a missing key belongs."""

    def get(self, part: str | int) -> Node | None:
        """The child under a key or an index; None if there is none."""
        if isinstance(self.value, dict) and isinstance(part, str):
            return self.value.get(part)
        if isinstance(self.value, list) and isinstance(part, int) and 0 <= part < len(self.value):
            return self.value[part]
        return None

    def items(self, *path: str | int) -> dict[str, Node]:
        """The entries of the mapping at ``path``; empty if there is no mapping."""
        node: Node | None = self
        for part in path:
            node = node.get(part) if node is not None else None
        return node.value if node is not None and isinstance(node.value, dict) else {}

    def nearest(self, path: Path) -> tuple[Node, Path]:
        """The deepest node on the way along ``path``, and what of the path it lacks."""
        node = self
        for position, part in enumerate(path):
            child = node.get(part)
            if child is None:
                return node, path[position:]
            node = child
        return node, ()

    def plain(self) -> Any:
        """As plain data; sequences become tuples, which is what the records hold."""
        if isinstance(self.value, dict):
            return {key: child.plain() for key, child in self.value.items()}
        if isinstance(self.value, list):
            return tuple(child.plain() for child in self.value)
        return self.value


@dataclass(frozen=True)
class Problem:
    """What a rule found, at a path of the expanded document."""

    path: Path
    message: str
    remedy: str | None = None
    on_key: bool = False
    """Point at the key rather than at the value."""
    severity: Severity = "error"
    """A warning does not stop a run."""
    rule: str = "form"
    """Which check found it: a name in ``harness.spec.checks``."""


class _Quoting(Finding):
    """A finding that shows of a long line what stands around its place; ``source`` keeps the whole line."""

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
    """A file's name and lines: what a finding quotes."""

    file: str
    lines: tuple[str, ...]

    def finding(
        self, at: Place, message: str, remedy: str | None = None, severity: str = "error", rule: str = "syntax"
    ) -> Finding:
        """A finding at a place of this file, with its line."""
        line, column = at
        text = self.lines[line - 1] if 0 < line <= len(self.lines) else None
        return _Quoting(self.file, line, column, message, remedy, text, severity, rule)

    def findings(self, root: Node, problems: Iterable[Problem]) -> list[Finding]:
        """Problems at their places: the value's, or the nearest existing key's where the path leads to nothing."""
        found = []
        for problem in problems:
            node, rest = root.nearest(problem.path)
            at = node.key_at if problem.on_key or rest else node.at
            found.append(self.finding(at, problem.message, problem.remedy, problem.severity, problem.rule))
        return found
