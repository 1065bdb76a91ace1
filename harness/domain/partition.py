"""The partition of the real line by the bands of a decision: into stretches, and into atoms that are tested.

Exactly one atom holds the true value, so that the null hypothesis "the true value lies in this atom" of every atom can
be tested at α without adjustment (partitioning principle; Goeman, Solari and Stijnen 2010, doi 10.1002/sim.4002).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from harness.errors import HarnessError
from harness.records import Band, Interval
from harness.records.bands import find_cuts

WHOLE_LINE = (-math.inf, math.inf)


@dataclass(frozen=True)
class Stretch:
    """A part of the line between cuts, and the bands that contain it."""

    interval: Interval
    holders: tuple[str, ...]
    """Names of the bands, once for each of their intervals that contains the stretch: one name if the bands tile the
    line."""
    possible: bool
    """True if the estimand can lie in the stretch."""


@dataclass(frozen=True)
class Atom:
    """A stretch of the line between cuts, with the band that it belongs to."""

    interval: Interval
    outcome: str

    @property
    def interior(self) -> bool:
        """True if the atom is bounded on both sides; all others are half-lines."""
        return self.interval.lower is not None and self.interval.upper is not None

    @property
    def cuts(self) -> tuple[float, ...]:
        """Finite ends in ascending order, at which the atom's null hypothesis is tested."""
        return tuple(end for end in (self.interval.lower, self.interval.upper) if end is not None)

    def level(self, alpha: float) -> float:
        """Return the level of each one-sided test of the atom's null hypothesis: an interior atom needs two tests."""
        return alpha / 2 if self.interior else alpha

    def facing_cut(self, estimate: float) -> float | None:
        """Return the end that faces an estimate outside the atom; None for the atom that is the whole line."""
        lower, upper = self.interval.lower, self.interval.upper
        below = upper is not None and (estimate > upper or (estimate == upper and not self.interval.upper_closed))
        return upper if below or lower is None else lower


def cut_line(bands: Mapping[str, Band], bounds: tuple[float, float] = WHOLE_LINE) -> list[Stretch]:
    """Cut the line at all ends of ``bands``, and name the bands that contain each part.

    ``bounds`` is the closed interval in which the estimand lies. Neighbouring parts in the same bands form one stretch,
    but a part in no band is cut at the bounds, because it is a gap only within them.
    """
    found: list[Stretch] = []
    for piece in _cut_pieces({*find_cuts(bands), *(bound for bound in bounds if math.isfinite(bound))}):
        holders = tuple(name for name, band in bands.items() for part in band if _covers(part, piece))
        possible = _lies_within(piece, bounds)
        before = found[-1] if found else None
        if before is not None and before.holders == holders and (holders or before.possible == possible):
            found[-1] = Stretch(_join(before.interval, piece), holders, before.possible or possible)
        else:
            found.append(Stretch(piece, holders, possible))
    return found


def split_line(bands: Mapping[str, Band], bounds: tuple[float, float] = WHOLE_LINE) -> tuple[Atom, ...]:
    """Return the atoms of ``bands`` from left to right: ``find_atoms`` for bands that tile the line.

    Raises:
        HarnessError: A point within the bounds is in no band, or in more than one.
    """
    found = cut_line(bands, bounds)
    for stretch in found:
        if stretch.possible and len(owners := dict.fromkeys(stretch.holders)) != 1:
            belongs = f"{stretch.interval} belongs to the bands {', '.join(owners)}"
            problem = belongs if owners else f"no band contains {stretch.interval}"
            raise HarnessError(problem, where="bands", remedy="let the bands tile the line, no point twice")
    return _make_atoms(found)


def find_atoms(bands: Mapping[str, Band], bounds: tuple[float, float] = WHOLE_LINE) -> tuple[Atom, ...]:
    """Return the atoms of ``bands``, which need not tile the line: a point goes to the first band that contains it.

    Neighbouring stretches of one band form one atom. Stretches outside ``bounds`` are left out, and the outermost atoms
    then count as half-lines, because nothing can lie beyond them. A stretch in no band is an atom without a name.
    """
    return _make_atoms(cut_line(bands, bounds))


def _make_atoms(found: Iterable[Stretch]) -> tuple[Atom, ...]:
    atoms: list[Atom] = []
    for stretch in found:
        if not stretch.possible:
            continue
        interval, owner = stretch.interval, next(iter(stretch.holders), "")
        if atoms and atoms[-1].outcome == owner:
            interval = _join(atoms.pop().interval, interval)
        atoms.append(Atom(interval, owner))
    if atoms:
        first = atoms[0]
        atoms[0] = Atom(first.interval.model_copy(update={"lower": None, "lower_closed": False}), first.outcome)
        last = atoms[-1]
        atoms[-1] = Atom(last.interval.model_copy(update={"upper": None, "upper_closed": False}), last.outcome)
    return tuple(atoms)


def _cut_pieces(cuts: set[float]) -> Iterator[Interval]:
    """Yield open gaps and single points alternately: (−∞, c₁), {c₁}, (c₁, c₂), {c₂}, …."""
    for lower, upper in pairwise([None, *sorted(cuts), None]):
        yield Interval(lower=lower, upper=upper, lower_closed=False, upper_closed=False)
        if upper is not None:
            yield Interval(lower=upper, upper=upper, lower_closed=True, upper_closed=True)


def _lies_within(piece: Interval, bounds: tuple[float, float]) -> bool:
    """Tell whether a piece, which no bound cuts, lies within the closed interval ``bounds``."""
    low, high = bounds
    if piece.lower is not None and piece.lower == piece.upper:
        return low <= piece.lower <= high
    return (piece.upper is None or piece.upper > low) and (piece.lower is None or piece.lower < high)


def _covers(part: Interval, piece: Interval) -> bool:
    """Tell whether an interval of a band contains a whole piece; the interval's ends are among the cuts."""
    if piece.lower is not None and piece.lower == piece.upper:
        return part.contains(piece.lower)
    reaches_left = part.lower is None or (piece.lower is not None and part.lower <= piece.lower)
    reaches_right = part.upper is None or (piece.upper is not None and piece.upper <= part.upper)
    return reaches_left and reaches_right


def _join(left: Interval, right: Interval) -> Interval:
    return Interval(
        lower=left.lower, upper=right.upper, lower_closed=left.lower_closed, upper_closed=right.upper_closed
    )
