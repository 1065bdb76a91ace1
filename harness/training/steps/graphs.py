"""CUDA graphs of several steps: what a processor would have to ask for one by one, a card replays by itself."""

from __future__ import annotations

import gc
from collections.abc import Callable

import torch

WARM_UPS = 2  # before a capture: cuBLAS and Triton allocate and compile on first use
LARGEST_CAPTURE = 16  # steps per graph: what a graph costs to start is shared by its steps
FIRST, LAST = -1, 0
"""Priorities of streams. Updates wait for memory, products for multiprocessors: where updates take what products leave
free, both run at a time."""

Run = Callable[[], None]


def steps_per_capture(times: int) -> int:
    """Return the largest number of steps, up to ``LARGEST_CAPTURE``, that divides ``times``."""
    return max(steps for steps in range(1, LARGEST_CAPTURE + 1) if times % steps == 0)


def capture(run: Run, rewind: Callable[[], object]) -> Run:
    """Capture a graph of ``run`` and return what replays it.

    ``run`` is called beforehand, because libraries allocate and compile on first use; ``rewind`` lets it begin at the
    same batch again. That spoils weights and counters, so capturing comes before they get their values. Programs that
    are garbage go first: a graph that is destroyed while another is captured spoils that one.
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
    with torch.cuda.graph(graph, stream=torch.cuda.Stream(priority=FIRST)):  # type: ignore[no-untyped-call]
        run()
    return graph.replay
