"""Metrics: what is measured on one replica at an evaluated epoch.

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
    """What a metric may look at. Everything is computed once, when first asked for, and shared by all metrics."""

    @property
    def hidden(self) -> Sequence[Tensor]:
        """h_l on the probe batch, l = 0 … L, float64 [r, n, d]."""

    @property
    def gradients(self) -> Sequence[Tensor]:
        """g_l = ∂(mean cross entropy of the probe batch)/∂h_l, l = 0 … L, float64 [r, n, d]; each row carries 1/n."""

    @property
    def credits(self) -> Sequence[Tensor]:
        """a_l, what the rule hands layer l instead of g_l, l = 0 … L, float64 [r, n, d]."""

    @property
    def test_logits(self) -> Tensor:
        """Logits on the whole test split in training precision, [r, N, c]."""

    @property
    def test_labels(self) -> Tensor:
        """int64 [N]."""

    @property
    def train_loss(self) -> Tensor:
        """Mean cross entropy over the epoch's training samples, as they were seen, [r]."""


class Metric(Plugin):
    """Interface of a metric plug-in."""

    layered: ClassVar[bool]
    """One value per layer l = 0 … L (an estimand then names its layer)."""
    per_sample: ClassVar[bool]
    """One value per probe sample, summarised as mean, std and median (an estimand then names its summary)."""
    needs_credit: ClassVar[bool] = False
    """Defined only for rules that give credit vectors."""
    bounds: ClassVar[tuple[float, float]] = (float("-inf"), float("inf"))
    """Closed interval that holds every possible value."""
    worst: ClassVar[float | None] = None
    """The value that a diverged replica is given under ``exclusions: {diverged: worst_case}``; None: not defined."""
    label: ClassVar[str]
    """Name on figures and in verdicts."""
    unit: ClassVar[str] = ""
    """Unit of the value, empty for pure numbers."""
    log_axis: ClassVar[bool] = False
    """Figures show it on a logarithmic axis."""

    curve: ClassVar[bool] = False
    """Learning curves show it whatever the decisions are about; one value per replica."""

    def resolution(self, test_count: int) -> float:
        """Return the step between possible values, measured on a test split of so many samples; 0 where there is none.

        Seeds that differ by less than a step are not told apart by the metric.
        """
        return 0.0

    @abstractmethod
    def measure(self, evaluation: Evaluation) -> Tensor:
        """[r], [r, layer], [r, n] or [r, layer, n], as ``layered`` and ``per_sample`` say.

        A function of ``evaluation`` alone: on a card it may be recorded once and replayed.
        """
