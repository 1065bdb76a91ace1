"""CUDA graphs of several steps, which a card replays without one launch after the other from the CPU."""

from __future__ import annotations

import gc
from collections.abc import Callable

import torch

WARM_UPS = 2  # before a capture, because cuBLAS and Triton allocate and compile on first use
LARGEST_CAPTURE = 16  # steps per graph, which share the cost of starting it
HIGH_PRIORITY, LOW_PRIORITY = -1, 0
"""Stream priorities. Updates are bound by memory and products by multiprocessors: at low priority, updates take what
products leave free, and both run concurrently."""

Launch = Callable[[], None]


def choose_steps_per_capture(times: int) -> int:
    """Return the largest number of steps, up to ``LARGEST_CAPTURE``, that divides ``times``."""
    return max(steps for steps in range(1, LARGEST_CAPTURE + 1) if times % steps == 0)


def capture(run: Launch, rewind: Callable[[], object]) -> Launch:
    """Capture a CUDA graph of ``run`` and return a function that replays it.

    ``run`` is called first, because libraries allocate and compile on first use; ``rewind`` makes it start at the same
    batch again. These calls overwrite weights and counters, so capture before initialising them. Unreachable programs
    are collected first, because destroying a graph during a capture would invalidate the capture.
    """
    gc.collect()
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UPS):
            rewind()
            run()
        rewind()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph, stream=torch.cuda.Stream(priority=HIGH_PRIORITY)):  # type: ignore[no-untyped-call]
            run()
    except RuntimeError as error:  # the capture could not be ended because memory had run out in it
        if isinstance(error.__context__, torch.OutOfMemoryError):
            raise error.__context__ from None
        raise
    return graph.replay
