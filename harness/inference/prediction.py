"""The requirements that the predicted outcome places on each decision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

from harness.inference.combine import find_alpha_divisor
from harness.records import Hypothesis


@dataclass(frozen=True)
class Requirements:
    """The bands that each decision must be shown to lie in for the predicted outcome."""

    bands: Mapping[str, frozenset[str]]
    """Decision → its bands; empty if the outcome requires no decision in particular."""
    one: bool = False
    """True if one of the decisions suffices; otherwise all must hold."""


def find_requirements(hypothesis: Hypothesis) -> Requirements:
    """Return the prediction's requirements: a single decision's band, or those of the combination.

    A table's outcome requires bands of each decision only if the combinations that give it are all those of such bands.
    """
    outcome, rule = hypothesis.prediction.outcome, hypothesis.combine
    bands = {name: frozenset(decision.bands) for name, decision in hypothesis.decisions.items()}
    if rule is None:
        return Requirements({name: frozenset([outcome]) for name, known in bands.items() if outcome in known})
    if rule.holds is not None:
        if outcome not in (rule.outcome, rule.otherwise):
            return Requirements({})
        as_held = {name: frozenset(held) for name, held in rule.holds.items()}
        if outcome == rule.outcome:
            return Requirements(as_held, one=rule.rule == "any")
        return Requirements({name: bands[name] - held for name, held in as_held.items()}, one=rule.rule == "all")
    rows = rule.table or ()
    names = tuple(name for name in bands if any(name in row.when for row in rows))
    cells = [
        cell
        for cell in product(*(sorted(bands[name]) for name in names))
        if next((r.outcome for r in rows if all(cell[names.index(n)] == b for n, b in r.when.items())), None) == outcome
    ]
    found = {name: frozenset(cell[index] for cell in cells) for index, name in enumerate(names)}
    if not cells or len(cells) < len(list(product(*found.values()))):
        return Requirements({})
    return Requirements({name: kept for name, kept in found.items() if kept != bands[name]})


def find_level(hypothesis: Hypothesis, name: str) -> float:
    """Return the level that a decision is made at, after the combination and planned looks have divided its α."""
    alpha = hypothesis.decisions[name].criterion.alpha / find_alpha_divisor(hypothesis.combine, name)
    needs = find_requirements(hypothesis)
    if needs.one and name in needs.bands:
        alpha /= len(needs.bands)
    return alpha / hypothesis.stopping.parts
