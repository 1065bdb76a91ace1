"""Diagnostics of a cohort at an evaluated epoch. Probe quantities are float64, whatever the training precision."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, cached_property

import numpy as np
import torch
from torch import Tensor

from harness.batched.losses import cross_entropy, softmax_error
from harness.metrics import Metric
from harness.records.plan import CHUNK_REPLICAS, CHUNK_SAMPLES
from harness.rules import Rule
from harness.training.batches import normalise
from harness.training.device import use_precision
from harness.training.program import Program
from harness.training.steps.state import RuleGroup

FINITE = "finite?"  # not a metric's name; 1 where a replica's logits are finite

Values = dict[str, np.ndarray]
"""Summary → values, float64 [r, layer]."""
Measured = tuple[str, str, slice, Tensor]
"""Metric, summary, replicas, and the replicas' values [r, layer], on the device."""


class ReplicaEvaluation:
    """The quantities that metrics are computed from (``harness.metrics.Evaluation``), for some replicas of a cohort."""

    def __init__(self, program: Program, group: RuleGroup, replicas: slice) -> None:
        self._program = program
        self._state = program.state
        self._group = group
        self._replicas = replicas
        self._params = {name: tensor.detach()[replicas] for name, tensor in program.state.params.items()}

    @cached_property
    def _probe(self) -> tuple[list[Tensor], list[Tensor], Tensor]:
        """Hidden states h_l and gradients g_l, l = 0 … L, and the output error, on the probe batch."""
        program, model = self._program, self._state.model
        params = {name: tensor.double() for name, tensor in self._params.items()}
        x, y = program.probe
        count = len(next(iter(params.values())))
        x, y = x.expand(count, -1, -1), y.expand(count, -1)
        with torch.enable_grad():
            h = model.embed(params, x).requires_grad_()
            hidden = [h]
            for layer in range(model.depth):
                h = model.join(h, model.branch(params, layer, h))
                hidden.append(h)
            logits = model.head(params, h)
            loss = cross_entropy(logits, y).mean(-1).sum()
            gradients = torch.autograd.grad(loss, hidden)
        return [h.detach() for h in hidden], list(gradients), softmax_error(logits.detach(), y)

    @property
    def hidden(self) -> list[Tensor]:
        """Hidden states on the probe batch, see ``harness.metrics.Evaluation``."""
        return self._probe[0]

    @property
    def gradients(self) -> list[Tensor]:
        """Gradients at the hidden states, see ``harness.metrics.Evaluation``."""
        return self._probe[1]

    @cached_property
    def credits(self) -> list[Tensor]:
        """The rule's credit signals, see ``harness.metrics.Evaluation``."""
        model = self._state.model
        start = self._group.replicas.start
        own = slice(self._replicas.start - start, self._replicas.stop - start)
        feedback = {name: tensor[own].double() for name, tensor in self._group.feedback.items()}
        layers = range(model.depth + 1)
        return [self._group.rule.credit(model, feedback, self._probe[2], layer) for layer in layers]

    @cached_property
    def test_logits(self) -> Tensor:
        """Logits on the test split, see ``harness.metrics.Evaluation``."""
        test = self._program.test
        chunks = torch.split(test.images, CHUNK_SAMPLES)
        return torch.cat([self._logits(normalise(test, pixels).flatten(1)) for pixels in chunks], dim=1)

    def _logits(self, x: Tensor) -> Tensor:
        """Compute logits [r, n, c] in training precision for samples x [n, i].

        Logits are NaN where the norm of a hidden state is not finite in that precision: layer norm divides by it and
        would turn such a state into zeros, from which the network would go on as if nothing had happened.
        """
        state, model = self._state, self._state.model
        x = x.expand(len(next(iter(self._params.values()))), -1, -1)
        with torch.no_grad(), use_precision(state.setup.precision, state.device):
            h = model.embed(self._params, x)
            norms = [torch.linalg.vector_norm(h, dim=-1)]
            for layer in range(model.depth):
                h = model.join(h, model.branch(self._params, layer, h))
                norms.append(torch.linalg.vector_norm(h, dim=-1))
            lost = ~torch.stack(norms).isfinite().all(0)
            return model.head(self._params, h).masked_fill(lost.unsqueeze(-1), float("nan"))

    @property
    def finite(self) -> Tensor:
        """True where a replica's logits are finite, bool [r].

        These are the logits on the test split if a metric used them, otherwise those on the probe batch, a part of it.
        """
        if "test_logits" in vars(self):
            logits = self.test_logits
        else:
            logits = self._logits(self._program.probe[0][0].to(self._state.dtype))
        return logits.isfinite().flatten(1).all(1)

    @property
    def test_labels(self) -> Tensor:
        """Labels of the test split, see ``harness.metrics.Evaluation``."""
        return self._program.test.labels

    @property
    def train_loss(self) -> Tensor:
        """Mean training loss of the epoch, see ``harness.metrics.Evaluation``."""
        return self._state.loss_sum[self._replicas] / self._state.count


