"""Stored weights: read back against their digests, and put into a program."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from harness.datasets import Images
from harness.errors import Tampered, UsageError
from harness.metrics import Metric
from harness.records import Cohort
from harness.rules import OWN
from harness.system.reading import read_regular
from harness.training.checkpoint import LARGEST_CHECKPOINT, digest_tensors
from harness.training.device import Device, use_one_thread
from harness.training.evaluate import evaluate
from harness.training.learned import select_learned
from harness.training.program import Program, build_program
from harness.training.steps.state import EVOLVED

WEIGHTS, FEEDBACK = "weights/", "feedback/"
BESIDE = (f"{WEIGHTS}{OWN}", f"{WEIGHTS}{EVOLVED}")
"""Beginnings of what is stored among weights and is a rule's."""


@dataclass(frozen=True)
class WeightsFile:
    """A file of stored weights."""

    path: Path
    """Place where it should lie."""
    digest: str
    """SHA-256 of the file, as the run's env.json names it."""


def read_tensors(file: WeightsFile) -> dict[str, Tensor]:
    """Return the tensors of a file by name, on the CPU.

    Raises:
        UsageError: it is not there or cannot be read.
        Tampered: it is not the one of this digest.
    """
    try:
        data = read_regular(file.path, LARGEST_CHECKPOINT, follow=True)
    except OSError as error:
        raise UsageError(
            f"these weights can't be read: {error.strerror or error}",
            where=str(file.path),
            remedy=f"get the file of SHA-256 {file.digest} from whoever ran it: weights are named in the trail and not "
            "kept in git; or name the folder that holds it with --weights",
        ) from error
    if (got := hashlib.sha256(data).hexdigest()) != file.digest:
        raise Tampered(
            "these weights are not those that the run's env.json names",
            where=str(file.path),
            expected=file.digest,
            got=got,
            remedy="get the file back from whoever ran it; what was measured on others would say nothing of this run",
        )
    try:
        return load(data)
    except SafetensorError as error:
        raise UsageError(f"these weights can't be read: {error}", where=str(file.path)) from error


def put_weights(
    program: Program, r: int, tensors: Mapping[str, Tensor], where: str, *, learned: bool, feedback: bool
) -> None:
    """Put stored weights into a replica, bit by bit.

    With ``learned``, what the rule had trained along or changed is put in too, where this replica's rule has the same;
    with ``feedback``, feedback matrices, if they were stored.

    Raises:
        UsageError: they are those of another model, or of another precision.
    """
    state = program.state
    group = state.find_rule_group(r)
    beside = {name: tensor for name, tensor in tensors.items() if name.startswith(BESIDE)}
    _put(state.params, r, {name: tensors[name] for name in tensors.keys() - beside.keys()}, WEIGHTS, where)
    targets = {f"{WEIGHTS}{name}": tensor for name, tensor in group.learned.items()}
    if learned and beside.keys() == targets.keys():
        _put(group.learned, r - group.replicas.start, beside, WEIGHTS, where)
    if feedback and any(name.startswith(FEEDBACK) for name in tensors):
        _put(group.feedback, r - group.replicas.start, tensors, FEEDBACK, where)


def _put(targets: Mapping[str, Tensor], row: int, tensors: Mapping[str, Tensor], prefix: str, where: str) -> None:
    kept = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    shapes = {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in kept.items()}
    if shapes != {name: (tuple(target.shape[1:]), target.dtype) for name, target in targets.items()}:
        raise UsageError(
            f"the {prefix.rstrip('/')} in this file are those of another model, data set or precision",
            where=where,
            remedy="use the model, the data set's classes and the precision of the run that stored them",
        )
    with torch.no_grad():
        for name, target in targets.items():
            target[row].copy_(kept[name])


def start_from_stored(program: Program, files: Mapping[str, Path]) -> None:
    """Put stored weights, SHA-256 → file, into the replicas that start from some; all others keep those drawn for them.

    This is how a checkpoint's weights are loaded, so that every kind of step goes on from them.

    Raises:
        UsageError, Tampered: as ``read_tensors`` and ``put_weights``.
    """
    for r, replica in enumerate(program.state.cohort.replicas):
        if replica.start is not None:
            path = files[replica.start.weights]
            tensors = read_tensors(WeightsFile(path, replica.start.weights))
            kept = replica.start.feedback_seed is not None
            put_weights(program, r, tensors, str(path), learned=kept, feedback=False)


def measure_stored(
    cohort: Cohort,
    files: Mapping[tuple[str, int], WeightsFile],
    images: Images,
    device: Device,
    metrics: list[Metric],
) -> tuple[dict[str, dict[str, np.ndarray]], list[str]]:
    """Measure stored weights of a cohort's replicas, (arm, seed index) → file, without training.

    Return metric → summary → float64 [r, layer], and the digest of each replica's weights as results.json has it.

    Raises:
        UsageError, Tampered: as ``read_tensors`` and ``put_weights``.
    """
    with use_one_thread(device):
        program = build_program(cohort, images, device, trains=False)
        digests = []
        for r, replica in enumerate(cohort.replicas):
            file = files[replica.arm, replica.seed_index]
            tensors = read_tensors(file)
            put_weights(program, r, tensors, str(file.path), learned=True, feedback=True)
            digests.append(digest_weights(program, r))
        return evaluate(program, metrics), digests


def digest_weights(program: Program, r: int) -> str:
    """Return the digest of a replica's weights as results.json has it."""
    learned = program.kept.get(r) or select_learned(program.state, r)
    return digest_tensors({name: tensor.detach().cpu() for name, tensor in learned.items()})
