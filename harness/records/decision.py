"""What was decided and why: the core of verdict.json."""

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
    """What is wrong with a number of an arm at a seed, or with what became of two arms' numbers."""

    label: str = ""
    """The arm's; empty where it is about both."""
    value: Annotated[float | None, Unit("the metric's unit")] = None
    """The number that it is about, if there is one."""
    problem: str
    """Why it cannot be used, in words that follow the number."""
    stand_in: Annotated[float | None, Unit("the metric's unit")] = None
    """The worst value of the metric, where that is used instead."""

    def told(self, write: Callable[[float], str]) -> str:
        """Say it, with numbers as ``write`` writes them."""
        text = self.problem if self.value is None else f"{write(self.value)} {self.problem}"
        whose = f"{self.label}: " if self.label else ""
        instead = "" if self.stand_in is None else f"; the worst value, {write(self.stand_in)}, stands in for it"
        return f"{whose}{text}{instead}"


class SeedValue(Record):
    """An estimand at one seed."""

    seed_index: Annotated[int, Unit("1")]
    """Position in the list of seeds, from 0."""
    value: Annotated[float | None, Unit("the estimand's unit")]
    """None: a replica diverged or the value is not finite."""
    note: str | None = None
    """Why there is no value, or not the measured one."""
    flaws: tuple[Flaw, ...] = Field(default=(), exclude=True)
    """The same as data, for the words of verdicts of an earlier form; it is not stored."""


class EstimandResult(Record):
    """An estimand over all seeds."""

    name: str
    """Its name in the file."""
    title: str
    """In words, with arms, layer, epoch and summaries."""
    unit: str
    """"pp", "log10", a metric's unit, or empty."""
    values: tuple[SeedValue, ...]
    """Seed by seed."""
    n: Annotated[int, Unit("seeds")]
    """Seeds with a finite value."""
    mean: Annotated[float | None, Unit("the estimand's unit")]
    """Over the seeds."""
    median: Annotated[float | None, Unit("the estimand's unit")]
    """Over the seeds."""
    sd: Annotated[float | None, Unit("the estimand's unit")]
    """Between seeds, n − 1 degrees of freedom; of unpaired arms the root of the sum of the two variances."""
    interval90: Annotated[tuple[float, float] | None, Unit("the estimand's unit")]
    """Two-sided 90% interval of the mean (t; of unpaired arms Welch's t)."""
    interval95: Annotated[tuple[float, float] | None, Unit("the estimand's unit")]
    """Two-sided 95% interval of the mean, as ``interval90``."""
    correlation: Annotated[float | None, Unit("1")] = None
    """Of the two arms over seeds: what pairing used; None without a paired contrast."""
    pseudomedian: Annotated[float | None, Unit("the estimand's unit")] = Field(
        default=None, exclude_if=lambda value: value is None
    )
    """Hodges and Lehmann's estimate, where the file asks for the pseudomedian; else not written."""

    def estimate(self, target: Target) -> float | None:
        """The point estimate of what a criterion tests; None without values."""
        return {"mean": self.mean, "median": self.median, "pseudomedian": self.pseudomedian}[target]


class GuardResult(Record):
    """A guard's test."""

    name: str
    """Its name in the file."""
    estimand: EstimandResult
    """What it is about, over all seeds."""
    side: Literal["above", "below"]
    """Where the estimand must lie."""
    threshold: Annotated[float, Unit("the estimand's unit")]
    """Of what."""
    alpha: Annotated[float, Unit("probability")]
    """Level of the test."""
    test: str
    """Name of the test."""
    holding: Annotated[int, Unit("seeds")]
    """Seeds on the right side."""
    p: Annotated[float | None, Unit("probability")]
    """Of the null that the guard does not hold."""
    p_reverse: Annotated[float | None, Unit("probability")]
    """Of the null that it does."""
    status: Literal["verified", "unverified", "violated"]
    """verified: the test says that it holds; violated: that it does not; unverified: neither."""
    otherwise: str
    """What the verdict says when it does not hold."""


class AtomTest(Record):
    """The test of one atom's null, "the true value lies in this atom"."""

    interval: Interval
    """The atom."""
    outcome: str
    """The band that it belongs to."""
    p: Annotated[float, Unit("probability")]
    """Of its null."""
    rejected: bool
    """Whether p is at most α."""


class EffectSize(Record):
    """A paired difference in units of its own spread over seeds: Hedges' g_z."""

    value: Annotated[float, Unit("1")]
    """Mean over standard deviation of the differences, times ``correction``."""
    interval95: Annotated[tuple[float, float], Unit("1")]
    """Two-sided 95% interval, from the noncentral t."""
    correction: Annotated[float, Unit("1")]
    """Hedges' factor for small n."""


