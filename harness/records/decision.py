"""The decision and its reasons: the core of verdict.json."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import Field

from harness.criteria import Target
from harness.plugins.fields import Unit
from harness.records.bands import Interval
from harness.records.base import Ordered, Record
from harness.records.reasons import Holding, LookedUp, Notice, Reason
from harness.records.tuning import Search


class Flaw(Record):
    """A flaw in an arm's number at a seed, or in the number computed from two arms."""

    label: str = ""
    """Label of the arm; empty if the flaw concerns both arms."""
    value: Annotated[float | None, Unit("the metric's unit")] = None
    """Number that is flawed, if there is one."""
    problem: str
    """Reason why the number can't be used, in words that follow it."""
    stand_in: Annotated[float | None, Unit("the metric's unit")] = None
    """Worst value of the metric, if that is used instead."""

    def describe(self, write: Callable[[float], str]) -> str:
        """Return the flaw in words, with numbers as ``write`` formats them."""
        text = self.problem if self.value is None else f"{write(self.value)} {self.problem}"
        whose = f"{self.label}: " if self.label else ""
        instead = "" if self.stand_in is None else f"; the worst value, {write(self.stand_in)}, stands in for it"
        return f"{whose}{text}{instead}"


class SeedValue(Record):
    """The value of an estimand at one seed."""

    seed_index: Annotated[int, Unit("1")]
    """Position in the list of seeds, counted from 0."""
    value: Annotated[Ordered | None, Unit("the estimand's unit")]
    """The value; None if a replica diverged or the value is not finite. Of onsets, infinite where one never comes."""
    between: Annotated[tuple[Ordered, Ordered] | None, Unit("the estimand's unit")] = Field(
        default=None, exclude_if=lambda value: value is None
    )
    """Ends of the interval in which the value is known to lie, both included, where it is not known exactly: an onset
    comes between two evaluations, or after the end of training."""
    note: str | None = None
    """Reason why there is no value, or not the measured one."""
    flaws: tuple[Flaw, ...] = Field(default=(), exclude=True)
    """The reasons as data, for the sentences of verdicts of an earlier form; they are not stored."""

    @property
    def anything(self) -> bool:
        """True if the value may be anything: the difference of two onsets neither of which ever came."""
        return self.between is not None and all(map(math.isinf, self.between))


class Ground(Record):
    """Epochs at which the replicas of an arm were read, so that they are compared having come, or spent, as much."""

    arm: str
    """Name of the arm."""
    epochs: Annotated[tuple[int | None, ...], Unit("epochs")]
    """Epoch at which each seed was read, in the order of the seeds; None where there is none."""
    amounts: Annotated[tuple[float | None, ...], Unit("the unit of what it came to")]
    """Value of each seed there: of the metric that a condition is about, or what had been spent."""


