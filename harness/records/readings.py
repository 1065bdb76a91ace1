"""Places at which an estimand is read on a replica: its layers and epochs, and what is taken over several of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from harness.plugins.fields import Unit
from harness.records.base import Name, Record

SHAPES = ("(one)", "(several)", "(range)", "(best)", "(when)", "(spent)", "(word)", "(draws)")
"""Shapes of a value that may be written in several ways. In parentheses, because they are no keys of a file."""


class EpochRange(Record):
    """All evaluated epochs of a range, both ends included."""

    first: Annotated[int | None, Unit("epochs")] = Field(default=None, ge=1, examples=[10])
    """First epoch of the range. By default, the range begins with the first evaluated epoch."""
    last: Annotated[int | None, Unit("epochs")] = Field(default=None, ge=1, examples=[50])
    """Last epoch of the range. By default, the range ends with the last evaluated epoch."""

    def contains(self, epoch: int) -> bool:
        """Tell whether an epoch lies in the range."""
        return (self.first is None or epoch >= self.first) and (self.last is None or epoch <= self.last)


class BestEpoch(Record):
    """The evaluated epoch at which another metric of the same replica is best; the earliest of several."""

    best: Name = Field(examples=["validation_accuracy"])
    """Metric that chooses the epoch, replica by replica. It must not use the test split, or the test would be tuned to
    itself."""


class Onset(Record):
    """The first evaluated epoch at which a condition holds, and goes on holding for some evaluations.

    A replica in which it never does comes later than every epoch. The onset itself lies after the evaluation before.
    """

    above: Annotated[float | None, Unit("the metric's unit")] = Field(default=None, examples=[0.5])
    """Value that the metric must lie above. Give either this or ``below``."""
    below: Annotated[float | None, Unit("the metric's unit")] = Field(default=None, examples=[1.0e-7])
    """Value that the metric must lie below. Give either this or ``above``."""
    evaluations: Annotated[int, Unit("evaluations")] = Field(default=1, ge=1)
    """Number of consecutive evaluations at which the condition must hold. The onset is the first of them. Give 2 or
    more so that a single outlier is no onset."""

    @model_validator(mode="after")
    def _one_of(self) -> Onset:
        if (self.above is None) == (self.below is None):
            raise ValueError("give either above or below")
        return self

    @property
    def threshold(self) -> float:
        """Value that the metric must pass."""
        threshold = self.above if self.above is not None else self.below
        assert threshold is not None, "an onset has one of both"
        return threshold

    def holds(self, value: float) -> bool:
        """Tell whether the condition holds for a value of the metric."""
        return (self.above is None or value > self.above) and (self.below is None or value < self.below)


class Condition(Onset):
    """A condition on a metric that has one value per replica and epoch: it lies above or below a value."""

    metric: Name = Field(examples=["train_loss"])
    """Metric that the condition is about. It must not use the test split, or the test would be tuned to itself."""


class EpochWhen(Record):
    """The first evaluated epoch at which a condition on another metric of the same replica holds.

    So replicas are compared that have come equally far, at equal training loss for example, each at its own epoch. A
    replica that never comes so far has no value.
    """

    when: Condition = Field(examples=[{"metric": "train_loss", "below": 0.5}])
    """Condition that must hold, such as ``{metric: train_loss, below: 0.5}``."""


class EpochSpent(Record):
    """The last evaluated epoch by which an arm has spent at most so much on training.

    So arms are compared at equal cost, whatever an epoch costs them: arms with other batch sizes take other numbers of
    steps, and rules other numbers of operations.
    """

    spent: Literal["steps", "flops"] = Field(examples=["flops"])
    """Kind of cost. steps: updates of the optimizer; flops: floating-point operations of the products of training,
    forward and backward, counted from model and rule; evaluations cost nothing."""
    at_most: Annotated[float | None, Unit("steps or FLOPs per replica")] = Field(default=None, gt=0, examples=[1.0e12])
    """Largest amount of it, per replica. By default, what the cheapest of the estimand's arms spends in all."""


ChosenEpoch = BestEpoch | EpochWhen
"""An epoch that another metric of the same replica chooses."""
CHOICES: Mapping[str, tuple[type[Record], str]] = {
    "best": (BestEpoch, "(best)"),
    "when": (EpochWhen, "(when)"),
    "spent": (EpochSpent, "(spent)"),
}
"""Key that says how a replica's epoch is chosen → its record and shape."""


def find_choice(value: Any) -> str | None:
    """Return the key of an epoch that each replica has of its own, as a record or as it is written; None of others."""
    if isinstance(value, Mapping):
        return next((key for key in CHOICES if key in value), None)
    return next((key for key, (kind, _) in CHOICES.items() if isinstance(value, kind)), None)


def _find_shape(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "(several)"
    if (choice := find_choice(value)) is not None:
        return CHOICES[choice][1]
    return "(range)" if isinstance(value, dict | EpochRange) else "(one)"


Layer = Annotated[int, Field(ge=0)]
Layers = Annotated[
    Annotated[Layer, Tag("(one)")] | Annotated[tuple[Layer, ...], Field(min_length=1), Tag("(several)")],
    Discriminator(lambda value: "(several)" if isinstance(value, list | tuple) else "(one)"),
]
"""One layer, or several."""
Epoch = Annotated[int, Field(ge=1)]
ListedEpoch = Annotated[
    Annotated[Epoch, Tag("(one)")] | Annotated[Literal["last"], Tag("(word)")],
    Discriminator(lambda value: "(word)" if isinstance(value, str) else "(one)"),
]
Epochs = Annotated[
    Annotated[Epoch, Tag("(one)")]
    | Annotated[tuple[ListedEpoch, ...], Field(min_length=1), Tag("(several)")]
    | Annotated[EpochRange, Tag("(range)")]
    | Annotated[BestEpoch, Tag("(best)")]
    | Annotated[EpochWhen, Tag("(when)")]
    | Annotated[EpochSpent, Tag("(spent)")],
    Discriminator(_find_shape),
]
"""One epoch, several, a range, or one that each replica has of its own: the best by a metric, or the first so far."""
