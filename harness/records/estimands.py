"""Estimands: the numbers about arms that decisions and guards are about."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, model_validator

from harness.criteria import Target
from harness.metrics import Metric
from harness.plugins.fields import Unit
from harness.plugins.registry import Named
from harness.records.base import Name, Record
from harness.records.contrasts import Contrast, NotAContrast, Ratio, average_contrasts, parse_contrast, parse_ratio
from harness.records.readings import EpochRange, Epochs, Layers, Onset, find_choice
from harness.records.trends import Trend
from harness.stats.summaries import EpochSummary, LayerSummary, bound
from harness.wording import name_target

SHORT_FORMS: Mapping[str, Callable[[str], Any]] = {
    "metric": lambda name: {"name": name},
    "minus": lambda name: {"name": name},
    "contrast": parse_contrast,
    "ratio": parse_ratio,
    "epoch": lambda word: None if word == "last" else word,
}
"""Key of an estimand → function that expands its short form: a metric's name, a comparison of arms as an expression,
the word ``last`` for the last epoch.

Raises:
    ValueError: The string is not a contrast or a ratio.
"""
Comparison = Literal["arm", "contrast", "ratio", "trend", "tasks"]
COMPARISONS: tuple[Comparison, ...] = get_args(Comparison)
"""Keys of an estimand of which one names its arms."""
SMALLEST_RATIO = math.nextafter(0.0, 1.0)
"""Lower end of a ratio's domain, because the domain is closed and zero is no ratio of positive numbers."""


