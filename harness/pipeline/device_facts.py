"""Devices of other machines, as records that travel in files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.pipeline.jobs import DeviceFacts

if TYPE_CHECKING:
    from harness.training import Device


def describe_device(device: Device) -> DeviceFacts:
    """Describe a device for another machine."""
    return DeviceFacts(
        kind="cuda" if device.is_cuda else "cpu",
        name=device.name,
        memory_bytes=device.memory_bytes,
        kernels=device.kernels,
        compile_steps=device.compile_steps,
        largest_cohort=device.largest_cohort,
        prefer_even_cohorts=device.prefer_even_cohorts,
        arithmetic=dict(device.arithmetic),
    )


def make_device(facts: DeviceFacts) -> Device:
    """Make the device that another machine described: to plan for and to report, not to compute on."""
    import torch

    from harness.training import Device

    told = facts.model_dump(exclude={"kind"})
    return Device(torch.device(facts.kind), **told)
