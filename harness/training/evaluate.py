"""Diagnostics of a cohort at an evaluated epoch. Probe quantities are float64, whatever the training precision."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from harness.batched.fresh import draw
from harness.batched.geometry import join_samples
from harness.domain.measured import is_defined
from harness.errors import UsageError
from harness.metrics import Conditions, Metric, UpdateOf
from harness.models import Model
from harness.plugins.splits import SplitName
from harness.records.plan import count_chunk_replicas, count_chunk_samples
from harness.rules import descend_through
from harness.training.batches import DeviceImages, normalise, unpad
from harness.training.device import use_precision
from harness.training.probed import ProbedNetwork, find_pairs, find_updates
from harness.training.program import Program
from harness.training.steps.state import RuleGroup
from harness.training.taps import Descend, tap

FINITE = "finite?"  # not a metric's name; 1 where a replica's logits are finite

ProbePass = tuple[list[Tensor], list[Tensor], Tensor]
"""Hidden states and gradients, one per layer, and the output error, each float64 [r, n, d] or [r, n, c]."""
Values = dict[str, np.ndarray]
"""Summary → values, float64 [r, layer]."""
Measured = tuple[str, str, slice, Tensor]
"""Key of a metric, summary, replicas, and the replicas' values [r, layer], on the device."""


