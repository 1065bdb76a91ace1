"""Combination of several decisions into one outcome (all, any or a truth table), with P(wrong outcome) ≤ α."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

from harness.inference.families import holm
from harness.records import BandDecision, Combine, Holding, LookedUp


@dataclass(frozen=True)
class Combined:
    """The joint outcome of several decisions."""

    outcome: str
    p: float | None
    """Joint p on the scale of one decision's α; None for an undecided combination."""
    reasoning: Holding | LookedUp | None = None
    """Reasoning of the combination; None for a single decision, which gives the outcome by itself."""


@dataclass(frozen=True)
class _Part:
    """A decision's inputs to the combination: band → p at which the whole band is excluded."""

    alpha: float
    band_p: Mapping[str, float]

    def excluded_p(self, bands: frozenset[str]) -> float:
        """Return the smallest level at which all of ``bands`` are excluded."""
        return max((p for band, p in self.band_p.items() if band in bands), default=0.0)


def find_alpha_divisor(rule: Combine | None, name: str) -> int:
    """Return the number by which a decision's α is divided, so that its own outcome agrees with the combination.

    A table is looked up at α divided by the number of decisions that it names. Under ``all`` and ``any`` a decision's
    own outcome stands at its α; further requirements of the combination are stated in words.
    """
    named = {decision for row in (rule.table or () if rule else ()) for decision in row.when}
    return len(named) if name in named else 1


def combine(rule: Combine, decisions: tuple[BandDecision, ...]) -> Combined:
    """Return the outcome of the combination, or inconclusive; the decisions' α are already divided."""
    parts = {decision.name: _Part(decision.alpha, _list_band_p(decision)) for decision in decisions}
    if rule.table is not None:
        return _combine_by_table(rule, parts)
    assert rule.holds is not None
    assert rule.outcome is not None
    assert rule.otherwise is not None
    holds = {name: frozenset(bands) for name, bands in rule.holds.items()}
    if rule.rule == "all":
        given, p, shown = _combine_every(parts, holds, rule.outcome, rule.otherwise)
    else:  # no decision holds if and only if every decision lies in its other bands
        fails = {name: frozenset(parts[name].band_p) - bands for name, bands in holds.items()}
        given, p, shown = _combine_every(parts, fails, rule.otherwise, rule.outcome)
    reasoning = Holding(
        rule="all" if rule.rule == "all" else "any",
        count=len(holds),
        outcome=rule.outcome,
        otherwise=rule.otherwise,
        given=given,
        p=p,
        shown=shown,
    )
    return Combined(given, p, reasoning)


def _list_band_p(decision: BandDecision) -> dict[str, float]:
    """Return the largest p among each band's atoms.

    Where nothing was tested, nothing is excluded; a band wholly outside the estimand's bounds has no atom and is
    excluded from the start.
    """
    if decision.status != "tested":
        return dict.fromkeys(decision.bands, 1.0)
    return {
        band: max((test.p for test in decision.atoms if test.outcome == band), default=0.0) for band in decision.bands
    }


def _combine_every(
    parts: Mapping[str, _Part], inside: Mapping[str, frozenset[str]], outcome: str, otherwise: str
) -> tuple[str, float | None, dict[str, float] | None]:
    """Decide on ``outcome`` if every decision lies in its bands of ``inside``, on ``otherwise`` if some lies outside.

    ``outcome`` requires all bands outside to be excluded in every decision, each at its α: if it is wrong, some
    decision's true value lies outside, and that one test errs, with probability at most α (intersection–union test).
    ``otherwise`` requires all bands inside to be excluded in some of the m decisions at α/m: if it is wrong, every true
    value lies inside, and one of m tests errs, with probability at most m·α/m (Bonferroni, the first step of Holm).
    Holm's further steps tell which decisions show it. Only one of the two outcomes can be wrong.

    Return the given outcome, its p, and for ``otherwise`` the decisions that show it.
    """
    m = len(inside)
    for_outcome = {
        name: parts[name].excluded_p(frozenset(parts[name].band_p) - bands) for name, bands in inside.items()
    }
    for_otherwise = {name: parts[name].excluded_p(bands) for name, bands in inside.items()}
    all_in = all(p <= parts[name].alpha for name, p in for_outcome.items())
    out = [name for name, p in for_otherwise.items() if p <= parts[name].alpha / m]
    if all_in and not out:
        return outcome, max(for_outcome.values()), None
    if out and not all_in:
        adjusted = dict(zip(for_otherwise, holm(tuple(for_otherwise.values())), strict=True))
        shown = {name: p for name, p in adjusted.items() if p <= parts[name].alpha}
        return otherwise, min(adjusted[name] for name in out), shown
    return "inconclusive", None, None


def _combine_by_table(rule: Combine, parts: Mapping[str, _Part]) -> Combined:
    """Look up every combination of bands that are alive; the outcome is the one that they agree on.

    Each of the m decisions that the table names is made at α/m. All their true bands are alive together with
    probability at least 1 − α (Bonferroni), and then the true outcome is among those looked up. An outcome is given
    only if it is the only one, so P(wrong outcome) ≤ α, where α is the largest of the decisions'.
    """
    rows = rule.table or ()
    names = tuple(name for name in parts if any(name in row.when for row in rows))
    m = len(names)
    alive = {name: tuple(b for b, p in parts[name].band_p.items() if p > parts[name].alpha) for name in names}

    def look_up(cell: Mapping[str, str]) -> str | None:
        return next((row.outcome for row in rows if all(cell[name] == band for name, band in row.when.items())), None)

    possible = {look_up(dict(zip(names, cell, strict=True))) for cell in product(*(alive[name] for name in names))}
    options = tuple(sorted(option for option in possible if option is not None))
    outcome = next(iter(possible)) if len(possible) == 1 else None
    if outcome is None:
        return Combined("inconclusive", None, LookedUp(alive=alive, options=options, given="inconclusive", p=None))
    # a combination is excluded as soon as one of its bands is
    others = (
        min(parts[name].band_p[band] for name, band in zip(names, cell, strict=True))
        for cell in product(*(parts[name].band_p for name in names))
        if look_up(dict(zip(names, cell, strict=True))) != outcome
    )
    p = min(1.0, m * max(others, default=0.0))
    return Combined(outcome, p, LookedUp(alive=alive, options=options, given=outcome, p=p))
