"""A step of residual MLPs under BP and DFA as a few Triton kernels, for all replicas of all rules at once.

This module only orders the launches. Rules differ in what flows backward, and in whether the blocks' update waits for
a gradient norm to clip by. Images, embedding and the vectors at both ends are single launches for all replicas; the
forward pass launches the same kernels on one stream per lane. Tests compare this step with the autograd step.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np
import torch

from harness.training.steps.credit import project_sites, read_credit
from harness.training.steps.graphs import HIGH_PRIORITY, LOW_PRIORITY
from harness.training.steps.interface import TrainingStep
from harness.training.steps.kernels import launches, streams
from harness.training.steps.kernels.buffers import State, Workspace
from harness.training.steps.kernels.streams import Lane, Stream


class KernelsStep(TrainingStep):
    """The launches of a step, ordered so that independent ones run concurrently."""

    can_stop_mid_epoch = False

    def __init__(self, state: State) -> None:
        self.state, self.work = state, Workspace(state)
        tiles = self.work.cuts.tiles
        layers, chunks = self.work.shape.layers, self.work.tables.chunks
        self.trains_blocks = any(f"block_{layer}" not in state.frozen for layer in range(layers))
        self.trains_embedding = "embedding" not in state.frozen
        in_place = [free and not tiles.small_cohort for free in self.work.flows.updated_in_place]
        self.updated_in_place = find_runs(in_place, True)
        """Replicas whose block weights are updated by the kernel that computes their gradient."""
        self.gradients_stored = find_runs(in_place, False)
        """Replicas whose block gradients are stored first."""
        # A small cohort updates everything at once, because a launch costs more there than waiting.
        self.update_chunks = (
            [range(len(chunks))] if tiles.small_cohort else state.storage.layout.list_chunks_by_block(layers)
        )
        """Chunks of weights that one launch updates, in the order in which the next step needs them."""
        lanes_per_rule = max(1, tiles.lanes // len(state.rule_groups))
        self.lanes = [lane for group in state.rule_groups for lane in Lane.split(group, lanes_per_rule)]
        self.single_forward_launch = tiles.small_cohort or len(state.rule_groups) > streams.MAX_STREAMS
        """True if the forward pass is launched once for all replicas."""
        self.update_events: list[Any] = []  # events after the last launch's updates, block by block
        self.fetch_events: list[Any] = []  # the event after the next launch's images

    def compile(self) -> None:
        """Compile all kernels beforehand, several in parallel; an interpreter on a processor compiles none."""
        if not self.state.device.is_cuda:
            return

        def launch_all() -> None:
            self.launch(self.state.setup.batch_size)
            self.wait()

        self.work.launch.compile(launch_all, self.state.device.torch)

    def begin_epoch(self, epoch: int) -> None:
        """Compute the epoch's bias corrections and the bounds of the weights' amax; zero the loss."""
        work, tables = self.work, self.work.tables
        count = len(tables.corrections)
        t = np.arange(epoch * count + 1, (epoch + 1) * count + 1, dtype=np.float64)
        beta1, beta2 = tables.betas
        table = np.stack([1.0 - beta1**t, np.sqrt(1.0 - beta2**t)], axis=1)
        tables.corrections.copy_(torch.from_numpy(table))
        tables.epoch_step.zero_()
        work.loss.zero_()
        for group in self.state.rule_groups:
            form, matrices = read_credit(group), work.matrices[group.replicas.start]
            if form is not None and matrices is not None and not form.per_block:
                matrices.copy_(project_sites(group, self.state.model, work.shape.classes))
        if work.cuts.tiles.use_fp16x3:
            storage, layers = self.state.storage, work.shape.layers
            names = ("norm.weight", "norm.bias", "w1.weight", "w2.weight")
            weights = {name: storage.block_view(name, layers) for name in names}
            work.amax.set_epoch_bounds(weights, work.max_update * self.state.lr)

    def advance(self, size: int, steps: int) -> None:
        """Move the cursor past ``steps`` launches of batches of ``size``."""
        self.wait()
        self.state.cursor.add_(size * steps)
        self.work.tables.epoch_step.add_(steps)

    def end_epoch(self) -> None:
        """Write the loss and the number of steps to the state."""
        self.state.loss_sum.copy_(self.work.loss.sum(-1))
        self.state.steps.add_(len(self.work.tables.corrections))

    def launch(self, size: int, ahead: int = 0, more: bool = False) -> None:
        """Do one step on the ``size`` schedule rows that begin ``ahead`` batches past the cursor.

        With ``more``, the images of the next step are fetched concurrently. The update of everything but the
        embedding's weight may still run when this returns; see ``wait``.
        """
        work, stream = self.work, self._current_stream()
        self._launch_inputs(stream, size, ahead, more)
        if self.single_forward_launch:
            self._launch_forward(stream, size, ahead, range(work.shape.replicas))
        embedding_updates = self._launch_lanes(stream, size, ahead)
        # Only the update waits for the vectors at both ends, so the gradients go first. If the embedding's update is
        # already queued at low priority, however, the vectors would wait for all of it there.
        with stream.fork(HIGH_PRIORITY if work.cuts.tiles.update_embedding_early else LOW_PRIORITY) as ends_stream:
            launches.end_vectors(work, size)
        if self.trains_blocks:
            for replicas in self.updated_in_place:
                launches.weight_gradients(work, size, ahead, replicas, step=True)
            for replicas in self.gradients_stored:
                launches.weight_gradients(work, size, ahead, replicas, step=False)
        with stream.fork() as norm_stream:
            if self.trains_blocks:
                launches.norm_vectors(work)
        if self.trains_embedding and not work.cuts.tiles.update_embedding_early:
            launches.embed_update(work, size, range(work.shape.replicas), ahead)
        self._launch_update(stream, ahead, after=(ends_stream, norm_stream))
        stream.wait_for(embedding_updates)

    def wait(self) -> None:
        """Make later launches wait for all of the last step; its update may overlap the next step's first products."""
        self._current_stream().wait_for([*self.update_events, *self.fetch_events])
        self.update_events, self.fetch_events = [], []

    def _current_stream(self) -> Stream:
        """Return the current stream."""
        return streams.Stream.current(self.state.device.is_cuda)

    def _launch_inputs(self, stream: Stream, size: int, ahead: int, more: bool) -> None:
        """Launch the kernels from images to the first hidden states."""
        if ahead == 0:
            launches.fetch(self.work, size, ahead)
        stream.wait_for(self.fetch_events)
        launches.embed(self.work, size, ahead)
        if more:
            with stream.fork(LOW_PRIORITY) as image_stream:
                launches.fetch(self.work, size, ahead + 1)
            self.fetch_events = [image_stream.record_event()]
        stream.wait_for(self.update_events[:1])
        launches.embed_sum(self.work, size)

    def _launch_lanes(self, stream: Stream, size: int, ahead: int) -> list[Any]:
        """Launch each lane's passes; return events after early updates of the embedding.

        Lanes are independent of each other, and so are their updates of the embedding.
        """
        work = self.work
        lane_events, embedding_events = [], []
        for lane in self.lanes:
            with stream.fork() as lane_stream:
                if not self.single_forward_launch:
                    self._launch_forward(lane_stream, size, ahead, lane.replicas)
                form = read_credit(lane.group)
                local = form is not None
                if form is not None:
                    launches.credit(work, size, ahead, lane, form)
                elif self.trains_blocks or self.trains_embedding:
                    self._launch_backward(size, lane)
                if self.trains_embedding and work.cuts.tiles.update_embedding_early:
                    with lane_stream.fork(LOW_PRIORITY) as update_stream:
                        launches.embed_update(work, size, lane.replicas, ahead)
                    embedding_events.append(update_stream.record_event())
                if local and self.trains_blocks:
                    launches.back_out(work, size, 0, work.shape.layers, lane)
            lane_events.append(lane_stream.record_event())
        self.update_events = []
        stream.wait_for(lane_events)
        return embedding_events

    def _launch_forward(self, stream: Stream, size: int, ahead: int, replicas: range) -> None:
        """Launch from the first hidden states to the output error; each block waits for its own update only."""
        for layer in range(self.work.shape.layers):
            stream.wait_for(self.update_events[layer : layer + 1])
            launches.norm_linear(self.work, size, layer, replicas)
            launches.out_linear(self.work, size, layer, replicas)
        launches.head(self.work, size, ahead, replicas)

    def _launch_backward(self, size: int, lane: Lane) -> None:
        """Launch backpropagation, from the last block down to the first."""
        for layer in reversed(range(self.work.shape.layers)):
            launches.back_out(self.work, size, layer, 1, lane)
            launches.back_first(self.work, size, layer, lane)
            launches.back_norm(self.work, size, layer, lane)

    def _launch_update(self, stream: Stream, ahead: int, *, after: Sequence[Stream]) -> None:
        """Launch the updates from stored gradients ``after`` these streams; record an event after each block's."""
        tables = self.work.tables
        with stream.fork(LOW_PRIORITY) as update_stream:
            update_stream.wait_for([other.record_event() for other in after])
            for replicas in self.updated_in_place:
                launches.update(self.work, ahead, tables.other_chunks, replicas)
            for span in self.update_chunks:
                for replicas in self.gradients_stored:
                    launches.update(self.work, ahead, tables.chunks[span.start : span.stop], replicas)
                self.update_events.append(update_stream.record_event())


def find_runs(kinds: list[bool], kind: bool) -> list[range]:
    """Return the runs of neighbouring replicas of one kind."""
    runs = []
    for found, neighbours in groupby(range(len(kinds)), key=kinds.__getitem__):
        own = list(neighbours)
        if found == kind:
            runs.append(range(own[0], own[-1] + 1))
    return runs
