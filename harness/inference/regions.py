"""The regions of the predicted bands, and the prediction's probability as a function of the effect in them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from harness.domain.partition import Atom
from harness.inference.seeds import POWER
from harness.wording import format_exact

INSIDE = 41  # effects tried in a bounded region
FAR = 1e9
Region = tuple[float, float]
"""Interval of predicted values that joins neighbouring atoms; ends may be infinite."""
Chance = Callable[[np.ndarray], np.ndarray]
"""Function from true effects to probabilities of the predicted bands."""


def find_regions(atoms: tuple[Atom, ...], group: frozenset[str]) -> list[Region]:
    """Return the regions of the group's bands, from left to right."""
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


def find_greatest(
    chance: Chance, found: Sequence[Region], domain: Region, noise: float = 0.0, places: int = INSIDE
) -> tuple[float, float | None]:
    """Return the greatest probability in any region, and its effect; no effect for an unbounded region, where it rises.

    In a bounded region the probability rises from both ends to a maximum that need not lie in the middle; the middle is
    returned unless another effect is better by more than the ``noise`` of the probabilities.
    """
    best: tuple[float, float | None] = (-1.0, None)
    for low, high in found:
        low, high = max(low, domain[0]), min(high, domain[1])
        if math.isinf(high - low):
            value = float(chance(np.array([_choose_far_effect(low, high)]))[0])
            best = max(best, (value, None), key=lambda one: one[0])
            continue
        inside = np.linspace(low, high, places)
        values = chance(inside)
        middle = (places - 1) // 2
        top = middle if values[middle] > values.max() - max(noise, 1e-9) else int(values.argmax())
        if values[top] > best[0]:
            best = float(values[top]), float(inside[top])
    return best


def _choose_far_effect(low: float, high: float) -> float:
    """Return an effect in an unbounded region that is far from every cut."""
    if math.isfinite(low):
        return low + FAR * max(1.0, abs(low))
    return high - FAR * max(1.0, abs(high)) if math.isfinite(high) else 0.0


def choose_effects(
    chance: Chance,
    found: Sequence[Region],
    domain: Region,
    sd: float,
    effects: Sequence[float],
    noise: float = 0.0,
    show: Callable[[float], float] = float,
) -> list[tuple[float, str]]:
    """Return the true effects at which the prediction's probability is given, each with words.

    ``show`` returns a number in the unit in which people read it.

    These are the best effect in a bounded region, otherwise one, half and two sd from the cut; then those asked for.
    """
    places: list[tuple[float, str]] = []
    for low, high in found:
        if math.isfinite(high - low):
            top = find_greatest(chance, [(low, high)], domain, noise)[1]
            places.append((low if top is None else top, "where the chance is greatest"))
            continue
        for steps, words in ((1.0, "1 sd"), (0.5, "half an sd"), (2.0, "2 sd")):
            cut, side = (high, -1) if math.isinf(low) else (low, 1)
            if math.isfinite(cut) and domain[0] <= (at := round_off(cut + side * steps * sd, sd)) <= domain[1]:
                places.append((at, f"{words} {'below' if side < 0 else 'above'} {format_exact(show(cut))}"))
    asked = [(effect, "as asked") for effect in effects if effect not in [place for place, _ in places]]
    return places + asked


def round_off(value: float, sd: float) -> float:
    """Round a value near a cut to two digits of the sd."""
    return round(value, 1 - math.floor(math.log10(sd)))


def find_reached(
    chance: Chance, found: Sequence[Region], domain: Region
) -> tuple[tuple[float | None, float | None], ...]:
    """Return the range of true effects in each region at which the probability is 80% or more."""
    spans: list[tuple[float | None, float | None]] = []
    for low, high in found:
        value, top = find_greatest(chance, [(low, high)], domain)
        if value < POWER:
            continue
        inner = _choose_far_effect(low, high) if top is None else top
        spans.append((_find_edge(chance, low, inner), _find_edge(chance, high, inner)))
    return tuple(spans)


def _find_edge(chance: Chance, end: float, inner: float) -> float | None:
    """Return the last effect from ``inner`` towards a region's end at which the probability is still 80% or more."""
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
