"""What an estimand may be made of, simulated: readings of arms that differ in nothing, and one number per seed.

Arms share their seeds and are exchangeable, so that every comparison of them is symmetric about 0, whatever was taken
over layers and epochs before. ``test_pairings.py`` asserts that the numbers are those that harness evaluates.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial
from typing import Any

import numpy as np
from scipy.special import ndtri

from harness.criteria.iqm_bootstrap import IqmBootstrap
from harness.inference.combine import combine, find_alpha_divisor
from harness.inference.onsets import FAR, find_onset
from harness.inference.readings import Cell
from harness.records import AtomTest, BandDecision, Combine, Estimand
from harness.records.readings import Onset
from tests.calibration.batch import one_sided, outcomes, scaled, wrong
from tests.calibration.scenarios import CRITERIA, HALVES

ARMS = ("a", "b", "c", "d")
EPOCHS = np.array([1, 2, 4, 6, 8])
LAYERS = np.array([0, 1, 2, 3])
STRENGTHS = {"a": 1e-4, "b": 1e-3, "c": 5e-2, "d": 1e-1}
SEEDS, MANY = 10, 30
"""Numbers of seeds, the larger one for bca."""


@dataclass(frozen=True)
class Readings:
    """What is measured on the replicas of many data sets."""

    series: np.ndarray
    """The estimand's metric, float64 [run, seed, arm, epoch, layer]."""
    loss: np.ndarray
    """Training loss, which may choose an epoch, float64 [run, seed, arm, epoch]; below 1 at the last epoch at least."""


Read = Callable[[Readings], np.ndarray]
"""Readings → one number per replica, float64 [run, seed, arm]."""


@dataclass(frozen=True)
class Form:
    """A form of estimand: what the file says of it, and how its readings come to one number per replica."""

    words: str
    says: dict[str, Any]
    """Keys of the estimand beyond metric and samples."""
    read: Read = field(default=lambda found: found.series[:, :, :, -1, 1])
    skewed: bool = False
    """True if readings are skewed, which balanced comparisons cancel and others don't."""

    def estimand(self, metric: str = "hidden_norm") -> Estimand:
        """Return the estimand of a metric that has one value per layer and sample."""
        return Estimand.model_validate({"metric": metric, "samples": "mean", "layer": 1} | self.says)

    @cached_property
    def arms(self) -> int:
        """Number of its arms."""
        return len(self.estimand().arms)

    def draw(self, runs: int, n: int, *, fractions: float | None = None) -> Readings:
        """Draw normal readings far above 0, or such that their logarithms are normal if these are tested.

        Of bounded values, draw only −1 and 1, the latter with the probability ``fractions``. A seed is shared by all
        arms; layers and epochs of a replica depend on one another.
        """
        rng = np.random.default_rng([23, runs, n])
        shape = (runs, n, self.arms, len(EPOCHS), len(LAYERS))
        shared, own = rng.normal(size=(runs, n, 1, 1, 1)), rng.normal(size=(runs, n, self.arms, 1, 1))
        noise = rng.normal(size=shape).cumsum(axis=3) + rng.normal(size=shape)
        loss = 2.5 - 0.25 * EPOCHS + 0.4 * rng.normal(size=shape[:-1]) + 0.02 * noise[..., 1]
        loss[..., -1] = np.minimum(loss[..., -1], 0.9)
        normal = (shared + own + 0.7 * noise) / 4
        if fractions is not None:
            series = np.where(rng.random(shape) < fractions, 1.0, -1.0)
        elif self.estimand().in_logs or self.skewed:
            series = 10 * np.exp(normal)
        else:
            series = 100 + normal
        return Readings(series, np.maximum(loss, 0.05))

    def values(self, found: Readings, estimand: Estimand) -> np.ndarray:
        """Return one number per seed on the scale of the test, float64 [run, seed]; its true value is 0."""
        logs = Readings(np.log10(found.series), found.loss) if estimand.in_logs else found
        return self.read(logs) @ np.array([*estimand.weights.values()])


def take_layers(summary: str) -> Read:
    """Return what a summary over all layers reads at the last epoch."""
    return lambda found: summarise(summary, LAYERS, found.series[:, :, :, -1, :])


