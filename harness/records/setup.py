"""How arms are trained: data, model, optimizer, what is measured when, and the learning rule."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from harness.datasets import Dataset
from harness.models import Model
from harness.penalties import Penalty
from harness.plugins.fields import Unit
from harness.plugins.registry import Named
from harness.records.base import Name, Record, Text
from harness.rules import Rule

STANDARD_METRICS = (
    "test_accuracy",
    "train_loss",
    "credit_cosine",
    "gradient_norm",
    "credit_norm",
    "hidden_norm",
    "residual_growth",
)


class Optimizer(Record):
    """AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101), its schedule stepped once per epoch."""

    name: Literal["adamw"]
    """The only optimizer so far."""
    lr: Annotated[float, Unit("1")] = Field(gt=0, examples=[1.0e-3])
    """Learning rate at the first epoch."""
    weight_decay: Annotated[float, Unit("1")] = Field(default=0.01, ge=0)
    """Decoupled weight decay, as a factor on lr × weight."""
    beta1: Annotated[float, Unit("1")] = Field(default=0.9, ge=0, lt=1)
    """Decay of the first moment."""
    beta2: Annotated[float, Unit("1")] = Field(default=0.999, ge=0, lt=1)
    """Decay of the second moment."""
    eps: Annotated[float, Unit("1")] = Field(default=1e-8, gt=0)
    """Added to the root of the second moment."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """cosine: epoch t of T (from 0) trains at lr·(1 + cos(πt/T))/2; constant: at lr."""


class EvaluationSpec(Record):
    """When and on what is measured."""

    probe_samples: Annotated[int, Unit("samples")] = Field(default=1024, ge=2)
    """Test samples in the probe batch for per-sample metrics; the same for all replicas, drawn by a fixed key."""
    every_epochs: Annotated[int, Unit("epochs")] = Field(default=5, ge=1)
    """Measured after epoch 1, every this many epochs, and the last."""
    metrics: tuple[Name, ...] = STANDARD_METRICS
    """What is measured; metrics that are not defined for an arm's rule are left out there."""


class Setup(Record):
    """How an arm is trained; an arm may override any of it."""

    dataset: Annotated[Dataset, Named("datasets")]
    """Which images, and how they are augmented."""
    model: Annotated[Model, Named("models")]
    """What is trained."""
    optimizer: Optimizer
    """How gradients become updates."""
    epochs: Annotated[int, Unit("epochs")] = Field(ge=1, le=100_000, examples=[20])
    """Passes over the training split."""
    batch_size: Annotated[int, Unit("samples")] = Field(ge=1, examples=[64])
    """Samples per step; the last, smaller batch of an epoch is kept."""
    precision: Literal["float32", "tf32", "bf16", "float64"] = "float32"
    """Arithmetic of training: strict float32 unless the file says otherwise."""
    evaluation: EvaluationSpec = EvaluationSpec()
    """When and on what is measured."""
    save: tuple[Literal["weights", "feedback"], ...] = ()
    """What is kept of every replica after training, so that measurements can be repeated."""

    @property
    def evaluated_epochs(self) -> tuple[int, ...]:
        """Epochs (from 1) after which is measured: the first, every so many, the last."""
        regular = range(self.evaluation.every_epochs, self.epochs, self.evaluation.every_epochs)
        return tuple(sorted({1, *regular, self.epochs}))


class Arm(Record):
    """One way of training."""

    label: Text = Field(examples=["Penalised DFA"])
    """Name on figures and in verdicts."""
    rule: Annotated[Rule, Named("rules")]
    """The learning rule."""
    penalty: Annotated[Penalty, Named("penalties")] | None = None
    """What the rule adds to what it minimises."""
    freeze: tuple[str, ...] = ()
    """Parts that stay at their initial values: embedding, blocks, block_0 …, head."""
    setup: Setup
    """The common setup with this arm's overrides (in the file: only what differs)."""
