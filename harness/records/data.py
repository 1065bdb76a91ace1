"""Interventions on a data set before training: a subset, a validation split, other labels."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from harness.plugins.fields import Unit
from harness.records.base import Record


class Labels(Record):
    """Labels of the training images. Labels of the test split are never changed.

    Every change is a function of the seed alone: arms of one seed that ask for the same labels are trained on the same,
    and a larger share of noise changes the labels that a smaller share changes, to the same classes, and more.
    """

    name: Literal["original", "shuffled", "random", "noisy"] = "original"
    """Kind of labels. original (default): those of the data set; shuffled: the same labels in a random order, which
    each seed draws once; random: drawn anew, uniformly over all classes, whenever an image is seen; noisy: each label
    is replaced with the probability ``share`` by another class, uniformly over all classes but its own, once per
    seed."""
    share: Annotated[float | None, Unit("1")] = Field(
        default=None, ge=0, le=1, exclude_if=lambda value: value is None, examples=[0.4]
    )
    """Probability that a label of ``noisy`` labels is replaced by that of another class. The label of the image's own
    class is never drawn, so that this is the expected share of wrong labels. The other kinds have none."""

    @model_validator(mode="after")
    def _share_of_noise(self) -> Labels:
        if self.name == "noisy" and self.share is None:
            raise ValueError("noisy labels need their share: {name: noisy, share: 0.4}")
        if self.name != "noisy" and self.share is not None:
            raise ValueError(f"a share belongs to noisy labels, and these are {self.name}: remove it")
        return self

    @property
    def changed(self) -> bool:
        """True if they are others than those of the data set."""
        return self.name != "original"


class Subset(Record):
    """Part of a data set that is used in place of all of it. It is the same for all seeds, and drawn by a fixed key."""

    classes: Annotated[tuple[Annotated[int, Field(ge=0)], ...] | None, Unit("class numbers")] = Field(
        default=None, exclude_if=lambda value: value is None, examples=[[3, 5, 8]]
    )
    """Classes that are used, by their numbers in the data set, which begin at 0. All splits are restricted to them, and
    the model has one logit for each, in ascending order. By default, all classes."""
    size: Annotated[int | None, Unit("images")] = Field(
        default=None, ge=1, exclude_if=lambda value: value is None, examples=[500]
    )
    """Number of images that are trained on. Every class keeps its share of them, to within one image. They are drawn
    from what ``classes`` and ``validation`` leave; the test split is not reduced. By default, all images."""

    @model_validator(mode="after")
    def _of_something(self) -> Subset:
        if self.classes is None and self.size is None:
            raise ValueError("a subset needs classes, a size, or both: {classes: [0, 1], size: 500}")
        if self.classes is not None and len(set(self.classes)) != len(self.classes):
            raise ValueError("a class is listed twice")
        if self.classes is not None and len(self.classes) < 2:
            raise ValueError("a subset needs two classes or more: with one there is nothing to tell apart")
        return self


class Validation(Record):
    """Training images that are kept from training, for measurements on which choices may rest.

    They are drawn by a fixed key, the same for all seeds and arms, so that whoever chooses by them compares all choices
    on the same images. Every class keeps its share, to within one image.
    """

    share: Annotated[float | None, Unit("1")] = Field(
        default=None, gt=0, lt=1, exclude_if=lambda value: value is None, examples=[0.1]
    )
    """Share of the training images that become the validation split. Give either this or ``count``."""
    count: Annotated[int | None, Unit("images")] = Field(
        default=None, ge=1, exclude_if=lambda value: value is None, examples=[5000]
    )
    """Number of training images that become the validation split."""

    @model_validator(mode="after")
    def _one_of(self) -> Validation:
        if (self.share is None) == (self.count is None):
            raise ValueError("give either share or count: {share: 0.1}")
        return self

    def count_of(self, images: int) -> int:
        """Return the size of the validation split, taken from this many training images."""
        return self.count if self.count is not None else math.floor((self.share or 0.0) * images + 0.5)
