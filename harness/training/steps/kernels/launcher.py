"""Launches kernels, or has all of them compiled beforehand, several at a time."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch

COMPILERS = 8  # kernels compiled at a time


class Launcher:
    """Every launch goes through here."""

    def __init__(self) -> None:
        self._compiled: list[Any] | None = None  # a list while kernels are compiled, not launched

    def __call__(self, kernel: Any, grid: tuple[int, ...], *arguments: Any, **options: Any) -> None:
        """Launch a kernel, or have it compiled for these arguments."""
        if self._compiled is None:
            kernel[grid](*arguments, **options)
        else:
            self._compiled.append(kernel.warmup(*arguments, grid=grid, **options))

    def compile(self, launch_all: Callable[[], None], device: torch.device) -> None:
        """Compile all kernels that ``launch_all`` launches; what was compiled earlier comes from Triton's cache.

        And what launches them, which Triton has compiled too, by the C compiler: one after the other as they are first
        launched, that took longer than the kernels.
        """
        from triton import AsyncCompileMode, FutureKernel

        with ThreadPoolExecutor(COMPILERS, initializer=torch.cuda.set_device, initargs=(device,)) as pool:
            self._compiled = []
            with AsyncCompileMode(pool):
                launch_all()
            finished = [kernel.result() if isinstance(kernel, FutureKernel) else kernel for kernel in self._compiled]
            self._compiled = None
            list(pool.map(make_launcher, {id(kernel): kernel for kernel in finished}.values()))


def make_launcher(kernel: Any) -> None:
    """Have Triton compile and load what launches a compiled kernel, which it does when that is first asked for."""
    _ = kernel.run
