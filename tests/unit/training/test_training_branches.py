"""Launches of several branches at a time: in whatever order a card takes them, the same bits come out."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from triton.runtime.interpreter import InterpreterBuilder

from harness.training import open_device
from harness.training.batches import draw_schedule
from harness.training.program import Program, build_program
from harness.training.steps.kernels import streams
from harness.training.steps.kernels.launcher import Launcher
from harness.training.steps.kernels.layout import FlatStorage
from harness.training.steps.kernels.step import KernelsStep
from harness.training.steps.kernels.tiles import PRECISIONS
from tests.unit.training.interpreted import ON_CARD
from tests.unit.training.training_inputs import arm, cohort, digits, small_tiles

pytestmark = pytest.mark.usefixtures("interpreter")
STEPS = 3
SETUP: dict[str, Any] = {"batch_size": 16, "precision": "float32"}
SETUP["model"] = {"name": "residual_mlp", "width": 16, "blocks": 2}


@dataclass
class Recorded:
    """Launches, and what each of them waits for, as a captured graph holds them."""

    names: list[str] = field(default_factory=list)
    calls: list[Callable[[], None]] = field(default_factory=list)
    before: list[set[int]] = field(default_factory=list)
    """Per launch, all that must have ended before it begins."""
    branches: list[set[int]] = field(default_factory=lambda: [set()])
    """Branches that are open, the innermost last: the launches that what comes next waits for."""

    def add(self, name: str, call: Callable[[], None]) -> None:
        waits = self.branches[-1]
        self.before.append(waits.union(*(self.before[i] for i in waits)))
        self.names.append(name)
        self.calls.append(call)
        waits.clear()
        waits.add(len(self.calls) - 1)

    def order(self, first: Callable[[list[int]], int]) -> list[int]:
        """All launches, each after what it waits for; ``first`` chooses among those that may come next."""
        done: list[int] = []
        while len(done) < len(self.calls):
            done.append(first([i for i in range(len(self.calls)) if i not in done and self.before[i] <= set(done)]))
        return done


def branch_of(recorded: Recorded) -> type:
    """What stands for ``Stream`` while launches are recorded."""

    @dataclass(frozen=True)
    class Recording:
        waits: set[int]

        @classmethod
        def current(cls, is_cuda: bool) -> Recording:
            return cls(recorded.branches[-1])

        @contextmanager
        def fork(self, priority: int = 0) -> Iterator[Recording]:
            recorded.branches.append(set(self.waits))
            yield Recording(recorded.branches[-1])
            recorded.branches.pop()

        def record_event(self) -> set[int]:
            return set(self.waits)

        def wait_for(self, marks: Iterable[set[int]]) -> None:
            self.waits.update(*marks)

    return Recording


def begun(seeds: list[int], monkeypatch: pytest.MonkeyPatch) -> Program:
    """DFA and BP in one cohort, at the beginning of an epoch."""
    monkeypatch.setitem(PRECISIONS, "float32", "ieee")  # the interpreter knows no other
    arms = {"a": arm("dfa", 0.05, SETUP), "b": arm("bp", 0.05, SETUP)}
    program = build_program(cohort(arms, seeds), digits(STEPS * 16), open_device("cpu"), kind="kernels")
    program.begin_epoch(0, draw_schedule(program.state.dataset, program.state.count, program.state.seeds, 0))
    return program


def recorded_steps(step: KernelsStep, monkeypatch: pytest.MonkeyPatch) -> Recorded:
    """STEPS steps as a card captures them, none of which has run."""
    recorded = Recorded()
    launch = Launcher.__call__
    with monkeypatch.context() as recording:
        recording.setattr(streams, "Stream", branch_of(recorded))
        recording.setattr(
            Launcher,
            "__call__",
            lambda self, kernel, *rest, **options: recorded.add(
                kernel.fn.__name__, lambda: launch(self, kernel, *rest, **options)
            ),
        )
        for ahead in range(STEPS):
            step.launch(16, ahead, more=ahead + 1 < STEPS)
        step.wait()
    return recorded


READ, WRITTEN, RAISED = "create_masked_load", "create_masked_store", "create_atomic_rmw"
ARGUMENTS = {READ: (0, 1), WRITTEN: (0, 2), RAISED: (1, 3)}
"""Where the interpreter's accesses to memory take addresses and mask."""
Touched = dict[str, np.ndarray]


