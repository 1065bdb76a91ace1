"""Select the device to train on and the precision of its arithmetic."""

from __future__ import annotations

import ctypes
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from harness.batched import forms
from harness.errors import UsageError
from harness.records import PROCESSOR_COHORT
from harness.training.arithmetic import describe_arithmetic

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h

DTYPES = {"float32": torch.float32, "tf32": torch.float32, "bf16": torch.float32, "float64": torch.float64}
"""Precision in the hypothesis file → type of weights and optimizer state."""


class Card(NamedTuple):
    """A card, by what makes its kind."""

    name: str
    """Name of its model."""
    processors: int
    """Number of its multiprocessors."""
    memory_bytes: int
    """Total memory of the card."""


@dataclass(frozen=True)
class Device:
    """An available device."""

    torch: torch.device
    name: str
    """Name of the processor or card, for the verdict."""
    memory_bytes: int | None
    """Total memory of the card, so that a plan does not depend on its load; None on a processor."""

    kernels: bool = False
    """True if cohorts that fit harness's own kernels are trained with them."""

    compile_steps: int | None = None
    """Number of steps from which other cohorts are compiled; None if none is."""

    largest_cohort: int = PROCESSOR_COHORT
    """Maximum number of replicas per cohort: more than 64 gain nothing on a card, nor more than 20 on a processor.
    It is independent of the number of cards or cores, and so are the bits."""

    prefer_even_cohorts: bool = False
    """Prefer an even number of cohorts, so that two cores finish together."""

    workers: int = 1
    """Number of processes that may train in parallel: one per card, or per core of a processor."""

    arithmetic: Mapping[str, str] = field(default_factory=dict)
    """Variables and libraries that determine its arithmetic, see ``harness.training.arithmetic``."""

    def worker(self, number: int) -> Device:
        """Return the device of worker process ``number``, opened in that process."""
        if not self.is_cuda:
            return replace(self, workers=1)
        device = torch.device("cuda", number) if self.workers > 1 else self.torch
        _use_card(device)
        return replace(self, torch=device, workers=1)

    @property
    def is_cuda(self) -> bool:
        """True if steps are captured as CUDA graphs."""
        return self.torch.type == "cuda"


COMPILE = {"auto": 25_000, "on": 0, "off": None}
"""--compile → ``Device.compile_steps``. Compiling takes 5 to 15 s per program and saves about 0.6 ms per step; ``auto``
reserves it for cohorts that the kernels do not fit."""


def open_device(kind: str, compiling: str = "auto") -> Device:
    """Open ``cpu``, ``cuda`` (all cards), ``cuda:1`` or ``auto`` (cards if there are any).

    ``compiling`` is auto, on or off, as for --compile.

    Raises:
        UsageError: there is no such device, or cards of several kinds.
    """
    if compiling not in COMPILE:
        raise UsageError(f"unknown choice {compiling!r}", where="--compile", remedy="use auto, on or off")
    if kind == "auto":
        kind = "cuda" if torch.cuda.is_available() else "cpu"
    if kind == "cpu":
        here = torch.device("cpu")
        return Device(
            here,
            describe_processor(),
            None,
            prefer_even_cohorts=True,
            workers=torch.get_num_threads(),
            arithmetic=describe_arithmetic(here),
        )
    family, _, index = kind.partition(":")
    if family != "cuda" or (index and not index.isdigit()):
        raise UsageError(f"unknown device {kind!r}", where="--device", remedy="use auto, cpu, cuda or cuda:<number>")
    if not torch.cuda.is_available():
        raise UsageError(
            "there is no CUDA device here that PyTorch can use",
            where="--device",
            remedy="use --device cpu, or install a CUDA build of PyTorch on a machine with an NVIDIA card",
        )
    if index and int(index) >= torch.cuda.device_count():
        raise UsageError(
            f"there is no card number {index}",
            where="--device",
            remedy=f"the cards here are numbered 0 to {torch.cuda.device_count() - 1}",
        )
    device = torch.device("cuda", int(index or 0))
    cards = 1 if index else torch.cuda.device_count()
    require_one_kind([_describe_card(number) for number in range(cards)] if cards > 1 else [])
    card = _use_card(device)
    name = card.name if compiling == "auto" else f"{card.name}, compile {compiling}"
    return Device(
        device,
        name,
        card.total_memory,
        kernels=compiling == "auto",
        compile_steps=COMPILE[compiling],
        largest_cohort=64,
        workers=cards,
        arithmetic=describe_arithmetic(device),
    )


