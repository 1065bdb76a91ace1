"""What training a cohort costs: bytes of memory, and a first estimate of the time from the model's shape.

The time is the larger of two floors, bytes moved and operations done, times what a step takes above its floor, plus a
fixed cost per step. The figures per device are measured ones, rounded; a stranger's machine may differ by a factor of
two, so the estimate is printed as rough.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from harness.datasets import CROP_PADDING
from harness.records import Cohort, Plan, Setup
from harness.records.plan import CHUNK_REPLICAS, CHUNK_SAMPLES


@dataclass(frozen=True)
class Rates:
    """What a kind of device does per second."""

    bytes_per_second: float
    operations_per_second: float
    """Float32, as reached in small batched products."""
    seconds_per_step: float
    """Cost of a step however small, and"""
    seconds_per_block: float
    """of each block in it."""


RATES = {
    "kernels": Rates(2.85e12, 4.2e13, seconds_per_step=2e-5, seconds_per_block=1.8e-5),
    "cuda": Rates(1.05e12, 2.5e13, seconds_per_step=2e-4, seconds_per_block=5e-5),
    "cpu": Rates(1.0e10, 4.0e10, seconds_per_step=1e-3, seconds_per_block=3e-4),
}
"""``kernels`` and ``cuda`` are an H100's; the former were fitted to its measured steps, within 20%."""


@dataclass(frozen=True)
class Estimate:
    """Cost of a plan."""

    steps: int
    """Optimisation steps, one after the other."""
    memory_bytes: int
    """Of the largest cohort."""
    seconds: float
    """Training, roughly; without starting up, loading data and evaluation."""


def parameter_count(setup: Setup) -> int:
    """Return the number of trainable numbers of one replica, frozen ones counted in."""
    specs = setup.model.parameters(setup.dataset.features, setup.dataset.classes)
    return sum(math.prod(spec.shape) for spec in specs)


def activation_numbers(setup: Setup, kernels: bool) -> int:
    """Return the numbers kept per sample between forward and backward: the kernels' buffers, or autograd's, roughly.

    The kernels keep the images of two steps, of two bytes each where a number takes four.
    """
    depth, hidden = setup.model.depth, setup.model.hidden
    images = 2 if kernels and setup.precision == "float64" else 1
    return images * setup.dataset.features + (6 * depth + 5 if kernels else 10 * (depth + 1)) * hidden


def cohort_bytes(cohort: Cohort, *, kernels: bool) -> int:
    """Return the predicted peak device memory of a cohort; ``kernels``: whether harness's own kernels train it.

    Images as bytes and an epoch's schedule; weights and two moments; what a step takes; and what measuring takes for up
    to 16 replicas: a float64 copy of the weights and some numbers per hidden unit, layer and probe sample, or the
    activations of part of the test split; and the images of both. A step's memory is kept while something is measured:
    by the kernels and on a processor as buffers, by others in their captured graph.
    Compared with measured peaks in benchmarks/README.md.
    """
    setup, replicas = cohort.setup, len(cohort.replicas)
    width = 8 if setup.precision == "float64" else 4
    parameters, model, dataset = parameter_count(setup), setup.model, setup.dataset
    side = dataset.size + (2 * CROP_PADDING if "random_crop" in dataset.augment else 0)
    images = dataset.channels * (dataset.train_count * side**2 + dataset.test_count * dataset.size**2)
    schedule = 16 * dataset.train_count * len({replica.seed for replica in cohort.replicas})
    held = replicas * width * 3 * parameters
    gradients = parameters
    if kernels:  # these never store the gradient of the embedding's weight
        gradients -= dataset.features * model.hidden
    stepping = replicas * width * (gradients + setup.batch_size * activation_numbers(setup, kernels))
    measured = min(replicas, CHUNK_REPLICAS)
    per_sample = dataset.features // 8 + 5 * (model.depth + 1) * model.hidden // 2
    probing = measured * 8 * (parameters + setup.evaluation.probe_samples * per_sample)
    testing = measured * width * 3 * CHUNK_SAMPLES * model.hidden
    inputs = dataset.features * (8 * setup.evaluation.probe_samples + 2 * width * CHUNK_SAMPLES)
    measuring = max(probing, testing) + inputs
    return images + schedule + held + stepping + measuring


def no_kernels(cohort: Cohort) -> bool:
    """Answer that no cohort is trained by harness's own kernels."""
    return False


def estimate(plan: Plan, device: str, *, on_kernels: Callable[[Cohort], bool] = no_kernels) -> Estimate:
    """Return the steps, memory and rough training time of a plan on ``cpu`` or ``cuda``.

    ``on_kernels`` tells which cohorts are trained by harness's own kernels.
    """
    kind = "cuda" if device.startswith("cuda") else "cpu"
    steps = sum(plan.steps(cohort) for cohort in plan.cohorts)
    seconds = 0.0
    for cohort in plan.cohorts:
        rates = RATES["kernels" if on_kernels(cohort) else kind]
        seconds += plan.steps(cohort) * step_seconds(cohort, rates)
    return Estimate(steps, max(cohort.memory_bytes for cohort in plan.cohorts), seconds)


def step_seconds(cohort: Cohort, rates: Rates) -> float:
    """Return the rough seconds of one step of all a cohort's replicas."""
    setup, replicas = cohort.setup, len(cohort.replicas)
    parameters = parameter_count(setup)
    moved = replicas * 4 * (9 * parameters + 4 * setup.batch_size * activation_numbers(setup, kernels=True))
    operations = replicas * 6 * parameters * setup.batch_size
    work = max(moved / rates.bytes_per_second, operations / rates.operations_per_second)
    slower = 2.0 if setup.precision == "float64" else 1.0
    return slower * work + rates.seconds_per_step + rates.seconds_per_block * setup.model.depth
