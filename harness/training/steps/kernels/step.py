"""A step of residual MLPs under BP and DFA as a few Triton kernels, for all replicas of all rules at once.

Here is only the order of the launches. What differs between the rules is what flows backward, and whether the blocks'
update waits for a norm to clip by. Images, embedding and ends are the same launches for all; the forward pass is the
same kernels, on a stream per lane. The autograd step is the twin that tests compare this one with.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np
import torch

from harness.training.steps.graphs import FIRST, LAST
from harness.training.steps.interface import TrainingStep
from harness.training.steps.kernels import launches, streams
from harness.training.steps.kernels.buffers import State, Workspace
from harness.training.steps.kernels.streams import Lane, Stream


class KernelsStep(TrainingStep):
    """The launches of a step, in the order that lets them run beside one another."""

    divisible = False

    def __init__(self, state: State) -> None:
        self.state, self.work = state, Workspace(state)
        tiles = self.work.cuts.tiles
        layers, chunks = self.work.shape.layers, self.work.tables.chunks
        self.trains_blocks = any(f"block_{layer}" not in state.frozen for layer in range(layers))
        self.trains_embedding = "embedding" not in state.frozen
        in_place = [free and not tiles.small_cohort for free in self.work.flows.updated_in_place]
        self.updated_in_place = runs_of(in_place, True)
        """Replicas whose blocks' weights are updated as soon as their gradient is known."""
        self.gradients_stored = runs_of(in_place, False)
        """Replicas whose blocks' gradients are stored first."""
        # All at once in a small cohort, where a launch costs more than waiting.
        self.update_chunks = (
            [range(len(chunks))] if tiles.small_cohort else state.storage.layout.chunks_by_block(layers)
        )
        """Chunks of weights that are updated by one launch, in the order in which the next step needs them."""
        lanes_per_rule = max(1, tiles.lanes // len(state.rule_groups))
        self.lanes = [lane for group in state.rule_groups for lane in Lane.cut(group, lanes_per_rule)]
        self.single_forward_launch = tiles.small_cohort or len(state.rule_groups) > streams.MAX_STREAMS
        """Whether the forward pass is one launch for all replicas."""
        self.unfinished: list[Any] = []  # marks behind the last launch's updates, block by block
        self.fetched: list[Any] = []  # the mark behind the next launch's images

    def compile(self) -> None:
        """Compile all kernels beforehand, several at a time."""

        def everything() -> None:
            self.launch(self.state.setup.batch_size)
            self.wait()

        self.work.launch.compile(everything, self.state.device.torch)

    def begin_epoch(self, epoch: int) -> None:
        """Fill in the bias corrections of the epoch's steps, and what weights can grow to; set the loss to nothing."""
        work, tables = self.work, self.work.tables
        count = len(tables.corrections)
        t = np.arange(epoch * count + 1, (epoch + 1) * count + 1, dtype=np.float64)
        beta1, beta2 = tables.betas
        table = np.stack([1.0 - beta1**t, np.sqrt(1.0 - beta2**t)], axis=1)
        tables.corrections.copy_(torch.from_numpy(table))
        tables.tick.zero_()
        work.loss.zero_()
        if work.cuts.tiles.use_fp16x3:
            storage, layers = self.state.storage, work.shape.layers
            names = ("norm.weight", "norm.bias", "w1.weight", "w2.weight")
            weights = {name: storage.block_view(name, layers) for name in names}
            work.amax.foresee(weights, work.max_update * self.state.lr)

    def advance(self, size: int, steps: int) -> None:
        """Move the cursor past ``steps`` launches of batches of ``size``."""
        self.wait()
        self.state.cursor.add_(size * steps)
        self.work.tables.tick.add_(steps)

    def end_epoch(self) -> None:
        """Hand the loss and the number of steps to the state."""
        self.state.loss_sum.copy_(self.work.loss.sum(-1))
        self.state.steps.add_(len(self.work.tables.corrections))

    def launch(self, size: int, ahead: int = 0, more: bool = False) -> None:
        """Do one step on the ``size`` schedule rows that lie ``ahead`` steps behind the cursor.

        ``more``: another step follows, whose images are fetched beside this one. The update of everything but the
        embedding's weight may still run when it returns; see ``wait``.
        """
        work, here = self.work, self._stream()
        self._inputs(here, size, ahead, more)
        if self.single_forward_launch:
            self._forward(here, size, ahead, range(work.shape.replicas))
        embedding_updates = self._lanes(here, size, ahead)
        # Only the update waits for the ends, so the gradients go first; but where the embedding's update is queued
        # already, at the priority of LAST, the ends would wait for all of it.
        with here.fork(FIRST if work.cuts.tiles.update_embedding_early else LAST) as ends:
            launches.end_vectors(work, size)
        if self.trains_blocks:
            for replicas in self.updated_in_place:
                launches.weight_gradients(work, size, ahead, replicas, step=True)
            for replicas in self.gradients_stored:
                launches.weight_gradients(work, size, ahead, replicas, step=False)
        with here.fork() as vectors:
            if self.trains_blocks:
                launches.norm_vectors(work)
        if self.trains_embedding and not work.cuts.tiles.update_embedding_early:
            launches.embed_update(work, size, range(work.shape.replicas), ahead)
        self._update(here, ahead, after=(ends, vectors))
        here.join(embedding_updates)

    def wait(self) -> None:
        """Let what comes wait for all of the last launch, whose update may run beside the next one's first products."""
        self._stream().join([*self.unfinished, *self.fetched])
        self.unfinished, self.fetched = [], []

    def _stream(self) -> Stream:
        """Return the stream that launches go to now."""
        return streams.Stream.current(self.state.device.is_cuda)

    def _inputs(self, here: Stream, size: int, ahead: int, more: bool) -> None:
        """Launch from images to the first hidden states."""
        if ahead == 0:
            launches.fetch(self.work, size, ahead)
        here.join(self.fetched)
        launches.embed(self.work, size, ahead)
        if more:
            with here.fork(LAST) as images:
                launches.fetch(self.work, size, ahead + 1)
            self.fetched = [images.mark()]
        here.join(self.unfinished[:1])
        launches.embed_sum(self.work, size)

    def _lanes(self, here: Stream, size: int, ahead: int) -> list[Any]:
        """Launch each lane's passes; return marks behind early updates of the embedding.

        What happens to one lane's samples is independent of the others', and so are the embedding's updates.
        """
        work = self.work
        sent, updated = [], []
        for lane in self.lanes:
            with here.fork() as back:
                if not self.single_forward_launch:
                    self._forward(back, size, ahead, lane.replicas)
                local = lane.group.rule.backward == "direct_feedback"
                if local:
                    launches.credit(work, size, lane)
                elif self.trains_blocks or self.trains_embedding:
                    self._backward(size, lane)
                if self.trains_embedding and work.cuts.tiles.update_embedding_early:
                    with back.fork(LAST) as update:
                        launches.embed_update(work, size, lane.replicas, ahead)
                    updated.append(update.mark())
                if local and self.trains_blocks:
                    launches.back_out(work, size, 0, work.shape.layers, lane)
            sent.append(back.mark())
        self.unfinished = []
        here.join(sent)
        return updated

    def _forward(self, here: Stream, size: int, ahead: int, replicas: range) -> None:
        """Launch from the first hidden states to the output error; each block waits for its own update only."""
        for layer in range(self.work.shape.layers):
            here.join(self.unfinished[layer : layer + 1])
            launches.norm_linear(self.work, size, layer, replicas)
            launches.out_linear(self.work, size, layer, replicas)
        launches.head(self.work, size, ahead, replicas)

    def _backward(self, size: int, lane: Lane) -> None:
        """Launch backpropagation, from the last block down."""
        for layer in reversed(range(self.work.shape.layers)):
            launches.back_out(self.work, size, layer, 1, lane)
            launches.back_first(self.work, size, layer, lane)
            launches.back_norm(self.work, size, layer, lane)

    def _update(self, here: Stream, ahead: int, *, after: Sequence[Stream]) -> None:
        """Launch the update of all that has a stored gradient, ``after`` these streams; mark each block's end."""
        tables = self.work.tables
        with here.fork(LAST) as last:
            last.join([stream.mark() for stream in after])
            for replicas in self.updated_in_place:
                launches.update(self.work, ahead, tables.others, replicas)
            for span in self.update_chunks:
                for replicas in self.gradients_stored:
                    launches.update(self.work, ahead, tables.chunks[span.start : span.stop], replicas)
                self.unfinished.append(last.mark())


def runs_of(kinds: list[bool], kind: bool) -> list[range]:
    """Return the runs of neighbouring replicas that are of one kind."""
    runs = []
    for found, neighbours in groupby(range(len(kinds)), key=kinds.__getitem__):
        own = list(neighbours)
        if found == kind:
            runs.append(range(own[0], own[-1] + 1))
    return runs
