"""What ``harness new`` leaves to the author: texts in angle brackets, which nobody may register as they stand."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.spec.tree import Node, Path, Problem

PLACEHOLDER = re.compile(r"\s*<[^<>]+>\s*")


def placeholders(node: Node, path: Path = ()) -> Iterator[Problem]:
    """Every text of a document that is still a placeholder as a whole, where it stands."""
    if isinstance(node.value, str) and PLACEHOLDER.fullmatch(node.value):
        what = ".".join(map(str, path))
        remedy = "write in its place what you mean: it is registered word by word"
        yield Problem(path, f"{what} is still a placeholder", remedy, rule="placeholder")
    elif isinstance(node.value, dict):
        for key, child in node.value.items():
            yield from placeholders(child, (*path, key))
    elif isinstance(node.value, list):
        for position, child in enumerate(node.value):
            yield from placeholders(child, (*path, position))