class ReplicaEvaluation:
    """The quantities that metrics are computed from (``harness.metrics.Evaluation``), for some replicas of a cohort."""

    def __init__(self, program: Program, group: RuleGroup, replicas: slice) -> None:
        self._program = program
        self._state = program.state
        self._group = group
        self.replicas = replicas
        self._within_group = slice(replicas.start - group.replicas.start, replicas.stop - group.replicas.start)
        self._params = {name: tensor.detach()[replicas] for name, tensor in program.state.params.items()}
        self._conditions = Conditions()
        self._passes: dict[tuple[SplitName, int | None], ProbePass] = {}
        self._networks: dict[tuple[SplitName, int | None], ProbedNetwork] = {}
        self._views: dict[Conditions, ReplicaEvaluation] = {}
        """Never itself: a cycle would keep what a chunk measured until Python looks for cycles, chunk upon chunk."""

    def under(self, conditions: Conditions) -> ReplicaEvaluation:
        """Return the evaluation of the same replicas under other conditions, which shares what they leave as it is."""
        if conditions == self._conditions:
            return self
        if conditions not in self._views:
            view = ReplicaEvaluation(self._program, self._group, self.replicas)
            view._conditions = conditions
            view._passes, view._networks = self._passes, self._networks
            self._views[conditions] = view
        return self._views[conditions]

    def defines(self, metric: Metric) -> bool:
        """Tell whether a metric is defined for these replicas' rule and model."""
        return is_defined(metric, self._group.rule, self._state.setup)

    @property
    def _probe(self) -> ProbePass:
        """Hidden states h_l and gradients g_l, l = 0 … L, and the output error, on the probe batch."""
        key = self._conditions.probe_split, self._conditions.probe_samples
        if key not in self._passes:
            self._passes[key] = self._pass_probe(self.network)
        return self._passes[key]

    def _pass_probe(self, network: ProbedNetwork) -> ProbePass:
        model, params, x, y = network.model, network.params, network.inputs, network.labels
        with torch.enable_grad():
            h = model.embed(params, x).requires_grad_()
            hidden = [h]
            for layer in range(model.depth):
                h = model.join(h, model.branch(params, layer, h))
                hidden.append(h)
            logits = model.head(params, h)
            kind = self._state.setup.loss
            gradients = torch.autograd.grad(kind.value(logits, y).mean(-1).sum(), hidden)
        return (
            [join_samples(h.detach()) for h in hidden],
            [join_samples(gradient) for gradient in gradients],
            kind.error(logits.detach(), y),
        )

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
        model, feedback = self._state.model, self._read_feedback()
        layers = range(model.depth + 1)
        return [join_samples(self._group.rule.credit(model, feedback, self._probe[2], layer)) for layer in layers]

    def _read_feedback(self) -> dict[str, Tensor]:
        """Return these replicas' feedback, float64: that of training, or fresh."""
        drawn = self._group.feedback
        if self._conditions.feedback == "fresh":
            drawn = self._program.get_fresh_feedback(self._group, self._conditions.draw)
        return {name: tensor[self._within_group].double() for name, tensor in drawn.items()}

    @cached_property
    def site_credits(self) -> list[Tensor]:
        """Credit where it acts, see ``harness.metrics.Evaluation``."""
        return self._tap(self._descend)

    def _descend(self, model: Model, p: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        """Compute the rule's objective, with draws of their own key."""
        return self._group.rule.objective(model, p, self._give(x), x, y, None, self._state.setup.loss).descend

    def _give(self, x: Tensor) -> dict[str, Tensor]:
        """Return all that a rule is given beside parameters, for a batch x [r, n, i]."""
        keys, own = self._program.get_probe_keys(self._group), self._within_group
        step = torch.zeros((), dtype=torch.int64, device=x.device)
        fresh = {
            spec.name: draw(spec, keys[spec.name][own], step, x.shape[1], torch.float64)
            for spec in self._group.tensors.draws
        }
        strengths = self._group.rule.strengths.items()
        still = {name: torch.full((), value, dtype=torch.float64, device=x.device) for name, (value, _) in strengths}
        return {**self._read_feedback(), **still, **fresh}

    def _descend_through(self, model: Model, p: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return descend_through(model, p, x, y, None, self._state.setup.loss).descend

    @cached_property
    def site_gradients(self) -> list[Tensor]:
        """Credit of backpropagation, see ``harness.metrics.Evaluation``."""
        return self._tap(self._descend_through)

    def _tap(self, descend: Descend) -> list[Tensor]:
        network = self.network
        return tap(network.model, descend, self._read_all(), network.inputs, network.labels)

    def _read_all(self) -> dict[str, Tensor]:
        """Return the model's parameters and what the rule trains along, float64."""
        own = {name: tensor.detach()[self._within_group].double() for name, tensor in self._group.own.items()}
        return {**self.network.params, **own}

    @property
    def network(self) -> ProbedNetwork:
        """The network on the probe batch, see ``harness.metrics.Evaluation``."""
        key = self._conditions.probe_split, self._conditions.probe_samples
        if key not in self._networks:
            params = {name: tensor.double() for name, tensor in self._params.items()}
            model = self._settle(params, torch.float64)
            self._networks[key] = ProbedNetwork(self._state, model, params, *self._program.get_probe(*key))
        return self._networks[key]

    def _settle(self, params: dict[str, Tensor], dtype: torch.dtype) -> Model:
        """Return the model as it is evaluated with these parameters."""
        model = self._state.model
        if not model.couples_samples:
            return model
        x = self._program.settling_inputs.to(dtype).expand(len(next(iter(params.values()))), -1, -1)
        with torch.no_grad():
            return model.settle(params, x)

    @cached_property
    def pairs(self) -> list[tuple[Tensor, Tensor]]:
        """Weights and what stands in for them, see ``harness.metrics.Evaluation``."""
        return find_pairs(self._state, self.network, self._descend, self._read_all())

    @cached_property
    def updates(self) -> list[tuple[Tensor, Tensor]]:
        """Gradients of both rules, see ``harness.metrics.Evaluation``."""
        return self._all_updates[:-1]

    @property
    def head_updates(self) -> tuple[Tensor, Tensor]:
        """Gradients of both rules in the head, see ``harness.metrics.Evaluation``."""
        return self._all_updates[-1]

    @cached_property
    def _all_updates(self) -> list[tuple[Tensor, Tensor]]:
        network = self.network
        own, exact = (
            find_updates(self._state, network.model, descend, self._read_all(), network.inputs, network.labels)
            for descend in (self._descend, self._descend_through)
        )
        return list(zip(own, exact, strict=True))

    def split_updates(self, batches: int, of: UpdateOf) -> list[Tensor]:
        """Gradients on parts of the probe batch, see ``harness.metrics.Evaluation``."""
        descend = self._descend if of == "rule" else self._descend_through
        network, params = self.network, self._read_all()
        size = network.inputs.shape[1] // batches
        parts = [slice(k * size, (k + 1) * size) for k in range(batches if size else 0)]
        found = [
            find_updates(self._state, network.model, descend, params, network.inputs[:, part], network.labels[:, part])
            for part in parts
        ]
        if not found:
            return [network.inputs.new_full((len(network.inputs), 0, 0), 0.0)] * (self._state.model.depth + 1)
        return [torch.stack(gradients, dim=1) for gradients in list(zip(*found, strict=True))[:-1]]

    @cached_property
    def matrices(self) -> list[Tensor]:
        """The matrices of direct feedback, see ``harness.metrics.Evaluation``."""
        network, classes = self.network, self._state.classes
        unit = torch.eye(classes, dtype=torch.float64, device=network.inputs.device)
        feedback, params = self._give(network.inputs), self._read_all()
        unit = unit.expand(len(network.inputs), -1, -1)
        return list(self._group.rule.project_classes(self._state.model, params, feedback, unit))

    @cached_property
    def test_logits(self) -> Tensor:
        """Logits on the test split, see ``harness.metrics.Evaluation``."""
        return self._split_logits(self._program.test)

    @cached_property
    def train_logits(self) -> Tensor:
        """Logits on the training split, see ``harness.metrics.Evaluation``."""
        return self._split_logits(self._state.train)

    @cached_property
    def validation_logits(self) -> Tensor:
        """Logits on the validation split, see ``harness.metrics.Evaluation``."""
        return self._split_logits(self._program.get_split("validation"))

    @property
    def validation_labels(self) -> Tensor:
        """Labels of the validation split, see ``harness.metrics.Evaluation``."""
        return self._program.get_split("validation").original_labels

    def _split_logits(self, split: DeviceImages) -> Tensor:
        """Compute logits [r, N, c] of a whole split, chunk by chunk, without the padding for crops."""
        chunks = torch.split(unpad(split), count_chunk_samples(self._state.setup))
        return torch.cat([self._logits(normalise(split, pixels).flatten(1)) for pixels in chunks], dim=1)

    def _logits(self, x: Tensor) -> Tensor:
        """Compute logits [r, n, c] in training precision for samples x [n, i].

        Logits are NaN where the norm of a hidden state is not finite in that precision: layer norm divides by it and
        would turn such a state into zeros, from which the network would go on as if nothing had happened.
        """
        state = self._state
        x = x.expand(len(next(iter(self._params.values()))), -1, -1)
        with torch.no_grad(), use_precision(state.setup.precision, state.device):
            model = self._settled
            h = model.embed(self._params, x)
            norms = [torch.linalg.vector_norm(join_samples(h), dim=-1)]
            for layer in range(model.depth):
                h = model.join(h, model.branch(self._params, layer, h))
                norms.append(torch.linalg.vector_norm(join_samples(h), dim=-1))
            lost = ~torch.stack(norms).isfinite().all(0)
            return model.head(self._params, h).masked_fill(lost.unsqueeze(-1), float("nan"))

    @cached_property
    def _settled(self) -> Model:
        """The model as it is evaluated, in training precision."""
        return self._settle(self._params, self._state.dtype)

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
        return self._program.test.original_labels

    @property
    def original_train_labels(self) -> Tensor:
        """Original labels of the training split, see ``harness.metrics.Evaluation``."""
        return self._state.train.original_labels

    @property
    def train_loss(self) -> Tensor:
        """Mean training loss of the epoch, see ``harness.metrics.Evaluation``."""
        if not self._program.trains:
            raise UsageError(
                "a metric reads the loss of the epoch's steps, which stored weights don't tell",
                where="train_loss",
                remedy="measure train_loss_original, which is computed from the weights",
            )
        return self._state.loss_sum[self.replicas] / self._state.count


def prepare(program: Program, metrics: Iterable[Metric]) -> None:
    """Draw, on the CPU, the probe batches and the feedback that the metrics read, so that measuring only computes."""
    _ = program.probe
    if program.state.model.couples_samples:
        _ = program.settling_inputs
    for group in program.state.rule_groups:
        program.get_probe_keys(group)
    for metric in metrics:
        conditions = metric.conditions
        program.get_probe(conditions.probe_split, conditions.probe_samples)
        for group in program.state.rule_groups:
            if conditions.feedback == "fresh" and is_defined(metric, group.rule, program.state.setup):
                program.get_fresh_feedback(group, conditions.draw)


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
    size = count_chunk_replicas(program.state.setup)
    with use_precision("float64", program.state.device):  # on a card, cuDNN gives the same bits only if told to
        for group in program.state.rule_groups:
            for start in range(group.replicas.start, group.replicas.stop, size):
                replicas = slice(start, min(start + size, group.replicas.stop))
                measured += _measure_some(ReplicaEvaluation(program, group, replicas), metrics)
    return measured


def _measure_some(evaluation: ReplicaEvaluation, metrics: list[Metric]) -> list[Measured]:
    """Measure some replicas of a rule group."""
    measured, replicas = [], evaluation.replicas
    for metric in metrics:
        if evaluation.defines(metric):
            summaries = summarise(metric, metric.measure(evaluation.under(metric.conditions)))
            measured += [(metric.key, summary, replicas, values) for summary, values in summaries.items()]
    return [*measured, (FINITE, "value", replicas, evaluation.finite.double().unsqueeze(1))]


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
