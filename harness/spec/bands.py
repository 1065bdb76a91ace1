"""Bands tile the values that an estimand can have: each value lies in exactly one."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping

from harness.records import Band, DecisionSpec, Interval
from harness.records.hypothesis import RESERVED_OUTCOMES
from harness.spec.draft import Draft
from harness.spec.tree import Path, Problem
from harness.wording import exact, unpadded


def band_problems(draft: Draft) -> Iterator[Problem]:
    """What is wrong with the bands of every decision."""
    for name, decision in draft.decisions.items():
        path = ("decisions", name, "bands")
        for band in decision.bands:
            if band in RESERVED_OUTCOMES:
                message = f"{band!r} is the harness's own outcome"
                yield Problem((*path, band), message, "choose another name", on_key=True)
        estimand = draft.estimands.get(decision.estimand)
        yield from _tiling(path, decision, estimand.band_domain if estimand is not None else None)


def _tiling(path: Path, decision: DecisionSpec, bounds: tuple[float, float] | None) -> Iterator[Problem]:
    """The line cut at all boundaries into points and gaps; neighbours held by the same bands are named together.

    Without known bounds (an estimand that is wrong itself) only overlaps are looked for.
    """
    owners = [(name, interval) for name, band in decision.bands.items() for interval in band]
    ends = {end for _, interval in owners for end in (interval.lower, interval.upper) if end is not None}
    low, high = bounds or (math.inf, -math.inf)
    cuts = sorted(ends | {bound for bound in (low, high) if math.isfinite(bound)})
    reached: set[str] = set()

    def holders(piece: Interval) -> tuple[tuple[str, ...], bool]:
        number = _inside(piece)
        held = tuple(name for name, interval in owners if interval.contains(number))
        within = low <= number <= high
        if within:
            reached.update(held)
        return held, within and not held

    for (held, missing), group in itertools.groupby(_pieces(cuts), key=holders):
        numbers = _named(list(group))
        if missing:
            remedy = "let one band reach there; [ and ] include a boundary, ( and ) leave it out"
            yield Problem(path, f"{numbers} in no band", remedy, on_key=True)
        elif len(held) > 1:
            bands = " and ".join(dict.fromkeys(held)) if len(set(held)) > 1 else f"{held[0]}, twice"
            remedy = "let each boundary belong to one side: [ and ] include it, ( and ) leave it out"
            yield Problem((*path, held[-1]), f"{numbers} in more than one band: {bands}", remedy)
    if bounds is not None:
        for name in decision.bands.keys() - reached:
            message = f"band {name!r} can't be reached: {decision.estimand} lies in {_range(low, high)}"
            yield Problem((*path, name), message, "remove it, or check unit and transform", on_key=True)


def tests_of(bands: Mapping[str, Band], bounds: tuple[float, float]) -> Iterator[tuple[float, int]]:
    """Every cut within ``bounds`` at which an atom is tested, with by how much that test's α is divided.

    Neighbouring pieces of one band are one atom. The outermost atoms are half-lines, tested at α on their one side;
    the others at α/2 on either side.
    """
    low, high = bounds
    ends = {end for band in bands.values() for part in band for end in (part.lower, part.upper) if end is not None}
    cuts = sorted(ends | {bound for bound in bounds if math.isfinite(bound)})
    inside = [piece for piece in _pieces(cuts) if low <= _inside(piece) <= high]

    def owner(piece: Interval) -> str | None:
        return next((name for name, band in bands.items() if band.contains(_inside(piece))), None)

    atoms = [list(group) for _, group in itertools.groupby(inside, key=owner)]
    for position, atom in enumerate(atoms):
        first, last = position == 0, position == len(atoms) - 1
        for end, outermost in ((atom[0].lower, first), (atom[-1].upper, last)):
            if end is not None and not outermost:
                yield end, 1 if first or last else 2


def _pieces(cuts: list[float]) -> Iterator[Interval]:
    """Open gaps and points, in rising order."""
    lower: float | None = None
    for cut in cuts:
        yield Interval(lower=lower, upper=cut, lower_closed=False, upper_closed=False)
        yield Interval(lower=cut, upper=cut, lower_closed=True, upper_closed=True)
        lower = cut
    yield Interval(lower=lower, upper=None, lower_closed=False, upper_closed=False)


def _inside(piece: Interval) -> float:
    """A number in the piece."""
    if piece.lower is None:
        return 0.0 if piece.upper is None else piece.upper - max(1.0, abs(piece.upper))
    if piece.upper is None:
        return piece.lower + max(1.0, abs(piece.lower))
    return piece.lower if piece.lower == piece.upper else piece.lower / 2 + piece.upper / 2


def _named(run: list[Interval]) -> str:
    first, last = run[0], run[-1]
    if len(run) == 1 and first.lower == first.upper and first.lower is not None:
        return f"{exact(first.lower)} is"
    whole = Interval(
        lower=first.lower, upper=last.upper, lower_closed=first.lower_closed, upper_closed=last.upper_closed
    )
    return f"the numbers in {unpadded(str(whole))} are"


def _range(low: float, high: float) -> str:
    left = "(-inf" if math.isinf(low) else f"[{exact(low)}"
    right = "inf)" if math.isinf(high) else f"{exact(high)}]"
    return f"{left}, {right}"
