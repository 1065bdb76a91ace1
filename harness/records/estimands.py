"""Estimands: the numbers about arms that decisions and guards are about."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from harness.criteria import Target
from harness.metrics import Metric
from harness.plugins.fields import Unit
from harness.plugins.registry import Named
from harness.records.base import Name, Record


def _parse_contrast(text: str) -> tuple[str, str]:
    arms = tuple(part.strip() for part in text.split(" - "))
    if len(arms) != 2:
        raise ValueError(f"{text!r} is not a contrast; write two arms: first - second")
    return arms


SHORT_FORMS: Mapping[str, Callable[[str], Any]] = {"metric": lambda name: {"name": name}, "contrast": _parse_contrast}
"""Key of an estimand → function that expands its short form: a metric's name, a contrast as ``first - second``.

Raises:
    ValueError: The string is not a contrast of two arms.
"""


class Estimand(Record):
    """A number about arms that a decision or a guard is about: a metric of one arm, or the contrast of two arms."""

    metric: Annotated[Metric, Named("metrics")]
    """Metric that is measured. In the file, its name is enough."""
    arm: Name | None = Field(default=None, examples=["penalized"])
    """Arm on which the metric is measured. Give either this or ``contrast``."""
    contrast: tuple[Name, Name] | None = Field(default=None, examples=["penalized - shallow"])
    """Two arms that are compared, first minus second, written as "first - second". Give either this or ``arm``."""
    layer: Annotated[int | None, Unit("layers")] = Field(default=None, ge=0, examples=[2])
    """Layer l at which the metric is taken, from 0; required by metrics that have one value per layer."""
    epoch: Annotated[int | None, Unit("epochs")] = Field(default=None, ge=1, examples=[10])
    """Evaluated epoch, from 1, at which the metric is taken. The default is the last epoch."""
    samples: Literal["mean", "std", "median"] | None = Field(default=None, examples=["mean"])
    """Summary over the probe samples; required by metrics that have one value per sample."""
    pairing: Literal["seed", "unpaired"] = Field(default="seed", exclude_if=lambda value: value == "seed")
    """Comparison of the two arms of a contrast. seed (default): seed by seed, which removes the variance that both arms
    share; unpaired: as two independent samples, for the criterion welch."""
    seeds: Target = "mean"
    """Summary across seeds, which is the parameter that the criterion tests. The pseudomedian is the median of the mean
    of two seeds (criterion wilcoxon)."""
    transform: Literal["none", "log10", "absolute_after"] = "none"
    """Transformation. log10: of each seed's value before any contrast, for positive, skewed quantities; absolute_after:
    the bands are about |θ|, where θ is the signed summary across seeds, because absolute values must not be averaged.
    """
    unit: Literal["raw", "pp"] = "raw"
    """Unit of values and bands. raw: the metric's own; pp: percentage points, the value times 100."""

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        short = {key: text for key in SHORT_FORMS if isinstance(text := data.get(key), str)}
        return {**data, **{key: SHORT_FORMS[key](text) for key, text in short.items()}}

    @model_validator(mode="after")
    def _one_of(self) -> Estimand:
        if (self.arm is None) == (self.contrast is None):
            raise ValueError("give either arm or contrast")
        if self.pairing == "unpaired" and self.contrast is None:
            raise ValueError("only a contrast can be unpaired")
        return self

    @property
    def arms(self) -> tuple[str, ...]:
        """Arms that the estimand needs."""
        return (self.arm,) if self.arm is not None else (self.contrast or ())

    @property
    def domain(self) -> tuple[float, float]:
        """Closed interval of the values that the estimand can have at a seed, in its unit and transform.

        A standard deviation over samples is at most the width of the metric's bounds.
        """
        low, high = self.metric.bounds
        if self.samples == "std":
            low, high = 0.0, high - low
        if self.transform == "log10":
            low, high = (math.log10(end) if end > 0 else -math.inf for end in (low, high))
        if self.contrast is not None:
            low, high = low - high, high - low
        factor = 100.0 if self.unit == "pp" else 1.0
        return low * factor, high * factor

    @property
    def band_domain(self) -> tuple[float, float]:
        """Closed interval of the values that the bands are about: the estimand's own, or their absolute values."""
        low, high = self.domain
        if self.transform != "absolute_after":
            return low, high
        return max(0.0, low, -high), max(-low, high)
