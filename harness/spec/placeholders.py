"""Placeholders of ``harness new``: strings in angle brackets, which must be replaced before registration."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.spec.tree import Node, Path, Problem

PLACEHOLDER = re.compile(r"\s*<[^<>]+>\s*")


def find_placeholders(node: Node, path: Path = ()) -> Iterator[Problem]:
    """Yield every string of a document that as a whole is still a placeholder."""
    if isinstance(node.value, str) and PLACEHOLDER.fullmatch(node.value):
        what = ".".join(map(str, path))
        remedy = "write in its place what you mean: it is registered word by word"
        yield Problem(path, f"{what} is still a placeholder", remedy, rule="placeholder")
    elif isinstance(node.value, dict):
        for key, child in node.value.items():
            yield from find_placeholders(child, (*path, key))
    elif isinstance(node.value, list):
        for position, child in enumerate(node.value):
            yield from find_placeholders(child, (*path, position))