def require_one_kind(cards: Sequence[Card]) -> None:
    """Refuse to train on cards of several kinds at a time: a verdict names one, and other cards give other bits.

    ``cards``: the card of each number, from 0 on. Some of one name have other numbers of processors, or other memory.

    Raises:
        UsageError: they are of several kinds.
    """
    if len(set(cards)) > 1:
        alike = len({card.name for card in cards}) == 1
        more = [f" ({c.processors} processors, {c.memory_bytes:,} bytes)" if alike else "" for c in cards]
        told = ", ".join(f"cuda:{at} {card.name}{more[at]}" for at, card in enumerate(cards))
        remedy = "name one card with --device, or those of one kind in CUDA_VISIBLE_DEVICES"
        raise UsageError(f"the cards here are of several kinds: {told}", where="--device", remedy=remedy)


def _describe_card(number: int) -> Card:
    found = torch.cuda.get_device_properties(number)
    return Card(found.name, found.multi_processor_count, found.total_memory)


def _use_card(device: torch.device) -> Any:
    """Compute on a card from now on, in the forms that are the fastest on its kind; return its properties."""
    torch.cuda.set_device(device)
    card = torch.cuda.get_device_properties(device)
    forms.present["card"] = card.name
    return card


def describe_processor() -> str:
    """Return the processor's model and the vector instructions that PyTorch uses: "AMD EPYC 9654, AVX512".

    Other instructions add in another order, so equal bits are promised for equal descriptions only.
    """
    model = ""
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    model = model or platform.processor() or platform.machine() or "CPU"
    return f"{model}, {torch.backends.cpu.get_cpu_capability()}"


@contextmanager
def use_one_thread(device: Device) -> Iterator[None]:
    """Compute with one thread on a processor: cohorts run in parallel, and bits do not depend on the number of cores.

    Freed memory stays with the process from then on.
    """
    before = torch.get_num_threads()
    if not device.is_cuda:
        torch.set_num_threads(1)
        _keep_freed_memory()
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _keep_freed_memory() -> None:
    """Tell glibc to keep freed memory.

    A step allocates and frees hundreds of tensors, and pages that were returned to the kernel come back one page fault
    at a time. Other C libraries have no such function and need none.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(M_TRIM_THRESHOLD, 2**30)
        mallopt(M_MMAP_THRESHOLD, 2**25)  # the largest value that glibc accepts


@contextmanager
def use_precision(kind: str, device: Device) -> Iterator[None]:
    """Compute in the given precision; restore PyTorch's global switches afterwards.

    float32 is strict: TF32 is used nowhere, neither in products of matrices nor in convolutions, for which cuDNN has a
    switch of its own. tf32 lets both round their inputs; bf16 runs them under autocast with float32 weights. cuDNN is
    told to give the same bits at every call, and not to choose by timing, because a resumed run could choose otherwise.
    """
    cudnn = torch.backends.cudnn
    before = torch.get_float32_matmul_precision(), cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark
    _set_switches("high" if kind == "tf32" else "highest", kind == "tf32", deterministic=True, benchmark=False)
    try:
        # No cache: a cached cast of a weight would outlive the step and hold the old weight.
        with torch.autocast(device.torch.type, torch.bfloat16, enabled=kind == "bf16", cache_enabled=False):
            yield
    finally:
        _set_switches(*before)


def _set_switches(products: str, convolutions_in_tf32: bool, deterministic: bool, benchmark: bool) -> None:
    """Set PyTorch's global switches of the arithmetic of matrix products and of cuDNN."""
    cudnn = torch.backends.cudnn
    torch.set_float32_matmul_precision(products)
    cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark = convolutions_in_tf32, deterministic, benchmark
