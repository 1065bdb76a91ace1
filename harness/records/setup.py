"""Training of arms: data, model, optimizer, learning rule, and the schedule of evaluations."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, ValidationInfo, field_validator

from harness.datasets import Dataset
from harness.losses import Loss, is_default_loss
from harness.metrics import Metric, parse_metric
from harness.models import Model
from harness.optimizers import Optimizer
from harness.penalties import Penalty
from harness.plugins.fields import Unit
from harness.plugins.registry import Named, NamedOrBare, NamedOrShort
from harness.plugins.splits import SplitName
from harness.records.base import Name, Record, Text
from harness.records.data import Labels, Subset, Validation
from harness.records.program import Parameter
from harness.records.readings import Condition
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


class EvaluationSpec(Record):
    """Schedule of evaluations, and their samples and metrics."""

    probe_samples: Annotated[int, Unit("samples")] = Field(default=1024, ge=2)
    """Number of test samples in the probe batch, on which metrics with one value per sample are measured. It is the
    same for all replicas and drawn by a fixed key. More samples cost memory and time."""
    every_epochs: Annotated[int, Unit("epochs")] = Field(default=5, ge=1)
    """Interval between evaluations. Metrics are measured after epoch 1, after every multiple of this, and after the
    last epoch."""
    metrics: tuple[Annotated[str | Metric, NamedOrBare("metrics")], ...] = Field(
        default=STANDARD_METRICS, examples=[["test_accuracy", {"name": "credit_cosine", "feedback": "fresh"}]]
    )
    """Metrics that are measured: a name, or a name with parameters, such as {name: credit_cosine, feedback: fresh}.
    Those that are not defined for an arm's rule are left out there."""

    @property
    def measured(self) -> tuple[Metric, ...]:
        """The metrics, each with its parameters.

        Raises:
            KeyError: No metric has such a name.
        """
        return tuple(parse_metric(metric) if isinstance(metric, str) else metric for metric in self.metrics)

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of the metrics, by which results.json, tables and estimands tell them apart."""
        return tuple(metric if isinstance(metric, str) else metric.key for metric in self.metrics)


class Setup(Record):
    """Training setup that all arms share unless they override parts of it."""

    dataset: Annotated[Dataset, Named("datasets")]
    """Images to train and test on, and augmentations of the training images."""
    subset: Subset | None = Field(default=None, exclude_if=lambda value: value is None)
    """Part of the data set that is used: some classes, some of the training images. By default, all of it."""
    validation: Validation | None = Field(default=None, exclude_if=lambda value: value is None)
    """Validation split, for ``validation_accuracy`` and ``validation_loss``. It is never trained on. By default, none:
    every training image is trained on."""
    labels: Labels = Field(default=Labels(), exclude_if=lambda value: not value.changed)
    """Labels that are trained on. By default, those of the data set."""
    model: Annotated[Model, Named("models")]
    """Model that is trained."""
    optimizer: Annotated[Optimizer, Named("optimizers")]
    """Optimizer that turns gradients into updates."""
    loss: Annotated[Loss, NamedOrShort("losses")] = Field(
        default="cross_entropy", validate_default=True, exclude_if=is_default_loss, examples=["cross_entropy"]
    )
    """Loss that is trained on, and from which a rule takes its error: a name, or a name with parameters, such as
    {name: cross_entropy, label_smoothing: 0.1}. By default, cross entropy."""
    epochs: Annotated[int, Unit("epochs")] = Field(ge=1, le=100_000, examples=[20])
    """Number of passes over the training split."""
    until: Condition | None = Field(
        default=None, exclude_if=lambda value: value is None, examples=[{"metric": "train_loss", "below": 0.1}]
    )
    """Condition that stops a replica: at the first evaluation at which it holds, or the last of so many in a row; at
    the latest after ``epochs``, which also set the learning-rate schedule. What is read at the last epoch is then read
    at the replica's own. The metric must not use the test split. By default, every replica is trained to the end."""
    batch_size: Annotated[int, Unit("samples")] = Field(ge=1, examples=[64])
    """Number of samples per step. The smaller batch at the end of an epoch is kept."""
    precision: Literal["float32", "tf32", "bf16", "float64"] = "float32"
    """Arithmetic of training. float32 is strict; tf32 and bf16 are faster on a GPU and less precise; float64 is for
    checking whether precision matters."""
    evaluation: EvaluationSpec = EvaluationSpec()
    """Schedule of evaluations, and their samples and metrics."""
    save: tuple[Literal["weights", "feedback"], ...] = ()
    """Tensors to keep of every replica after training, so that measurements can be repeated (``harness measure``), and
    that later runs can start from them (``init_from``). By default, nothing."""
    save_epochs: Annotated[tuple[int, ...], Unit("epochs")] = Field(
        default=(), exclude_if=lambda value: not value, examples=[[1, 10]]
    )
    """Evaluated epochs, from 1, after which weights are kept too, beside those of the last. By default, none."""

    @field_validator("model")
    @classmethod
    def _fit_to_images(cls, model: Model, info: ValidationInfo) -> Model:
        """Put the model on the data set's images, whose shape some models need."""
        dataset = info.data.get("dataset")  # missing where it is wrong, which is reported by itself
        return model if dataset is None else model.on(dataset.channels, dataset.size)

    @property
    def class_numbers(self) -> tuple[int, ...]:
        """Numbers of the classes that are used, ascending."""
        chosen = self.subset.classes if self.subset is not None else None
        return tuple(range(self.dataset.classes)) if chosen is None else tuple(sorted(chosen))

    @property
    def classes(self) -> int:
        """Number of classes that are used."""
        return len(self.class_numbers)

    @property
    def available_count(self) -> int:
        """Number of training images of these classes; an estimate if the data set doesn't declare it."""
        return self._count(self.dataset.train_count, self.dataset.train_class_counts)

    @property
    def validation_count(self) -> int:
        """Number of images of the validation split; 0 without one."""
        return 0 if self.validation is None else self.validation.count_of(self.available_count)

    @property
    def train_count(self) -> int:
        """Number of images that are trained on."""
        size = self.subset.size if self.subset is not None else None
        return self.available_count - self.validation_count if size is None else size

    @property
    def test_count(self) -> int:
        """Number of test images of the classes that are used; an estimate if the data set doesn't declare it."""
        return self._count(self.dataset.test_count, self.dataset.test_class_counts)

    def count(self, split: SplitName) -> int:
        """Return the size of a split, as far as it is known before the data are loaded."""
        return {"train": self.train_count, "validation": self.validation_count, "test": self.test_count}[split]

    def _count(self, total: int, by_class: tuple[int, ...] | None) -> int:
        if self.classes == self.dataset.classes:
            return total
        if by_class is None or sum(by_class) != total:  # a subclass has declared other counts
            return round(total * self.classes / self.dataset.classes)
        return sum(by_class[number] for number in self.class_numbers if number < len(by_class))

    @property
    def kept_epochs(self) -> tuple[int, ...]:
        """Epochs before the last, ascending, after which weights are kept."""
        return tuple(sorted({epoch for epoch in self.save_epochs if epoch < self.epochs}))

    @property
    def evaluated_epochs(self) -> tuple[int, ...]:
        """Epochs, from 1, after which metrics are measured: the first, every ``every_epochs``, and the last."""
        regular = range(self.evaluation.every_epochs, self.epochs, self.evaluation.every_epochs)
        return tuple(sorted({1, *regular, self.epochs}))