def _expand_short_forms(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of an estimand with all that the file may leave out or write in short."""
    own = ("metric", "minus", "epoch")  # a comparison's own field reads its forms
    short = {key: SHORT_FORMS[key](text) for key in own if isinstance(text := data.get(key), str)}
    data = {**data, **short}
    return data | _fill_summaries(data)


def _fill_summaries(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the file may leave out where several layers or epochs are read: their mean, or all epochs."""
    found: dict[str, Any] = {}
    if isinstance(data.get("layer"), list | tuple) and data.get("layers") is None:
        found["layers"] = "mean"
    epoch, epochs = data.get("epoch"), data.get("epochs")
    several = isinstance(epoch, list | tuple | EpochRange) or (isinstance(epoch, dict) and find_choice(epoch) is None)
    if several and epochs is None:
        found["epochs"] = "mean"
    if epoch is None and epochs is not None:
        found["epoch"] = EpochRange()
    return found


class Estimand(Record):
    """A number about arms that a decision or a guard is about: a metric of one arm, or a contrast of several arms."""

    metric: Annotated[Metric, Named("metrics")]
    """Metric that is measured. In the file, its name is enough."""
    minus: Annotated[Metric | None, Named("metrics")] = Field(
        default=None, exclude_if=lambda value: value is None, examples=["stacked_cosine"]
    )
    """Another metric of the same replica, in the same unit, which is subtracted at each layer and epoch, before any
    summary over them and any comparison of arms. ``layer`` and ``samples`` are those of both, where they have such."""
    arm: Name | None = Field(default=None, examples=["penalized"])
    """Arm on which the metric is measured. Give this, ``contrast``, ``ratio``, ``trend`` or ``tasks``."""
    contrast: Annotated[Contrast | None, Unit("1")] = Field(default=None, examples=["penalized - shallow"])
    """Weighted sum of arms that are compared at each seed, with weights that sum to zero: "a - b"; "mean(a, b) - c",
    which is "0.5 a + 0.5 b - c"; "(a - b) - (c - d)", an interaction; or {a: 1, b: -1}."""
    ratio: Annotated[Ratio | None, Unit("1")] = Field(
        default=None, exclude_if=lambda value: value is None, examples=["dfa / bp"]
    )
    """Ratio of arms at each seed, "a / b", or of ratios, "(a / b) / (c / d)", for metrics that are positive. Bands and
    guards are ratios, such as "[0.5, 2]"; the test, and every standard deviation between seeds, is about its log10. The
    mean over seeds is the geometric mean."""
    trend: Trend | None = Field(
        default=None,
        exclude_if=lambda value: value is None,
        examples=[{"over": "penalty.strength", "arms": "penalized", "shape": "ranks"}],
    )
    """Trend of the metric over a number by which arms differ: the slope over the arms at each seed."""
    tasks: Annotated[tuple[Contrast, ...] | None, Unit("1")] = Field(
        default=None,
        max_length=100,
        exclude_if=lambda value: value is None,
        examples=[["penalized_small - shallow_small", "penalized_large - shallow_large"]],
    )
    """Contrasts of like arms, one for each task, that are pooled: the interquartile mean (``seeds: iqm``) is that of
    all tasks' values at all seeds. A task is a data set, a model or another setting. The value at a seed is its mean
    over the tasks."""
    layer: Annotated[Layers | None, Unit("layers")] = Field(default=None, examples=[2, [1, 2, 3, 4]])
    """Layer l at which the metric is taken, from 0, or a list of several; required by metrics that have one value per
    layer."""
    layers: LayerSummary | None = Field(default=None, exclude_if=lambda value: value is None, examples=["mean"])
    """Summary over several layers, of each epoch by itself; the mean unless the file says otherwise. slope: that of the
    least-squares line over depth, per layer."""
    epoch: Annotated[Epochs | None, Unit("epochs")] = Field(default=None, examples=[10, [30, "last"], {"first": 10}])
    """Evaluated epoch, from 1, at which the metric is taken: the last by default. Or several: a list, which may name
    the ``last``; or a range, ``{first: 10, last: 50}``, of all evaluated epochs in it, either end of which may be left
    out. Or the epoch at which another metric of the same replica is best, ``{best: validation_accuracy}``; or the first
    at which it comes so far, ``{when: {metric: train_loss, below: 0.5}}``; or the
    last by which its arm has spent at most so much, ``{spent: flops}`` or ``{spent: steps, at_most: 1000}``."""
    epochs: EpochSummary | None = Field(default=None, exclude_if=lambda value: value is None, examples=["area"])
    """Summary over several epochs, all evaluated ones unless ``epoch`` says which; their mean if it says which and this
    is left out. slope: that of the least-squares line, per epoch; area: the area under the curve by trapezoids between
    evaluated epochs, divided by the width from the first to the last, so that it keeps the metric's unit and
    evaluations at uneven distances weigh by the time that they stand for; peak_minus_last: the best value minus that at
    the last of the epochs, where the greatest is best unless the metric is better if lower."""
    onset: Onset | None = Field(
        default=None, exclude_if=lambda value: value is None, examples=[{"below": 1.0e-7, "evaluations": 2}]
    )
    """Condition on the metric that makes the estimand the epoch at which it begins to hold, instead of a value: the
    first evaluated epoch at which it holds, at so many evaluations in a row. "Never" counts as later than every epoch,
    so onsets have medians and no means (seeds: median; of a contrast also pseudomedian)."""
    samples: Literal["mean", "std", "median"] | None = Field(default=None, examples=["mean"])
    """Summary over the probe samples; required by metrics that have one value per sample."""
    pairing: Literal["seed", "unpaired"] = Field(default="seed", exclude_if=lambda value: value == "seed")
    """Comparison of the two arms of a contrast. seed (default): seed by seed, which removes the variance that both arms
    share; unpaired: as two independent samples, for the criterion welch."""
    seeds: Target = "mean"
    """Summary across seeds, which is the parameter that the criterion tests. The pseudomedian is the median of the mean
    of two seeds (criterion wilcoxon); iqm is the interquartile mean, that of the middle half of the seeds (criterion
    iqm_bootstrap)."""
    transform: Literal["none", "log10", "absolute_after"] = "none"
    """Transformation. log10: of each measured value before any contrast and any summary over layers and epochs, for
    positive, skewed quantities; absolute_after: the bands are about |θ|, where θ is the signed summary across seeds,
    because absolute values must not be averaged."""
    unit: Literal["raw", "pp"] = "raw"
    """Unit of values and bands. raw: the metric's own; pp: percentage points, the value times 100."""

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, data: Any) -> Any:
        return _expand_short_forms(data) if isinstance(data, dict) else data

    @model_validator(mode="after")
    def _one_of(self) -> Estimand:
        if sum(getattr(self, key) is not None for key in COMPARISONS) != 1:
            raise ValueError("give one of arm, contrast, ratio, trend and tasks")
        if self.pairing == "unpaired" and self.arm is not None:
            remedy = "remove pairing, or compare two arms: contrast: first - second"
            raise NotAContrast("only a contrast or a ratio can be unpaired", remedy)
        return self

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """Key of the file → metric that is read on a replica: ``metric``, and ``minus`` where that is subtracted."""
        return {"metric": self.metric} | ({} if self.minus is None else {"minus": self.minus})

    @property
    def called(self) -> str:
        """Name by which messages call what is read on a replica."""
        return " minus ".join(metric.called for metric in self.metrics.values())

    @property
    def better(self) -> Literal["higher", "lower"] | None:
        """Direction in which what is read is better; a difference of two metrics has none."""
        return self.metric.better if self.minus is None else None

    def choose_samples(self, metric: Metric) -> Literal["mean", "std", "median"] | None:
        """Return the summary over the probe samples of one of the metrics; None if it has one value per replica."""
        return self.samples if metric.per_sample else None

    @property
    def comparison(self) -> Comparison:
        """Key that names the arms."""
        return next(key for key in COMPARISONS if getattr(self, key) is not None)

    @property
    def arms(self) -> tuple[str, ...]:
        """Arms that the estimand needs."""
        return tuple(self.weights)

    @property
    def weights(self) -> Mapping[str, float]:
        """Arm → weight of its value in the estimand's value at a seed, which is their weighted sum."""
        if self.arm is not None:
            return {self.arm: 1.0}
        if self.tasks is not None:
            return average_contrasts(self.tasks)
        return self.contrast or self.ratio or (self.trend.weights if self.trend is not None else {})

    @property
    def task_count(self) -> int:
        """Number of values at a seed that are pooled: 1, or that of the tasks."""
        return 1 if self.tasks is None else len(self.tasks)

    @property
    def compares(self) -> bool:
        """True if the estimand compares arms, False if it is about one."""
        return self.arm is None

    @property
    def in_logs(self) -> bool:
        """True if the weights are those of the log10 of the arms' values."""
        return self.transform == "log10" or self.ratio is not None

    @property
    def is_log_ratio(self) -> bool:
        """True if the estimand without its logarithm is a ratio: of arms, or of the peak and the last epoch."""
        return self.transform == "log10" and (self.contrast is not None or self.epochs == "peak_minus_last")

    @property
    def per(self) -> str:
        """Divisor of a slope's unit in words, such as "per layer and epoch" or "per step"; empty of anything else."""
        parts = [noun for noun, summary in (("layer", self.layers), ("epoch", self.epochs)) if summary == "slope"]
        places = f"per {' and '.join(parts)}" if parts else ""
        return " ".join(filter(None, (places, "" if self.trend is None else self.trend.per)))

    @property
    def summary(self) -> str:
        """Summary over seeds in words; the mean of logarithms is the geometric mean of ratios."""
        geometric = self.ratio is not None and self.seeds in ("mean", "iqm")
        tasks = "" if self.tasks is None else f" of {self.task_count} tasks"
        return f"{'geometric ' if geometric else ''}{name_target(self.seeds)}{tasks}"

    @property
    def reading_domain(self) -> tuple[float, float]:
        """Closed interval of what is read on one replica, after the transform; of what an onset's condition is about.

        A standard deviation over samples is at most the width of the metric's bounds.
        """
        return _bound_reading(self)

    @property
    def test_domain(self) -> tuple[float, float]:
        """Closed interval of the values that are tested: those in ``domain``, or the log10 of a ratio."""
        return _bound_test(self)

    @property
    def domain(self) -> tuple[float, float]:
        """Closed interval of the values that the estimand can have at a seed, in its unit and transform."""
        if self.ratio is None:
            return self.test_domain
        low, high = self.test_domain
        return max(SMALLEST_RATIO, 10**low), 10**high

    @property
    def band_domain(self) -> tuple[float, float]:
        """Closed interval of the values that the bands are about: the estimand's own, or their absolute values."""
        low, high = self.domain
        if self.transform != "absolute_after":
            return low, high
        return max(0.0, low, -high), max(-low, high)


