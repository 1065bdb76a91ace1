"""CUDA streams that launches go to, and how a cohort's replicas are spread over them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch

from harness.training.steps.graphs import FIRST
from harness.training.steps.state import RuleGroup

MAX_STREAMS = 3
"""Lanes whose forward and backward passes run on concurrent CUDA streams; more of them only make more launches."""


@dataclass(frozen=True)
class Lane:
    """Neighbouring replicas of one rule whose forward and backward passes run on a stream of their own."""

    group: RuleGroup
    replicas: range

    @classmethod
    def cut(cls, group: RuleGroup, lanes: int) -> list[Lane]:
        """Split a rule group into at most ``lanes`` runs of replicas, as equal as can be."""
        first, stop = group.replicas.start, group.replicas.stop
        lanes = min(lanes, stop - first)
        ends = [first + (stop - first) * part // lanes for part in range(lanes + 1)]
        return [cls(group, range(*pair)) for pair in pairwise(ends)]


@dataclass(frozen=True)
class Stream:
    """A CUDA stream; a no-op on a processor, where launches are calls."""

    stream: Any

    @classmethod
    def current(cls, is_cuda: bool) -> Stream:
        """Return the stream that launches go to now."""
        return cls(torch.cuda.current_stream() if is_cuda else None)

    @contextmanager
    def fork(self, priority: int = FIRST) -> Iterator[Stream]:
        """Send launches to a new stream, which begins after what was launched in this one so far and runs beside it."""
        if self.stream is None:
            yield self
            return
        stream = torch.cuda.Stream(priority=priority)  # type: ignore[no-untyped-call]
        stream.wait_stream(self.stream)
        with torch.cuda.stream(stream):
            yield Stream(stream)

    def mark(self) -> Any:
        """Record an event behind what was launched in this stream so far, for others to ``join``."""
        return None if self.stream is None else self.stream.record_event()

    def join(self, marks: Iterable[Any]) -> None:
        """Let what comes in this stream wait for what was launched elsewhere before these marks."""
        for mark in marks:
            if self.stream is not None:
                self.stream.wait_event(mark)
