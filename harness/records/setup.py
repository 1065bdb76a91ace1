"""Training of arms: data, model, optimizer, learning rule, and the schedule of evaluations."""

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
    """AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101). Its schedule is stepped once per epoch."""

    name: Literal["adamw"]
    """Name of the optimizer. AdamW is the only one so far."""
    lr: Annotated[float, Unit("1")] = Field(gt=0, examples=[1.0e-3])
    """Learning rate at the first epoch."""
    weight_decay: Annotated[float, Unit("1")] = Field(default=0.01, ge=0)
    """Decoupled weight decay: each step subtracts this times lr times the weight. 0 turns it off."""
    beta1: Annotated[float, Unit("1")] = Field(default=0.9, ge=0, lt=1)
    """Decay rate of exp_avg, the running mean of the gradient (Adam's first moment)."""
    beta2: Annotated[float, Unit("1")] = Field(default=0.999, ge=0, lt=1)
    """Decay rate of exp_avg_sq, the running mean of the squared gradient (Adam's second moment)."""
    eps: Annotated[float, Unit("1")] = Field(default=1e-8, gt=0)
    """Constant added to the square root of exp_avg_sq, which keeps the division stable."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """Learning-rate schedule. cosine: epoch t of T, from 0, trains at lr·(1 + cos(πt/T))/2; constant: at lr."""


class EvaluationSpec(Record):
    """Schedule of evaluations, and their samples and metrics."""

    probe_samples: Annotated[int, Unit("samples")] = Field(default=1024, ge=2)
    """Number of test samples in the probe batch, on which metrics with one value per sample are measured. It is the
    same for all replicas and drawn by a fixed key. More samples cost memory and time."""
    every_epochs: Annotated[int, Unit("epochs")] = Field(default=5, ge=1)
    """Interval between evaluations. Metrics are measured after epoch 1, after every multiple of this, and after the
    last epoch."""
    metrics: tuple[Name, ...] = STANDARD_METRICS
    """Metrics that are measured. Those that are not defined for an arm's rule are left out there."""


class Setup(Record):
    """Training setup that all arms share unless they override parts of it."""

    dataset: Annotated[Dataset, Named("datasets")]
    """Images to train and test on, and augmentations of the training images."""
    model: Annotated[Model, Named("models")]
    """Model that is trained."""
    optimizer: Optimizer
    """Optimizer that turns gradients into updates."""
    epochs: Annotated[int, Unit("epochs")] = Field(ge=1, le=100_000, examples=[20])
    """Number of passes over the training split."""
    batch_size: Annotated[int, Unit("samples")] = Field(ge=1, examples=[64])
    """Number of samples per step. The smaller batch at the end of an epoch is kept."""
    precision: Literal["float32", "tf32", "bf16", "float64"] = "float32"
    """Arithmetic of training. float32 is strict; tf32 and bf16 are faster on a GPU and less precise; float64 is for
    checking whether precision matters."""
    evaluation: EvaluationSpec = EvaluationSpec()
    """Schedule of evaluations, and their samples and metrics."""
    save: tuple[Literal["weights", "feedback"], ...] = ()
    """Tensors to keep of every replica after training, so that measurements can be repeated. By default, nothing."""

    @property
    def evaluated_epochs(self) -> tuple[int, ...]:
        """Epochs, from 1, after which metrics are measured: the first, every ``every_epochs``, and the last."""
        regular = range(self.evaluation.every_epochs, self.epochs, self.evaluation.every_epochs)
        return tuple(sorted({1, *regular, self.epochs}))


class Arm(Record):
    """One way of training."""

    label: Text = Field(examples=["Penalised DFA"])
    """Name of the arm in figures and verdicts."""
    rule: Annotated[Rule, Named("rules")]
    """Learning rule."""
    penalty: Annotated[Penalty, Named("penalties")] | None = None
    """Penalty that the rule adds to the loss it minimises. By default, none."""
    freeze: tuple[str, ...] = ()
    """Parts of the model that keep their initial values: embedding, blocks (all of them), block_0 …, head."""
    setup: Setup
    """This arm's overrides of the common setup, key by key, at any depth. Write only what differs."""
