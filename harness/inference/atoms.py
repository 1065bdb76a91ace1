"""Atoms: the cut points of a decision's bands split the line; each atom carries one outcome.

Exactly one atom holds the true value, so the null "the true value lies in this atom" of every atom can be tested at α
without adjustment (partitioning principle; Goeman, Solari and Stijnen 2010, doi 10.1002/sim.4002).
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from harness.criteria import Criterion
from harness.errors import HarnessError
from harness.records import AtomTest, Band, Interval

WHOLE_LINE = (-math.inf, math.inf)
SMALLEST_P = sys.float_info.min  # no finite data make a null impossible: a smaller p has underflowed


@dataclass(frozen=True)
class Atom:
    """A stretch of the line between cuts, with the band that it belongs to."""

    interval: Interval
    outcome: str

    @property
    def interior(self) -> bool:
        """Bounded on both sides; the others are half-lines."""
        return self.interval.lower is not None and self.interval.upper is not None

    def level(self, alpha: float) -> float:
        """The level of each one-sided test that its null is tested with: an interior atom needs two of them."""
        return alpha / 2 if self.interior else alpha

    def facing_cut(self, estimate: float) -> float | None:
        """The end of the atom that faces an estimate outside it; None for the atom that is the whole line."""
        lower, upper = self.interval.lower, self.interval.upper
        below = upper is not None and (estimate > upper or (estimate == upper and not self.interval.upper_closed))
        return upper if below or lower is None else lower


def split(bands: Mapping[str, Band], bounds: tuple[float, float] = WHOLE_LINE) -> tuple[Atom, ...]:
    """The atoms of ``bands``, from left to right. Neighbouring pieces of one band are one atom.

    Pieces outside ``bounds``, where the estimand cannot lie, are left out; the outermost atoms then count as
    half-lines, because nothing can lie beyond them. So every number lies in exactly one atom.

    Raises:
        HarnessError: a point within the bounds that no band, or more than one, contains.
    """
    cuts = sorted(
        {end for band in bands.values() for part in band for end in (part.lower, part.upper) if end is not None}
    )
    atoms: list[Atom] = []
    for piece in _pieces(cuts):
        if not _meets(piece, bounds):
            continue
        owners = [name for name, band in bands.items() if any(_covers(part, piece) for part in band)]
        if len(owners) != 1:
            problem = f"{piece} belongs to the bands {', '.join(owners)}" if owners else f"no band contains {piece}"
            raise HarnessError(problem, where="bands", remedy="let the bands tile the line, no point twice")
        if atoms and atoms[-1].outcome == owners[0]:
            piece = _join(atoms.pop().interval, piece)
        atoms.append(Atom(piece, owners[0]))
    first = atoms[0]
    atoms[0] = Atom(first.interval.model_copy(update={"lower": None, "lower_closed": False}), first.outcome)
    last = atoms[-1]
    atoms[-1] = Atom(last.interval.model_copy(update={"upper": None, "upper_closed": False}), last.outcome)
    return tuple(atoms)


def atom_tests(atoms: tuple[Atom, ...], x: np.ndarray, criterion: Criterion, alpha: float) -> tuple[AtomTest, ...]:
    """One test per atom on the seeds' values ``x`` [n], unpaired [n, 2]: all finite and not all equal."""
    tests = []
    for atom in atoms:
        p = atom_p(atom, x, criterion)
        tests.append(AtomTest(interval=atom.interval, outcome=atom.outcome, p=p, rejected=p <= alpha))
    return tuple(tests)


def atom_p(atom: Atom, x: np.ndarray, criterion: Criterion) -> float:
    """p of the null "the true value lies in this atom".

    A half-line: one-sided. Interior [a, b]: 2·min(p for above b, p for below a). Under the null each of the two is at
    most α/2 with probability at most α/2, so the smaller one is with probability at most α.

    Raises:
        HarnessError: a criterion whose p is no probability.
    """
    lower, upper = atom.interval.lower, atom.interval.upper
    if lower is None and upper is None:
        return 1.0
    sides = [criterion.p_greater(x, upper)] if upper is not None else []
    sides += [criterion.p_less(x, lower)] if lower is not None else []
    if wrong := [p for p in sides if not 0 <= p <= 1]:  # NaN included
        raise HarnessError(
            f"criterion {criterion.name} gave p = {wrong[0]}",
            where=f"the atom {atom.interval}",
            remedy="report this as a fault of the criterion",
        )
    return min(1.0, max(len(sides) * min(sides), SMALLEST_P))


def _pieces(cuts: list[float]) -> list[Interval]:
    """Open stretches and single points, in turn: (−∞, c₁), {c₁}, (c₁, c₂), {c₂}, …"""
    pieces = []
    for lower, upper in pairwise([None, *cuts, None]):
        pieces.append(Interval(lower=lower, upper=upper, lower_closed=False, upper_closed=False))
        if upper is not None:
            pieces.append(Interval(lower=upper, upper=upper, lower_closed=True, upper_closed=True))
    return pieces


def _meets(piece: Interval, bounds: tuple[float, float]) -> bool:
    low, high = bounds
    if piece.lower is not None and piece.lower == piece.upper:
        return low <= piece.lower <= high
    return (piece.upper is None or piece.upper > low) and (piece.lower is None or piece.lower < high)


def _covers(part: Interval, piece: Interval) -> bool:
    """Whether an interval of a band contains a whole piece; both have their ends among the cuts."""
    if piece.lower is not None and piece.lower == piece.upper:
        return part.contains(piece.lower)
    reaches_left = part.lower is None or (piece.lower is not None and part.lower <= piece.lower)
    reaches_right = part.upper is None or (piece.upper is not None and piece.upper <= part.upper)
    return reaches_left and reaches_right


def _join(left: Interval, right: Interval) -> Interval:
    return Interval(
        lower=left.lower, upper=right.upper, lower_closed=left.lower_closed, upper_closed=right.upper_closed
    )
