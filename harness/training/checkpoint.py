"""Checkpoints of a cohort, and its finished results: what a killed run resumes from."""

from __future__ import annotations

import hashlib
import json
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
from harness.system.storage import write_atomic

KINDS = {torch.float32: "F32", torch.float64: "F64", torch.int64: "I64"}


@dataclass(frozen=True)
class Checkpoint:
    """A cohort after some step."""

    epoch: int
    """Epochs done."""
    step: int
    """Steps done of the next epoch."""
    log: dict[str, Any]
    """What was measured so far."""
    tensors: dict[str, Tensor]


class Writer:
    """Writes checkpoints while training goes on, one at a time: the next waits until the one before is on the disk."""

    def __init__(self, work: WorkFolder, cohort: Cohort) -> None:
        self._work, self._cohort = work, cohort
        self._pool = ThreadPoolExecutor(1)
        self._pending: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # Who ends at once waits for no disk: a checkpoint that is under way replaces the one before, or does not.
        self._pool.shutdown(wait=kind is None or issubclass(kind, Exception))

    def save(self, epoch: int, step: int, log: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Take a copy of everything, after so many epochs and steps of the next, and write it in the background.

        Raises:
            StorageFailed: the checkpoint before could not be written.
        """
        self.finish()
        kept = {name: tensor.detach().to("cpu", copy=True) for name, tensor in tensors.items()}
        checkpoint = Checkpoint(epoch, step, deepcopy(log), kept)
        self._pending = self._pool.submit(self._work.save_checkpoint, self._cohort, checkpoint)

    def finish(self) -> None:
        """Wait until what was handed over is on the disk.

        Raises:
            StorageFailed: it could not be written; the one before is still there.
        """
        if self._pending is not None:
            self._pending.result()
            self._pending = None


class WorkFolder:
    """The working files of one attempt's cohorts, each named by the digest of what it trains.

    Every file begins with the digest of the rest, so that a file that was damaged or swapped since is not used: the
    cohort is then trained again, to the same bits. Whoever writes the digest as well is not noticed here, nor by any
    reader of the trail; only training the run again shows that (``harness replicate``).
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _path(self, cohort: Cohort, suffix: str) -> Path:
        digest = hashlib.sha256(cohort.model_dump_json(exclude={"memory_bytes"}).encode()).hexdigest()
        return self.folder / f"{digest[:16]}{suffix}"

    def save_checkpoint(self, cohort: Cohort, checkpoint: Checkpoint) -> None:
        """Replace the cohort's checkpoint.

        Raises:
            StorageFailed: it could not be written; the one before is still there.
        """
        log = json.dumps(checkpoint.log, allow_nan=False)
        metadata = {"epoch": str(checkpoint.epoch), "step": str(checkpoint.step), "log": log}
        write_atomic(self._path(cohort, ".safetensors"), *sealed(*in_parts(checkpoint.tensors, metadata)))

    def load_checkpoint(self, cohort: Cohort) -> Checkpoint | None:
        """Return the cohort's last checkpoint, on the processor; None if there is none that is as it was written."""
        data = unsealed(self._path(cohort, ".safetensors"))
        try:
            if data is None:
                return None
            # The header: its length in 8 bytes, then JSON with what was written beside the tensors.
            header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
            return Checkpoint(int(header["epoch"]), int(header["step"]), json.loads(header["log"]), load(data))
        except (SafetensorError, ValueError, KeyError):
            return None

    def save_result(self, cohort: Cohort, result: dict[str, Any]) -> None:
        """Keep a finished cohort's result and drop its checkpoint."""
        write_atomic(self._path(cohort, ".json"), *sealed(write_canonical(result).encode()))
        self._path(cohort, ".safetensors").unlink(missing_ok=True)

    def load_result(self, cohort: Cohort) -> dict[str, Any] | None:
        """Return a finished cohort's result; None if it is not finished, or is not as it was written."""
        data = unsealed(self._path(cohort, ".json"))
        if data is None:
            return None
        result: dict[str, Any] = json.loads(data)
        return result

    def mark_split(self, cohort: Cohort) -> None:
        """Note that the cohort did not fit the device, so that a resume splits it the same way."""
        write_atomic(self._path(cohort, ".split"), b"")

    def was_split(self, cohort: Cohort) -> bool:
        """Tell whether the cohort was found not to fit."""
        return self._path(cohort, ".split").exists()


def in_parts(tensors: dict[str, Tensor], metadata: dict[str, str]) -> list[bytes | memoryview]:
    """Return the file of tensors on the processor as safetensors has it: the header's length, the header, the numbers.

    The same tensors and metadata give the same bytes. ``safetensors.torch.save`` puts metadata into another order in
    every process, and joins and copies the tensors while no other thread may run, which held training up for .7 s per
    480 MB. These parts are the tensors' own memory.
    """
    header: dict[str, Any] = {"__metadata__": metadata}
    numbers, end = [], 0
    for name, tensor in tensors.items():
        data = tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data
        begin, end = end, end + data.nbytes
        header[name] = {"dtype": KINDS[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [begin, end]}
        numbers.append(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # as safetensors itself does, so that the first tensor is aligned
    return [len(text).to_bytes(8, "little"), text, *numbers]


def sealed(*parts: bytes | memoryview) -> tuple[bytes | memoryview, ...]:
    """Return ``parts`` after their digest, in one file, because two files cannot be replaced at once."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest().encode() + b"\n", *parts


def unsealed(path: Path) -> bytes | None:
    """Return what a sealed file holds; None if there is none, or if it is not what was written."""
    try:
        digest, _, data = path.read_bytes().partition(b"\n")
    except FileNotFoundError:
        return None
    return data if hashlib.sha256(data).hexdigest().encode() == digest else None
