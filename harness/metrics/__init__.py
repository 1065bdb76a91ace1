"""Metrics, which are measured on every replica at evaluated epochs.

Probe quantities are computed in float64 from the trained weights, because gradients of 1e-10 are data, not noise.
"""

from __future__ import annotations

import json
import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Protocol, cast

from pydantic import Field, model_validator

from harness.plugins.fields import Unit
from harness.plugins.registry import Plugin, find_hidden, find_members
from harness.plugins.splits import SplitName

if TYPE_CHECKING:
    from torch import Tensor


FeedbackSource = Literal["training", "fresh"]
UpdateOf = Literal["bp", "rule"]
"""Gradient that is measured: that of backpropagation, or that of the arm's rule."""
NEXT_PARAMETER = re.compile(r",(?=[a-z][a-z0-9_]*=)")


@dataclass(frozen=True)
class Conditions:
    """Conditions under which a metric is computed from weights. The defaults are those of training."""

    feedback: FeedbackSource = "training"
    """Feedback matrices that credit vectors are computed with."""
    draw: int = 0
    """Number of the draw of fresh feedback matrices."""
    probe_split: SplitName = "test"
    """Split from which the probe batch is drawn."""
    probe_samples: int | None = None
    """Number of samples in the probe batch; None: as many as the setup says."""


class Network(Protocol):
    """The network behind a probe batch, in float64, which a metric may go through again. Sites are those of credit."""

    @property
    def params(self) -> Mapping[str, Tensor]:
        """The model's parameters by name, [r, …]."""

    @property
    def inputs(self) -> Tensor:
        """Inputs of the probe batch [r, n, i]."""

    @property
    def labels(self) -> Tensor:
        """Labels of the probe batch, int64 [r, n]."""

    @property
    def logits(self) -> Tensor:
        """Logits of the probe batch [r, n, c]."""

    @property
    def features(self) -> Tensor:
        """Factor of the head's last weight, [r, n, k]: h_L, or behind a terminal norm what that returns."""

    @property
    def readout(self) -> Tensor:
        """The head's last weight [r, k, c]."""

    def average_jacobian(self, layer: int) -> Tensor:
        """Return the mean over samples of ∂z/∂h_l, [r, c, …]."""

    def lose(self, site: int, change: Tensor) -> Tensor:
        """Return the loss of each sample [r, n] if ``change`` [r, n, …] is added to embed(x) or, for l > 0, f_{l−1}."""

    def lose_with(self, params: Mapping[str, Tensor]) -> Tensor:
        """Return the mean loss of the batch with other parameters [r], which can be differentiated twice."""


class Evaluation(Protocol):
    """The quantities that a metric may read. Each is computed once, on first use, and shared by all metrics."""

    @property
    def hidden(self) -> Sequence[Tensor]:
        """Hidden states h_l on the probe batch, l = 0 … L, float64 [r, n, d]; maps and tokens are flattened."""

    @property
    def gradients(self) -> Sequence[Tensor]:
        """BP gradients g_l = ∂(mean loss of the probe batch)/∂h_l, l = 0 … L, float64 [r, n, d].

        Each row carries a factor 1/n.
        """

    @property
    def credits(self) -> Sequence[Tensor]:
        """Credit vectors a_l, which the rule gives layer l in place of g_l, l = 0 … L, float64 [r, n, d]."""

    @property
    def site_credits(self) -> Sequence[Tensor]:
        """Credit c_0 … c_L of the arm's rule, each at the output that it trains: embed(x), f_0 … f_{L−1}.

        Float64 [r, n, …], without a factor 1/n and without a penalty's share. A rule that draws at every step draws
        here by a key of its own, so that the values depend on the weights alone.
        """

    @property
    def site_gradients(self) -> Sequence[Tensor]:
        """Credit that backpropagation would give at the same outputs, for comparison with ``site_credits``."""

    @property
    def network(self) -> Network:
        """The network on the probe batch, float64."""

    @property
    def pairs(self) -> Sequence[tuple[Tensor, Tensor]]:
        """Weights between h_l and what follows, and the matrices that stand in for them, l = 0 … L, float64 [r, k].

        Those of block l, or of the head for l = L, flattened one after another.
        """

    @property
    def updates(self) -> Sequence[tuple[Tensor, Tensor]]:
        """Gradients of the arm's rule and of backpropagation in the parameters of a part, float64 [r, k].

        The parts are the embedding for l = 0 and block l − 1 for l = 1 … L. Neither is clipped, nor has a penalty.
        """

    @property
    def head_updates(self) -> tuple[Tensor, Tensor]:
        """Gradients of the arm's rule and of backpropagation in the parameters of the head, as ``updates``."""

    def split_updates(self, batches: int, of: UpdateOf) -> Sequence[Tensor]:
        """Return the gradients on disjoint parts of the probe batch, in the parameters of each part as ``updates``.

        They are float64 [r, batch, k]. Samples that are over are left out.
        """

    @property
    def matrices(self) -> Sequence[Tensor]:
        """Matrices by which the error reaches h_l, l = 0 … L, float64 [r, c, …]."""

    @property
    def test_logits(self) -> Tensor:
        """Logits on the whole test split in training precision, [r, N, c]."""

    @property
    def test_labels(self) -> Tensor:
        """Labels of the test split, int64 [N]."""

    @property
    def validation_logits(self) -> Tensor:
        """Logits on the whole validation split in training precision, [r, N, c]."""

    @property
    def validation_labels(self) -> Tensor:
        """Labels of the validation split, int64 [N]."""

    @property
    def train_loss(self) -> Tensor:
        """Mean loss over the epoch's training samples, as they were seen, [r]; cross entropy unless the arm says."""

    @property
    def train_logits(self) -> Tensor:
        """Logits on the whole training split, without augmentation, in training precision, [r, N, c]."""

    @property
    def original_train_labels(self) -> Tensor:
        """Labels of the training split as the data set has them, whatever labels were trained on, int64 [N]."""