class InitFrom(Record):
    """Stored weights of an earlier run, from which an arm starts instead of drawing its own.

    The replica of the seed with index i starts from the stored replica with index i, so that both runs have as many
    seeds. Only weights are taken over: the optimizer's moments begin at 0, and the schedule at its first epoch.
    """

    run: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{12,64}$")] = Field(examples=["76d31344c971"])
    """The run, by the first 12 digits of its digest or more, as ``harness list`` and its page name it. It was judged,
    is in the same trail, and kept weights (``save``)."""
    arm: Name = Field(examples=["dfa"])
    """Arm of that run whose weights are taken."""
    epoch: Annotated[int | None, Unit("epochs")] = Field(
        default=None, ge=1, exclude_if=lambda value: value is None, examples=[10]
    )
    """Epoch of that run, from 1, after which the weights were kept. The default is the last."""
    feedback: Literal["kept", "fresh"] = Field(default="kept", exclude_if=lambda value: value == "kept")
    """Feedback matrices of a rule that has some. kept (default): those of the replica whose weights are taken, so that
    training goes on; fresh: others, drawn by the seeds of this hypothesis."""


class Arm(Record):
    """One way of training."""

    label: Text = Field(examples=["Penalised DFA"])
    """Name of the arm in figures and verdicts."""
    parameters: Annotated[dict[Name, Parameter] | None, Unit("that of the parameter")] = Field(
        default=None, exclude_if=lambda value: value is None, examples=[{"alpha": 1.0e-4}]
    )
    """Values of the program's placeholders in this arm; only in files with ``program``. By default, none."""
    rule: Annotated[Rule, Named("rules")]
    """Learning rule."""
    penalty: Annotated[Penalty, Named("penalties")] | None = None
    """Penalty that the rule adds to the loss it minimises. By default, none."""
    freeze: tuple[str, ...] = ()
    """Parts of the model that keep their initial values: embedding, blocks (all of them), block_0 …, head."""
    init_from: InitFrom | None = Field(default=None, exclude_if=lambda value: value is None)
    """Stored weights of an earlier run, from which this arm starts. By default, weights are drawn by the seed."""
    setup: Setup
    """Overrides of the common setup for this arm, key by key, at any depth. Write only what differs."""

    @property
    def is_program(self) -> bool:
        """True if a program trains the arm in harness's place."""
        return self.rule.name == "program"
