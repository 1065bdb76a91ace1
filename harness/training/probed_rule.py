"""The rule behind a probe batch: what it descends there, with all that it is given beside samples."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.batched.fresh import draw
from harness.metrics import Conditions
from harness.models import Model
from harness.rules import descend_through
from harness.training.program import Program
from harness.training.steps.state import RuleGroup


class ProbedRule:
    """Some replicas' rule in float64, and backpropagation through the same network beside it."""

    def __init__(self, program: Program, group: RuleGroup, replicas: slice, conditions: Conditions) -> None:
        """Take ``replicas`` of the cohort, all of which are of the rule group."""
        self._program, self._group, self._conditions = program, group, conditions
        self._loss = program.state.setup.loss
        self._within_group = slice(replicas.start - group.replicas.start, replicas.stop - group.replicas.start)

    def read_feedback(self) -> dict[str, Tensor]:
        """Return these replicas' feedback, float64: that of training, or fresh."""
        drawn = self._group.feedback
        if self._conditions.feedback == "fresh":
            drawn = self._program.get_fresh_feedback(self._group, self._conditions.draw)
        return {name: tensor[self._within_group].double() for name, tensor in drawn.items()}

    def give(self, x: Tensor) -> dict[str, Tensor]:
        """Return all that the rule is given beside parameters, for a batch x [r, n, i], with draws of their own key."""
        keys, own = self._program.get_probe_keys(self._group), self._within_group
        step = torch.zeros((), dtype=torch.int64, device=x.device)
        fresh = {
            spec.name: draw(spec, keys[spec.name][own], step, x.shape[1], torch.float64)
            for spec in self._group.tensors.draws
        }
        strengths = self._group.rule.strengths.items()
        still = {name: torch.full((), value, dtype=torch.float64, device=x.device) for name, (value, _) in strengths}
        return {**self.read_feedback(), **still, **fresh}

    def add_own(self, params: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return a model's parameters and what the rule trains along, float64."""
        own = {name: tensor.detach()[self._within_group].double() for name, tensor in self._group.own.items()}
        return {**params, **own}

    def descend(self, model: Model, p: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        """Compute the rule's objective."""
        return self._group.rule.objective(model, p, self.give(x), x, y, None, self._loss).descend

    def descend_through(self, model: Model, p: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        """Compute the objective of backpropagation."""
        return descend_through(model, p, x, y, None, self._loss).descend