class Metric(Plugin):
    """Interface of a metric plug-in."""

    layered: ClassVar[bool]
    """True if the metric has one value per layer l = 0 … L. An estimand then names its layer."""
    per_sample: ClassVar[bool]
    """True if the metric has one value per probe sample, summarised as mean, std and median. An estimand then names its
    summary."""
    needs_credit: ClassVar[bool] = False
    """True if the metric is defined only for rules that give credit vectors."""
    needs_site_credit: ClassVar[bool] = False
    """True if the metric is defined only for rules whose credit can be measured where it acts (``site_credits``)."""
    needs_matrices: ClassVar[bool] = False
    """True if the metric is defined only for rules with direct feedback: a matrix from the error to each state."""
    needs_pairs: ClassVar[bool] = False
    """True if the metric is defined only for rules that put other matrices in the place of weights on the way back."""
    reads_probe: ClassVar[bool] = False
    """True if the metric reads the probe batch, so that its values depend on the number of samples there."""
    reads_logits: ClassVar[bool] = True
    """True if the metric reads the logits of all samples of its split, which an evaluation holds then."""
    bounds: ClassVar[tuple[float, float]] = (float("-inf"), float("inf"))
    """Closed interval that contains every possible value."""
    worst: ClassVar[float | None] = None
    """Value that a diverged replica is given under ``exclusions: {diverged: worst_case}``; None if there is none."""
    split: ClassVar[Literal["train", "validation", "test"]] = "test"
    """Split whose samples the metric reads. The probe batch is part of the test split. What reads the test split
    chooses no epoch."""
    better: ClassVar[Literal["higher", "lower"] | None] = None
    """Direction in which the metric is better, where it has one. An epoch can then be chosen by it."""
    label: ClassVar[str]
    """Name in figures and verdicts."""
    unit: ClassVar[str] = ""
    """Unit of the value; empty for dimensionless numbers."""
    of_loss: ClassVar[bool] = False
    """True if values have the unit of the loss that an arm trains on: those of arms with other losses don't compare."""
    log_axis: ClassVar[bool] = False
    """True if figures show the metric on a logarithmic axis."""
    curve: ClassVar[bool] = False
    """True if learning curves show the metric whatever the decisions are about; only for one value per replica."""

    @property
    def parameters(self) -> dict[str, Any]:
        """Return the parameters that are not at their defaults, as JSON values in the order of declaration."""
        values, fields = self.model_dump(mode="json"), type(self).model_fields
        defaults = {name: field.get_default(call_default_factory=True) for name, field in fields.items()}
        written = {name: getattr(self, name) for name in fields if name != "name"}
        return {name: values[name] for name, value in written.items() if name in values and value != defaults[name]}

    @property
    def key(self) -> str:
        """Return the name of what is measured, in results.json and elsewhere: ``credit_cosine:feedback=fresh``.

        It is the metric's own name if all its parameters are at their defaults.
        """
        parts = [f"{name}={_write(value)}" for name, value in self.parameters.items()]
        return f"{self.name}:{','.join(parts)}" if parts else self.name

    @property
    def declared(self) -> bool:
        """Return True if a file declares the metric and a program measures it: harness knows that, and no more."""
        return False

    @property
    def layer_count(self) -> int | None:
        """Return the number of layers that a metric declares; None if it has one value, or as many as the model has."""
        return None

    @property
    def called(self) -> str:
        """Return the name by which a file and its messages call what is measured; by default, the key."""
        return self.key

    @property
    def title(self) -> str:
        """Return the metric in words: its label and, in parentheses, what it is measured with otherwise."""
        words = ", ".join(self._describe())
        return f"{self.label} ({words})" if words else self.label

    def _describe(self) -> list[str]:
        """Return the parameters that are not at their defaults, in words."""
        return [f"{name.replace('_', ' ')} {_write(value)}" for name, value in self.parameters.items()]

    @property
    def conditions(self) -> Conditions:
        """Return what the metric is computed from."""
        return Conditions()

    @property
    def measured_split(self) -> SplitName:
        """Return the split that the metric is measured on."""
        return self.split

    @property
    def least_classes(self) -> int:
        """Return the number of classes that the data must have at least."""
        return 0

    def resolution(self, test_count: int) -> float:
        """Return the step between possible values on ``test_count`` samples of its split; 0 if there is none.

        The metric can't distinguish seeds that differ by less than a step.
        """
        return 0.0

    @abstractmethod
    def measure(self, evaluation: Evaluation) -> Tensor:
        """Return the values, [r], [r, layer], [r, n] or [r, layer, n] according to ``layered`` and ``per_sample``.

        They must depend on ``evaluation`` alone: on a GPU, the computation may be captured once and replayed.
        """


