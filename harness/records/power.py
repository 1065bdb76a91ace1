"""Operating characteristics: how likely each outcome is for a range of assumed true effects, before there are data."""

from __future__ import annotations

from typing import Annotated, Literal

from harness.plugins.fields import Unit
from harness.records.base import Record


class PredictionPower(Record):
    """The probability that the prediction comes true, at one true effect."""

    effect: Annotated[float, Unit("the estimand's unit")]
    """True value of the estimand."""
    where: str
    """Position of the effect within the predicted bands, in words."""
    chances: Annotated[tuple[float, ...], Unit("probability")]
    """Probability with the registered seeds, for every standard deviation."""
    seeds: Annotated[tuple[int | None, ...], Unit("seeds")]
    """Number of seeds that gives a probability of 80%, for every standard deviation; None if no number that was tried
    does. With ``looks``, the first look by which the probability is 80%."""


class DecisionPower(Record):
    """The operating characteristics of one decision."""

    name: str
    """The decision's name in the file."""
    title: str
    """The decision's estimand, in words."""
    unit: str
    """Unit of the estimand: "pp", "log10", the metric's unit, or empty."""
    criterion: str
    """Name of the statistical test."""
    alpha: Annotated[float, Unit("probability")]
    """Significance level of the decision, after several decisions and looks have shared α."""
    bands: dict[str, str]
    """Band → its intervals as a string."""
    cuts: Annotated[tuple[float, ...], Unit("the estimand's unit")]
    """Boundaries between the bands, in ascending order."""
    seeds: Annotated[int, Unit("seeds")]
    """Registered number of seeds."""
    predicted: tuple[str, ...]
    """Bands that the decision must fall into for the prediction to come true; empty if the prediction asks nothing of
    this decision alone."""
    sds: Annotated[tuple[float, float, float], Unit("the estimand's unit")]
    """Standard deviations between seeds: a small one, the assumed one, a large one."""
    sd_source: str
    """Source of the assumed standard deviation, and derivation of the others from it."""
    draws: Annotated[int | None, Unit("samples")]
    """Number of simulated samples behind every probability; None if the probabilities are computed without simulation.
    """
    outcomes: tuple[str, ...]
    """The bands, and inconclusive."""
    numbers: Annotated[tuple[int, ...], Unit("seeds")]
    """Numbers of seeds. If ``looks`` are counted in, these are the looks, and a probability is that of the outcome by
    then."""
    effects: Annotated[tuple[float, ...], Unit("the estimand's unit")]
    """Assumed true values of the estimand."""
    chances: Annotated[tuple[tuple[tuple[tuple[float, ...], ...], ...], ...], Unit("probability")]
    """P(outcome | true effect, sd, n) as ``[sd][n][effect][outcome]``."""
    curve_effects: Annotated[tuple[float, ...], Unit("the estimand's unit")]
    """Assumed true values for the curve, close together near the cuts."""
    curve: Annotated[tuple[tuple[float, ...], ...], Unit("probability")]
    """P(outcome | true effect) with the assumed standard deviation and the registered seeds, ``[effect][outcome]``."""
    landmarks: Annotated[tuple[float, ...], Unit("the estimand's unit")]
    """The ``curve_effects`` that deserve a row in a table: cuts, middles of bands, one standard deviation off the cuts.
    """
    prediction: tuple[PredictionPower, ...]
    """Probability of the prediction at true effects that it allows, the most telling first."""
    by_number: Annotated[tuple[tuple[float, ...], ...], Unit("probability")]
    """P(predicted bands) at the first effect of ``prediction``, ``[sd][n]``."""
    greatest: Annotated[float | None, Unit("probability")]
    """Greatest probability of the predicted bands over all true effects, with the assumed standard deviation and the
    registered seeds."""
    within: Annotated[tuple[tuple[float | None, float | None], ...], Unit("the estimand's unit")]
    """Ranges of true effects at which that probability is 80% or more; None marks an end at infinity."""
    looks: Annotated[tuple[int, ...], Unit("seeds")] = ()
    """Numbers of seeds at the looks that every probability counts in; empty if there is only one look or only the last
    is meant."""
    seeds_trained: Annotated[tuple[float, ...], Unit("seeds")] = ()
    """Expected number of seeds that a run with such looks trains, at each of ``landmarks``, with the assumed standard
    deviation."""


class GuardPower(Record):
    """The probability that a guard is verified, if the true value is what an earlier run estimated."""

    name: str
    """The guard's name in the file."""
    title: str
    """The guard's estimand, in words."""
    unit: str
    """Unit of the estimand: "pp", "log10", the metric's unit, or empty."""
    side: Literal["above", "below"]
    """Side of the threshold on which the estimand must lie."""
    threshold: Annotated[float, Unit("the estimand's unit")]
    """Value that the estimand must lie above or below."""
    test: str
    """Name of the test."""
    alpha: Annotated[float, Unit("probability")]
    """Significance level of the guard, after looks have shared it."""
    seeds: Annotated[int, Unit("seeds")]
    """Registered number of seeds."""
    effect: Annotated[float, Unit("the estimand's unit")]
    """Assumed true value."""
    sd: Annotated[float, Unit("the estimand's unit")]
    """Assumed standard deviation between seeds."""
    source: str
    """Source of both assumptions."""
    verified: Annotated[float, Unit("probability")]
    """Probability that the guard is shown to hold after all seeds."""
    violated: Annotated[float, Unit("probability")]
    """Probability that the guard is shown not to hold, which makes the outcome invalid. Otherwise it remains
    unverified."""


class PowerReport(Record):
    """The report that ``harness power`` shows."""

    v: Literal[1] = 1
    """Version of this record's form."""
    hypothesis: str
    """Id of the hypothesis."""
    title: str
    """The hypothesis as a statement."""
    predicted: str
    """Outcome that the authors expect."""
    seeds: Annotated[int, Unit("seeds")]
    """Registered number of seeds."""
    decisions: tuple[DecisionPower, ...]
    """Operating characteristics of the decisions, in the file's order."""
    together: Annotated[tuple[float, float] | None, Unit("probability")]
    """Lower and upper bound on the probability that the prediction comes true, with the assumed standard deviations,
    each decision at the first effect of its ``prediction``, and the guards at their assumed values if all of them are
    known. None if the prediction asks nothing of any single decision."""
    notes: tuple[str, ...]
    """Facts that a reader must know, one sentence each."""
    guards: tuple[GuardPower, ...] = ()
    """Guards about which an earlier run gives information, in the file's order."""
