"""Results that another tool wrote, by way of its adapter: as entries like those of harness's own forms."""

from __future__ import annotations

import math
import struct
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from harness.adapters import Adapter, BadRecord, Point
from harness.records.program import Results

MOST = 1_000_000
"""Largest number of points that are looked at."""
MISFIT = (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError, struct.error)
"""Errors of an adapter on bytes that its tool doesn't write."""


class BadResults(Exception):
    """Results that are not valid; the message says why, without anything that differs from machine to machine.

    It is stored in results.json and compared when the results are read again, so its words stay as they are.
    """


def read_adapted(
    raw: bytes, results: Results, adapter: Adapter, declared: Collection[str]
) -> Iterator[Mapping[str, Any]]:
    """Yield the points of declared metrics as entries.

    Raises:
        BadResults: The bytes are not what the tool writes, or a metric has several values where one is asked for.
    """
    wanted: dict[str, list[Point]] = {results.names.get(name, name): [] for name in declared}
    for point in _read(raw, adapter):
        if point.name in wanted:
            wanted[point.name].append(point)
    for name, points in wanted.items():
        if results.epochs == 1 and len(points) > 1:
            raise BadResults(f"{name} has {len(points):,} values, and the file asks for one: set results.epochs")
        for point in points:
            epoch = 1.0 if results.epochs == 1 else point.at / results.steps_per_epoch
            if epoch.is_integer() and 1 <= epoch <= results.epochs:
                value = point.value if math.isfinite(point.value) else None
                yield {"values": {name: {int(epoch): value}}}


def _read(raw: bytes, adapter: Adapter) -> Iterator[Point]:
    try:
        for number, point in enumerate(adapter.read(raw)):
            if number >= MOST:
                raise BadResults(f"its results have more than {MOST:,} numbers")
            yield point
    except BadRecord as error:
        raise BadResults(str(error)) from error
    except MISFIT as error:
        raise BadResults(f"its results are not what {adapter.tool} writes: cut off, or another file") from error