class ProbeMetric(Metric):
    """Interface of a metric that is measured on a probe batch, which may be another than the setup's."""

    reads_probe: ClassVar[bool] = True
    reads_logits: ClassVar[bool] = False
    probe_split: SplitName = Field(default="test", exclude_if=lambda value: value == "test")
    """Split from which the probe batch is drawn. Without augmentation, and with the data set's own labels, whatever
    labels were trained on. By default, the test split."""
    probe_samples: Annotated[int | None, Unit("samples")] = Field(
        default=None, ge=2, exclude_if=lambda value: value is None, examples=[256]
    )
    """Number of samples in the probe batch. It is drawn by a fixed key, so that a smaller batch is part of a larger one
    of the same split. By default, the setup's ``evaluation.probe_samples``."""

    def _describe(self) -> list[str]:
        words = []
        if self.probe_samples is not None or self.probe_split != "test":
            samples = "" if self.probe_samples is None else f"{self.probe_samples:,} "
            kind = "training" if self.probe_split == "train" else self.probe_split
            words.append(f"{samples}{kind} samples")
        return words

    @property
    def conditions(self) -> Conditions:
        """Return the probe batch that the metric is measured on."""
        return Conditions(probe_split=self.probe_split, probe_samples=self.probe_samples)

    @property
    def measured_split(self) -> SplitName:
        """Return the split that the probe batch is drawn from."""
        return self.probe_split


class CreditMetric(ProbeMetric):
    """Interface of a metric of credit vectors, which may be computed with other feedback than training had."""

    feedback: FeedbackSource = Field(default="training", exclude_if=lambda value: value == "training")
    """Feedback matrices that the credit vectors are computed with. training (default): those that the replica was
    trained with; fresh: others of the same distribution, drawn by key for each seed, the same for all arms and epochs.
    Only for rules that have feedback matrices."""
    draw: Annotated[int, Unit("1")] = Field(
        default=0, ge=0, le=1_000_000, exclude_if=lambda value: value == 0, examples=[1]
    )
    """Number of the draw of fresh feedback matrices, from 0. Each number gives other, independent matrices."""

    @model_validator(mode="after")
    def _draw_of_fresh(self) -> CreditMetric:
        if self.draw and self.feedback != "fresh":
            raise ValueError("a draw is one of fresh feedback: add feedback: fresh, or remove draw")
        return self

    def _describe(self) -> list[str]:
        fresh = [f"fresh feedback{f', draw {self.draw}' if self.draw else ''}"] if self.feedback == "fresh" else []
        return [*fresh, *super()._describe()]

    @property
    def conditions(self) -> Conditions:
        """Return the feedback and the probe batch that the metric is measured with."""
        return Conditions(self.feedback, self.draw, self.probe_split, self.probe_samples)


def parse_metric(key: str) -> Metric:
    """Return the metric of a key, such as ``credit_cosine`` or ``credit_cosine:feedback=fresh,probe_samples=64``.

    Raises:
        KeyError: No metric has this name.
        ValueError: The metric has no such parameter, or the parameter no such value.
    """
    name, _, rest = key.partition(":")
    kind = (find_members("metrics") | find_hidden("metrics"))[name]
    values: dict[str, Any] = {}
    for part in NEXT_PARAMETER.split(rest) if rest else ():
        parameter, equals, text = part.partition("=")
        if not equals or parameter == "name":
            raise ValueError(f"{part!r} is not a parameter: write {name}:parameter=value")
        values[parameter] = _read(text)
    return cast("Metric", kind.model_validate({"name": name, **values}))


def _write(value: Any) -> str:
    """Write a parameter's value: a string as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
