"""Operating characteristics: how likely each outcome is, before any data, if the truth were so and so."""

from __future__ import annotations

from typing import Literal

from harness.records.base import Record


class PredictionPower(Record):
    """The chance of what was predicted, at one true effect."""

    effect: float
    where: str
    """In words: where the effect lies within the predicted bands."""
    chances: tuple[float, ...]
    """With the registered seeds, for every sd."""
    seeds: tuple[int | None, ...]
    """Seeds that give a chance of 80%, for every sd; None: no number that was tried does."""


class DecisionPower(Record):
    """One decision's operating characteristics."""

    name: str
    title: str
    """Its estimand, in words."""
    unit: str
    criterion: str
    alpha: float
    """The level that it is made at, after several decisions and looks have shared it."""
    bands: dict[str, str]
    cuts: tuple[float, ...]
    seeds: int
    """As registered."""
    predicted: tuple[str, ...]
    """Bands that it must fall in for the prediction to come true; empty where nothing is predicted of it alone."""
    sds: tuple[float, float, float]
    """Standard deviations between seeds: a small one, the assumed one, a large one."""
    sd_source: str
    """Where the assumed one comes from, and how the others follow from it."""
    draws: int | None
    """Samples behind every chance; None: computed without chance."""
    outcomes: tuple[str, ...]
    """The bands, and inconclusive."""
    numbers: tuple[int, ...]
    """Numbers of seeds."""
    effects: tuple[float, ...]
    """True values of the estimand."""
    chances: tuple[tuple[tuple[tuple[float, ...], ...], ...], ...]
    """P(outcome | true effect, sd, n) as [sd][n][effect][outcome]."""
    curve_effects: tuple[float, ...]
    """True values, close together near the cuts."""
    curve: tuple[tuple[float, ...], ...]
    """P(outcome | true effect) with the assumed sd and the registered seeds, [effect][outcome]."""
    landmarks: tuple[float, ...]
    """Those of ``curve_effects`` that are worth a row: cuts, middles of bands, one sd off the cuts."""
    prediction: tuple[PredictionPower, ...]
    by_number: tuple[tuple[float, ...], ...]
    """P(predicted bands) at the first effect of ``prediction``, [sd][n]."""
    greatest: float | None
    """The greatest chance of the predicted bands at any true effect, with the assumed sd and the registered seeds."""
    within: tuple[tuple[float | None, float | None], ...]
    """True effects at which that chance is 80% or more; None: without end."""


class PowerReport(Record):
    """What ``harness power`` shows."""

    v: Literal[1] = 1
    hypothesis: str
    title: str
    predicted: str
    seeds: int
    decisions: tuple[DecisionPower, ...]
    together: tuple[float, float] | None
    """Bounds on the chance that the prediction comes true, with the assumed sds, each decision at the first effect of
    its ``prediction``; None where the prediction asks for no decision in particular."""
    notes: tuple[str, ...]
