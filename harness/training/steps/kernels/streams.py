"""CUDA streams, and the distribution of a cohort's replicas over them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch

from harness.training.steps.graphs import HIGH_PRIORITY
from harness.training.steps.state import RuleGroup

MAX_STREAMS = 3
"""Maximum number of lanes on concurrent CUDA streams; more of them only add launches."""


@dataclass(frozen=True)
class Lane:
    """Neighbouring replicas of one rule whose forward and backward passes run on a stream of their own."""

    group: RuleGroup
    replicas: range

    @classmethod
    def split(cls, group: RuleGroup, lanes: int) -> list[Lane]:
        """Split a rule group into at most ``lanes`` runs of replicas, as equal in size as possible."""
        first, stop = group.replicas.start, group.replicas.stop
        lanes = min(lanes, stop - first)
        ends = [first + (stop - first) * part // lanes for part in range(lanes + 1)]
        return [cls(group, range(*pair)) for pair in pairwise(ends)]


@dataclass(frozen=True)
class Stream:
    """A CUDA stream; on a processor, where launches are synchronous calls, all its operations are no-ops."""

    stream: Any

    @classmethod
    def current(cls, is_cuda: bool) -> Stream:
        """Return the current stream."""
        return cls(torch.cuda.current_stream() if is_cuda else None)

    @contextmanager
    def fork(self, priority: int = HIGH_PRIORITY) -> Iterator[Stream]:
        """Make a new stream current that waits for all launches in this one so far and then runs concurrently."""
        if self.stream is None:
            yield self
            return
        stream = torch.cuda.Stream(priority=priority)  # type: ignore[no-untyped-call]
        stream.wait_stream(self.stream)
        with torch.cuda.stream(stream):
            yield Stream(stream)

    def record_event(self) -> Any:
        """Record an event after all launches in this stream so far, for other streams to wait for."""
        return None if self.stream is None else self.stream.record_event()

    def wait_for(self, events: Iterable[Any]) -> None:
        """Make later launches in this stream wait for these events."""
        for event in events:
            if self.stream is not None:
                self.stream.wait_event(event)
