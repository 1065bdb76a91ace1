"""Room at the ends of an axis for values beyond all others: onsets that never come."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from harness.verdict.canvas import MUTED

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH = 0.14  # of the axis, which becomes longer by it


class Shelves(NamedTuple):
    """An axis from ``low`` to ``high`` with room beyond either end that infinite values need."""

    low: float
    high: float
    needed: tuple[bool, bool]
    """True where there are values of minus infinity, and of infinity."""

    @property
    def limits(self) -> tuple[float, float]:
        """Ends of the axis with the room beyond them."""
        step = WIDTH * (self.high - self.low)
        return self.low - step * self.needed[0], self.high + step * self.needed[1]

    def put(self, values: Sequence[float]) -> list[float]:
        """Return the places at which values are drawn: infinite ones in the middle of their room."""
        half = WIDTH * (self.high - self.low) / 2
        beyond = {-math.inf: self.low - half, math.inf: self.high + half}
        return [beyond.get(value, value) for value in values]

    def draw(self, axes: Axes, never: tuple[str, str]) -> None:
        """Draw a wall before each room, and its name."""
        for there, wall, place, name in zip(self.needed, self[:2], self.put((-math.inf, math.inf)), never, strict=True):
            if there:
                axes.axvline(wall, ymin=0.11, ymax=0.86, color=MUTED, linewidth=0.8)
                axes.text(place, 0.02, name, ha="center", va="bottom", fontsize=8, color=MUTED)


def make_shelves(low: float, high: float, values: Sequence[float]) -> Shelves:
    """Return the axis of values, some of which may be infinite."""
    return Shelves(low, high, (-math.inf in values, math.inf in values))
