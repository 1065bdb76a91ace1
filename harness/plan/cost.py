"""What training a cohort costs: bytes of memory, and a first estimate of the time from the model's shape.

The time is the larger of two floors, bytes moved and operations done, times what a step takes above its floor, plus a
fixed cost per step. The figures per device are measured ones, rounded; a stranger's machine may differ by a factor of
two, so the estimate is printed as rough.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from harness.records import Cohort, Plan, Setup

STATES = 4  # weights, gradients and AdamW's two moments
PADDING = 4  # pixels on every side of an image that is to be cropped


@dataclass(frozen=True)
class Rates:
    """What a kind of device does per second."""

    bytes_per_second: float
    operations_per_second: float
    """Float32, as reached in small batched products."""
    seconds_per_step: float
    """Cost of a step however small."""


RATES = {
    "cuda": Rates(bytes_per_second=1.05e12, operations_per_second=2.5e13, seconds_per_step=4e-4),
    "cpu": Rates(bytes_per_second=1.0e10, operations_per_second=4.0e10, seconds_per_step=2e-3),
}


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
    """Trainable numbers of one replica, frozen ones counted in."""
    specs = setup.model.parameters(setup.dataset.features, setup.dataset.classes)
    return sum(math.prod(spec.shape) for spec in specs)


def activation_numbers(setup: Setup) -> int:
    """Numbers kept per sample between forward and backward: input, and about ten per hidden unit and block."""
    return setup.dataset.features + 10 * (setup.model.depth + 1) * setup.model.hidden


def cohort_bytes(setup: Setup, replicas: int) -> int:
    """Predicted peak device memory of a cohort, counting one seed per replica.

    Images as bytes and an epoch's schedule; then the larger of two moments: capturing a step (weights and moments
    twice, because they are set aside, and gradients and activations of the two captured batch sizes) and probing (a
    float64 copy of the weights and about two numbers per hidden unit and layer, for up to 16 replicas). Compared with
    measured peaks in benchmarks/notes.md.
    """
    width = 8 if setup.precision == "float64" else 4
    parameters, activations = parameter_count(setup), activation_numbers(setup)
    dataset = setup.dataset
    side = dataset.size + (2 * PADDING if "random_crop" in dataset.augment else 0)
    images = dataset.channels * (dataset.train_count * side**2 + dataset.test_count * dataset.size**2)
    schedule = 16 * dataset.train_count * replicas
    stepping = 2 * setup.batch_size * activations
    capturing = replicas * width * ((STATES + 3) * parameters + stepping)
    probing = replicas * width * ((STATES + 1) * parameters + stepping)
    probing += min(replicas, 16) * 8 * (parameters + setup.evaluation.probe_samples * activations // 10)
    return images + schedule + max(capturing, probing)


def estimate(plan: Plan, device: str) -> Estimate:
    """Steps, memory and rough training time of a plan on ``cpu`` or ``cuda``."""
    rates = RATES["cuda" if device.startswith("cuda") else "cpu"]
    steps = sum(plan.steps(cohort) for cohort in plan.cohorts)
    seconds = sum(plan.steps(cohort) * step_seconds(cohort, rates) for cohort in plan.cohorts)
    return Estimate(steps, max(cohort.memory_bytes for cohort in plan.cohorts), seconds)


def step_seconds(cohort: Cohort, rates: Rates) -> float:
    """Rough seconds of one step of all a cohort's replicas."""
    setup, replicas = cohort.setup, len(cohort.replicas)
    parameters = parameter_count(setup)
    moved = replicas * 4 * (9 * parameters + 4 * setup.batch_size * activation_numbers(setup))
    operations = replicas * 6 * parameters * setup.batch_size
    slower = 2.0 if setup.precision == "float64" else 1.0
    return (
        slower * max(moved / rates.bytes_per_second, operations / rates.operations_per_second) + rates.seconds_per_step
    )
