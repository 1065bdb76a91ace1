"""Devices of other machines, as records that travel in files; and machines on which a program trains."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

from harness.pipeline.jobs import DeviceFacts

if TYPE_CHECKING:
    from harness.training import Device


@dataclass(frozen=True)
class Host:
    """A machine that runs programs, as far as plans and verdicts name one; PyTorch is not asked."""

    name: str
    arithmetic: Mapping[str, str] = field(default_factory=dict)
    memory_bytes: None = None
    is_cuda: bool = False
    kernels: bool = False
    compile_steps: None = None
    largest_cohort: int = 1
    prefer_even_cohorts: bool = False


CARDS = Path("/proc/driver/nvidia/gpus")
"""Folder in which Linux tells of NVIDIA's cards, one folder each."""


def describe_host() -> Device:
    """Return this machine as a plan and a verdict name it."""
    model = ""
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    name = f"{model or platform.processor() or platform.machine() or 'CPU'}, by a program of its own"
    return cast("Device", Host(name))


def list_cards(folder: Path | None = None) -> tuple[str, ...]:
    """Return the models of this machine's cards, each once: a program may use them, and nobody knows."""
    found = set()
    for file in (folder or CARDS).glob("*/information"):
        with suppress(OSError):
            lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
            found |= {line.partition(":")[2].strip() for line in lines if line.startswith("Model:")}
    return tuple(sorted(found))


def describe_kinds(whose: str, cards: tuple[str, ...], remedy: str) -> str | None:
    """Return what should be known of machines with cards of several kinds, where programs run; None if of one."""
    if len(cards) < 2:
        return None
    return f"{whose} cards of several kinds ({', '.join(cards)}), and nobody knows which a program takes: {remedy}"


def describe_elsewhere() -> Device:
    """Return where linked runs were made, as a plan and a verdict name it."""
    return cast("Device", Host("elsewhere, outside harness"))


def describe_device(device: Device, cards: tuple[str, ...] = ()) -> DeviceFacts:
    """Describe a device for another machine; ``cards``: those that a program may use, whatever is opened here."""
    return DeviceFacts(
        kind="cuda" if device.is_cuda else "cpu",
        name=device.name,
        memory_bytes=device.memory_bytes,
        kernels=device.kernels,
        compile_steps=device.compile_steps,
        largest_cohort=device.largest_cohort,
        prefer_even_cohorts=device.prefer_even_cohorts,
        arithmetic=dict(device.arithmetic),
        cards=cards,
    )


def make_device(facts: DeviceFacts) -> Device:
    """Make the device that another machine described: to plan for and to report, not to compute on."""
    import torch

    from harness.training import Device

    told = facts.model_dump(exclude={"kind", "cards"})
    return Device(torch.device(facts.kind), **told)


def make_host(facts: DeviceFacts) -> Device:
    """Make the machine that another one described, on which a program trains."""
    return cast("Device", Host(facts.name))
