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
from harness.training.device import require_one_kind

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
    require_one_kind([])
    require_one_kind(["NVIDIA H200", "NVIDIA H200"])
    with pytest.raises(UsageError, match="several kinds: cuda:0 NVIDIA H200, cuda:1 NVIDIA L4"):
        require_one_kind(["NVIDIA H200", "NVIDIA L4"])
