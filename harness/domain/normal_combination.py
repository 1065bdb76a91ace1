"""Combinations of decisions in normal form: how decisions make an outcome, whatever rows or rules say so.

``any`` is ``all`` of the other bands, a single decision is a table of its bands, and a table is what it looks up: rows
in another order, split or joined, are the same. What no outcome depends on is left out, but for the number of decisions
among which α is divided.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from harness.records import Combine

MAX_COMBINATIONS = 10_000
"""Combinations of bands up to which they are looked up one by one; a table of more is no valid one."""
MAX_LOOKUPS = 2**22
"""Combinations times rows up to which they are: a hostile file must keep no audit busy."""


@dataclass(frozen=True)
class Judged:
    """Decisions as their combination is described by."""

    places: Mapping[str, int]
    """Decision → its place among the distinct ones."""
    bands: Mapping[str, Mapping[str, int]]
    """Decision → number of each of its bands that is possible."""

    def count_bands(self, place: int) -> int:
        """Return the number of possible bands of the decision at a place."""
        return max(len(self.bands[name]) for name, at in self.places.items() if at == place)


def describe_combination(combine: Combine | None, judged: Judged) -> tuple[dict[str, Any], tuple[int, ...]]:
    """Return how decisions make an outcome, and the places of the decisions that it depends on, in ascending order.

    Outcomes are numbered in the order in which they are first looked up; decisions by their order among the places.
    """
    if combine is None:
        if len(judged.places) == 1:
            return _look_up(judged, [({name: band}, band) for name, bands in judged.bands.items() for band in bands])
        return {"rule": None}, tuple(sorted({*judged.places.values()}))  # no valid file
    if combine.table is not None:
        return _look_up(judged, [(cell.when, cell.outcome) for cell in combine.table])
    holds = {name: {*held} for name, held in (combine.holds or {}).items()}
    if len(holds) == 1:
        ((name, held),) = holds.items()
        return _look_up(judged, [({name: band}, str(band in held)) for band in judged.bands[name]])
    return _describe_every(judged, holds, combine.rule == "all")


def _describe_every(
    judged: Judged, holds: Mapping[str, set[str]], every: bool
) -> tuple[dict[str, Any], tuple[int, ...]]:
    """Return the decisions that must lie inside some of their bands: no decision holds if all lie in the others."""
    inside = {}
    for name, held in holds.items():
        numbers = {number for band, number in judged.bands[name].items() if (band in held) == every}
        if len(numbers) < len(judged.bands[name]):  # else it lies inside whatever comes
            inside[name] = sorted(numbers)
    used = tuple(sorted({judged.places[name] for name in inside}))
    rows = sorted([used.index(judged.places[name]), numbers] for name, numbers in inside.items())
    return {"rule": "all", "among": len(holds), "inside": rows}, used


def _look_up(judged: Judged, rows: Sequence[tuple[Mapping[str, str], str]]) -> tuple[dict[str, Any], tuple[int, ...]]:
    """Return the outcome of every combination of bands; the first row that fits gives it."""
    names = {name for when, _ in rows for name in when}
    places = sorted({judged.places[name] for name in names})
    known = [
        ([(places.index(judged.places[name]), judged.bands[name].get(band)) for name, band in when.items()], outcome)
        for when, outcome in rows
    ]
    sizes = [judged.count_bands(place) for place in places]
    if (count := math.prod(sizes)) > MAX_COMBINATIONS or count * len(rows) > MAX_LOOKUPS:
        return {"rule": "table", "among": len(names), "rows": known}, tuple(places)
    cells = list(product(*map(range, sizes)))
    found = {
        cell: next((outcome for when, outcome in known if all(cell[axis] == band for axis, band in when)), None)
        for cell in cells
    }
    axes = [axis for axis in range(len(sizes)) if any(found[cell] != found[_drop(cell, axis)] for cell in cells)]
    kept = [found[cell] for cell in cells if all(axis in axes or not band for axis, band in enumerate(cell))]
    numbers = {outcome: number for number, outcome in enumerate(dict.fromkeys(kept))}
    told = {"rule": "table", "among": len(names), "outcomes": [numbers[outcome] for outcome in kept]}
    return told, tuple(places[axis] for axis in axes)


def _drop(cell: tuple[int, ...], axis: int) -> tuple[int, ...]:
    """Return a combination with the first band of one decision."""
    return (*cell[:axis], 0, *cell[axis + 1 :])
