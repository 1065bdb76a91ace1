"""Diagnostics of a cohort at an evaluated epoch. Probe quantities are float64, whatever training used."""

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
from harness.training.device import precision
from harness.training.program import Program
from harness.training.steps.state import RuleGroup

FINITE = "finite?"  # no metric's name: 1 where a replica's logits are numbers

Values = dict[str, np.ndarray]
"""Summary → float64 [r, layer]."""
Measured = tuple[str, str, slice, Tensor]
"""Metric, summary, replicas, and their values [r, layer], on the device."""


class ReplicaEvaluation:
    """What metrics may look at (``harness.metrics.Evaluation``), for some replicas of a cohort."""

    def __init__(self, program: Program, group: RuleGroup, replicas: slice) -> None:
        self._program = program
        self._state = program.state
        self._group = group
        self._replicas = replicas
        self._params = {name: tensor.detach()[replicas] for name, tensor in program.state.params.items()}

    @cached_property
    def _probe(self) -> tuple[list[Tensor], list[Tensor], Tensor]:
        """h_l and g_l, l = 0 … L, and the output error, on the probe batch."""
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
        """See ``harness.metrics.Evaluation``."""
        return self._probe[0]

    @property
    def gradients(self) -> list[Tensor]:
        """See ``harness.metrics.Evaluation``."""
        return self._probe[1]

    @cached_property
    def credits(self) -> list[Tensor]:
        """See ``harness.metrics.Evaluation``."""
        model = self._state.model
        start = self._group.replicas.start
        own = slice(self._replicas.start - start, self._replicas.stop - start)
        feedback = {name: tensor[own].double() for name, tensor in self._group.feedback.items()}
        layers = range(model.depth + 1)
        return [self._group.rule.credit(model, feedback, self._probe[2], layer) for layer in layers]

    @cached_property
    def test_logits(self) -> Tensor:
        """See ``harness.metrics.Evaluation``."""
        test = self._program.test
        chunks = torch.split(test.images, CHUNK_SAMPLES)
        return torch.cat([self._logits(normalise(test, pixels).flatten(1)) for pixels in chunks], dim=1)

    def _logits(self, x: Tensor) -> Tensor:
        """Compute logits [r, n, c] in training precision, of samples x [n, i].

        NaN where the norm of a hidden state is no number of that precision: layer norm divides by it, and would make
        of such a state a vector of zeros, from which the network goes on as if nothing had happened.
        """
        state, model = self._state, self._state.model
        x = x.expand(len(next(iter(self._params.values()))), -1, -1)
        with torch.no_grad(), precision(state.setup.precision, state.device):
            h = model.embed(self._params, x)
            norms = [torch.linalg.vector_norm(h, dim=-1)]
            for layer in range(model.depth):
                h = model.join(h, model.branch(self._params, layer, h))
                norms.append(torch.linalg.vector_norm(h, dim=-1))
            lost = ~torch.stack(norms).isfinite().all(0)
            return model.head(self._params, h).masked_fill(lost.unsqueeze(-1), float("nan"))

    @property
    def finite(self) -> Tensor:
        """Whether a replica's logits are numbers, bool [r]: on the test split where a metric looked at them, else on
        the probe batch, which is part of it."""
        if "test_logits" in vars(self):
            logits = self.test_logits
        else:
            logits = self._logits(self._program.probe[0][0].to(self._state.dtype))
        return logits.isfinite().flatten(1).all(1)

    @property
    def test_labels(self) -> Tensor:
        """See ``harness.metrics.Evaluation``."""
        return self._program.test.labels

    @property
    def train_loss(self) -> Tensor:
        """See ``harness.metrics.Evaluation``."""
        return self._state.loss_sum[self._replicas] / self._state.count


def defined(metric: Metric, rule: Rule) -> bool:
    """Tell whether a rule has what the metric measures."""
    return rule.gives_credit or not metric.needs_credit


