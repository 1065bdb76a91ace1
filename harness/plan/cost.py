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
from harness.records import Arm, Cohort, Plan, Setup
from harness.records.plan import count_chunk_replicas, count_chunk_samples, count_probed
from harness.rules import FixedCredit, RuleTensors, find_backward


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


LIBRARIES_BYTES = 200_000_000
"""Bytes that PyTorch's libraries hold beside a cohort, where harness's own kernels don't train it: 0 to 300 MB were
measured on an H200, and a processor's libraries take as much."""


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
    specs = setup.model.parameters(setup.dataset.features, setup.classes)
    return sum(math.prod(spec.shape) for spec in specs)


def _count_rule_numbers(arm: Arm) -> int:
    """Return the numbers that a rule keeps of one replica, with their gradients and optimizer state.

    Feedback of a matrix per block for rules that faster steps train is left out: it is small beside the rest.
    """
    setup = arm.setup
    tensors = RuleTensors.of(arm.rule, setup.model, setup.dataset.features, setup.classes)
    own = sum(math.prod(spec.shape) for spec in tensors.own)
    sizes = [[setup.batch_size if size is None else size for size in spec.shape] for spec in tensors.draws]
    left_out = find_backward(arm.rule) and (arm.rule.fixed_credit or FixedCredit()).per_block
    given = 0 if left_out else sum(math.prod(spec.shape) for spec in tensors.feedback)
    return own * (2 + len(setup.optimizer.state)) + sum(map(math.prod, sizes)) + given


def count_activations(setup: Setup, kernels: bool) -> int:
    """Return the numbers kept per sample between forward and backward pass: by the kernels, or roughly by autograd.

    The kernels keep the images of two steps, at two bytes per number instead of four. Of each block they keep three
    numbers per unit of the state (one of them for a penalty alone) and three per unit of its inner layer.
    """
    model = setup.model
    if not kernels:
        return setup.dataset.features + model.footprint.trained
    images = 2 if setup.precision == "float64" else 1
    return images * setup.dataset.features + (3 * model.depth + 5) * model.hidden + 3 * model.depth * model.inner


def count_other_logits(setup: Setup) -> int:
    """Return the number of samples besides the test split of which metrics read logits."""
    read = {metric.split for metric in setup.evaluation.measured if metric.reads_logits}
    return ("validation" in read) * setup.validation_count + ("train" in read) * setup.train_count


def estimate_cohort_bytes(cohort: Cohort, *, kernels: bool) -> int:
    """Return the predicted peak device memory of a cohort; ``kernels`` tells whether harness's own kernels train it.

    The peak consists of the images as bytes and an epoch's schedule, of weights and the optimizer's state, of a rule's
    own tensors, of a step's buffers, and of what evaluation takes for some replicas (16, or fewer of large models): the
    images of probe and test batch, and either a float64 copy of the weights with some numbers per probe sample, or the
    activations of part of the test split. What passes hold of a sample is the model's ``footprint``.
    A step's memory is kept during an evaluation, as the buffers of the kernels or of a processor's step, or in a
    captured graph. benchmarks/README.md compares the prediction with measured peaks.
    """
    setup, replicas = cohort.setup, len(cohort.replicas)
    width = 8 if setup.precision == "float64" else 4
    parameters, model, dataset = count_parameters(setup), setup.model, setup.dataset
    side = dataset.size + (2 * CROP_PADDING if "random_crop" in dataset.augment else 0)
    images = dataset.channels * (
        setup.train_count * side**2 + (setup.validation_count + setup.test_count) * dataset.size**2
    )
    seeds = len({replica.seed for replica in cohort.replicas})
    schedule = (24 if setup.labels.changed else 16) * setup.train_count * seeds  # labels of each seed's own beside it
    stored = replicas * width * (1 + len(setup.optimizer.state)) * parameters
    stored += width * sum(_count_rule_numbers(cohort.arms[replica.arm]) for replica in cohort.replicas)
    gradients = parameters
    if kernels:  # the kernels never store the gradient of the embedding's weight
        gradients -= dataset.features * model.hidden
    stepping = replicas * width * (gradients + setup.batch_size * count_activations(setup, kernels))
    measured = min(replicas, count_chunk_replicas(setup))
    per_sample = dataset.features // 8 + count_probed(setup)
    probes = [setup.evaluation.probe_samples, *_list_other_probes(setup)]
    probing = measured * 8 * (parameters + sum(probes) * per_sample)
    samples = count_chunk_samples(setup)
    testing = measured * width * samples * model.footprint.passed
    testing += measured * width * 2 * setup.classes * count_other_logits(setup)
    inputs = dataset.features * (8 * sum(probes) + 2 * width * samples)
    measuring = max(probing, testing) + inputs
    return images + schedule + stored + stepping + measuring + (0 if kernels else LIBRARIES_BYTES)


def _list_other_probes(setup: Setup) -> list[int]:
    """Return the sizes of the probe batches that metrics have of their own.

    Fresh feedback takes as much memory as that of training, which is small beside the rest.
    """
    own = {(metric.conditions.probe_split, metric.conditions.probe_samples) for metric in setup.evaluation.measured}
    return [samples or setup.evaluation.probe_samples for split, samples in own if (split, samples) != ("test", None)]


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
    products = setup.model.products(setup.dataset.features, setup.classes)
    forward = 2 * parameters if products is None else sum(product.flops for product in products)
    operations = replicas * 3 * forward * setup.batch_size
    work = max(moved / speed.bytes_per_second, operations / speed.operations_per_second)
    slower = 2.0 if setup.precision == "float64" else 1.0
    return slower * work + speed.seconds_per_step + speed.seconds_per_block * setup.model.depth
