"""Cost of training a cohort: bytes of memory, and a first estimate of the time from the model's shape.

The time is the larger of two lower bounds, from bytes moved and from operations, plus a fixed cost per step and block.
The rates of each kind of device are measured and rounded; another machine may differ by a factor of two, so the
estimate is printed as rough.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from harness.datasets import CROP_PADDING
from harness.records import Cohort, Plan, Setup
from harness.records.plan import CHUNK_REPLICAS, CHUNK_SAMPLES


@dataclass(frozen=True)
class DeviceSpeed:
    """The speed of one kind of device."""

    bytes_per_second: float
    operations_per_second: float
    """Rate of float32 operations, as reached in small batched products."""
    seconds_per_step: float
    """Fixed cost of a step."""
    seconds_per_block: float
    """Additional fixed cost of each block in a step."""


SPEEDS = {
    "kernels": DeviceSpeed(2.85e12, 4.2e13, seconds_per_step=2e-5, seconds_per_block=1.8e-5),
    "cuda": DeviceSpeed(1.05e12, 2.5e13, seconds_per_step=2e-4, seconds_per_block=5e-5),
    "cpu": DeviceSpeed(1.0e10, 4.0e10, seconds_per_step=1e-3, seconds_per_block=3e-4),
}
"""Rates per kind of device. Those of ``kernels`` and ``cuda`` are an H100's; the former fit its measured steps to
within 20%."""


@dataclass(frozen=True)
class Estimate:
    """The cost of a plan."""

    steps: int
    """Number of sequential optimisation steps."""
    memory_bytes: int
    """Memory of the largest cohort."""
    seconds: float
    """Rough time of training, without startup, loading data and evaluation."""


def count_parameters(setup: Setup) -> int:
    """Return the number of parameters of one replica, including frozen ones."""
    specs = setup.model.parameters(setup.dataset.features, setup.dataset.classes)
    return sum(math.prod(spec.shape) for spec in specs)


def count_activations(setup: Setup, kernels: bool) -> int:
    """Return the numbers kept per sample between forward and backward pass: by the kernels, or roughly by autograd.

    The kernels keep the images of two steps, at two bytes per number instead of four.
    """
    depth, hidden = setup.model.depth, setup.model.hidden
    images = 2 if kernels and setup.precision == "float64" else 1
    return images * setup.dataset.features + (6 * depth + 5 if kernels else 10 * (depth + 1)) * hidden


def estimate_cohort_bytes(cohort: Cohort, *, kernels: bool) -> int:
    """Return the predicted peak device memory of a cohort; ``kernels`` tells whether harness's own kernels train it.

    The peak consists of the images as bytes and an epoch's schedule, of weights and two moments, of a step's buffers,
    and of what evaluation takes for up to 16 replicas: the images of probe and test batch, and either a float64 copy of
    the weights with some numbers per hidden unit, layer and probe sample, or the activations of part of the test split.
    A step's memory is kept during an evaluation, as the buffers of the kernels or of a processor's step, or in a
    captured graph. benchmarks/README.md compares the prediction with measured peaks.
    """
    setup, replicas = cohort.setup, len(cohort.replicas)
    width = 8 if setup.precision == "float64" else 4
    parameters, model, dataset = count_parameters(setup), setup.model, setup.dataset
    side = dataset.size + (2 * CROP_PADDING if "random_crop" in dataset.augment else 0)
    images = dataset.channels * (dataset.train_count * side**2 + dataset.test_count * dataset.size**2)
    schedule = 16 * dataset.train_count * len({replica.seed for replica in cohort.replicas})
    stored = replicas * width * 3 * parameters
    gradients = parameters
    if kernels:  # the kernels never store the gradient of the embedding's weight
        gradients -= dataset.features * model.hidden
    stepping = replicas * width * (gradients + setup.batch_size * count_activations(setup, kernels))
    measured = min(replicas, CHUNK_REPLICAS)
    per_sample = dataset.features // 8 + 5 * (model.depth + 1) * model.hidden // 2
    probing = measured * 8 * (parameters + setup.evaluation.probe_samples * per_sample)
    testing = measured * width * 3 * CHUNK_SAMPLES * model.hidden
    inputs = dataset.features * (8 * setup.evaluation.probe_samples + 2 * width * CHUNK_SAMPLES)
    measuring = max(probing, testing) + inputs
    return images + schedule + stored + stepping + measuring


def fits_no_kernels(cohort: Cohort) -> bool:
    """Return False: no cohort is trained by harness's own kernels."""
    return False


def estimate(plan: Plan, device: str, *, on_kernels: Callable[[Cohort], bool] = fits_no_kernels) -> Estimate:
    """Return the steps, memory and rough training time of a plan on ``cpu`` or ``cuda``.

    ``on_kernels`` tells which cohorts are trained by harness's own kernels.
    """
    kind = "cuda" if device.startswith("cuda") else "cpu"
    steps = sum(plan.steps(cohort) for cohort in plan.cohorts)
    seconds = 0.0
    for cohort in plan.cohorts:
        speed = SPEEDS["kernels" if on_kernels(cohort) else kind]
        seconds += plan.steps(cohort) * estimate_step_seconds(cohort, speed)
    return Estimate(steps, max(cohort.memory_bytes for cohort in plan.cohorts), seconds)


def estimate_step_seconds(cohort: Cohort, speed: DeviceSpeed) -> float:
    """Return the rough seconds of one step of all replicas of a cohort."""
    setup, replicas = cohort.setup, len(cohort.replicas)
    parameters = count_parameters(setup)
    moved = replicas * 4 * (9 * parameters + 4 * setup.batch_size * count_activations(setup, kernels=True))
    operations = replicas * 6 * parameters * setup.batch_size
    work = max(moved / speed.bytes_per_second, operations / speed.operations_per_second)
    slower = 2.0 if setup.precision == "float64" else 1.0
    return slower * work + speed.seconds_per_step + speed.seconds_per_block * setup.model.depth