def exchange_metrics(estimand: Estimand) -> Estimand | None:
    """Return the negative of a difference of two metrics, which are exchanged; None if there is none.

    The greatest of some differences is the smallest of their negatives; a peak has no such counterpart.
    """
    if estimand.minus is None or estimand.epochs == "peak_minus_last":
        return None
    update: dict[str, Any] = {"metric": estimand.minus, "minus": estimand.metric}
    for key, summary in (("layers", estimand.layers), ("epochs", estimand.epochs)):
        update[key] = {"min": "max", "max": "min"}.get(summary or "", summary)
    return estimand.model_copy(update=update)


def _bound_reading(estimand: Estimand) -> tuple[float, float]:
    """Return the closed interval of what an estimand reads on one replica."""
    low, high = _bound_metric(estimand, estimand.metric)
    if estimand.minus is not None:
        least, most = _bound_metric(estimand, estimand.minus)
        low, high = low - most, high - least
    if estimand.in_logs:
        low, high = (math.log10(end) if end > 0 else -math.inf for end in (low, high))
    less_is_better = estimand.better == "lower"
    if estimand.layers is not None:
        layers = tuple(sorted(set(estimand.layer))) if isinstance(estimand.layer, tuple) else None
        low, high = bound(estimand.layers, layers, low, high, less_is_better=less_is_better)
    if estimand.epochs is not None:
        low, high = bound(estimand.epochs, None, low, high, less_is_better=less_is_better)
    return low, high


def _bound_test(estimand: Estimand) -> tuple[float, float]:
    """Return the closed interval of the values of an estimand that are tested."""
    low, high = estimand.reading_domain if estimand.onset is None else (1.0, math.inf)
    if estimand.compares:
        weights = estimand.weights if any(estimand.weights.values()) else {"a": 1.0, "b": -1.0}  # always 0, an error
        low, high = _sum_ends(weights, low, high), _sum_ends(weights, high, low)
    factor = 100.0 if estimand.unit == "pp" else 1.0
    return low * factor, high * factor


def _bound_metric(estimand: Estimand, metric: Metric) -> tuple[float, float]:
    """Return the closed interval of a metric's values, summarised over samples as an estimand has it."""
    low, high = metric.bounds
    return (0.0, high - low) if estimand.choose_samples(metric) == "std" else (low, high)


def _sum_ends(weights: Mapping[str, float], low: float, high: float) -> float:
    """Return the weighted sum of an end for every arm: ``low`` where the weight is positive, ``high`` elsewhere."""
    return math.fsum(weight * (low if weight > 0 else high) for weight in weights.values() if weight)
