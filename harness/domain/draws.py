"""Draws of a random search: the candidates of an arm whose space has distributions, keyed by the tuning seeds.

The registration fixes the distributions and, through the seeds that decide, the tuning seeds; so nobody chooses what is
drawn, and whoever can check the seeds can draw again.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence

from harness.records.tuning import Distribution, Value

KEY = "harness/tuning/draw-v1"
DIGITS = 4
"""Significant digits of a drawn number: two libraries of mathematics that differ in the last bit draw the same."""


def draw_candidates(
    space: Mapping[str, tuple[Value, ...] | Distribution], trials: int, seeds: Sequence[int]
) -> tuple[dict[str, Value], ...]:
    """Return the values of each candidate, by path; of a list, one is drawn, in whatever order the file names them.

    A draw depends on the seeds, its path and its position, and not on its arm: arms with the same space of a path try
    the same values there.
    """
    return tuple(
        {path: _draw(values, _draw_share(seeds, path, trial)) for path, values in space.items()}
        for trial in range(trials)
    )


def sort_values(values: Sequence[Value]) -> list[Value]:
    """Return values in an order that doesn't depend on that of the file: numbers, then texts."""
    return sorted(values, key=lambda value: (isinstance(value, str), isinstance(value, bool), value))


def _draw_share(seeds: Sequence[int], path: str, trial: int) -> float:
    """Return a number of [0, 1).

    It is the first 53 bits of SHA-256("harness/tuning/draw-v1" ‖ 0 ‖ each seed as 8 bytes ‖ path ‖ 0 ‖ trial as
    8 bytes), big-endian, over 2**53.
    """
    material = KEY.encode() + b"\0" + b"".join(seed.to_bytes(8, "big") for seed in seeds)
    digest = hashlib.sha256(material + path.encode() + b"\0" + trial.to_bytes(8, "big")).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53


def _draw(values: tuple[Value, ...] | Distribution, share: float) -> Value:
    """Return the value at a share of the range, that of a loguniform by its logarithm."""
    if not isinstance(values, Distribution):
        return sort_values(values)[int(share * len(values))]
    low, high = values.low, values.high
    if values.distribution == "integer":
        return int(low) + int(share * (int(high) - int(low) + 1))
    if values.distribution == "loguniform":
        number = math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
    else:
        number = low + share * (high - low)
    return min(max(float(f"{number:.{DIGITS}g}"), low), high)
