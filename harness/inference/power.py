"""Operating characteristics of a hypothesis: the probability of each outcome for a range of assumed true effects."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.domain.partition import Atom
from harness.domain.scales import choose_scale, split_bands
from harness.inference.chances import Chances, choose_chances
from harness.inference.estimands import build_title, name_unit
from harness.inference.grids import choose_curve_effects, choose_landmarks, choose_numbers, choose_range, thin_looks
from harness.inference.guards import Truth, compute_guard_power
from harness.inference.prediction import Requirements, find_level, find_requirements
from harness.inference.regions import Chance, choose_effects, find_greatest, find_reached, find_regions
from harness.inference.seeds import MOST_SEEDS, POWER
from harness.inference.stops import Sequential
from harness.records import DecisionPower, Estimand, Hypothesis, PowerReport, PredictionPower
from harness.records.readings import EpochWhen
from harness.wording import quote_outcome

DIGITS = 6  # of a probability in the report, as precise as the quadrature
EFFECTS = 41
SIMULATED_FRACTIONS = (0.5, 1.0, 2.0)
FRACTIONS = (0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)  # of the registered seeds, for the other numbers that are shown
ASSUMED = "Seeds are taken to be independent and normal; seeds that diverge are not counted in."
UNREACHED = (
    "every seed is taken to come so far: one of which an arm never does has no value, and with it the decision is "
    "made of fewer seeds, or of none at all if the file does not exclude them."
)
MOVED_BACK = "Values that would lie beyond the metric's bounds are moved back onto them."
POOLED = (
    "For an estimand over tasks, one normal number per seed stands for its values of all tasks: of how these spread, "
    "nothing is known before they are measured."
)
GUARDED = (
    "An outcome also needs every guard verified: one that is not leaves it inconclusive, one that is shown not to hold "
    "makes it invalid."
)
EARLIER = (
    "Chances are those of one look after so many seeds: that an earlier look can end the run is not counted in where "
    "several decisions make the outcome. This run is judged at {looks} numbers of seeds, {first} to {last}: that it "
    "ends in an outcome is at least as likely as is said here."
)


@dataclass(frozen=True)
class Spread:
    """A standard deviation between seeds, with a small and a large alternative."""

    low: float
    value: float
    high: float
    source: str
    """Source of the numbers, in words."""


def power(
    hypothesis: Hypothesis,
    spreads: Mapping[str, Spread],
    effects: Sequence[float] = (),
    truths: Mapping[str, Truth] | None = None,
) -> PowerReport:
    """Compute the probability of every outcome over true effects, sds and numbers of seeds, decision by decision.

    ``spreads``: decision → its estimand's sd; a note names decisions without one. ``effects``: further true effects at
    which to compute the prediction's probability. ``truths``: guard → assumed distribution of its estimand.
    """
    guards = compute_guard_power(hypothesis, truths or {})
    needs = find_requirements(hypothesis)
    decisions = tuple(
        _compute_decision_power(hypothesis, name, needs, spreads[name], effects)
        for name in hypothesis.decisions
        if name in spreads
    )
    notes = [ASSUMED]
    if any(hypothesis.decisions[part.name].criterion.needs_bounds for part in decisions):
        notes.append(MOVED_BACK)
    if any(hypothesis.estimands[decision.estimand].tasks for decision in hypothesis.decisions.values()):
        notes.append(POOLED)
    onsets = [
        name
        for name, decision in hypothesis.decisions.items()
        if hypothesis.estimands[decision.estimand].onset is not None
    ]
    if onsets:
        notes.append(f"Not computed for {', '.join(onsets)}: an onset may be never and has no standard deviation.")
    if left_out := [name for name in hypothesis.decisions if name not in (*spreads, *onsets)]:
        notes.append(f"No standard deviation is known for {', '.join(left_out)}: give --sd NAME=VALUE.")
    if reached := [
        name
        for name, decision in hypothesis.decisions.items()
        if isinstance(hypothesis.estimands[decision.estimand].epoch, EpochWhen)
    ]:
        notes.append(f"For {', '.join(reached)}, {UNREACHED}")
    if not needs.bands:
        notes.append(
            f"The predicted outcome, {quote_outcome(hypothesis.prediction.outcome)}, asks for no band in particular."
        )
    if hypothesis.stopping.parts > 1:
        notes.append("Planned looks share α.")
    if len(hypothesis.looks) > 1 and not all(part.looks for part in decisions):
        looks = hypothesis.looks
        notes.append(EARLIER.format(looks=len(looks), first=looks[0], last=looks[-1]))
    if hypothesis.guards:
        notes.append(GUARDED)
    known = {guard.name for guard in guards}
    if unknown := [name for name in hypothesis.guards if name not in known]:
        notes.append(
            f"That is not taken into account for {', '.join(unknown)}, about which nothing is known here: --sd-from "
            "takes what is needed from an earlier run or a pilot."
        )
    return PowerReport(
        hypothesis=hypothesis.id,
        title=hypothesis.title,
        predicted=hypothesis.prediction.outcome,
        seeds=hypothesis.seeds.number,
        decisions=decisions,
        together=_bound_joint_chance(needs, decisions, [guard.verified for guard in guards] if not unknown else []),
        notes=tuple(notes),
        guards=guards,
    )


def _choose_chances_of(hypothesis: Hypothesis, name: str) -> tuple[tuple[Atom, ...], Chances]:
    spec = hypothesis.decisions[name]
    estimand = hypothesis.estimands[spec.estimand]
    domain, atoms = estimand.test_domain, split_bands(spec.bands, estimand)
    alpha, criterion = find_level(hypothesis, name), spec.criterion.over(estimand.task_count)
    if len(hypothesis.looks) > 1 and len(hypothesis.decisions) == 1:
        return atoms, Sequential(criterion, atoms, alpha, hypothesis.looks, domain)
    return atoms, choose_chances(criterion, atoms, alpha, domain, hypothesis.seeds.number)


def compute_chance(chances: Chances, group: frozenset[str], sd: float, n: int) -> Chance:
    """Return the probability of one of the bands in ``group`` as a function of the true effects."""
    return lambda effects: chances([group], effects, sd, n)[:, 0]


def _compute_decision_power(
    hypothesis: Hypothesis, name: str, needs: Requirements, spread: Spread, effects: Sequence[float]
) -> DecisionPower:
    spec = hypothesis.decisions[name]
    estimand = hypothesis.estimands[spec.estimand]
    scale = choose_scale(estimand)
    atoms, chances = _choose_chances_of(hypothesis, name)
    sds = (spread.low, spread.value, spread.high)
    registered = hypothesis.seeds.number
    looks = chances.looks if isinstance(chances, Sequential) else ()
    numbers = thin_looks(looks) or choose_numbers(
        registered, FRACTIONS if chances.draws is None else SIMULATED_FRACTIONS
    )
    cuts = tuple(
        sorted({end for atom in atoms for end in (atom.interval.lower, atom.interval.upper) if end is not None})
    )
    group = needs.bands.get(name, frozenset())

    def rows(at: np.ndarray, sd: float, n: int) -> tuple[tuple[float, ...], ...]:
        single = chances([frozenset([band]) for band in spec.bands], at, sd, n)
        left = 1 - single.sum(axis=1, keepdims=True)
        table = np.clip(np.concatenate([single, left], axis=1), 0, 1).round(DIGITS)
        return tuple(tuple(row) for row in table.tolist())

    low, high = choose_range(cuts, spread.value, registered, estimand.test_domain)
    landmarks = choose_landmarks(atoms, cuts, spread.value, (low, high))
    landmarks = scale.tidy_places(landmarks, cuts, (low, high))
    grid, curve = (
        np.linspace(low, high, EFFECTS),
        choose_curve_effects(cuts, landmarks, (low, high), spread.value, registered),
    )
    if spec.criterion.needs_bounds:  # it is simulated anew for every effect
        grid = curve = np.array(landmarks)
    elif looks:  # each effect simulates all runs through all looks
        curve = np.union1d(grid, landmarks)
    return DecisionPower(
        name=name,
        title=build_title(estimand, hypothesis),
        unit=name_unit(estimand),
        criterion=spec.criterion.name,
        alpha=find_level(hypothesis, name),
        bands={band: str(parts) for band, parts in spec.bands.items()},
        cuts=tuple(map(scale.show, cuts)),
        seeds=registered,
        predicted=tuple(band for band in spec.bands if band in group),
        sds=sds,
        sd_source=spread.source,
        draws=chances.draws,
        outcomes=(*spec.bands, "inconclusive"),
        numbers=numbers,
        effects=tuple(map(scale.show, grid.tolist())),
        chances=tuple(tuple(rows(grid, sd, n) for n in numbers) for sd in sds),
        curve_effects=tuple(map(scale.show, curve.tolist())),
        curve=rows(curve, spread.value, registered),
        landmarks=tuple(map(scale.show, landmarks)),
        looks=looks,
        seeds_trained=tuple(chances.seeds_trained(np.array(landmarks), spread.value).round(1).tolist())
        if isinstance(chances, Sequential)
        else (),
        **_compute_prediction_power(chances, group, spread, numbers, registered, estimand, effects),
    )


def _compute_prediction_power(
    chances: Chances,
    group: frozenset[str],
    spread: Spread,
    numbers: Sequence[int],
    registered: int,
    estimand: Estimand,
    effects: Sequence[float],
) -> dict[str, Any]:
    """Return the fields of ``DecisionPower`` about the probability of the predicted bands."""
    sds = (spread.low, spread.value, spread.high)
    chance = compute_chance(chances, group, spread.value, registered)
    found = find_regions(chances.atoms, group)
    noise = 0.0 if chances.draws is None else 1 / math.sqrt(chances.draws)
    scale, domain = choose_scale(estimand), estimand.test_domain
    asked = [scale.enter(effect) for effect in effects if scale.has(effect)]
    places = [
        (effect if effect in asked else scale.tidy(effect), where)
        for effect, where in choose_effects(chance, found, domain, spread.value, asked, noise, scale.show)
    ]
    if not found or not places:
        return {"prediction": (), "by_number": (), "greatest": None, "within": ()}

    def at(effect: float, sd: float, n: int) -> float:
        return round(float(compute_chance(chances, group, sd, n)(np.array([effect]))[0]), DIGITS)

    return {
        "prediction": tuple(
            PredictionPower(
                effect=scale.show(effect),
                where=where,
                chances=tuple(at(effect, sd, registered) for sd in sds),
                seeds=tuple(_count_seeds_for(chances, group, effect, sd, numbers) for sd in sds),
            )
            for effect, where in places
        ),
        "by_number": tuple(tuple(at(places[0][0], sd, n) for n in numbers) for sd in sds),
        "greatest": round(find_greatest(chance, found, domain, noise)[0], DIGITS),
        "within": tuple(
            (None if low is None else scale.show(low), None if high is None else scale.show(high))
            for low, high in find_reached(chance, found, domain)
        ),
    }


def _count_seeds_for(
    chances: Chances, group: frozenset[str], effect: float, sd: float, numbers: Sequence[int]
) -> int | None:
    """Return the smallest number of seeds with a probability of 80%: of ``numbers`` or looks if it is simulated."""

    def enough(n: int) -> bool:
        return bool(chances([group], np.array([effect]), sd, n)[0, 0] >= POWER)

    if chances.draws is not None:
        tried = chances.looks if isinstance(chances, Sequential) else numbers
        return next((n for n in tried if enough(n)), None)
    low, high = 2, 4
    while not enough(high):
        if high == MOST_SEEDS:
            return None
        low, high = high, min(2 * high, MOST_SEEDS)
    while low < high:  # more seeds recognise a true effect inside a band more often
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return high


def _bound_joint_chance(
    needs: Requirements, decisions: Sequence[DecisionPower], guards: Sequence[float]
) -> tuple[float, float] | None:
    """Bound the joint probability, however decisions and guards depend on one another (Boole and Bonferroni)."""
    chances = {part.name: part.prediction[0].chances[1] for part in decisions if part.prediction}
    if not needs.bands or set(chances) != set(needs.bands):
        return None
    lost = sum(1 - verified for verified in guards)
    if needs.one:
        return max(0.0, max(chances.values()) - lost), min([1.0, sum(chances.values()), *guards])
    return max(0.0, 1 - sum(1 - chance for chance in chances.values()) - lost), min([*chances.values(), *guards])
