"""Quick bounds on the probability that the registered seeds confirm a prediction, for every check of a file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from harness.criteria import Criterion
from harness.domain.partition import Atom
from harness.domain.scales import split_bands
from harness.inference.chances import Chances, ExactT, Simulated, choose_draws, is_t_based
from harness.inference.power import Spread, compute_chance
from harness.inference.prediction import find_level, find_requirements
from harness.inference.regions import find_greatest, find_regions
from harness.inference.seeds import POWER
from harness.inference.stops import Sequential
from harness.records import Hypothesis

PLACES = 9  # effects tried in a bounded region where probabilities are simulated
HALVINGS = 12
MOST_BOUNDED = 1000  # largest number of seeds for which a bounded criterion is simulated
MOST_LOOKS = 100
SURE = 3.0  # standard errors by which simulated probabilities are raised


def bound_prediction_chance(hypothesis: Hypothesis, spreads: Mapping[str, Spread]) -> tuple[str, float] | None:
    """Bound the probability, over all true effects, that the registered seeds confirm the prediction.

    The bound is the exact maximum for criteria that depend on t alone, at a fixed number of seeds. Otherwise it lies
    three standard errors above a simulated probability, or is the probability to pass the highest hurdle alone by the
    criteria's formulas, added over the looks. Of several decisions that must all hold, the least likely bounds it; its
    name comes with the probability. Return None if no bound is known quickly, or the prediction requires nothing in
    particular.
    """
    needs = find_requirements(hypothesis)
    found = []
    for name, group in needs.bands.items():
        chance = _bound_chance(hypothesis, name, group, spreads[name].value) if name in spreads else None
        if chance is not None:
            found.append((chance, name))
        elif needs.one:
            return None
    if not found:
        return None
    chance, name = max(found) if needs.one else min(found)
    return name, chance


def find_point_prediction(hypothesis: Hypothesis) -> str | None:
    """Return a decision whose predicted bands are single values, if that makes the prediction unattainable.

    All data that exclude every other value exclude a single one too, so no number of seeds confirms it.
    """
    needs = find_requirements(hypothesis)
    points = []
    for name, group in needs.bands.items():
        spec = hypothesis.decisions[name]
        estimand = hypothesis.estimands[spec.estimand]
        domain = estimand.test_domain
        places = find_regions(split_bands(spec.bands, estimand), group)
        if places and all(max(low, domain[0]) == min(high, domain[1]) for low, high in places):
            points.append(name)
    return points[0] if points and (not needs.one or len(points) == len(needs.bands)) else None


def _bound_chance(hypothesis: Hypothesis, name: str, group: frozenset[str], sd: float) -> float | None:
    spec = hypothesis.decisions[name]
    estimand = hypothesis.estimands[spec.estimand]
    domain, atoms = estimand.test_domain, split_bands(spec.bands, estimand)
    alpha, looks = find_level(hypothesis, name), hypothesis.looks
    found, n = find_regions(atoms, group), hypothesis.seeds.number
    criterion = spec.criterion.over(estimand.task_count)

    def bound_over_effects(chances: Chances) -> float:
        chance = compute_chance(chances, group, sd, n)
        if chances.draws is None:
            return find_greatest(chance, found, domain)[0]
        return _bound_share(find_greatest(chance, found, domain, places=PLACES)[0], chances.draws)

    if is_t_based(criterion) and len(looks) == 1:
        return bound_over_effects(ExactT(criterion, atoms, alpha))
    if criterion.needs_bounds:
        if n > MOST_BOUNDED:
            return None
        runs = Simulated(criterion, atoms, alpha, domain, choose_draws(criterion, n))
        outside = [atom for atom in atoms if atom.outcome not in group]

        def ever(effects: np.ndarray) -> np.ndarray:
            return np.array([_simulate_share(runs, outside, effect, sd, looks) for effect in effects.tolist()])

        share = find_greatest(ever, found, domain, places=PLACES)[0]
        if share < POWER:  # with barely enough seeds, the range of effects that excludes both sides is narrow
            share = max(
                [share, *ever(np.array([_find_balanced_effect(runs, outside, sd, looks, place) for place in found]))]
            )
        return _bound_share(share, runs.draws)
    if len(looks) > 1 and len(hypothesis.decisions) == 1 and is_t_based(criterion):
        return bound_over_effects(Sequential(criterion, atoms, alpha, looks))
    if len(looks) > MOST_LOOKS:
        return None

    def bound(effects: np.ndarray) -> np.ndarray:
        return np.array([_bound_passing(criterion, atoms, group, effect, sd, looks, alpha) for effect in effects])

    value = find_greatest(bound, found, domain)[0]
    return None if math.isnan(value) else value


def _find_balanced_effect(
    runs: Simulated, outside: Sequence[Atom], sd: float, looks: tuple[int, ...], place: tuple[float, float]
) -> float:
    """Find by bisection the effect in a predicted region at which atoms on both sides are rejected equally often."""
    low, high = max(place[0], runs.domain[0]), min(place[1], runs.domain[1])
    below = [atom for atom in outside if (end := atom.interval.upper) is not None and end <= place[0]]
    above = [atom for atom in outside if (end := atom.interval.lower) is not None and end >= place[1]]
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        left, right = (_simulate_share(runs, side, middle, sd, looks) for side in (below, above))
        if left == right:
            break
        low, high = (middle, high) if left < right else (low, middle)
    return (low + high) / 2


def _simulate_share(
    runs: Simulated, outside: Sequence[Atom], effect: float, sd: float, looks: tuple[int, ...]
) -> float:
    """Return the fraction of runs in which all atoms outside the prediction are rejected at one of the looks."""
    left = np.ones((len(looks), runs.draws), dtype=bool)
    for atom in outside:
        left &= runs.rejected_by_look(atom, effect, sd, looks)
    return float(left.any(axis=0).mean())


def _bound_share(share: float, draws: int) -> float:
    """Return the upper end of Wilson's interval (1927, doi 10.1080/01621459.1927.10502953) of a simulated fraction."""
    square = SURE**2
    half = SURE * math.sqrt(share * (1 - share) / draws + square / (4 * draws**2))
    return min(1.0, (share + square / (2 * draws) + half) / (1 + square / draws))


def _bound_passing(
    criterion: Criterion,
    atoms: tuple[Atom, ...],
    group: frozenset[str],
    effect: float,
    sd: float,
    looks: tuple[int, ...],
    alpha: float,
) -> float:
    """Bound the probability that all other bands are excluded at any look; NaN for a criterion without a formula."""
    total = 0.0
    for n in reversed(looks):
        if n < 2:
            continue  # one value decides nothing
        passed = 1.0
        for atom in atoms:
            cut = atom.facing_cut(effect)
            if atom.outcome in group or cut is None:
                continue
            missed = criterion.type_two(abs(effect - cut), sd, n, atom.level(alpha))
            if missed is None:
                return math.nan
            passed = min(passed, 1 - missed)
        total += passed
        if total >= 1:
            return 1.0
    return total