def take_epochs(summary: str) -> Read:
    """Return what a summary over all evaluated epochs reads at layer 1."""
    return lambda found: summarise(summary, EPOCHS, found.series[:, :, :, :, 1])


def summarise(summary: str, places: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Summarise along the last axis."""
    if summary == "slope":
        return np.polynomial.polynomial.polyfit(places, values.reshape(-1, len(places)).T, 1)[1].reshape(
            values.shape[:-1]
        )
    if summary == "area":
        return np.trapezoid(values, places, axis=-1) / (places[-1] - places[0])
    if summary == "peak_minus_last":
        return values.max(axis=-1) - values[..., -1]
    return getattr(values, summary)(axis=-1)


def read_best(found: Readings) -> np.ndarray:
    """Return the value at the epoch of the smallest loss."""
    return _at(found, found.loss.argmin(axis=-1))


def read_when(found: Readings) -> np.ndarray:
    """Return the value at the first epoch whose loss is below 1."""
    return _at(found, (found.loss < 1).argmax(axis=-1))


def _at(found: Readings, place: np.ndarray) -> np.ndarray:
    return np.take_along_axis(found.series[..., 1], place[..., None], axis=-1)[..., 0]


TREND = {"over": "penalty.strength", "arms": STRENGTHS}
PAIR = {"contrast": "a - b"}
DEPTH = {**PAIR, "layer": LAYERS.tolist()}
FORMS = (
    Form("interaction, (a − b) − (c − d)", {"contrast": "(a - b) - (c - d)"}),
    Form("mean of arms, mean(a, b, c) − d", {"contrast": "mean(a, b, c) - d"}),
    Form("weights, 2a − 0.5b − 1.5c", {"contrast": "2 a - 0.5 b - 1.5 c"}),
    Form("log10, a − b", {**PAIR, "transform": "log10"}),
    Form("ratio, a / b", {"ratio": "a / b"}),
    Form("ratio of ratios", {"ratio": "(a / b) / (c / d)"}),
    Form("trend, linear", {"trend": {**TREND, "shape": "linear"}}),
    Form("trend, log-linear", {"trend": {**TREND, "shape": "log_linear"}}),
    Form("trend, ranks", {"trend": {**TREND, "shape": "ranks"}}),
    Form("mean over layers", {**DEPTH, "layers": "mean"}, take_layers("mean")),
    Form("least of the layers", {**DEPTH, "layers": "min"}, take_layers("min")),
    Form("slope over depth", {**DEPTH, "layers": "slope"}, take_layers("slope")),
    Form("mean over epochs", {**PAIR, "epochs": "mean"}, take_epochs("mean")),
    Form("area over epochs", {**PAIR, "epochs": "area"}, take_epochs("area")),
    Form("slope over epochs", {**PAIR, "epochs": "slope"}, take_epochs("slope")),
    Form("peak minus last", {**PAIR, "epochs": "peak_minus_last"}, take_epochs("peak_minus_last")),
    Form("epoch of the best loss", {**PAIR, "epoch": {"best": "train_loss"}}, read_best),
    Form("equal loss", {**PAIR, "epoch": {"when": {"metric": "train_loss", "below": 1.0}}}, read_when),
)
SKEWED = (
    Form("interaction, skewed", {"contrast": "(a - b) - (c - d)"}, skewed=True),
    Form("mean of arms, skewed", {"contrast": "mean(a, b, c) - d"}, skewed=True),
    Form("trend, linear, skewed", {"trend": {**TREND, "shape": "linear"}}, skewed=True),
)
"""Forms whose values the criteria's assumptions may not allow."""
PAIRED = tuple(name for name, criterion in CRITERIA.items() if not criterion.unpaired)


def find_rate(form: Form, name: str, runs: int, alpha: float) -> float | None:
    """Return the largest P(wrong outcome) over bands and true values on and beside their cuts.

    None where the criterion doesn't apply: bounded, to logarithms, which have no bounds.
    """
    criterion = CRITERIA[name]
    if criterion.needs_bounds:
        return None if form.estimand().in_logs else _find_bounded_rate(form, name, runs, alpha)
    x = _draw_scaled(form.words, runs, MANY if name == "bca" else SEEDS)
    tests, cut = one_sided(criterion, x), 0.5
    bands = {"low": f"(-inf, {-cut})", "middle": f"[{-cut}, {cut}]", "high": f"({cut}, inf)"}
    rates = [wrong(scaled(tests, truth, 1.0), bands, alpha, truth) for truth in (cut, cut + 1e-9, -cut, 0.0)]
    return max(rates + [wrong(scaled(tests, truth, 1.0), HALVES, alpha, truth) for truth in (0.0, 1e-9)])


@lru_cache(maxsize=8)  # the same for all criteria
def _draw_scaled(words: str, runs: int, n: int) -> np.ndarray:
    """Return the numbers that a form makes of readings in units of their spread, [runs, n]."""
    (form,) = (form for form in (*FORMS, *SKEWED) if form.words == words)
    x = form.values(form.draw(runs, n), form.estimand())
    return x / x.std()


def _find_bounded_rate(form: Form, name: str, runs: int, alpha: float) -> float:
    estimand = form.estimand("credit_cosine")
    criterion = CRITERIA[name].on(estimand.test_domain)
    found = (form.values(form.draw(runs, SEEDS, fractions=share), estimand) for share in (0.5, 0.9))
    return max(wrong(one_sided(criterion, x), HALVES, alpha, 0.0) for x in found)


def standard_error(rate: float, runs: int) -> float:
    """Monte-Carlo standard error of a rate."""
    return math.sqrt(rate * (1 - rate) / runs)


# Onsets -------------------------------------------------------------------------------------------------------------

LAST, EVERY = 60, 5
"""Epochs of training, and between evaluations."""


@dataclass(frozen=True)
class OnsetCase:
    """A decision about onsets of which the true value is known."""

    words: str
    criterion: str
    bands: dict[str, str]
    right: str
    """Band that holds the truth."""
    draw: Callable[[np.random.Generator, int], tuple[np.ndarray, np.ndarray]]
    """Least and greatest possible values, float64 [run, seed], of so many data sets."""
    warned: bool = False
    """True if ``check`` warns of it, because it errs more often than α says."""


def see(onsets: np.ndarray, every: int = EVERY) -> tuple[np.ndarray, np.ndarray]:
    """Return least and greatest possible onsets, given evaluations after epoch 1, every few epochs and the last."""
    grid = np.array(sorted({1, *range(every, LAST, every), LAST}))
    place = np.searchsorted(grid, onsets)  # the first evaluation at or after the onset
    never = place == len(grid)
    upper = np.where(never, math.inf, grid[np.minimum(place, len(grid) - 1)])
    return np.where(never, LAST + 1, np.concatenate([[0], grid])[place] + 1), upper


def draw_one_arm(rng: np.random.Generator, runs: int) -> tuple[np.ndarray, np.ndarray]:
    """Skewed onsets, a tenth of them after the end of training, whose median lies between 21 and 22."""
    return see(np.maximum(1, np.ceil(21.5 * np.exp(0.8 * rng.standard_normal((runs, SEEDS))))))


def draw_two_arms(rng: np.random.Generator, runs: int) -> tuple[np.ndarray, np.ndarray]:
    """Differences of arms whose onsets have the same distribution, and of which half never come."""
    shared = rng.standard_normal((runs, SEEDS, 1))
    onsets = np.maximum(1, np.ceil(60 * np.exp(0.5 * (shared + rng.standard_normal((runs, SEEDS, 2))))))
    (least_a, least_b), (most_a, most_b) = (np.moveaxis(ends, 2, 0) for ends in see(onsets))
    return least_a - most_b, most_a - least_b


def draw_last_row(rng: np.random.Generator, runs: int) -> tuple[np.ndarray, np.ndarray]:
    """Onsets at two evaluations in a row, as ``find_onset`` reads them, which are seen to begin at the last epoch.

    The truth is what evaluations after the end of training would have shown.
    """
    grid = np.array([1, *range(EVERY, 2 * LAST + 1, EVERY)])
    onsets = rng.choice([LAST - EVERY, LAST, LAST + 4 * EVERY], size=(runs, SEEDS), p=[0.26, 0.26, 0.48])
    here = grid[grid <= LAST].tolist()
    least, most = np.empty(onsets.shape), np.empty(onsets.shape)
    for onset in np.unique(onsets):
        found = find_onset(Onset(below=1, evaluations=2), here, [Cell(0.0 if e >= onset else 2.0, None) for e in here])
        least[onsets == onset], most[onsets == onset] = found.lower, found.upper
    return least, most


def draw_delay(rng: np.random.Generator, runs: int, target: str) -> tuple[np.ndarray, np.ndarray]:
    """Differences whose ``target`` lies just above a cut at 5; the first arm never comes to it at 28% of the seeds."""
    share = 0.28
    if target == "median":
        centre = float(ndtri(1 - (0.5 - share) / (1 - share)))
    else:  # a mean of two is infinite if one of them is
        one = 1 - (1 - share) ** 2
        centre = float(ndtri(1 - (0.5 - one) / (1 - share) ** 2)) / math.sqrt(2)
    known = 5 + 1e-6 + 10 * (rng.standard_normal((runs, SEEDS)) - centre)
    never = rng.random((runs, SEEDS)) < share
    return np.where(never, LAST - 5, known), np.where(never, math.inf, known)


APART = {"sooner": "(-inf, -0.5)", "alike": "[-0.5, 0.5]", "later": "(0.5, inf)"}
END = {"within": f"(-inf, {LAST}.5]", "later": f"({LAST}.5, inf)"}
BEFORE = {"early": "(-inf, 22)", "late": "[22, inf)"}
AFTER = {"early": "(-inf, 22.5]", "late": "(22.5, inf)"}
DELAY = {"less": "(-inf, 5)", "more": "[5, inf)"}
ONSETS = (
    OnsetCase("onset of an arm, boundary before", "median", BEFORE, "late", draw_one_arm),
    OnsetCase("onset of an arm, boundary after", "median", AFTER, "early", draw_one_arm),
    OnsetCase("onset that begins at the last evaluation", "median", END, "within", draw_last_row),
    OnsetCase("onsets of like arms", "median", APART, "alike", draw_two_arms),
    OnsetCase("onsets of like arms", "wilcoxon", APART, "alike", draw_two_arms),
    OnsetCase(
        "delay, one arm never at 28% of the seeds", "median", DELAY, "more", partial(draw_delay, target="median")
    ),
    OnsetCase(
        "delay, one arm never at 28% of the seeds", "wilcoxon", DELAY, "more",
        partial(draw_delay, target="pseudomedian"), warned=True,
    ),
)  # fmt: skip


def find_onset_rate(case: OnsetCase, runs: int, alpha: float) -> float:
    """Return P(wrong outcome) of a decision about onsets."""
    criterion = CRITERIA[case.criterion]
    ends = case.draw(np.random.default_rng([31, runs]), runs)
    least, greatest = (one_sided(criterion, np.clip(found, -FAR, FAR)) for found in ends)
    found = outcomes(lambda cut: (least(cut)[0], greatest(cut)[1]), case.bands, alpha)
    return float(((found >= 0) & (found != list(case.bands).index(case.right))).mean())


# Families -----------------------------------------------------------------------------------------------------------

MEMBERS = 4
HOLDS = {f"d_{k}": ("high",) for k in range(MEMBERS)}
FAMILIES: dict[str, dict[str, Any]] = {
    "all": {"holds": HOLDS, "outcome": "yes", "otherwise": "no"},
    "any": {"holds": HOLDS, "outcome": "yes", "otherwise": "no"},
    "table": {
        "table": [
            {"when": dict.fromkeys(HOLDS, "high"), "outcome": "yes"},
            {"when": dict.fromkeys(HOLDS, "low"), "outcome": "no"},
            {"when": {}, "outcome": "mixed"},
        ]
    },
}
TRUTHS = ((0.0,) * MEMBERS, (1e-9,) * MEMBERS, (9.0,) * (MEMBERS - 1) + (0.0,), (-9.0,) * (MEMBERS - 1) + (1e-9,))
"""True values of a family's members: all on the cut or just above it, or all but one far from it."""


def find_family_rate(rule: str, name: str, runs: int, alpha: float) -> float:
    """Return the largest P(wrong outcome) of a family of decisions, one per value of a grid, whose arms depend."""
    how, rates = Combine.model_validate({"rule": rule, **FAMILIES[rule]}), []
    rng = np.random.default_rng([41, runs])
    x = 0.6 * rng.standard_normal((runs, SEEDS, 1)) + rng.standard_normal((runs, SEEDS, MEMBERS))
    level = alpha / find_alpha_divisor(how, "d_0")
    sides = [one_sided(CRITERIA[name], x[:, :, k]) for k in range(MEMBERS)]
    for truth in TRUTHS:
        highs = [value > 0 for value in truth]
        right = "yes" if (any(highs) if rule == "any" else all(highs)) else "mixed" if any(highs) else "no"
        right = "no" if right == "mixed" and rule == "all" else right
        p = np.array([side(-value) for side, value in zip(sides, truth, strict=True)])  # [member, side, run]
        found = [combine(how, tuple(_decide(k, p[k, :, run], level) for k in range(MEMBERS))) for run in range(runs)]
        rates.append(sum(one.outcome not in (right, "inconclusive") for one in found) / runs)
    return max(rates)


def _decide(member: int, p: np.ndarray, level: float) -> BandDecision:
    tests = tuple(
        AtomTest.model_construct(outcome=band, p=float(one), rejected=bool(one <= level))
        for band, one in zip(HALVES, p, strict=True)
    )
    return BandDecision.model_construct(name=f"d_{member}", alpha=level, status="tested", atoms=tests, bands=HALVES)


# Tuned arms, unpaired arms ------------------------------------------------------------------------------------------


def find_tuned_rate(candidates: tuple[int, int], runs: int, alpha: float, *, fresh: bool = True) -> float:
    """Return P(wrong outcome) of t on arms tuned on three seeds, all of whose candidates are equally good.

    Without ``fresh`` seeds, the decision is made on those that chose, as no file can ask for.
    """
    rng = np.random.default_rng([43, runs])
    tuning = 3 if fresh else SEEDS
    values = []
    for count in candidates:
        trained = rng.standard_normal((runs, tuning + SEEDS, count))
        chosen = trained[:, :tuning].mean(axis=1).argmax(axis=1)
        deciding = trained[:, tuning:] if fresh else trained[:, :tuning]
        values.append(np.take_along_axis(deciding, chosen[:, None, None], axis=2)[:, :, 0])
    return wrong(one_sided(CRITERIA["t"], values[0] - values[1]), HALVES, alpha, 0.0)


def find_unpaired_rate(correlation: float, runs: int, alpha: float) -> float:
    """Return P(wrong outcome) of Welch's test on arms whose values at a seed depend on each other."""
    rng = np.random.default_rng([47, runs])
    x = rng.multivariate_normal([0, 0], [[1, correlation], [correlation, 1]], (runs, SEEDS))
    return wrong(one_sided(CRITERIA["welch"], x), HALVES, alpha, 0.0)


def find_coarse_rate(n: int, runs: int, alpha: float) -> float:
    """Return P(wrong outcome) of the interquartile mean of values 0, 1, 2 and 3, of which small ones are likelier."""
    x = np.random.default_rng([53, runs, n]).choice(4, size=(runs, n), p=[0.4, 0.3, 0.2, 0.1]).astype(float)
    middle = 0.8  # from the first to the third quarter: .15 of 0, .3 of 1 and .05 of 2, over .5
    low, high = one_sided(CRITERIA["iqm_bootstrap"], x[np.ptp(x, axis=1) > 0])(middle)
    return float(max((low <= alpha).mean(), (high <= alpha).mean()))


def find_pooled_rate(runs: int, alpha: float) -> float:
    """Return P(wrong outcome) of the interquartile mean of three tasks that share half of their variance, by seed."""
    rng = np.random.default_rng([59, runs])
    criterion = IqmBootstrap(name="iqm_bootstrap").over(3)
    x = math.sqrt(0.5) * (rng.standard_normal((runs, MANY, 1)) + rng.standard_normal((runs, MANY, 3)))
    return float(np.mean([criterion.p_greater(row, 0.0) <= alpha for row in x]))
