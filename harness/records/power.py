"""Operating characteristics: how likely each outcome is, before any data, if the truth were so and so."""

from __future__ import annotations

from typing import Annotated, Literal

from harness.plugins.fields import Unit
from harness.records.base import Record


class PredictionPower(Record):
    """The chance of what was predicted, at one true effect."""

    effect: Annotated[float, Unit("the estimand's unit")]
    """True value of the estimand."""
    where: str
    """In words: where the effect lies within the predicted bands."""
    chances: Annotated[tuple[float, ...], Unit("probability")]
    """With the registered seeds, for every sd."""
    seeds: Annotated[tuple[int | None, ...], Unit("seeds")]
    """Seeds that give a chance of 80%, for every sd; None: no number that was tried does. With ``looks``, the first by
    which the chance is 80%."""


class DecisionPower(Record):
    """One decision's operating characteristics."""

    name: str
    """Its name in the file."""
    title: str
    """Its estimand, in words."""
    unit: str
    """The estimand's: pp, log10, a metric's unit, or empty."""
    criterion: str
    """Name of the test."""
    alpha: Annotated[float, Unit("probability")]
    """The level that it is made at, after several decisions and looks have shared it."""
    bands: dict[str, str]
    """Band → its intervals as text."""
    cuts: Annotated[tuple[float, ...], Unit("the estimand's unit")]
    """Where one band ends and the next begins, rising."""
    seeds: Annotated[int, Unit("seeds")]
    """As registered."""
    predicted: tuple[str, ...]
    """Bands that it must fall in for the prediction to come true; empty where nothing is predicted of it alone."""
    sds: Annotated[tuple[float, float, float], Unit("the estimand's unit")]
    """Standard deviations between seeds: a small one, the assumed one, a large one."""
    sd_source: str
    """Where the assumed one comes from, and how the others follow from it."""
    draws: Annotated[int | None, Unit("samples")]
    """Samples behind every chance; None: computed without chance."""
    outcomes: tuple[str, ...]
    """The bands, and inconclusive."""
    numbers: Annotated[tuple[int, ...], Unit("seeds")]
    """Numbers of seeds; where ``looks`` are counted in, those of looks, and a chance is that of the outcome by then."""
    effects: Annotated[tuple[float, ...], Unit("the estimand's unit")]
    """True values of the estimand."""
    chances: Annotated[tuple[tuple[tuple[tuple[float, ...], ...], ...], ...], Unit("probability")]
    """P(outcome | true effect, sd, n) as ``[sd][n][effect][outcome]``."""
    curve_effects: Annotated[tuple[float, ...], Unit("the estimand's unit")]
    """True values, close together near the cuts."""
    curve: Annotated[tuple[tuple[float, ...], ...], Unit("probability")]
    """P(outcome | true effect) with the assumed sd and the registered seeds, ``[effect][outcome]``."""
    landmarks: Annotated[tuple[float, ...], Unit("the estimand's unit")]
    """Those of ``curve_effects`` that are worth a row: cuts, middles of bands, one sd off the cuts."""
    prediction: tuple[PredictionPower, ...]
    """At true effects that the prediction allows, the most telling first."""
    by_number: Annotated[tuple[tuple[float, ...], ...], Unit("probability")]
    """P(predicted bands) at the first effect of ``prediction``, ``[sd][n]``."""
    greatest: Annotated[float | None, Unit("probability")]
    """The greatest chance of the predicted bands at any true effect, with the assumed sd and the registered seeds."""
    within: Annotated[tuple[tuple[float | None, float | None], ...], Unit("the estimand's unit")]
    """True effects at which that chance is 80% or more; None: without end."""
    looks: Annotated[tuple[int, ...], Unit("seeds")] = ()
    """Seeds at the looks that every chance counts in; empty where there is one look, or the last one's is meant."""
    seeds_trained: Annotated[tuple[float, ...], Unit("seeds")] = ()
    """With such looks, how many seeds a run takes on average at each of ``landmarks``, with the assumed sd."""


class GuardPower(Record):
    """How likely a guard is to be verified, if the truth is what an earlier run estimated."""

    name: str
    """Its name in the file."""
    title: str
    """Its estimand, in words."""
    unit: str
    """The estimand's, as of a decision."""
    side: Literal["above", "below"]
    """Where the estimand must lie."""
    threshold: Annotated[float, Unit("the estimand's unit")]
    """Of what."""
    test: str
    """Name of the test."""
    alpha: Annotated[float, Unit("probability")]
    """Its level, after looks have shared it."""
    seeds: Annotated[int, Unit("seeds")]
    """As registered."""
    effect: Annotated[float, Unit("the estimand's unit")]
    """Assumed true value."""
    sd: Annotated[float, Unit("the estimand's unit")]
    """Assumed standard deviation between seeds."""
    source: str
    """Where both come from."""
    verified: Annotated[float, Unit("probability")]
    """Chance that it is shown to hold after all seeds."""
    violated: Annotated[float, Unit("probability")]
    """Chance that it is shown not to hold, which makes the outcome invalid; else it stays unverified."""


class PowerReport(Record):
    """What ``harness power`` shows."""

    v: Literal[1] = 1
    """Version of this form."""
    hypothesis: str
    """The hypothesis's id."""
    title: str
    """Its statement."""
    predicted: str
    """The outcome that the authors expect."""
    seeds: Annotated[int, Unit("seeds")]
    """As registered."""
    decisions: tuple[DecisionPower, ...]
    """In the file's order."""
    together: Annotated[tuple[float, float] | None, Unit("probability")]
    """Bounds on the chance that the prediction comes true, with the assumed sds, each decision at the first effect of
    its ``prediction``, and the guards at theirs where all are known; None where the prediction asks for no decision in
    particular."""
    notes: tuple[str, ...]
    """What a reader must know, one sentence each."""
    guards: tuple[GuardPower, ...] = ()
    """Those of which an earlier run knows something, in the file's order."""