class EstimandResult(Record):
    """An estimand over all seeds."""

    name: str
    """The estimand's name in the file."""
    title: str
    """The estimand in words, with arms, layer, epoch and summaries."""
    unit: str
    """Unit of the values: "pp", "log10", "ratio", the metric's unit, or empty; of a slope, with what it is per."""
    values: tuple[SeedValue, ...]
    """Values in the order of the seeds."""
    n: Annotated[int, Unit("seeds")]
    """Number of seeds with a finite value."""
    mean: Annotated[float | None, Unit("the estimand's unit")]
    """Mean over the seeds; of ratios the geometric mean."""
    median: Annotated[Ordered | None, Unit("the estimand's unit")]
    """Median over the seeds; of onsets, infinite if it lies among those that never come."""
    sd: Annotated[float | None, Unit("the estimand's unit")]
    """Standard deviation between seeds, with n − 1 degrees of freedom; of ratios that of their log10. For unpaired
    arms, the square root of the sum of the two variances."""
    interval90: Annotated[tuple[float, float] | None, Unit("the estimand's unit")]
    """Two-sided 90% confidence interval of the mean, from Student's t; from Welch's t for unpaired arms."""
    interval95: Annotated[tuple[float, float] | None, Unit("the estimand's unit")]
    """Two-sided 95% confidence interval of the mean, computed like ``interval90``."""
    correlation: Annotated[float | None, Unit("1")] = None
    """Correlation of the two arms over seeds, which is what pairing exploits; None unless the contrast is paired."""
    pseudomedian: Annotated[Ordered | None, Unit("the estimand's unit")] = Field(
        default=None, exclude_if=lambda value: value is None
    )
    """The Hodges–Lehmann estimate; written only if the file asks for the pseudomedian."""
    iqm: Annotated[float | None, Unit("the estimand's unit")] = Field(
        default=None, exclude_if=lambda value: value is None
    )
    """Interquartile mean, of all tasks where there are several; written only if the file asks for it."""
    between: Annotated[tuple[Ordered, Ordered] | None, Unit("the estimand's unit")] = Field(
        default=None, exclude_if=lambda value: value is None
    )
    """Ends of the interval in which the estimate is known to lie, where the seeds' values are not known exactly."""
    summary95: Annotated[tuple[Ordered, Ordered] | None, Unit("the estimand's unit")] = Field(
        default=None, exclude_if=lambda value: value is None
    )
    """Two-sided 95% confidence interval of the summary over seeds that the file asks for, of exploratory estimands that
    ask for another than the mean."""
    never: tuple[str, str] | None = Field(default=None, exclude_if=lambda value: value is None)
    """Words for minus infinity and infinity among the values of an onset, which stand for an arm that never comes to
    it; None for other estimands."""

    ground: tuple[Ground, ...] = Field(default=(), exclude_if=lambda value: not value)
    """Epochs at which each arm was read, of an estimand whose replicas are each read at an epoch of their own."""

    def estimate(self, target: Target) -> float | None:
        """Return the point estimate of the parameter that a criterion tests; None without values."""
        found = {"mean": self.mean, "median": self.median, "pseudomedian": self.pseudomedian, "iqm": self.iqm}
        return found[target]


class GuardResult(Record):
    """The test of a guard."""

    name: str
    """The guard's name in the file."""
    estimand: EstimandResult
    """The guarded estimand over all seeds."""
    side: Literal["above", "below"]
    """Side of the threshold on which the estimand must lie."""
    threshold: Annotated[float, Unit("the estimand's unit")]
    """Value that the estimand must lie above or below."""
    alpha: Annotated[float, Unit("probability")]
    """Significance level of the test."""
    test: str
    """Name of the test."""
    holding: Annotated[int, Unit("seeds")]
    """Number of seeds on the required side."""
    p: Annotated[float | None, Unit("probability")]
    """p-value of the null hypothesis that the guard does not hold."""
    p_reverse: Annotated[float | None, Unit("probability")]
    """p-value of the null hypothesis that the guard holds."""
    status: Literal["verified", "unverified", "violated"]
    """Result of the test. verified: the guard is shown to hold; violated: it is shown not to hold; unverified: neither.
    """
    otherwise: str
    """Sentence that the verdict prints if the guard does not hold."""


class AtomTest(Record):
    """The test of one atom's null hypothesis, "the true value lies in this atom"."""

    interval: Interval
    """The atom."""
    outcome: str
    """Band that the atom belongs to."""
    p: Annotated[float, Unit("probability")]
    """p-value of the atom's null hypothesis."""
    rejected: bool
    """True if p is at most α."""


class EffectSize(Record):
    """Standardised mean of a paired contrast, in units of its standard deviation over seeds: Hedges' g_z."""

    value: Annotated[float, Unit("1")]
    """Mean of the differences over their standard deviation, times ``correction``."""
    interval95: Annotated[tuple[float, float], Unit("1")]
    """Two-sided 95% confidence interval, from the noncentral t distribution."""
    correction: Annotated[float, Unit("1")]
    """Hedges' factor, which corrects the bias of small samples."""


