"""The number of seeds that an undecided decision would have needed if the estimate were the truth."""

from __future__ import annotations

from dataclasses import dataclass

from harness.criteria import Criterion
from harness.domain.partition import Atom
from harness.stats.noncentral import spread_quantile

POWER = 0.80
MOST_SEEDS = 10_000


@dataclass(frozen=True)
class Hurdle:
    """A test that must reject: the estimate's distance from its cut, and its level."""

    distance: float
    level: float


def find_hurdles(atoms: tuple[Atom, ...], estimate: float, band: str, alpha: float) -> tuple[Hurdle, ...]:
    """Return the atoms of other bands than the estimate's as hurdles."""
    found = []
    for atom in atoms:
        cut = atom.facing_cut(estimate)
        if atom.outcome != band and cut is not None:
            found.append(Hurdle(abs(estimate - cut), atom.level(alpha)))
    return tuple(found)


def count_seeds_needed(criterion: Criterion, steps: tuple[Hurdle, ...], sd: float) -> int | None:
    """Return the smallest n at which the probabilities of failing at each hurdle add up to at most 1 − power.

    The sum bounds the probability of failing at any, so the power is at least as asked. Return None above 10,000 seeds,
    for an estimate on a cut, and for criteria without a formula.
    """

    def enough(n: int) -> bool | None:
        chances = [criterion.type_two(step.distance, sd, n, step.level) for step in steps]
        known = [chance for chance in chances if chance is not None]
        return None if len(known) < len(chances) else sum(known) <= 1 - POWER

    if not steps or any(step.distance == 0 for step in steps) or not enough(MOST_SEEDS):
        return None
    low = max(2, *(criterion.smallest_n(step.level) for step in steps))
    high = MOST_SEEDS
    while low < high:  # failing becomes rarer as seeds are added
        middle = (low + high) // 2
        if enough(middle):
            high = middle
        else:
            low = middle + 1
    return high


def compute_sd_limits(sd: float, n: int) -> tuple[float, float]:
    """Return lower and upper one-sided 80% confidence limits of a standard deviation from n ≥ 2 normal values.

    The limits are s·√((n − 1)/χ²) with the 0.8 and the 0.2 quantile of χ² with n − 1 degrees of freedom.
    """
    return sd / spread_quantile(0.8, n - 1), sd / spread_quantile(0.2, n - 1)
