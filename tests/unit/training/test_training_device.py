"""A device's name says what decides the bits."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from harness.errors import UsageError
from harness.training import open_device
from harness.training.device import Card, require_one_kind

SHOW = "from harness.training import open_device; print(open_device('cpu').name)"


def test_a_processor_is_named_by_its_model_and_instructions() -> None:
    name = open_device("cpu").name
    model, _, instructions = name.rpartition(", ")
    assert model and instructions == torch.backends.cpu.get_cpu_capability()
    if Path("/proc/cpuinfo").exists() and "model name" in Path("/proc/cpuinfo").read_text():
        assert f": {model}\n" in Path("/proc/cpuinfo").read_text()


def test_other_instructions_are_another_device() -> None:
    """Told to do without vectors, the same processor adds in another order."""
    environment = os.environ | {"ATEN_CPU_CAPABILITY": "default"}
    ran = subprocess.run([sys.executable, "-c", SHOW], capture_output=True, text=True, env=environment, check=True)
    assert ran.stdout.strip() == open_device("cpu").name.rpartition(", ")[0] + ", DEFAULT"


def test_cards_of_several_kinds_are_refused() -> None:
    large, small = Card("NVIDIA H200", 132, 150_000_000_000), Card("NVIDIA L4", 58, 24_000_000_000)
    require_one_kind([])
    require_one_kind([large, large])
    with pytest.raises(UsageError, match=r"several kinds: cuda:0 NVIDIA H200, cuda:1 NVIDIA L4\n"):
        require_one_kind([large, small])
    for part, told in ((large._replace(processors=60), "60 processors"), (large._replace(memory_bytes=9), " 9 bytes")):
        with pytest.raises(UsageError, match=f"several kinds: cuda:0 NVIDIA H200 .*, cuda:1 NVIDIA H200 .*{told}"):
            require_one_kind([large, part])
