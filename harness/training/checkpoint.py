"""Checkpoints and finished results of cohorts, from which a killed run resumes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from harness.records import Cohort
from harness.records.base import write_canonical
from harness.system.reading import read_regular
from harness.system.storage import write_atomic

LARGEST_CHECKPOINT = 2**40
"""Bytes of a checkpoint, which may be as large as a card's memory."""
DTYPE_NAMES = {torch.float32: "F32", torch.float64: "F64", torch.int64: "I64"}


@dataclass(frozen=True)
class Checkpoint:
    """The state of a cohort between two steps."""

    epoch: int
    """Epochs done."""
    step: int
    """Steps done in the next epoch."""
    log: dict[str, Any]
    """Values measured so far."""
    tensors: dict[str, Tensor]


class CheckpointWriter:
    """Writes checkpoints in the background, one at a time: the next one waits until the previous one is on disk."""

    def __init__(self, work: WorkFolder, cohort: Cohort) -> None:
        self._work, self._cohort = work, cohort
        self._pool = ThreadPoolExecutor(1)
        self._pending: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # An abrupt end waits for no disk: a checkpoint in progress either replaces the previous one or does not.
        self._pool.shutdown(wait=kind is None or issubclass(kind, Exception))

    def save(self, epoch: int, step: int, log: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Copy the state after ``epoch`` epochs and ``step`` steps of the next, and write it in the background.

        Raises:
            StorageFailed: the previous checkpoint could not be written.
        """
        self.finish()
        kept = {name: tensor.detach().to("cpu", copy=True) for name, tensor in tensors.items()}
        checkpoint = Checkpoint(epoch, step, deepcopy(log), kept)
        self._pending = self._pool.submit(self._work.save_checkpoint, self._cohort, checkpoint)

    def finish(self) -> None:
        """Wait until the pending checkpoint is on disk.

        Raises:
            StorageFailed: it could not be written; the previous one is still there.
        """
        if self._pending is not None:
            self._pending.result()
            self._pending = None


class WorkFolder:
    """The working files of an attempt's cohorts, each named by the digest of what it trains.

    Every file begins with the digest of the rest, so that a damaged or swapped file is not used; its cohort is then
    trained again, to the same bits. A forger who recomputes the digest goes unnoticed here, as by every reader of the
    audit trail; only training the run again reveals that (``harness replicate``).
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _path(self, cohort: Cohort, suffix: str) -> Path:
        return self.folder / f"{cohort.digest[:16]}{suffix}"

    def save_checkpoint(self, cohort: Cohort, checkpoint: Checkpoint) -> None:
        """Replace the cohort's checkpoint.

        Raises:
            StorageFailed: it could not be written; the previous one is still there.
        """
        log = json.dumps(checkpoint.log, allow_nan=False)
        metadata = {"epoch": str(checkpoint.epoch), "step": str(checkpoint.step), "log": log}
        write_atomic(self._path(cohort, ".safetensors"), *seal(*serialise(checkpoint.tensors, metadata)))

    def load_checkpoint(self, cohort: Cohort) -> Checkpoint | None:
        """Return the cohort's last checkpoint, on the CPU; None if there is none or it was altered since."""
        data = read_sealed(self._path(cohort, ".safetensors"))
        try:
            if data is None:
                return None
            # The header is its length in 8 bytes, then JSON that holds the metadata.
            header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
            return Checkpoint(int(header["epoch"]), int(header["step"]), json.loads(header["log"]), load(data))
        except (SafetensorError, ValueError, KeyError):
            return None

    def name_values(self, cohort: Cohort) -> Path:
        """Return the path of what a cohort in training tells of its values."""
        return self._path(cohort, ".values")

    def save_result(self, cohort: Cohort, result: dict[str, Any]) -> None:
        """Save a finished cohort's result and remove its checkpoint, and what it told of its values."""
        write_atomic(self._path(cohort, ".json"), *seal(write_canonical(result).encode()))
        self._path(cohort, ".safetensors").unlink(missing_ok=True)
        self.name_values(cohort).unlink(missing_ok=True)

    def load_result(self, cohort: Cohort) -> dict[str, Any] | None:
        """Return a finished cohort's result; None if it is not finished or its file was altered since."""
        data = read_sealed(self._path(cohort, ".json"))
        if data is None:
            return None
        result: dict[str, Any] = json.loads(data)
        return result

    def take(self, cohorts: Iterable[Cohort], other: WorkFolder) -> int:
        """Take over the results of cohorts that another folder has and this one lacks; return how many there were.

        How the other one split a cohort that did not fit is taken over, too, because the same replicas then train
        together.

        Raises:
            StorageFailed: one could not be written.
        """
        count = 0
        for cohort in cohorts:
            if other.was_split(cohort):
                self.mark_split(cohort)
                count += self.take(split_in_two(cohort), other)
            elif self.load_result(cohort) is None and (result := other.load_result(cohort)) is not None:
                self.save_result(cohort, result)
                count += 1
        return count

    def mark_split(self, cohort: Cohort) -> None:
        """Record that the cohort did not fit the device, so that a resumed run splits it in the same way."""
        write_atomic(self._path(cohort, ".split"), b"")
        self.name_values(cohort).unlink(missing_ok=True)

    def was_split(self, cohort: Cohort) -> bool:
        """Tell whether the cohort was found not to fit."""
        return self._path(cohort, ".split").exists()


def split_in_two(cohort: Cohort) -> list[Cohort]:
    """Split a cohort into two with half the replicas each."""
    middle = (len(cohort.replicas) + 1) // 2
    halves = []
    for replicas in (cohort.replicas[:middle], cohort.replicas[middle:]):
        arms = {replica.arm: cohort.arms[replica.arm] for replica in replicas}
        memory = cohort.memory_bytes * len(replicas) // len(cohort.replicas)
        halves.append(Cohort(arms=arms, replicas=replicas, memory_bytes=memory))
    return halves


def digest_tensors(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 over tensors on the CPU, in the order of their names: the ``weights_sha256`` of a replica."""
    digest = hashlib.sha256()
    for _, tensor in sorted(tensors.items()):
        digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()


def serialise(tensors: dict[str, Tensor], metadata: dict[str, str]) -> list[bytes | memoryview]:
    """Return tensors on the CPU as the parts of a safetensors file: the header's length, the header, and the data.

    The same tensors and metadata give the same bytes. ``safetensors.torch.save`` orders metadata differently in every
    process, and joins and copies the tensors while it holds the GIL, which delayed training by 0.7 s per 480 MB. The
    data parts returned here are the tensors' own memory.
    """
    header: dict[str, Any] = {"__metadata__": metadata}
    numbers, end = [], 0
    for name, tensor in tensors.items():
        data = tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data
        begin, end = end, end + data.nbytes
        header[name] = {"dtype": DTYPE_NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [begin, end]}
        numbers.append(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # aligns the first tensor, as safetensors does
    return [len(text).to_bytes(8, "little"), text, *numbers]


def seal(*parts: bytes | memoryview) -> tuple[bytes | memoryview, ...]:
    """Return ``parts`` preceded by their digest, for a single file, because two files cannot be replaced atomically."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest().encode() + b"\n", *parts


def read_sealed(path: Path) -> bytes | None:
    """Return the contents of a sealed file; None if it is missing or was altered since it was written."""
    try:
        digest, _, data = read_regular(path, LARGEST_CHECKPOINT).partition(b"\n")
    except FileNotFoundError:
        return None
    return data if hashlib.sha256(data).hexdigest().encode() == digest else None
