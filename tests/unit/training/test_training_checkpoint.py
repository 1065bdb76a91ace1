"""The file of a checkpoint is one that safetensors reads, and its parts are not copied while others wait."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load

from harness.system.storage import write_atomic
from harness.training.checkpoint import read_sealed, seal, serialise


def test_safetensors_reads_what_is_written_in_parts(tmp_path: Path) -> None:
    draw = torch.Generator().manual_seed(1)
    tensors = {
        "weights/a": torch.randn(3, 5, generator=draw),
        "weights/b": torch.randn(4, 2, 3, generator=draw, dtype=torch.float64).transpose(0, 2),
        "first/c": torch.randn(12, generator=draw)[2:7],
        "count": torch.arange(6).reshape(2, 3),
        "steps": torch.tensor(7.0, dtype=torch.float64),
    }
    parts = seal(*serialise(tensors, {"epoch": "3", "log": '{"ü": [1.5]}'}))
    write_atomic(tmp_path / "file", *parts)
    data = read_sealed(tmp_path / "file")
    assert data is not None
    loaded = load(data)
    assert loaded.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert loaded[name].dtype == tensor.dtype
        assert torch.equal(loaded[name], tensor)
    assert (int.from_bytes(data[:8], "little") + 8) % 8 == 0


def test_parts_are_the_memory_of_the_tensors() -> None:
    tensor = torch.zeros(4)
    *_, numbers = serialise({"a": tensor}, {})
    tensor[1] = 1.0
    assert bytes(numbers) == tensor.numpy().tobytes()


def test_a_sealed_file_that_was_changed_is_not_used(tmp_path: Path) -> None:
    write_atomic(tmp_path / "file", *seal(b"one", memoryview(b"two")))
    assert read_sealed(tmp_path / "file") == b"onetwo"
    data = bytearray((tmp_path / "file").read_bytes())
    data[-1] ^= 1
    (tmp_path / "file").write_bytes(data)
    assert read_sealed(tmp_path / "file") is None
