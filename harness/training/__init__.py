"""The engine: ``train`` turns a plan into measurements, all replicas of a cohort as one program."""

from harness.training.calibrate import training_seconds
from harness.training.device import Device, open_device
from harness.training.loop import Progress, Result, train

__all__ = ["Device", "Progress", "Result", "open_device", "train", "training_seconds"]