class Diagnostics:
    """A cohort's diagnostics, epoch after epoch.

    Those of a few replicas are some hundred small launches, which take a processor longer to ask for than a card to do.
    So a small cohort's are captured as a graph once they have run, unless a metric waits for the device on its way, or
    there is no memory for both.
    """

    def __init__(self, program: Program, metrics: list[Metric]) -> None:
        self.program, self.metrics = program, metrics
        self._total = program.state.replicas
        self._untried = program.state.device.is_cuda and self._total <= CHUNK_REPLICAS
        self._captured: tuple[torch.cuda.CUDAGraph, list[Measured]] | None = None
        self.finite = np.ones(self._total, dtype=bool)
        """Per replica, whether its logits were numbers at the last evaluation."""

    def evaluate(self) -> dict[str, Values]:
        """Measure all metrics as the function of this name does, and note which replicas are ``finite``."""
        values = self._evaluate()
        self.finite = values.pop(FINITE)["value"][:, 0] == 1.0
        return values

    def _evaluate(self) -> dict[str, Values]:
        if self._captured is not None:
            graph, measured = self._captured
            graph.replay()
            return collected(measured, self._total)
        if not self._untried:
            return collected(measure(self.program, self.metrics), self._total)
        self._untried = False
        _ = self.program.probe  # made once, from the processor, and before the other stream waits for this one
        stream = side_stream(self.program.state.device.torch)
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            values = self._without_waiting()
        if values is None:
            return collected(measure(self.program, self.metrics), self._total)
        gc.collect()  # a graph that is destroyed while another is captured spoils that one
        self._capture(stream)
        return values

    def _without_waiting(self) -> dict[str, Values] | None:
        """Return what is measured; None if a metric waits for the device, or fails: measuring again will say so."""
        try:
            with waiting_forbidden():
                measured = measure(self.program, self.metrics)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError:
            return None
        return collected(measured, self._total)

    def _capture(self, stream: torch.cuda.Stream) -> None:
        """Keep the launches of one measurement; nothing if they cannot be kept."""
        graph = torch.cuda.CUDAGraph()
        try:
            here = torch.cuda.stream(torch.cuda.current_stream())  # which a failing capture would not restore
            with here, torch.cuda.graph(graph, stream=stream):
                measured = measure(self.program, self.metrics)
        except RuntimeError:  # it waits in a way that PyTorch does not notice beforehand, or memory is short
            return
        self._captured = graph, measured


@cache
def side_stream(device: torch.device) -> torch.cuda.Stream:
    """Return the stream that measures first and is captured then.

    It is always the same, because cuBLAS keeps a workspace for each stream that it has seen (32 MiB on an H100), to the
    end of the process.
    """
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # PyTorch gives it no types


@contextmanager
def waiting_forbidden() -> Iterator[None]:
    """Have whatever waits for the device raise RuntimeError meanwhile."""
    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings():  # PyTorch says that it may miss something, which the capture would not
        warnings.simplefilter("ignore")
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(before)


def evaluate(program: Program, metrics: list[Metric]) -> dict[str, Values]:
    """Measure all metrics on all replicas: metric → summary → float64 [r, layer]. Waits for the device.

    A metric that is not defined for any rule is left out, one that is not for some is NaN at their replicas.
    """
    values = collected(measure(program, metrics), program.state.replicas)
    return {metric: summaries for metric, summaries in values.items() if metric != FINITE}


def measure(program: Program, metrics: list[Metric]) -> list[Measured]:
    """Measure all metrics on all replicas, and last whether these are finite, some at a time, still on the device."""
    measured: list[Measured] = []
    for group in program.state.rule_groups:
        for start in range(group.replicas.start, group.replicas.stop, CHUNK_REPLICAS):
            replicas = slice(start, min(start + CHUNK_REPLICAS, group.replicas.stop))
            evaluation = ReplicaEvaluation(program, group, replicas)
            for metric in metrics:
                if defined(metric, group.rule):
                    summaries = summarise(metric, metric.measure(evaluation))
                    measured += [(metric.name, summary, replicas, values) for summary, values in summaries.items()]
            measured.append((FINITE, "value", replicas, evaluation.finite.double().unsqueeze(1)))
    return measured


def collected(measured: list[Measured], total: int) -> dict[str, Values]:
    """Return metric → summary → float64 [total, layer], of what was measured on some replicas at a time.

    All of it leaves the device at once: to wait for every table apart took longer than to calculate it.
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

    float64 [r, layer], still on the device.
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
    # Sorting puts NaN and infinity last, so a median may hide one: a sample that is no number makes every summary none.
    broken = ~values.isfinite().all(-1)
    return {name: summary.masked_fill(broken, float("nan")) for name, summary in summaries.items()}
