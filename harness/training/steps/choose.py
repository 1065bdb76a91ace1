"""The choice and construction of a cohort's training step; no other module knows all kinds of steps."""

from __future__ import annotations

from collections.abc import Callable

from harness.datasets import Images
from harness.records import Cohort
from harness.training.device import Device
from harness.training.steps.autograd import AutogradStep, SeparateStorage
from harness.training.steps.explicit import ExplicitStep
from harness.training.steps.explicit_storage import StackedStorage
from harness.training.steps.interface import StepKind, Storage, TrainingStep
from harness.training.steps.kernels.launcher import begin_loading
from harness.training.steps.kernels.layout import FlatStorage
from harness.training.steps.kernels.step import KernelsStep
from harness.training.steps.state import TrainingState, allocate_state
from harness.training.steps.supports import fits_explicit, fits_kernels


def takes_kernels(device: Device) -> Callable[[Cohort], bool]:
    """Return the predicate that tells whether this device trains a cohort with the package's own kernels."""
    return lambda cohort: device.kernels and fits_kernels(cohort)


def begin_kernels(device: Device) -> None:
    """Begin to load what compiles the package's own kernels, while data are read, if they may train in this process."""
    if device.kernels and device.workers == 1:
        begin_loading()


def choose_step_kind(cohort: Cohort, device: Device, steps: int) -> StepKind:
    """Return the kind of step that trains a cohort for ``steps`` steps on a device: the fastest that fits it."""
    if not device.is_cuda and fits_explicit(cohort):
        return "explicit"
    if takes_kernels(device)(cohort):
        return "kernels"
    least = device.compile_steps
    return "compiled" if least is not None and steps >= least else "autograd"


def build_step(
    kind: StepKind, cohort: Cohort, images: Images, device: Device
) -> tuple[TrainingState[Storage], TrainingStep]:
    """Allocate a cohort's state in the memory layout of a kind of step, and create that step on it."""
    if kind == "kernels":
        flat = allocate_state(cohort, images, device, FlatStorage)
        return flat, KernelsStep(flat)
    if kind == "explicit":
        stacked = allocate_state(cohort, images, device, StackedStorage)
        return stacked, ExplicitStep(stacked)
    separate = allocate_state(cohort, images, device, SeparateStorage)
    return separate, AutogradStep(separate, compiled=kind == "compiled")
