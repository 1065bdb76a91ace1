"""Where the predicted bands lie, and how the prediction's chance depends on the place in them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from harness.domain.partition import Atom
from harness.inference.seeds import POWER
from harness.wording import exact

INSIDE = 41  # places tried in a bounded region
FAR = 1e9
Region = tuple[float, float]
"""A stretch of predicted values: neighbouring atoms in one; ends may be infinite."""
Chance = Callable[[np.ndarray], np.ndarray]
"""True effects → chances of the predicted bands."""


def regions(atoms: tuple[Atom, ...], group: frozenset[str]) -> list[Region]:
    """The stretches in which the group's bands lie, from left to right."""
    found: list[Region] = []
    for before, atom in pairwise([None, *atoms]):
        if atom is None or atom.outcome not in group:
            continue
        low = -math.inf if atom.interval.lower is None else atom.interval.lower
        high = math.inf if atom.interval.upper is None else atom.interval.upper
        if before is not None and before.outcome in group:
            low = found.pop()[0]
        found.append((low, high))
    return found


def greatest(
    chance: Chance, found: Sequence[Region], domain: Region, noise: float = 0.0, places: int = INSIDE
) -> tuple[float, float | None]:
    """The greatest chance in any of the regions, and where; no place for a region without end, where it keeps rising.

    A bounded region's chance rises from both ends to a top, which need not lie in the middle; but the middle it is
    where no other place is better by more than the ``noise`` of the chances.
    """
    best: tuple[float, float | None] = (-1.0, None)
    for low, high in found:
        low, high = max(low, domain[0]), min(high, domain[1])
        if math.isinf(high - low):
            value = float(chance(np.array([_far_inside(low, high)]))[0])
            best = max(best, (value, None), key=lambda one: one[0])
            continue
        inside = np.linspace(low, high, places)
        values = chance(inside)
        middle = (places - 1) // 2
        top = middle if values[middle] > values.max() - max(noise, 1e-9) else int(values.argmax())
        if values[top] > best[0]:
            best = float(values[top]), float(inside[top])
    return best


def _far_inside(low: float, high: float) -> float:
    """A place in a region without end from which no boundary is in sight."""
    if math.isfinite(low):
        return low + FAR * max(1.0, abs(low))
    return high - FAR * max(1.0, abs(high)) if math.isfinite(high) else 0.0


def places_in(
    chance: Chance,
    found: Sequence[Region],
    domain: Region,
    sd: float,
    effects: Sequence[float],
    noise: float = 0.0,
) -> list[tuple[float, str]]:
    """True effects at which the prediction's chance is given, each with words: the best one in a bounded region, else
    one, half and two sd from the boundary; then those that were asked for.
    """
    places: list[tuple[float, str]] = []
    for low, high in found:
        if math.isfinite(high - low):
            top = greatest(chance, [(low, high)], domain, noise)[1]
            places.append((low if top is None else top, "where the chance is greatest"))
            continue
        for steps, words in ((1.0, "1 sd"), (0.5, "half an sd"), (2.0, "2 sd")):
            cut, side = (high, -1) if math.isinf(low) else (low, 1)
            if math.isfinite(cut) and domain[0] <= (at := round_off(cut + side * steps * sd, sd)) <= domain[1]:
                places.append((at, f"{words} {'below' if side < 0 else 'above'} {exact(cut)}"))
    asked = [(effect, "as asked") for effect in effects if effect not in [place for place, _ in places]]
    return places + asked


def round_off(value: float, sd: float) -> float:
    """A value off a cut, with two digits of the sd."""
    return round(value, 1 - math.floor(math.log10(sd)))


def reached(chance: Chance, found: Sequence[Region], domain: Region) -> tuple[tuple[float | None, float | None], ...]:
    """The true effects in each region at which the chance is 80% or more."""
    spans: list[tuple[float | None, float | None]] = []
    for low, high in found:
        value, top = greatest(chance, [(low, high)], domain)
        if value < POWER:
            continue
        inner = _far_inside(low, high) if top is None else top
        spans.append((_edge(chance, low, inner), _edge(chance, high, inner)))
    return tuple(spans)


def _edge(chance: Chance, end: float, inner: float) -> float | None:
    """Between ``inner``, where the chance is 80% or more, and a region's end, the last effect where it still is."""
    if math.isinf(end):
        return None
    out = end
    for _ in range(80):
        if f"{out:.6g}" == f"{inner:.6g}":
            break
        middle = (out + inner) / 2
        if chance(np.array([middle]))[0] >= POWER:
            inner = middle
        else:
            out = middle
    return float(f"{inner:.6g}")
