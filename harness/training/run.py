"""Records of a training run: its inputs besides the plan, its progress and its results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.datasets import Images
from harness.records import ReplicaResult
from harness.training.device import Device


@dataclass(frozen=True)
class Progress:
    """The position of training within the plan, reported after every epoch."""

    cohort: int
    """Number of this cohort, from 1."""
    cohorts: int
    """Number of cohorts in the plan."""
    arms: tuple[str, ...]
    """Arms of this cohort."""
    replicas: int
    """Number of replicas of this cohort."""
    epoch: int
    """Epochs done in this cohort."""
    epochs: int
    """Epochs that this cohort is trained for."""
    steps_done: int
    """Steps done over the whole plan; a step of r replicas counts r times."""
    steps_total: int
    """Steps of the whole plan, counted in the same way."""
    message: str | None = None
    """Additional message for the user, for example that a cohort was split."""


@dataclass
class Result:
    """The results of a trained plan."""

    replicas: tuple[ReplicaResult, ...]
    """Results in the plan's order: arm by arm, seed by seed."""
    weights: dict[str, str]
    """File below the weights folder → SHA-256."""
    cohorts: tuple[int, ...]
    """Number of replicas of each cohort, as trained."""
    modules: tuple[str, ...] = ()
    """Top-level names of other people's modules that were loaded where a cohort was trained, sorted."""


@dataclass(frozen=True)
class Run:
    """The inputs of a training run besides its plan, and its callbacks."""

    images: Mapping[str, Images]
    """Data-set name → arrays."""
    device: Device
    folder: Path
    """The run's folder: checkpoints go to work/, saved weights to weights/."""
    checkpoint_seconds: float = 60.0
    """Seconds between two checkpoints; 0 writes one after each epoch."""
    report: Callable[[Progress], None] = lambda _: None
    """Callback after every epoch."""
    stop: Callable[[], bool] = lambda: False
    """Predicate that requests a stop; asked after every step at which training can be interrupted."""
    lock: int | None = None
    """Lock on the work folder, held by every process that writes there."""
