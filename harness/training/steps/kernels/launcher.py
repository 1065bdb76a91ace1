"""Kernel launches, and compilation of several kernels in parallel beforehand."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Thread
from typing import Any

import torch

from harness.system.storage import give_working_folder

COMPILERS = 8  # kernels that are compiled in parallel


class Launcher:
    """The function that every kernel launch goes through."""

    def __init__(self) -> None:
        self._compiled: list[Any] | None = None  # a list while kernels are compiled instead of launched

    def __call__(self, kernel: Any, grid: tuple[int, ...], *arguments: Any, **options: Any) -> None:
        """Launch a kernel, or compile it for these arguments."""
        if self._compiled is None:
            kernel[grid](*arguments, **options)
        else:
            self._compiled.append(kernel.warmup(*arguments, grid=grid, **options))

    def compile(self, launch_all: Callable[[], None], device: torch.device) -> None:
        """Compile all kernels that ``launch_all`` launches; kernels compiled earlier come from Triton's cache.

        This includes Triton's launchers, which a C compiler builds: built one after the other at their first launches,
        they took longer than the kernels.
        """
        from triton import AsyncCompileMode, FutureKernel

        give_working_folder("TRITON_CACHE_DIR", "triton")
        with ThreadPoolExecutor(COMPILERS, initializer=torch.cuda.set_device, initargs=(device,)) as pool:
            self._compiled = []
            with AsyncCompileMode(pool):
                launch_all()
            finished = [kernel.result() if isinstance(kernel, FutureKernel) else kernel for kernel in self._compiled]
            self._compiled = None
            list(pool.map(make_launcher, {id(kernel): kernel for kernel in finished}.values()))


def begin_loading() -> Thread:
    """Begin to import Triton in a thread, and to digest its files, by which it names what it compiles.

    That takes some .7 s, most of it outside Python's lock. Whatever fails is told by a cohort's kernels.
    """

    def load() -> None:
        with suppress(Exception):
            from triton.runtime.cache import triton_key

            triton_key()  # which Triton remembers

    thread = Thread(target=load)
    thread.start()
    return thread


def make_launcher(kernel: Any) -> None:
    """Make Triton build and load the launcher of a compiled kernel, which reading ``run`` does."""
    _ = kernel.run
