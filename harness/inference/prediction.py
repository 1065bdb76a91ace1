"""What the predicted outcome asks of each decision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

from harness.inference.combine import share
from harness.records import Hypothesis


@dataclass(frozen=True)
class Wanted:
    """Decision → bands that it must be shown to lie in for the predicted outcome."""

    bands: Mapping[str, frozenset[str]]
    """Empty where the outcome asks for no decision in particular."""
    one: bool = False
    """One of the decisions is enough; otherwise all must."""


def wanted(hypothesis: Hypothesis) -> Wanted:
    """What the prediction needs: of one decision its band; of several, what their combination asks for.

    A table's outcome asks for bands of each decision only if the combinations that give it are all those of such bands.
    """
    outcome, rule = hypothesis.prediction.outcome, hypothesis.combine
    bands = {name: frozenset(decision.bands) for name, decision in hypothesis.decisions.items()}
    if rule is None:
        return Wanted({name: frozenset([outcome]) for name, known in bands.items() if outcome in known})
    if rule.holds is not None:
        if outcome not in (rule.outcome, rule.otherwise):
            return Wanted({})
        as_held = {name: frozenset(held) for name, held in rule.holds.items()}
        if outcome == rule.outcome:
            return Wanted(as_held, one=rule.rule == "any")
        return Wanted({name: bands[name] - held for name, held in as_held.items()}, one=rule.rule == "all")
    rows = rule.table or ()
    names = tuple(name for name in bands if any(name in row.when for row in rows))
    cells = [
        cell
        for cell in product(*(sorted(bands[name]) for name in names))
        if next((r.outcome for r in rows if all(cell[names.index(n)] == b for n, b in r.when.items())), None) == outcome
    ]
    found = {name: frozenset(cell[index] for cell in cells) for index, name in enumerate(names)}
    if not cells or len(cells) < len(list(product(*found.values()))):
        return Wanted({})
    return Wanted({name: kept for name, kept in found.items() if kept != bands[name]})


def level(hypothesis: Hypothesis, name: str) -> float:
    """The level that a decision is made at, after the combination and planned looks have shared its α."""
    alpha = hypothesis.decisions[name].criterion.alpha / share(hypothesis.combine, name)
    needs = wanted(hypothesis)
    if needs.one and name in needs.bands:
        alpha /= len(needs.bands)
    return alpha / hypothesis.stopping.parts
