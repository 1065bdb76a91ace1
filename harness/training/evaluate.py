"""Diagnostics of a cohort at an evaluated epoch. Probe quantities are float64, whatever the training precision."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from harness.batched.geometry import join_samples
from harness.domain.measured import is_defined
from harness.errors import UsageError
from harness.metrics import Conditions, Metric, UpdateOf
from harness.plugins.splits import SplitName
from harness.records.plan import count_chunk_replicas
from harness.training.device import use_precision
from harness.training.logits import SplitLogits, settle_model
from harness.training.probed import ProbedNetwork, ProbePass, find_pairs, find_updates, pass_probe
from harness.training.probed_rule import ProbedRule
from harness.training.program import Program
from harness.training.steps.state import RuleGroup
from harness.training.taps import Descend, tap

AS_TRAINED = Conditions()
FINITE = "finite?"  # not a metric's name; 1 where a replica's logits are finite

Values = dict[str, np.ndarray]
"""Summary → values, float64 [r, layer]."""
Measured = tuple[str, str, slice, Tensor]
"""Key of a metric, summary, replicas, and the replicas' values [r, layer], on the device."""


class ReplicaEvaluation:
    """The quantities that metrics are computed from (``harness.metrics.Evaluation``), for some replicas of a cohort."""

    def __init__(
        self, program: Program, group: RuleGroup, replicas: slice, conditions: Conditions = AS_TRAINED
    ) -> None:
        self._program = program
        self._state = program.state
        self._group = group
        self.replicas = replicas
        self._conditions = conditions
        self._params = {name: tensor.detach()[replicas] for name, tensor in program.state.params.items()}
        self._rule = ProbedRule(program, group, replicas, conditions)
        self._logits = SplitLogits(program, self._params)
        self._passes: dict[tuple[SplitName, int | None], ProbePass] = {}
        self._networks: dict[tuple[SplitName, int | None], ProbedNetwork] = {}
        self._views: dict[Conditions, ReplicaEvaluation] = {}
        """Never itself: a cycle would keep what a chunk measured until Python looks for cycles, chunk upon chunk."""

    def under(self, conditions: Conditions) -> ReplicaEvaluation:
        """Return the evaluation of the same replicas under other conditions, which shares what they leave as it is."""
        if conditions == self._conditions:
            return self
        if conditions not in self._views:
            view = ReplicaEvaluation(self._program, self._group, self.replicas, conditions)
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
            self._passes[key] = pass_probe(self._state, self.network)
        return self._passes[key]

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
        model, feedback = self._state.model, self._rule.read_feedback()
        layers = range(model.depth + 1)
        return [join_samples(self._group.rule.credit(model, feedback, self._probe[2], layer)) for layer in layers]

    @cached_property
    def site_credits(self) -> list[Tensor]:
        """Credit where it acts, see ``harness.metrics.Evaluation``."""
        return self._tap(self._rule.descend)

    @cached_property
    def site_gradients(self) -> list[Tensor]:
        """Credit of backpropagation, see ``harness.metrics.Evaluation``."""
        return self._tap(self._rule.descend_through)

    def _tap(self, descend: Descend) -> list[Tensor]:
        network = self.network
        return tap(network.model, descend, self._read_all(), network.inputs, network.labels)

    def _read_all(self) -> dict[str, Tensor]:
        """Return the model's parameters and what the rule trains along, float64."""
        return self._rule.add_own(self.network.params)

    @property
    def network(self) -> ProbedNetwork:
        """The network on the probe batch, see ``harness.metrics.Evaluation``."""
        key = self._conditions.probe_split, self._conditions.probe_samples
        if key not in self._networks:
            params = {name: tensor.double() for name, tensor in self._params.items()}
            model = settle_model(self._program, params, torch.float64)
            self._networks[key] = ProbedNetwork(self._state, model, params, *self._program.get_probe(*key))
        return self._networks[key]

    @cached_property
    def pairs(self) -> list[tuple[Tensor, Tensor]]:
        """Weights and what stands in for them, see ``harness.metrics.Evaluation``."""
        return find_pairs(self._state, self.network, self._rule.descend, self._read_all())

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
            for descend in (self._rule.descend, self._rule.descend_through)
        )
        return list(zip(own, exact, strict=True))

    def split_updates(self, batches: int, of: UpdateOf) -> list[Tensor]:
        """Gradients on parts of the probe batch, see ``harness.metrics.Evaluation``."""
        descend = self._rule.descend if of == "rule" else self._rule.descend_through
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
        feedback, params = self._rule.give(network.inputs), self._read_all()
        unit = unit.expand(len(network.inputs), -1, -1)
        return list(self._group.rule.project_classes(self._state.model, params, feedback, unit))

    @property
    def test_logits(self) -> Tensor:
        """Logits on the test split, see ``harness.metrics.Evaluation``."""
        return self._logits.test

    @property
    def train_logits(self) -> Tensor:
        """Logits on the training split, see ``harness.metrics.Evaluation``."""
        return self._logits.train

    @property
    def validation_logits(self) -> Tensor:
        """Logits on the validation split, see ``harness.metrics.Evaluation``."""
        return self._logits.validation

    @property
    def validation_labels(self) -> Tensor:
        """Labels of the validation split, see ``harness.metrics.Evaluation``."""
        return self._program.get_split("validation").original_labels

    @property
    def finite(self) -> Tensor:
        """True where a replica's logits are finite, bool [r]."""
        return self._logits.finite

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


def measure(program: Program, metrics: list[Metric], chunks: int | None = None) -> list[Measured]:
    """Measure all metrics, and last finiteness, on all replicas in chunks; the values stay on the device.

    ``chunks``: the largest number of chunks that are measured of each rule group; by default all are.
    """
    measured: list[Measured] = []
    size = count_chunk_replicas(program.state.setup)
    with use_precision("float64", program.state.device):  # on a card, cuDNN gives the same bits only if told to
        for group in program.state.rule_groups:
            for start in range(group.replicas.start, group.replicas.stop, size)[:chunks]:
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
