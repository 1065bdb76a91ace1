"""What was decided and why: the core of verdict.json."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from harness.criteria import Target
from harness.records.bands import Interval
from harness.records.base import Record


class SeedValue(Record):
    """An estimand at one seed."""

    seed_index: int
    value: float | None
    """None: a replica diverged or the value is not finite."""
    note: str | None = None


class EstimandResult(Record):
    """An estimand over all seeds."""

    name: str
    title: str
    """In words, with arms, layer, epoch and summaries."""
    unit: str
    """"pp", "log10", a metric's unit, or empty."""
    values: tuple[SeedValue, ...]
    n: int
    """Seeds with a finite value."""
    mean: float | None
    median: float | None
    sd: float | None
    """Between seeds, n − 1 degrees of freedom; of unpaired arms the root of the sum of the two variances."""
    interval90: tuple[float, float] | None
    """Two-sided 90% interval of the mean (t; of unpaired arms Welch's t)."""
    interval95: tuple[float, float] | None
    correlation: float | None = None
    """Of the two arms over seeds: what pairing used; None without a paired contrast."""
    pseudomedian: float | None = Field(default=None, exclude_if=lambda value: value is None)
    """Hodges and Lehmann's estimate, where the file asks for the pseudomedian; else not written."""

    def estimate(self, target: Target) -> float | None:
        """The point estimate of what a criterion tests; None without values."""
        return {"mean": self.mean, "median": self.median, "pseudomedian": self.pseudomedian}[target]


class GuardResult(Record):
    """A guard's test."""

    name: str
    estimand: EstimandResult
    side: Literal["above", "below"]
    threshold: float
    alpha: float
    test: str
    """Name of the test."""
    holding: int
    """Seeds on the right side."""
    p: float | None
    """Of the null that the guard does not hold."""
    p_reverse: float | None
    """Of the null that it does."""
    status: Literal["verified", "unverified", "violated"]
    otherwise: str


class AtomTest(Record):
    """The test of one atom's null, "the true value lies in this atom"."""

    interval: Interval
    outcome: str
    p: float
    rejected: bool


class EffectSize(Record):
    """A paired difference in units of its own spread over seeds: Hedges' g_z."""

    value: float
    """Mean over standard deviation of the differences, times ``correction``."""
    interval95: tuple[float, float]
    """Two-sided 95% interval, from the noncentral t."""
    correction: float
    """Hedges' factor for small n."""


class BandDecision(Record):
    """One decision across seeds."""

    name: str
    estimand: EstimandResult
    criterion: str
    alpha: float
    status: Literal["tested", "too_few", "degenerate", "diverged", "seed_not_applied"]
    """tested: the atom tests were made; otherwise why they were not."""
    interval: tuple[float, float] | None
    """Confidence interval at level 1 − 2α. The band of a decided outcome always contains it; an interval inside a band
    need not mean a decision, because excluding a band between two boundaries takes α/2 on each side."""
    interval_level: float
    atoms: tuple[AtomTest, ...]
    bands: dict[str, str]
    outcome: str
    """A band's name, inconclusive or invalid."""
    alive: tuple[str, ...]
    """Bands that are not excluded."""
    p: float | None
    """Largest p among the atoms of other outcomes than the decided one; for an inconclusive decision, than the
    estimate's."""
    boundary: float | None
    """The cut that blocks an inconclusive decision."""
    seeds_needed: int | None
    """Seeds in all that would decide it with 80% power if the estimate were the truth."""
    seeds_needed_pessimistic: int | None
    """The same with the sd at its upper 80% limit."""
    steps: tuple[str, ...]
    """The reasoning, one sentence each."""
    posterior: dict[str, float] | None = None
    """Band → P(the true mean lies in it | the seeds), Jeffreys' prior: a second opinion that decides nothing. None
    where nothing was tested or a median is."""
    effect_size: EffectSize | None = None
    """Of a paired contrast."""


class Look(Record):
    """What the seeds so far said when they were judged before the last of them was trained, or then."""

    seeds: int
    """The first so many seeds."""
    outcome: str
    """As if this were the last look; anything but inconclusive ends the run."""
    p: float | None
    """Of the outcome, on the scale of α: with planned looks after the factor that is their number."""


class Decision(Record):
    """The outcome of a hypothesis."""

    outcome: str
    predicted: str
    summary: str
    """One sentence."""
    guards: tuple[GuardResult, ...]
    decisions: tuple[BandDecision, ...]
    combination: str | None
    """How several decisions made the outcome, in words."""
    p: float | None
    """Of the outcome, on the scale of α: after the factors for several decisions and for planned looks."""
    diverged: dict[str, tuple[int, ...]]
    """Arm → indices of diverged seeds."""
    divergence_rate: dict[str, tuple[float, float, float]]
    """Arm → rate and Clopper–Pearson 95% interval."""
    clean_rate_limit: float | None
    """The failure rate per seed that n clean seeds leave open, 1 − .05^(1/n); None if a seed diverged."""
    exploratory: tuple[EstimandResult, ...]
    warnings: tuple[str, ...]
    looks: tuple[Look, ...] = ()
    """Every look that was taken, in order, where the file asks for looks; the last one is this decision."""
    exploratory_p: dict[str, tuple[float, float]] = Field(default_factory=dict)
    """Exploratory contrast → two-sided p of no difference (t or Welch), and adjusted over them (Benjamini–Hochberg)."""
