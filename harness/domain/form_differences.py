"""Differences between two forms of a hypothesis, field by field."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

Path = tuple[str | int, ...]


class Absent:
    """The value of a field that a form does not have, as distinct from a field that is null."""


ABSENT = Absent()


@dataclass(frozen=True)
class Difference:
    """A place at which two forms differ."""

    path: Path
    """Keys and positions, outermost first."""
    before: Any
    """JSON value there in the first form, or ABSENT."""
    now: Any
    """JSON value there in the second form, or ABSENT."""

    @property
    def field(self) -> str:
        """The place as people write it: ``arms.penalized.freeze[0]``."""
        return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.path).removeprefix(".")


def find_differences(before: Any, now: Any, path: Path = ()) -> Iterator[Difference]:
    """Yield the places at which two JSON values differ, in the order of ``before``; new keys come last.

    Mappings are compared key by key, lists of the same length item by item; other lists differ as a whole. Numbers are
    equal if they are written alike.
    """
    if isinstance(before, dict) and isinstance(now, dict):
        for key in [*before, *(key for key in now if key not in before)]:
            yield from find_differences(before.get(key, ABSENT), now.get(key, ABSENT), (*path, key))
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for index, (old, new) in enumerate(zip(before, now, strict=True)):
            yield from find_differences(old, new, (*path, index))
    elif write_value(before) != write_value(now):
        yield Difference(path, before, now)


def drop_inherited(differences: Iterable[Difference]) -> list[Difference]:
    """Return the differences without those of arms that only repeat one of the set-up that all arms inherit."""
    found = list(differences)
    shared = {(one.path, write_value(one.before), write_value(one.now)) for one in found if one.path[0] == "setup"}
    return [
        one
        for one in found
        if one.path[0] != "arms" or (one.path[2:], write_value(one.before), write_value(one.now)) not in shared
    ]


def write_value(value: Any) -> str:
    """Return a value of a form as a string: JSON, or ``absent``."""
    return "absent" if value is ABSENT else json.dumps(value, ensure_ascii=False, sort_keys=True)
