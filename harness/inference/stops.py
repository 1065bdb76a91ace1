"""P(outcome by each look | true effect, sd) for a group-sequential run, which ends at the first look that decides.

Runs are simulated with the decision's own rule. Criteria that depend on t alone need only the mean and the standard
deviation of the seeds so far, so these are drawn look by look (joined as by Chan, Golub and LeVeque 1983,
doi 10.1080/00031305.1983.10483115), whatever the number of seeds. Other criteria get simulated seeds, and those that
need bounds get them for every effect.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import numpy as np

from harness.criteria import Criterion
from harness.domain.partition import WHOLE_LINE, Atom
from harness.inference.chances import DRAWS, KEY, Groups, Simulated, choose_draws, is_t_based

MOST_RUNS = 10_000
RUNS_AND_LOOKS = 400_000  # runs times looks, if there are many looks


@dataclass(frozen=True)
class Sequential:
    """Probabilities for a single decision under a stopping rule, see ``Chances``; n means the last look at n or fewer.

    ``alpha`` is the level of each look.
    """

    criterion: Criterion
    atoms: tuple[Atom, ...]
    alpha: float
    looks: tuple[int, ...]
    domain: tuple[float, float] = WHOLE_LINE
    _limits: dict[float, np.ndarray] = field(default_factory=dict)
    _found: dict[tuple[float, bytes], np.ndarray] = field(default_factory=dict)

    @property
    def draws(self) -> int:
        """Number of simulated runs."""
        if is_t_based(self.criterion):
            return min(MOST_RUNS, max(DRAWS, RUNS_AND_LOOKS // len(self.looks)))
        return choose_draws(self.criterion, self.looks[-1])

    def __call__(self, groups: Groups, effects: np.ndarray, sd: float, n: int) -> np.ndarray:
        """Compute the probability that a band of the group has been given as the outcome; several bands add up."""
        due = sum(look <= n for look in self.looks)
        if not due:
            return np.zeros((len(effects), len(groups)))
        by_band = dict(zip(self._bands, self.by_look(effects, sd)[due - 1].T, strict=True))
        nothing = np.zeros(len(effects))
        return np.stack([sum((by_band.get(band, nothing) for band in group), nothing) for group in groups], axis=1)

    def seeds_trained(self, effects: np.ndarray, sd: float) -> np.ndarray:
        """Return the mean number of seeds of a run, float64 [effect]."""
        going_on = 1 - self.by_look(effects, sd).sum(axis=2)
        more = np.diff(self.looks, prepend=0)
        return np.asarray(more[0] + (more[1:, None] * going_on[:-1]).sum(axis=0))

    def by_look(self, effects: np.ndarray, sd: float) -> np.ndarray:
        """Return the probability that each band is the outcome at a look so far, float64 [look, effect, band]."""
        key = (sd, effects.tobytes())
        if key not in self._found:
            self._found[key] = self._judged(effects, sd)
        return self._found[key]

    @property
    def _bands(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(atom.outcome for atom in self.atoms))

    def _judged(self, effects: np.ndarray, sd: float) -> np.ndarray:
        found = np.zeros((len(self.looks), len(effects), len(self._bands)))
        for column, effect in enumerate(effects.tolist()):
            rejected = [self._rejected(atom, effect, sd) for atom in self.atoms]
            left: np.ndarray = np.ones((len(self._bands), len(self.looks), self.draws), dtype=bool)
            for row, band in enumerate(self._bands):
                for atom, out in zip(self.atoms, rejected, strict=True):
                    if atom.outcome != band:
                        left[row] &= out
            decided = np.asarray(left.any(axis=0))
            runs = np.flatnonzero(decided.any(axis=0))
            first = decided[:, runs].argmax(axis=0)
            for row in range(len(self._bands)):
                given = first[left[row, first, runs]]
                found[:, column, row] = np.bincount(given, minlength=len(self.looks)) / self.draws
        return np.asarray(found.cumsum(axis=0))

    def _rejected(self, atom: Atom, effect: float, sd: float) -> np.ndarray:
        """Return whether the atom's null is rejected, bool [look, draw]."""
        if self.criterion.needs_bounds:
            return self._seed_by_seed.rejected_by_look(atom, effect, sd, self.looks)
        rejected = np.zeros((len(self.looks), self.draws), dtype=bool)
        lower, upper = self._of_standard_normal(atom.level(self.alpha))
        if atom.interval.upper is not None:
            rejected |= lower > (atom.interval.upper - effect) / sd
        if atom.interval.lower is not None:
            rejected |= upper < (atom.interval.lower - effect) / sd
        return rejected

    def _of_standard_normal(self, level: float) -> np.ndarray:
        """Return the cuts up to and from which one-sided tests of standard normal seeds reject, [2, look, draw]."""
        if level not in self._limits:
            if is_t_based(self.criterion):
                half = np.array([[self._critical_t(level, n) / math.sqrt(n)] for n in self.looks]) * self._so_far[1]
                self._limits[level] = np.stack([self._so_far[0] - half, self._so_far[0] + half])
            else:
                self._limits[level] = self._simulated(level)
        return self._limits[level]

    def _critical_t(self, level: float, n: int) -> float:
        critical = self.criterion.critical_t(level, n)
        return math.inf if critical is None else critical

    @cached_property
    def _so_far(self) -> tuple[np.ndarray, np.ndarray]:
        """Means and standard deviations of the standard normal seeds up to each look, both [look, draw]."""
        stream = np.random.default_rng([KEY, len(self.looks)])
        mean, squares = np.zeros(self.draws), np.zeros(self.draws)
        found = []
        for before, n in pairwise((0, *self.looks)):
            fresh = n - before
            step = stream.standard_normal(self.draws) / math.sqrt(fresh) - mean
            if fresh > 1:
                squares = squares + stream.chisquare(fresh - 1, self.draws)
            mean = mean + step * fresh / n
            squares = squares + step**2 * before * fresh / n
            found.append((mean, np.sqrt(squares / (n - 1))))
        means, sds = zip(*found, strict=True)
        return np.array(means), np.array(sds)

    @property
    def _seed_by_seed(self) -> Simulated:
        return Simulated(self.criterion, self.atoms, self.alpha, self.domain, self.draws)

    def _simulated(self, level: float) -> np.ndarray:
        """Compute the cuts through the criterion's p values on the first seeds of each run."""
        runs = self._seed_by_seed.seeds(self.looks[-1])
        found = np.empty((2, len(self.looks), self.draws))
        for look, n in enumerate(self.looks):
            for draw, x in enumerate(runs):
                enough = n >= self.criterion.smallest_n(level)
                found[:, look, draw] = self._seed_by_seed.limits_of(x[:n], level) if enough else (-math.inf, math.inf)
        return found