def is_defined(metric: Metric, rule: Rule) -> bool:
    """Tell whether a rule provides what the metric needs."""
    return rule.gives_credit or not metric.needs_credit


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
        _ = self.program.probe  # created on the CPU, once, before the side stream waits for this one
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


def evaluate(program: Program, metrics: list[Metric]) -> dict[str, Values]:
    """Measure all metrics on all replicas: metric → summary → float64 [r, layer]. Waits for the device.

    A metric that is defined for none of the rules is left out; one that is undefined for some is NaN at their
    replicas.
    """
    values = merge(measure(program, metrics), program.state.replicas)
    return {metric: summaries for metric, summaries in values.items() if metric != FINITE}


def measure(program: Program, metrics: list[Metric]) -> list[Measured]:
    """Measure all metrics, and last finiteness, on all replicas in chunks; the values stay on the device."""
    measured: list[Measured] = []
    for group in program.state.rule_groups:
        for start in range(group.replicas.start, group.replicas.stop, CHUNK_REPLICAS):
            replicas = slice(start, min(start + CHUNK_REPLICAS, group.replicas.stop))
            evaluation = ReplicaEvaluation(program, group, replicas)
            for metric in metrics:
                if is_defined(metric, group.rule):
                    summaries = summarise(metric, metric.measure(evaluation))
                    measured += [(metric.name, summary, replicas, values) for summary, values in summaries.items()]
            measured.append((FINITE, "value", replicas, evaluation.finite.double().unsqueeze(1)))
    return measured


def merge(measured: list[Measured], total: int) -> dict[str, Values]:
    """Merge measurements of some replicas each into metric → summary → float64 [total, layer].

    All values leave the device in one copy, because waiting for each table separately took longer than computing it.
    """
    found: dict[str, Values] = {}
    if not measured:
        return found
    flat = torch.cat([values.flatten() for *_, values in measured]).cpu().numpy()
    parts = np.split(flat, np.cumsum([values.numel() for *_, values in measured])[:-1])
    for (metric, summary, replicas, values), part in zip(measured, parts, strict=True):
        empty = np.full((total, values.shape[1]), np.nan)
        found.setdefault(metric, {}).setdefault(summary, empty)[replicas] = part.reshape(values.shape)
    return found


def summarise(metric: Metric, values: Tensor) -> dict[str, Tensor]:
    """Compute mean, standard deviation (n − 1) and median over samples; metrics without samples keep their ``value``.

    The summaries are float64 [r, layer] and stay on the device.
    """
    if not metric.layered:
        values = values.unsqueeze(1)
    values = values.double()
    if not metric.per_sample:
        return {"value": values}
    ordered = values.sort(dim=-1).values
    count = values.shape[-1]
    median = (ordered[..., (count - 1) // 2] + ordered[..., count // 2]) / 2.0
    summaries = {"mean": values.mean(-1), "std": values.std(-1), "median": median}
    # Sorting puts NaN and infinity last, where a median may hide one: a single such sample makes every summary NaN.
    broken = ~values.isfinite().all(-1)
    return {name: summary.masked_fill(broken, float("nan")) for name, summary in summaries.items()}
