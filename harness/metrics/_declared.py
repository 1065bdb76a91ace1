"""A metric that a file declares and a program measures by itself; see ``harness.records.program``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from harness.metrics import Evaluation, Metric
from harness.plugins.fields import Unit

if TYPE_CHECKING:
    from torch import Tensor


def _is_none(value: object) -> bool:
    return value is None


class DeclaredMetric(Metric):
    """A metric of which harness knows what the file declares, and nothing of how it is measured.

    Its key in results.json holds all of that, so that whoever reads a number there knows what it is a number of.
    """

    name: Literal["declared"]
    metric: str = Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)
    """Name of the metric in the file and in the program's results."""
    low: Annotated[float | None, Unit("that of the metric")] = Field(default=None, exclude_if=_is_none)
    """Smallest possible value; None if there is none."""
    high: Annotated[float | None, Unit("that of the metric")] = Field(default=None, exclude_if=_is_none)
    """Greatest possible value; None if there is none."""
    words: str | None = Field(default=None, exclude_if=_is_none)
    """Name in figures and verdicts; None: the metric's own."""
    units: str = Field(default="", exclude_if=lambda value: not value)
    """Unit of the value; empty for dimensionless numbers."""
    step: Annotated[float | None, Unit("that of the metric")] = Field(default=None, exclude_if=_is_none)
    """Step between possible values; None if there is none or it is not known."""
    lowest: Annotated[float | None, Unit("that of the metric")] = Field(default=None, exclude_if=_is_none)
    """Value that a replica without a value of its own is given, where the file asks for the worst case."""
    layers: Annotated[int | None, Unit("layers")] = Field(default=None, exclude_if=_is_none)
    """Number of layers, each of which has a value; None for one value."""
    log: bool = Field(default=False, exclude_if=lambda value: not value)
    """True if figures show the metric on a logarithmic axis."""
    direction: Literal["higher", "lower"] | None = Field(default=None, exclude_if=_is_none)
    """Direction in which the metric is better; None if it has none."""

    per_sample = False

    @property
    def layered(self) -> bool:  # type: ignore[override]
        """True if there is one value per layer."""
        return self.layers is not None

    @property
    def bounds(self) -> tuple[float, float]:  # type: ignore[override]
        """Closed interval that contains every possible value."""
        return (
            float("-inf") if self.low is None else self.low,
            float("inf") if self.high is None else self.high,
        )

    @property
    def worst(self) -> float | None:  # type: ignore[override]
        """Value of a replica that has none, in the worst case."""
        return self.lowest

    @property
    def better(self) -> Literal["higher", "lower"] | None:  # type: ignore[override]
        """Direction in which the metric is better."""
        return self.direction

    @property
    def label(self) -> str:  # type: ignore[override]
        """Name in figures and verdicts."""
        return self.words or self.metric.replace("_", " ").capitalize()

    @property
    def unit(self) -> str:  # type: ignore[override]
        """Unit of the value."""
        return self.units

    @property
    def log_axis(self) -> bool:  # type: ignore[override]
        """True if figures show the metric on a logarithmic axis."""
        return self.log

    @property
    def curve(self) -> bool:  # type: ignore[override]
        """True: learning curves show what a program measures, where it is one value per replica."""
        return not self.layered

    @property
    def key(self) -> str:
        """Return ``declared:metric=test_accuracy,low=0.0,high=1.0``: all that is known of the metric."""
        return f"{self.name}:" + ",".join(
            f"{name}={value if name == 'metric' else json.dumps(value)}" for name, value in self.parameters.items()
        )

    @property
    def declared(self) -> bool:
        """Return True."""
        return True

    @property
    def layer_count(self) -> int | None:
        """Return the number of layers that the file declares; None if it declares none."""
        return self.layers

    @property
    def called(self) -> str:
        """Return the name of the metric in the file."""
        return self.metric

    def _describe(self) -> list[str]:
        return []

    def resolution(self, test_count: int) -> float:
        """Return the declared step between possible values; 0 if there is none."""
        return self.step or 0.0

    def measure(self, evaluation: Evaluation) -> Tensor:
        """Refuse: the program measures it.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError(f"{self.metric} is measured by a program")


def declare(metric: str, told: dict[str, Any]) -> dict[str, Any]:
    """Return the plug-in's fields, as a file's short form expands to them; ``told`` holds what was declared."""
    return {"name": "declared", "metric": metric, **{key: value for key, value in told.items() if value is not None}}


plugin = DeclaredMetric
