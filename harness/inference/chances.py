"""P(outcome | true effect, sd, n): the probability that a decision's atoms are rejected, before any data.

For a criterion that depends on t alone (``Criterion.critical_t``) the probability is integrated exactly: given the
seeds' standard deviation, the means that reject each atom lie beyond known lines, so that the integral runs over the
standard deviation only (``noncentral``). Other criteria are simulated with their own code.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Protocol

import numpy as np

from harness.criteria import Criterion
from harness.domain.partition import WHOLE_LINE, Atom
from harness.stats.noncentral import interpolate_normal_cdf, nodes

KEY = 20_260_401
"""Seed of every simulation, together with the number of seeds: the same question gets the same answer."""
DRAWS = 200
FEWEST_DRAWS = 20
DRAWS_AND_SEEDS = 20_000  # draws times seeds, for a criterion that is simulated anew for every effect
REACH = 200.0  # standard errors from the estimate; a cut that is not rejected there never is
HALVINGS = 16

Groups = Sequence[frozenset[str]]


class Chances(Protocol):
    """Probability that all bands outside a group are excluded: float64 [effects, groups]."""

    @property
    def atoms(self) -> tuple[Atom, ...]:
        """Atoms of the decision."""

    @property
    def draws(self) -> int | None:
        """Number of simulated samples; None if the probability is exact."""

    def __call__(self, groups: Groups, effects: np.ndarray, sd: float, n: int) -> np.ndarray:
        """Compute it for true values ``effects`` and ``n`` seeds that are normal with standard deviation ``sd`` > 0."""


def choose_chances(
    criterion: Criterion, atoms: tuple[Atom, ...], alpha: float, domain: tuple[float, float], n: int
) -> Chances:
    """Choose the method for a decision at level ``alpha`` on an estimand with values in ``domain``.

    ``n`` is the registered number of seeds.
    """
    if is_t_based(criterion):
        return ExactT(criterion, atoms, alpha)
    return Simulated(criterion, atoms, alpha, domain, choose_draws(criterion, n))


def is_t_based(criterion: Criterion) -> bool:
    """Tell whether the criterion depends on the seeds' mean and standard deviation only, through ``critical_t``."""
    return criterion.critical_t(criterion.alpha, 2) is not None


