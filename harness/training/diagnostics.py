"""Diagnostics of a cohort, epoch after epoch; those of a small cohort are captured as a CUDA graph."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache

import numpy as np
import torch

from harness.metrics import Metric
from harness.records.plan import CHUNK_REPLICAS
from harness.training.evaluate import FINITE, Measured, Values, measure, merge, prepare
from harness.training.program import Program


class Diagnostics:
    """A cohort's diagnostics, epoch after epoch.

    Diagnostics of a few replicas are some hundred small launches, which take the CPU longer to issue than the card to
    execute. A small cohort's diagnostics are therefore captured as a CUDA graph once they have run, unless a metric
    synchronises with the device or there is not enough memory.
    """

    def __init__(self, program: Program, metrics: list[Metric]) -> None:
        self.program, self.metrics = program, metrics
        self._total = program.state.replicas
        self._capture_untried = program.state.device.is_cuda and self._total <= CHUNK_REPLICAS
        self._captured: tuple[torch.cuda.CUDAGraph, list[Measured]] | None = None
        self.finite = np.ones(self._total, dtype=bool)
        """True where a replica's logits were finite at the last evaluation."""
        prepare(program, metrics)  # here, since what is drawn on the CPU waits for the card on its way there

    def warm_up(self) -> None:
        """Have the libraries loaded that measuring needs, by a measurement of some replicas that nobody reads.

        It is queued behind the steps that a card is at, and waits for none of them unless a metric does. Whatever fails
        here fails again, and is told, when the replicas are measured.
        """
        with suppress(Exception):
            measure(self.program, self.metrics, chunks=1)

    def evaluate(self) -> dict[str, Values]:
        """Measure all metrics as the function ``evaluate`` does, and record which replicas are ``finite``."""
        values = self._evaluate()
        self.finite = values.pop(FINITE)["value"][:, 0] == 1.0
        return values

    def _evaluate(self) -> dict[str, Values]:
        if self._captured is not None:
            graph, measured = self._captured
            graph.replay()
            return merge(measured, self._total)
        if not self._capture_untried:
            return merge(measure(self.program, self.metrics), self._total)
        self._capture_untried = False
        stream = get_side_stream(self.program.state.device.torch)
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            values = self._evaluate_without_synchronising()
        if values is None:
            return merge(measure(self.program, self.metrics), self._total)
        gc.collect()  # destroying a graph during a capture would invalidate the capture
        self._capture(stream)
        return values

    def _evaluate_without_synchronising(self) -> dict[str, Values] | None:
        """Return the values; None if a metric synchronises or fails, which measuring again reports."""
        try:
            with forbid_synchronisation():
                measured = measure(self.program, self.metrics)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError:
            return None
        return merge(measured, self._total)

    def _capture(self, stream: torch.cuda.Stream) -> None:
        """Capture one measurement as a CUDA graph; keep none if that fails."""
        graph = torch.cuda.CUDAGraph()
        try:
            here = torch.cuda.stream(torch.cuda.current_stream())  # restored here, as a failed capture would not
            with here, torch.cuda.graph(graph, stream=stream):
                measured = measure(self.program, self.metrics)
        except RuntimeError:  # an undetected synchronisation, or not enough memory
            return
        self._captured = graph, measured


@cache
def get_side_stream(device: torch.device) -> torch.cuda.Stream:
    """Return the stream on which diagnostics first run and are then captured.

    It is always the same one, because cuBLAS keeps a workspace for each stream that it has seen (32 MiB on an H100)
    until the process ends.
    """
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # PyTorch gives it no types


@contextmanager
def forbid_synchronisation() -> Iterator[None]:
    """Raise RuntimeError wherever code inside this context synchronises with the device."""
    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings():  # PyTorch warns that it may miss some, which the capture would not
        warnings.simplefilter("ignore")
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(before)