class BandDecision(Record):
    """One decision across seeds."""

    name: str
    """The decision's name in the file."""
    estimand: EstimandResult
    """The deciding estimand over all seeds."""
    criterion: str
    """Name of the statistical test."""
    alpha: Annotated[float, Unit("probability")]
    """Significance level of the atom tests."""
    status: Literal["tested", "too_few", "degenerate", "diverged", "seed_not_applied"]
    """"tested" if the atom tests were made; otherwise the reason why they were not."""
    interval: Annotated[tuple[Ordered, Ordered] | None, Unit("the estimand's unit")]
    """Confidence interval at level 1 − 2α. The band of a decided outcome always contains it. The converse need not
    hold: an interval inside a band may still be undecided, because excluding a band between two boundaries takes α/2 on
    each side."""
    interval_level: Annotated[float, Unit("probability")]
    """Confidence level of that interval, 1 − 2α."""
    atoms: tuple[AtomTest, ...]
    """Tests of all atoms, from left to right."""
    bands: dict[str, str]
    """Band → its intervals as a string."""
    outcome: str
    """Name of a band, inconclusive or invalid."""
    alive: tuple[str, ...]
    """Bands that are not excluded."""
    p: Annotated[float | None, Unit("probability")]
    """Largest p-value among the atoms of all other outcomes than the decided one; if inconclusive, than that of the
    band in which the estimate lies."""
    boundary: Annotated[float | None, Unit("the estimand's unit")]
    """Cut that prevents a decision, if the outcome is inconclusive."""
    seeds_needed: Annotated[int | None, Unit("seeds")]
    """Total number of seeds that would decide with 80% power if the estimate were the true value."""
    seeds_needed_pessimistic: Annotated[int | None, Unit("seeds")]
    """Value of ``seeds_needed`` with the standard deviation at its upper 80% confidence limit."""
    steps: tuple[str, ...] = ()
    """The reasoning, one sentence per step."""
    posterior: Annotated[dict[str, float] | None, Unit("probability")] = None
    """Band → posterior probability that the true mean lies in it, under Jeffreys' prior. It is a second opinion that
    decides nothing; None if nothing was tested or if the tested parameter is a median."""
    effect_size: EffectSize | None = None
    """Standardised effect size; only for a paired contrast."""


class Look(Record):
    """One look, that is, an interim analysis or the final one: the outcome after the first ``seeds`` seeds."""

    seeds: Annotated[int, Unit("seeds")]
    """Number of seeds, from the first, that the look judges."""
    outcome: str
    """Outcome if this look were the last. Anything but inconclusive ends the run."""
    p: Annotated[float | None, Unit("probability")]
    """p-value of the outcome on the scale of α, Bonferroni-adjusted for the number of planned looks."""


class Decision(Record):
    """The outcome of a hypothesis, and what led to it."""

    outcome: str
    """Name of a band or of a combination's outcome, inconclusive or invalid."""
    predicted: str
    """Outcome that the authors expected."""
    summary: str = ""
    """The decision in one sentence; empty until it has been put into words."""
    guards: tuple[GuardResult, ...]
    """Tests of the guards, in the file's order."""
    decisions: tuple[BandDecision, ...]
    """Decisions, in the file's order."""
    combination: str | None = None
    """Explanation in words of how several decisions led to the outcome."""
    p: Annotated[float | None, Unit("probability")]
    """p-value of the outcome on the scale of α, adjusted for several decisions and for planned looks; None if there is
    none."""
    diverged: Annotated[dict[str, tuple[int, ...]], Unit("seed indices")]
    """Arm → indices of the seeds that diverged, or whose value for a decision or guard could not be used."""
    divergence_rate: Annotated[dict[str, tuple[float, float, float]], Unit("share of seeds")]
    """Arm → divergence rate and its Clopper–Pearson 95% interval."""
    clean_rate_limit: Annotated[float | None, Unit("share of seeds")]
    """Upper limit on the failure rate per seed that n seeds without a failure leave possible, 1 − .05^(1/n); None if a
    seed diverged."""
    exploratory: tuple[EstimandResult, ...]
    """Exploratory estimands, which are reported and never decide."""
    warnings: tuple[str, ...] = ()
    """Facts that a reader must know, one sentence each."""
    looks: tuple[Look, ...] = ()
    """Every look that was taken, in order, if the file asks for looks. The last one is this decision."""
    exploratory_p: Annotated[dict[str, tuple[float, float]], Unit("probability")] = Field(default_factory=dict)
    """Exploratory contrast → two-sided p-value of no difference (Student's or Welch's t), and the same adjusted over
    all exploratory contrasts (Benjamini–Hochberg)."""
    reason: Reason | None = None
    """Reason for the outcome; None in verdicts of an earlier form."""
    combined: Annotated[Holding | LookedUp, Field(discriminator="rule")] | None = None
    """Reason that several decisions together give the outcome; None for a single decision."""
    notices: tuple[Notice, ...] = ()
    """Circumstances that a reader must know; ``warnings`` puts them into words."""
    search: Search | None = Field(default=None, exclude_if=lambda value: value is None)
    """Search for the settings of tuned arms, and its choice; None if nothing is tuned."""
