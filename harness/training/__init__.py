"""Training: ``train`` turns a plan into measurements, all replicas of a cohort as one program."""

from harness.domain.trained import Progress, Result
from harness.training.calibrate import estimate_training_seconds
from harness.training.device import Device, open_device
from harness.training.loop import hand_over, train
from harness.training.run import Run
from harness.training.steps.choose import begin_kernels, takes_kernels

__all__ = [
    "Device",
    "Progress",
    "Result",
    "Run",
    "begin_kernels",
    "estimate_training_seconds",
    "hand_over",
    "open_device",
    "takes_kernels",
    "train",
]
