"""Preconditions: what the set-up of a file must meet so that it can answer the question at all.

They are looked at whenever the file is checked, and so before anything is registered. They load neither torch nor any
other large library, because every check of a file waits for them.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from harness.datasets import Dataset
from harness.metrics import Metric
from harness.models import Model
from harness.penalties import Penalty
from harness.plugins.registry import Plugin
from harness.rules import Rule

Place = tuple[str | int, ...]
"""Path of keys and positions in the file."""


@dataclass(frozen=True)
class AskedArm:
    """An arm as a precondition sees it, with the common setup merged in."""

    label: str
    rule: Rule
    penalty: Penalty | None
    frozen: frozenset[str]
    """Parts of the model that keep their initial values, one by one: block_0, block_1, …."""
    dataset: Dataset
    train_count: int
    """Number of images that the arm trains on."""
    model: Model
    epochs: int
    batch_size: int
    probe_samples: int
    at: Place
    """Place of the arm in the file."""
    stops: bool = False
    """True if a condition may stop a replica before its last epoch."""

    @property
    def trained(self) -> frozenset[str]:
        """Parts of the model that train."""
        return frozenset(self.model.groups()) - self.frozen

    @property
    def steps(self) -> int:
        """Number of optimizer steps of a replica; at most, if a condition may stop it before."""
        return self.epochs * -(-self.train_count // self.batch_size)


@dataclass(frozen=True)
class AskedEstimand:
    """An estimand as a precondition sees it; exploratory ones are left out."""

    metric: Metric
    weights: Mapping[str, float]
    """Arm → weight of its value; of one arm alone, 1."""
    layers: tuple[int, ...]
    """Layers at which the metric is taken; empty for a metric without layers."""
    at: Place
    """Place in the file where its arms are named."""
    minus: Metric | None = None
    """Metric of the same replica that is subtracted, if any."""


@dataclass(frozen=True)
class Asked:
    """A valid file as a precondition sees it."""

    arms: Mapping[str, AskedArm]
    estimands: Mapping[str, AskedEstimand]
    seeds: int
    """Number of registered seeds."""


class Obstacle(NamedTuple):
    """A reason why the set-up can't answer the question."""

    message: str
    """Sentence that says what is wrong, beginning in lower case."""
    remedy: str
    """Sentence that says what to do about it."""
    at: Place = ()
    """Place in the file; that of the precondition if it is empty."""


class Precondition(Plugin):
    """Interface of a precondition plug-in, which is listed under ``preconditions`` in the file."""

    severity: Literal["error", "warning"] = "error"
    """Consequence if the set-up does not meet it. error (default): the file is refused; warning: check, plan and run
    say so and go on."""

    @abstractmethod
    def find_obstacles(self, asked: Asked) -> Iterator[Obstacle]:
        """Yield every reason why the set-up does not meet the precondition; nothing if it does."""
