"""The decision and its reasons: the core of verdict.json."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import Field

from harness.criteria import Target
from harness.plugins.fields import Unit
from harness.records.bands import Interval
from harness.records.base import Record
from harness.records.reasons import Holding, LookedUp, Notice, Reason


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
    value: Annotated[float | None, Unit("the estimand's unit")]
    """The value; None if a replica diverged or the value is not finite."""
    note: str | None = None
    """Reason why there is no value, or not the measured one."""
    flaws: tuple[Flaw, ...] = Field(default=(), exclude=True)
    """The reasons as data, for the sentences of verdicts of an earlier form; they are not stored."""


class EstimandResult(Record):
    """An estimand over all seeds."""

    name: str
    """The estimand's name in the file."""
    title: str
    """The estimand in words, with arms, layer, epoch and summaries."""
    unit: str
    """Unit of the values: "pp", "log10", the metric's unit, or empty."""
    values: tuple[SeedValue, ...]
    """Values in the order of the seeds."""
    n: Annotated[int, Unit("seeds")]
    """Number of seeds with a finite value."""
    mean: Annotated[float | None, Unit("the estimand's unit")]
    """Mean over the seeds."""
    median: Annotated[float | None, Unit("the estimand's unit")]
    """Median over the seeds."""
    sd: Annotated[float | None, Unit("the estimand's unit")]
    """Standard deviation between seeds, with n − 1 degrees of freedom. For unpaired arms, the square root of the sum of
    the two variances."""
    interval90: Annotated[tuple[float, float] | None, Unit("the estimand's unit")]
    """Two-sided 90% confidence interval of the mean, from Student's t; from Welch's t for unpaired arms."""
    interval95: Annotated[tuple[float, float] | None, Unit("the estimand's unit")]
    """Two-sided 95% confidence interval of the mean, computed like ``interval90``."""
    correlation: Annotated[float | None, Unit("1")] = None
    """Correlation of the two arms over seeds, which is what pairing exploits; None unless the contrast is paired."""
    pseudomedian: Annotated[float | None, Unit("the estimand's unit")] = Field(
        default=None, exclude_if=lambda value: value is None
    )
    """The Hodges–Lehmann estimate; written only if the file asks for the pseudomedian."""

    def estimate(self, target: Target) -> float | None:
        """Return the point estimate of the parameter that a criterion tests; None without values."""
        return {"mean": self.mean, "median": self.median, "pseudomedian": self.pseudomedian}[target]


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
    interval: Annotated[tuple[float, float] | None, Unit("the estimand's unit")]
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