def choose_draws(criterion: Criterion, n: int) -> int:
    """Return the number of runs of ``n`` seeds to simulate: fewer for many seeds if every effect takes its own."""
    return max(FEWEST_DRAWS, min(DRAWS, DRAWS_AND_SEEDS // n)) if criterion.needs_bounds else DRAWS


@dataclass(frozen=True)
class ExactT:
    """The probability by quadrature, to 1e-7, for a criterion that depends on t alone."""

    criterion: Criterion
    atoms: tuple[Atom, ...]
    alpha: float
    draws: None = None

    def __call__(self, groups: Groups, effects: np.ndarray, sd: float, n: int) -> np.ndarray:
        """Compute the probability, see ``Chances``."""
        if n < 2:
            return np.zeros((len(effects), len(groups)))
        critical = [self.criterion.critical_t(atom.level(self.alpha), n) for atom in self.atoms]
        return compute_t_chances(self.atoms, critical, groups, effects, sd / math.sqrt(n), n - 1)


def compute_t_chances(
    atoms: tuple[Atom, ...],
    critical: Sequence[float | None],
    groups: Groups,
    effects: np.ndarray,
    error: float,
    df: int,
) -> np.ndarray:
    """Return the probabilities for an estimate with standard error ``error``, estimated with ``df`` degrees of freedom.

    ``critical`` holds the t beyond which each atom's tests reject; an atom whose t is infinite or None is never
    rejected.

    With q = √(χ²/df) the estimated standard error is error·q, and an atom [a, b] is rejected by estimates below
    a − t·error·q or above b + t·error·q. Given q, the estimate is normal; between two q at which such lines cross,
    the segments into which they divide the line keep their order.
    """
    lines = []  # (atom, +1 above or −1 below, intercept, slope)
    for index, (atom, t) in enumerate(zip(atoms, critical, strict=True)):
        if t is None or math.isinf(t):
            continue
        slope = error * t
        if atom.interval.upper is not None:
            lines.append((index, 1, atom.interval.upper, slope))
        if atom.interval.lower is not None:
            lines.append((index, -1, atom.interval.lower, -slope))
    kinks = [(a1 - a2) / (b2 - b1) for (_, _, a1, b1), (_, _, a2, b2) in combinations(lines, 2) if b1 != b2]
    q, w = nodes(df, [kink for kink in kinks if kink > 0])
    ends = np.array([a for _, _, a, _ in lines]) + q[:, None] * np.array([b for _, _, _, b in lines])  # [q, line]
    edges = np.sort(ends, axis=1)
    padded = np.concatenate([edges[:, :1] - 1, edges, edges[:, -1:] + 1], axis=1) if lines else np.zeros((len(q), 2))
    middles = (padded[:, 1:] + padded[:, :-1]) / 2  # [q, stretch]
    rejected = np.zeros((len(atoms), *middles.shape), dtype=bool)
    for column, (index, side, _, _) in enumerate(lines):
        end = ends[:, column : column + 1]
        rejected[index] |= middles > end if side > 0 else middles < end
    steps = np.empty((edges.size, len(groups)))  # [q and line, group]: increase of the probability given q at a line
    last = np.empty(len(groups))
    for column, group in enumerate(groups):
        outside = [index for index, atom in enumerate(atoms) if atom.outcome not in group]
        left = w[:, None] * rejected[outside].all(axis=0)  # [q, stretch]: the group is what is left
        steps[:, column] = (left[:, :-1] - left[:, 1:]).ravel()
        last[column] = left[:, -1].sum()
    counts = steps.any(axis=1)
    phi = interpolate_normal_cdf((edges.ravel()[counts] - effects[:, None]) / error)  # [effect, q and line]
    return np.clip(last + phi @ steps[counts], 0.0, 1.0)


@dataclass(frozen=True)
class Simulated:
    """The probability by simulation of the criterion's own p values; the same draws serve all effects and sds.

    A p value that is equivariant under shift and scale is computed for standard normal values only: at each level, the
    two cuts beyond which it rejects are found.
    """

    criterion: Criterion
    atoms: tuple[Atom, ...]
    alpha: float
    domain: tuple[float, float] = WHOLE_LINE
    draws: int = DRAWS
    _limits: dict[tuple[int, float], np.ndarray] = field(default_factory=dict)

    def __call__(self, groups: Groups, effects: np.ndarray, sd: float, n: int) -> np.ndarray:
        """Compute the probability, see ``Chances``."""
        found = np.zeros((len(effects), len(groups)))
        criterion = self.criterion.on(self.domain)
        if n < max(2, min(criterion.smallest_n(atom.level(self.alpha)) for atom in self.atoms)):
            return found
        within = self._within_bounds if self.criterion.needs_bounds else self._moved
        rejected = [within(atom, effects, sd, n) for atom in self.atoms]  # each [draw, effect]
        for column, group in enumerate(groups):
            left = np.ones((self.draws, len(effects)), dtype=bool)
            for atom, out in zip(self.atoms, rejected, strict=True):
                if atom.outcome not in group:
                    left &= out
            found[:, column] = left.mean(axis=0)
        return found

    def seeds(self, n: int) -> np.ndarray:
        """Return standard normal values [draw, n]; for unpaired arms, pairs with such differences, [draw, n, 2]."""
        stream = np.random.default_rng([KEY, n])
        if self.criterion.unpaired:
            return stream.standard_normal((self.draws, n, 2)) / math.sqrt(2)
        return stream.standard_normal((self.draws, n))

    def _moved(self, atom: Atom, effects: np.ndarray, sd: float, n: int) -> np.ndarray:
        limits = self._of_standard_normal(n, atom.level(self.alpha))
        lower, upper = (effects + sd * limits[:, side : side + 1] for side in (0, 1))
        above = False if atom.interval.upper is None else lower > atom.interval.upper
        below = False if atom.interval.lower is None else upper < atom.interval.lower
        return np.broadcast_to(above | below, lower.shape)

    def _of_standard_normal(self, n: int, level: float) -> np.ndarray:
        """Return the cuts up to which "parameter ≤ cut", and from which "parameter ≥ cut" is rejected, [draw, 2]."""
        if (n, level) not in self._limits:
            self._limits[n, level] = np.array([self.limits_of(x, level) for x in self.seeds(n)])
        return self._limits[n, level]

    def limits_of(self, x: np.ndarray, level: float) -> tuple[float, float]:
        """Return one run's cuts up to which and from which the one-sided tests at ``level`` reject."""
        seeds = x[:, 0] - x[:, 1] if self.criterion.unpaired else x
        middle, error = float(seeds.mean()), float(seeds.std(ddof=1)) / math.sqrt(len(seeds))

        def limit(p: Callable[[np.ndarray, float], float], side: int) -> float:
            rejected, kept = middle + side * REACH * error, middle
            if p(x, rejected) > level:
                return side * math.inf
            for _ in range(HALVINGS):
                between = (rejected + kept) / 2
                if p(x, between) <= level:
                    rejected = between
                else:
                    kept = between
            return rejected

        return limit(self.criterion.p_greater, -1), limit(self.criterion.p_less, 1)

    def _within_bounds(self, atom: Atom, effects: np.ndarray, sd: float, n: int) -> np.ndarray:
        return np.array([self.rejected_by_look(atom, effect, sd, (n,))[0] for effect in effects.tolist()]).T

    def rejected_by_look(self, atom: Atom, effect: float, sd: float, looks: Sequence[int]) -> np.ndarray:
        """Return whether the first seeds of each run reject the atom's null, bool [look, draw], for bounded criteria.

        The criterion itself is applied to values that are clipped to the bounds.
        """
        criterion, level = self.criterion.on(self.domain), atom.level(self.alpha)
        runs = np.clip(effect + sd * self.seeds(looks[-1]), *self.domain)
        rejected = np.zeros((len(looks), self.draws), dtype=bool)
        for cut, above in ((atom.interval.upper, True), (atom.interval.lower, False)):
            if cut is not None:
                rejected |= criterion.p_by_look(runs, cut, looks, above=above) <= level
        return rejected
