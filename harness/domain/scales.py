"""The scale on which an estimand is tested: its own, or the log10 of a ratio, whose bands and pages are ratios."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from harness.domain.partition import Atom, find_atoms, split_line
from harness.records import Band, Estimand, Interval

DIGITS = 12  # of a number that was brought back: 10^log10(2) is 2


@dataclass(frozen=True)
class Scale:
    """Two functions between the numbers that people read and those that are tested."""

    enter: Callable[[float], float]
    """Number in the estimand's unit → number on the scale of the test."""
    leave: Callable[[float], float]
    """Number on the scale of the test → number in the estimand's unit."""

    def enter_atoms(self, atoms: tuple[Atom, ...]) -> tuple[Atom, ...]:
        """Return atoms on the scale of the test, with the same bands."""
        return tuple(Atom(_map_ends(atom, self.enter), atom.outcome) for atom in atoms) if self is RATIO else atoms

    def leave_interval(self, interval: tuple[float, float]) -> tuple[float, float]:
        """Return an interval in the estimand's unit."""
        return self.leave(interval[0]), self.leave(interval[1])

    def has(self, value: float) -> bool:
        """Tell whether a number in the estimand's unit is on the scale: of ratios, those above 0."""
        return self is not RATIO or value > 0

    def show(self, value: float) -> float:
        """Return a number in the estimand's unit, rounded so that a boundary comes back as it was written."""
        return float(f"{self.leave(value):.{DIGITS}g}") if self is RATIO else value

    def tidy(self, value: float) -> float:
        """Return a place near ``value`` that is a short ratio, for a table that asks what if."""
        return self.enter(float(f"{self.leave(value):.3g}")) if self is RATIO else value

    def tidy_places(
        self, places: Sequence[float], kept: Sequence[float], shown: tuple[float, float]
    ) -> tuple[float, ...]:
        """Return places that are shown as short ratios, but for those to be ``kept``."""
        tidied = (place if place in kept else self.tidy(place) for place in places)
        return tuple(place for place in tidied if shown[0] <= place <= shown[1])


def _map_ends(atom: Atom, change: Callable[[float], float]) -> Interval:
    ends = {"lower": atom.interval.lower, "upper": atom.interval.upper}
    return atom.interval.model_copy(update={k: None if end is None else change(end) for k, end in ends.items()})


def _keep(value: float) -> float:
    return value


def _raise(value: float) -> float:
    """Return 10^value; infinity if it is too large to write."""
    try:
        return math.pow(10.0, value)
    except OverflowError:
        return math.inf


PLAIN = Scale(_keep, _keep)
RATIO = Scale(math.log10, _raise)


def choose_scale(estimand: Estimand) -> Scale:
    """Return the scale on which an estimand is tested."""
    return PLAIN if estimand.ratio is None else RATIO


def split_bands(bands: Mapping[str, Band], estimand: Estimand) -> tuple[Atom, ...]:
    """Return the atoms of bands that tile an estimand's values, on the scale of its test.

    Raises:
        HarnessError: A possible value is in no band, or in more than one.
    """
    return choose_scale(estimand).enter_atoms(split_line(bands, estimand.domain))


def find_tested_atoms(bands: Mapping[str, Band], estimand: Estimand) -> tuple[Atom, ...]:
    """Return the atoms of bands that need not tile, as ``find_atoms`` does, on the scale of the estimand's test."""
    return choose_scale(estimand).enter_atoms(find_atoms(bands, estimand.domain))