class BandDecision(Record):
    """One decision across seeds."""

    name: str
    """Its name in the file."""
    estimand: EstimandResult
    """What it is about, over all seeds."""
    criterion: str
    """Name of the test."""
    alpha: Annotated[float, Unit("probability")]
    """Level of the atom tests."""
    status: Literal["tested", "too_few", "degenerate", "diverged", "seed_not_applied"]
    """tested: the atom tests were made; otherwise why they were not."""
    interval: Annotated[tuple[float, float] | None, Unit("the estimand's unit")]
    """Confidence interval at level 1 − 2α. The band of a decided outcome always contains it; an interval inside a band
    need not mean a decision, because excluding a band between two boundaries takes α/2 on each side."""
    interval_level: Annotated[float, Unit("probability")]
    """Level of that interval, 1 − 2α."""
    atoms: tuple[AtomTest, ...]
    """All atoms, in rising order."""
    bands: dict[str, str]
    """Band → its intervals as text."""
    outcome: str
    """A band's name, inconclusive or invalid."""
    alive: tuple[str, ...]
    """Bands that are not excluded."""
    p: Annotated[float | None, Unit("probability")]
    """Largest p among the atoms of other outcomes than the decided one; for an inconclusive decision, than the
    estimate's."""
    boundary: Annotated[float | None, Unit("the estimand's unit")]
    """The cut that blocks an inconclusive decision."""
    seeds_needed: Annotated[int | None, Unit("seeds")]
    """Seeds in all that would decide it with 80% power if the estimate were the truth."""
    seeds_needed_pessimistic: Annotated[int | None, Unit("seeds")]
    """The same with the sd at its upper 80% limit."""
    steps: tuple[str, ...] = ()
    """The reasoning, one sentence each."""
    posterior: Annotated[dict[str, float] | None, Unit("probability")] = None
    """Band → P(the true mean lies in it | the seeds), Jeffreys' prior: a second opinion that decides nothing. None
    where nothing was tested or a median is."""
    effect_size: EffectSize | None = None
    """Of a paired contrast."""


class Look(Record):
    """What the seeds so far said when they were judged before the last of them was trained, or then."""

    seeds: Annotated[int, Unit("seeds")]
    """The first so many seeds."""
    outcome: str
    """As if this were the last look; anything but inconclusive ends the run."""
    p: Annotated[float | None, Unit("probability")]
    """Of the outcome, on the scale of α: with planned looks after the factor that is their number."""


class Decision(Record):
    """The outcome of a hypothesis."""

    outcome: str
    """A band's or combination's name, inconclusive or invalid."""
    predicted: str
    """The outcome that the authors expected."""
    summary: str = ""
    """One sentence; empty as long as the decision is not worded."""
    guards: tuple[GuardResult, ...]
    """In the file's order."""
    decisions: tuple[BandDecision, ...]
    """In the file's order."""
    combination: str | None = None
    """How several decisions made the outcome, in words."""
    p: Annotated[float | None, Unit("probability")]
    """Of the outcome, on the scale of α: after the factors for several decisions and for planned looks; None where
    there is none."""
    diverged: Annotated[dict[str, tuple[int, ...]], Unit("seed indices")]
    """Arm → indices of seeds that diverged, or whose number for a decision or guard could not be used."""
    divergence_rate: Annotated[dict[str, tuple[float, float, float]], Unit("share of seeds")]
    """Arm → rate and Clopper–Pearson 95% interval."""
    clean_rate_limit: Annotated[float | None, Unit("share of seeds")]
    """The failure rate per seed that n clean seeds leave open, 1 − .05^(1/n); None if a seed diverged."""
    exploratory: tuple[EstimandResult, ...]
    """Reported, never deciding."""
    warnings: tuple[str, ...] = ()
    """What a reader must know, one sentence each."""
    looks: tuple[Look, ...] = ()
    """Every look that was taken, in order, where the file asks for looks; the last one is this decision."""
    exploratory_p: Annotated[dict[str, tuple[float, float]], Unit("probability")] = Field(default_factory=dict)
    """Exploratory contrast → two-sided p of no difference (t or Welch), and adjusted over them (Benjamini–Hochberg)."""
    reason: Reason | None = None
    """What gave the outcome; None in verdicts of an earlier form."""
    combined: Annotated[Holding | LookedUp, Field(discriminator="rule")] | None = None
    """How several decisions made the outcome; None for a single one."""
    notices: tuple[Notice, ...] = ()
    """What a reader must know; ``warnings`` in words."""
