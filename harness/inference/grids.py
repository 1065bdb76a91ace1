"""Numbers of seeds and true effects at which operating characteristics are shown."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from harness.domain.partition import Atom
from harness.inference.regions import Region, round_off

CURVE = 161
SHOWN_LOOKS = 8


def choose_numbers(registered: int, fractions: Sequence[float]) -> tuple[int, ...]:
    """Return the registered number of seeds and these fractions of it."""
    return tuple(sorted({max(2, round(registered * part)) for part in fractions} | {registered}))


def thin_looks(looks: tuple[int, ...]) -> tuple[int, ...]:
    """Return the looks, or, if they are many, the first, the last and some between."""
    if len(looks) <= SHOWN_LOOKS:
        return looks
    return tuple(looks[round(place)] for place in np.linspace(0, len(looks) - 1, SHOWN_LOOKS).tolist())


def choose_range(cuts: Sequence[float], sd: float, n: int, domain: Region) -> Region:
    """Return the range of effects to show: all cuts, and enough on either side for the outer bands to become likely."""
    pad = max((cuts[-1] - cuts[0]) / 4, 2.5 * sd, 5 * sd / math.sqrt(n)) if cuts else 1.0
    low, high = (cuts[0], cuts[-1]) if cuts else (0.0, 0.0)
    return max(low - pad, domain[0]), min(high + pad, domain[1])


def choose_landmarks(atoms: tuple[Atom, ...], cuts: Sequence[float], sd: float, shown: Region) -> tuple[float, ...]:
    """Return cuts, one sd on either side of them, and the middles of bounded bands, as far as they are shown."""
    points = {*cuts, *(round_off(cut + side * sd, sd) for cut in cuts for side in (-1, 1))}
    for atom in atoms:
        if atom.interval.lower is not None and atom.interval.upper is not None:
            points.add(float(f"{(atom.interval.lower + atom.interval.upper) / 2:.10g}"))
    return tuple(sorted(point for point in points if shown[0] <= point <= shown[1]))


def choose_curve_effects(
    cuts: Sequence[float], landmarks: Sequence[float], shown: Region, sd: float, n: int
) -> np.ndarray:
    """Return effects for a figure, dense where ``n`` seeds just distinguish the bands, landmarks included."""
    error = sd / math.sqrt(n)
    near = [cut + error * step for cut in cuts for step in np.arange(-4, 4.1, 0.5)]
    points = np.concatenate([np.linspace(*shown, CURVE), near, landmarks])
    return np.unique(points[(points >= shown[0]) & (points <= shown[1])])
