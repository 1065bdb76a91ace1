"""The inputs of a training run besides its plan, and its callbacks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.datasets import Images
from harness.domain.trained import Elsewhere, Progress
from harness.training.device import Device


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
    """Callback after every epoch, and when a checkpoint is resumed."""
    stop: Callable[[], bool] = lambda: False
    """Predicate that requests a stop; asked after every step, or after every epoch where the kernels train."""
    idle: Callable[[], object] = lambda: None
    """Callback for a part of other work, of a quarter of a second or so: called once an epoch while a card computes, in
    the process that trains, and never on a processor, which has no time to spare."""
    weights: Mapping[str, Path] = field(default_factory=dict)
    """SHA-256 → file of stored weights, for replicas that start from some."""
    lock: int | None = None
    """Lock on the work folder, held by every process that writes there."""
    elsewhere: Elsewhere | None = None
    """Function that trains cohorts on other machines; None to train them here."""