def touched(call: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> Touched:
    """Run a launch; the addresses of the numbers that it reads, writes, or raises to a maximum."""
    found: dict[str, list[np.ndarray]] = {name: [np.empty(0, np.uint64)] for name in ARGUMENTS}

    def noting(name: str) -> Callable[..., Any]:
        access = getattr(InterpreterBuilder, name)
        addresses, mask = ARGUMENTS[name]

        def noted(self: InterpreterBuilder, *arguments: Any) -> Any:
            found[name].append(arguments[addresses].data[arguments[mask].data])
            return access(self, *arguments)

        return noted

    with monkeypatch.context() as listening:
        for name in ARGUMENTS:
            listening.setattr(InterpreterBuilder, name, noting(name))
        call()
    return {name: np.unique(np.concatenate(parts)) for name, parts in found.items()}


def clash(one: Touched, other: Touched) -> bool:
    """Whether it matters which of two launches comes first. Maxima may be raised in any order."""
    pairs = [(a, b) for a in ARGUMENTS for b in ARGUMENTS if WRITTEN in (a, b) or {a, b} == {READ, RAISED}]
    return any(np.intersect1d(one[a], other[b], assume_unique=True).size for a, b in pairs)


@pytest.mark.skipif(ON_CARD, reason="for Triton's interpreter, which knows what a launch reads and writes")
@pytest.mark.parametrize("early", [False, True])
def test_launches_beside_one_another_share_nothing_that_one_of_them_writes(
    early: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two replicas of each rule: lanes of their own in a late cohort."""
    small_tiles(monkeypatch, early=early, halves=True)
    step = begun([5, 6], monkeypatch).step
    assert isinstance(step, KernelsStep) and len(step.lanes) == (2 if early else 4)
    recorded = recorded_steps(step, monkeypatch)
    found = [touched(call, monkeypatch) for call in recorded.calls]
    assert clash(found[0], found[1])  # images are fetched, then multiplied
    pairs = [(i, j) for j in range(len(found)) for i in range(j) if i not in recorded.before[j]]
    assert [(recorded.names[i], recorded.names[j]) for i, j in pairs if clash(found[i], found[j])] == []


@pytest.mark.skipif(ON_CARD, reason="for Triton's interpreter, which runs one launch after the other")
@pytest.mark.parametrize("early", [False, True])
def test_any_order_that_the_branches_allow_gives_the_same_bits(early: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks multiply in parts of float16, because peaks are one more thing that launches hand on."""
    small_tiles(monkeypatch, early=early, halves=True)
    program = begun([5], monkeypatch)
    step, storage = program.step, program.state.storage
    assert isinstance(step, KernelsStep) and isinstance(storage, FlatStorage)
    recorded = recorded_steps(step, monkeypatch)
    everything = set(range(len(recorded.calls)))
    end = recorded.branches[0]
    assert end.union(*(recorded.before[i] for i in end)) == everything  # no branch is left open

    results = (storage.weights, storage.flat_exp_avg, storage.flat_exp_avg_sq, step.work.loss)
    start = [tensor.clone() for tensor in results]

    def run(order: list[int]) -> list[torch.Tensor]:
        for tensor, value in zip(results, start, strict=True):
            tensor.copy_(value)
        step.work.amax.measured.fill_(1e30)
        for tensor in (*step.work.activations.memory.values(), step.work.activations.images):
            tensor.fill_(float("nan"))  # what is read before it is written shows
        for i in order:
            recorded.calls[i]()
        return [tensor.clone() for tensor in results]

    expected = run(recorded.order(min))
    assert all(tensor.isfinite().all() for tensor in expected)
    late = {"fetch", "update", "embed_update", "end_vectors", "norm_vectors"}
    orders = [
        recorded.order(max),
        recorded.order(lambda free: min(free, key=lambda i: (recorded.names[i] in late, i))),
        recorded.order(random.Random(0).choice),
    ]
    assert len({tuple(order) for order in orders}) == 3
    for order in orders:
        for found, tensor in zip(run(order), expected, strict=True):
            assert torch.equal(found, tensor), [recorded.names[i] for i in order]
