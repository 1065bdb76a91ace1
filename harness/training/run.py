"""What a run needs besides its plan, where it is, and what it yields."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.datasets import Images
from harness.records import ReplicaResult
from harness.training.device import Device


@dataclass(frozen=True)
class Progress:
    """Where training is, told after every epoch."""

    cohort: int
    """Number of this cohort, from 1."""
    cohorts: int
    """Number of all cohorts."""
    arms: tuple[str, ...]
    """Arms of this cohort."""
    replicas: int
    """Replicas of this cohort."""
    epoch: int
    """Epochs done in this cohort."""
    epochs: int
    """Epochs that this cohort is trained for."""
    steps_done: int
    """Steps done over the whole plan; a step of r replicas counts r times."""
    steps_total: int
    """All steps of the plan, counted alike."""
    message: str | None = None
    """Something to tell besides: that a cohort was split."""


@dataclass
class Result:
    """The results of a trained plan."""

    replicas: tuple[ReplicaResult, ...]
    """Results in the plan's order: arm by arm, seed by seed."""
    weights: dict[str, str]
    """File below the weights folder → SHA-256."""
    cohorts: tuple[int, ...]
    """Replicas per cohort as trained."""


@dataclass(frozen=True)
class Run:
    """A run's data, device and folder, and how it tells where it is."""

    images: Mapping[str, Images]
    """Data-set name → arrays."""
    device: Device
    folder: Path
    """The run's folder: checkpoints go to work/, kept weights to weights/."""
    checkpoint_seconds: float = 60.0
    """Seconds between two checkpoints; 0 writes one after each epoch."""
    report: Callable[[Progress], None] = lambda _: None
    """Called after every epoch."""
    stop: Callable[[], bool] = lambda: False
    """Asked after every step that can be stopped behind."""
    lock: int | None = None
    """The lock on the work folder, which every process that writes there holds."""
