"""Tuning: the space that is searched for the settings of an arm, and what a search found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, StringConstraints, Tag, model_validator

from harness.plugins.fields import Unit
from harness.records.base import Name, Record, Text

DottedPath = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$", max_length=255)]
Value = bool | int | float | str
Values = Mapping[str, Value]
"""Path inside an arm → value."""
RESOLVED = 0.01
"""Smallest width of a range, as a share of its larger end: numbers are drawn with four digits."""


class Distribution(Record):
    """A distribution from which the numbers of a setting are drawn, for a random search."""

    distribution: Literal["uniform", "loguniform", "integer"] = Field(examples=["loguniform"])
    """Distribution. uniform: all numbers between both ends alike; loguniform: their logarithms alike, for what varies
    over orders of magnitude, such as learning rates; integer: all whole numbers alike."""
    low: Annotated[float, Unit("that of the setting")] = Field(examples=[1.0e-4])
    """Smallest number that can be drawn."""
    high: Annotated[float, Unit("that of the setting")] = Field(examples=[1.0e-1])
    """Largest number that can be drawn."""

    @model_validator(mode="after")
    def _is_a_range(self) -> Distribution:
        if not self.low < self.high:
            raise ValueError("low must be smaller than high")
        if self.distribution == "loguniform" and self.low <= 0:
            raise ValueError("low must be greater than 0: neither 0 nor a number below it has a logarithm")
        if self.distribution == "integer" and not (self.low.is_integer() and self.high.is_integer()):
            raise ValueError("low and high must be whole numbers: integer draws no others")
        if self.distribution != "integer" and self.high - self.low < RESOLVED * max(abs(self.low), abs(self.high)):
            raise ValueError("the range is narrower than a hundredth of its larger end: list its values instead")
        return self


def _find_shape(value: Any) -> str:
    return "(draws)" if isinstance(value, dict | Distribution) else "(several)"


Searched = Annotated[
    Annotated[tuple[Value, ...], Field(min_length=1), Tag("(several)")] | Annotated[Distribution, Tag("(draws)")],
    Discriminator(_find_shape),
]
"""Values that are tried at one path: listed ones, or numbers that are drawn."""


class Tuning(Record):
    """Search for the settings of arms, before the seeds that decide are trained.

    Every candidate of an arm is trained with seeds of its own, and the one with the best mean is the arm. The file
    fixes the space, and never the choice.
    """

    select: Name = Field(examples=["validation_accuracy"])
    """Metric by which candidates are chosen, at the last epoch. It must not read the test split. Of arms that a program
    trains it is one that the file declares."""
    seeds: Annotated[int, Unit("seeds")] = Field(default=3, ge=1, le=1_000)
    """Number of seeds with which every candidate is trained. They follow from the seeds that decide, and are others."""
    space: Annotated[dict[Name, dict[DottedPath, Searched]], Unit("that of the setting")] = Field(
        min_length=1, examples=[{"dfa": {"setup.optimizer.lr": [1.0e-4, 1.0e-3, 1.0e-2]}}]
    )
    """Arm → path inside it → values, or the distribution from which numbers are drawn. Several paths form their grid,
    the last varying fastest; with a distribution among them, all of them are drawn instead, ``trials`` times. The name
    of an arm with a matrix stands for all arms that it makes. Arms without a space are not tuned."""
    trials: Annotated[int | None, Unit("candidates")] = Field(
        default=None, ge=2, le=1_000, exclude_if=lambda value: value is None, examples=[8]
    )
    """Number of candidates of each arm whose space has a distribution; required if one has. They follow from the tuning
    seeds, and so from the registration. Arms that search the same range try the same numbers."""
    unequal: Text | None = Field(
        default=None,
        exclude_if=lambda value: value is None,
        examples=["The baseline keeps the rate that its authors published."],
    )
    """Reason why arms that are compared have unequal numbers of candidates; required if they do."""


class Candidate(Record):
    """One candidate of an arm, and what it came to."""

    values: Annotated[dict[str, Value], Unit("that of the setting")]
    """Path inside the arm → its value."""
    measured: Annotated[tuple[float | None, ...], Unit("the metric's unit")]
    """The metric by which candidates are chosen at the last epoch, by tuning seed; None where it diverged or, of a
    program, failed."""
    mean: Annotated[float | None, Unit("the metric's unit")]
    """Mean over the seeds that have a value; None if none has."""

    @property
    def diverged(self) -> int:
        """Number of seeds without a value."""
        return sum(value is None for value in self.measured)


class TunedArm(Record):
    """The search for one arm."""

    candidates: tuple[Candidate, ...]
    """All candidates, in the order of the file or of their draws."""
    chosen: Annotated[int, Unit("1")]
    """Position of the chosen one, counted from 0."""
    runner_up: Annotated[int | None, Unit("1")]
    """Position of the next best; None if there was only one candidate."""
    edges: tuple[str, ...]
    """Paths whose chosen number is the smallest or the largest that was tried: a better one may lie beyond."""

    @property
    def choice(self) -> Candidate:
        """The chosen candidate."""
        return self.candidates[self.chosen]

    @property
    def gap(self) -> float | None:
        """Amount by which the choice's mean is better than the runner-up's; None if either has none."""
        if self.runner_up is None:
            return None
        one, other = self.choice.mean, self.candidates[self.runner_up].mean
        return None if one is None or other is None else abs(one - other)


class Search(Record):
    """The whole search of a run."""

    metric: str
    """Metric by which was chosen."""
    better: Literal["higher", "lower"]
    """Direction in which it is better."""
    seeds: Annotated[tuple[int, ...], Unit("seed numbers")]
    """The tuning seeds."""
    arms: dict[str, TunedArm]
    """Arm → its candidates and its choice."""

    @property
    def choices(self) -> dict[str, dict[str, Value]]:
        """Arm → path inside it → chosen value."""
        return {name: arm.choice.values for name, arm in self.arms.items()}
