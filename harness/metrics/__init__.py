"""Metrics, which are measured on every replica at evaluated epochs.

Probe quantities are computed in float64 from the trained weights, because gradients of 1e-10 are data, not noise.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Protocol

from harness.plugins.registry import Plugin

if TYPE_CHECKING:
    from torch import Tensor


class Evaluation(Protocol):
    """The quantities that a metric may read. Each is computed once, on first use, and shared by all metrics."""

    @property
    def hidden(self) -> Sequence[Tensor]:
        """Hidden states h_l on the probe batch, l = 0 … L, float64 [r, n, d]."""

    @property
    def gradients(self) -> Sequence[Tensor]:
        """BP gradients g_l = ∂(mean cross entropy of the probe batch)/∂h_l, l = 0 … L, float64 [r, n, d].

        Each row carries a factor 1/n.
        """

    @property
    def credits(self) -> Sequence[Tensor]:
        """Credit vectors a_l, which the rule gives layer l in place of g_l, l = 0 … L, float64 [r, n, d]."""

    @property
    def test_logits(self) -> Tensor:
        """Logits on the whole test split in training precision, [r, N, c]."""

    @property
    def test_labels(self) -> Tensor:
        """Labels of the test split, int64 [N]."""

    @property
    def train_loss(self) -> Tensor:
        """Mean cross entropy over the epoch's training samples, as they were seen, [r]."""


class Metric(Plugin):
    """Interface of a metric plug-in."""

    layered: ClassVar[bool]
    """True if the metric has one value per layer l = 0 … L. An estimand then names its layer."""
    per_sample: ClassVar[bool]
    """True if the metric has one value per probe sample, summarised as mean, std and median. An estimand then names its
    summary."""
    needs_credit: ClassVar[bool] = False
    """True if the metric is defined only for rules that give credit vectors."""
    bounds: ClassVar[tuple[float, float]] = (float("-inf"), float("inf"))
    """Closed interval that contains every possible value."""
    worst: ClassVar[float | None] = None
    """Value that a diverged replica is given under ``exclusions: {diverged: worst_case}``; None if there is none."""
    label: ClassVar[str]
    """Name in figures and verdicts."""
    unit: ClassVar[str] = ""
    """Unit of the value; empty for dimensionless numbers."""
    log_axis: ClassVar[bool] = False
    """True if figures show the metric on a logarithmic axis."""

    curve: ClassVar[bool] = False
    """True if learning curves show the metric whatever the decisions are about; only for one value per replica."""

    def resolution(self, test_count: int) -> float:
        """Return the step between possible values on a test split of ``test_count`` samples; 0 if there is none.

        The metric can't distinguish seeds that differ by less than a step.
        """
        return 0.0

    @abstractmethod
    def measure(self, evaluation: Evaluation) -> Tensor:
        """Return the values, [r], [r, layer], [r, n] or [r, layer, n] according to ``layered`` and ``per_sample``.

        They must depend on ``evaluation`` alone: on a GPU, the computation may be captured once and replayed.
        """
