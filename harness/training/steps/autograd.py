"""A step of any model under any rule and optimizer through autograd: what the faster steps are tested against."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from harness.batched import adamw
from harness.batched.specs import TensorSpec
from harness.rules import Objective
from harness.system.storage import working_folder
from harness.training.batches import fetch
from harness.training.device import precision
from harness.training.steps.interface import TrainingStep, separate_tensors
from harness.training.steps.state import RuleGroup, TrainingState
from harness.training.steps.updates import UPDATES


class SeparateStorage:
    """A tensor of its own for each of the model's."""

    def __init__(
        self, specs: tuple[TensorSpec, ...], trained: tuple[str, ...], replicas: int, where: Mapping[str, Any]
    ) -> None:
        self.where = where
        self.params = separate_tensors(specs, replicas, where)
        self.exp_avg, self.exp_avg_sq = (
            {name: torch.empty_like(self.params[name]) for name in trained} for _ in range(2)
        )
        self.clear()
        for name in trained:
            self.params[name].requires_grad_()

    def new_feedback(self, specs: tuple[TensorSpec, ...], replicas: slice) -> dict[str, Tensor]:
        """Make a tensor of its own for each of a rule group's fixed ones."""
        return separate_tensors(specs, replicas.stop - replicas.start, self.where)

    def clear(self) -> None:
        """Set weights and moments to zero."""
        for tensor in (*self.params.values(), *self.exp_avg.values(), *self.exp_avg_sq.values()):
            tensor.zero_()

    def screened(self) -> tuple[list[Tensor], list[Tensor]]:
        """Return the trained weights and their second moments."""
        return [self.params[name] for name in self.exp_avg_sq], list(self.exp_avg_sq.values())


@dataclass(frozen=True)
class Parts:
    """The parts of a step between which nothing is fused: as they are, or compiled."""

    gather: Callable[[Tensor], tuple[Tensor, Tensor]]
    objective: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    clip: Callable[[dict[str, Tensor]], dict[str, Tensor]]

    def compiled(self) -> Parts:
        """Return the same functions with their elementwise work fused by torch.compile; products stay with cuBLAS.

        Shapes are fixed. Artefacts are kept between runs. No order of summation is chosen
        by time: the next time it could be another, and a resumed run would not come to the same bits.
        """
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(working_folder("inductor")))
        compiled = partial(torch.compile, fullgraph=True, dynamic=False, options={"deterministic": True})
        return Parts(gather=compiled(self.gather), objective=compiled(self.objective), clip=compiled(self.clip))


class AutogradStep(TrainingStep):
    """The parts of a step, and what they hand on to one another."""

    divisible = True

    def __init__(self, state: TrainingState[SeparateStorage], *, compiled: bool) -> None:
        self.state = state
        # Attributes of its own, because torch.compile looks at each when it traces a part.
        self.train, self.dataset, self.model = state.train, state.dataset, state.model
        self.params, self.penalty, self.strength = state.params, state.penalty, state.penalty_strength
        self.rule_groups = state.rule_groups
        self.parts = Parts(self._gather, self._objective, self._clip)
        self.fast = self.parts.compiled() if compiled else self.parts
        self.update = UPDATES[state.setup.optimizer.name](state)
        self.rows_by_replica = state.rows_by_replica()
        self.clips = [(group, state.clipped(group)) for group in state.rule_groups]

    def launch(self, size: int, ahead: int = 0, more: bool = False) -> None:
        """Do one step on the ``size`` schedule rows that lie ``ahead`` steps behind the cursor; nothing for ``more``.

        Only the full batch is compiled: a smaller one comes once per epoch and would not earn its compilation back.
        """
        state = self.state
        parts = self.fast if size == state.setup.batch_size else self.parts
        with precision(state.setup.precision, state.device):
            at = state.cursor + torch.arange(ahead * size, (ahead + 1) * size, device=state.device.torch)
            x, y = parts.gather(state.schedule.index_select(1, at))
            descend, cross_entropy = parts.objective(x, y)
            trained = [state.params[name] for name in state.trained]
            gradients = dict(zip(state.trained, torch.autograd.grad(descend, trained), strict=True))
        with torch.no_grad():
            state.steps.add_(1)
            self.update.begin_step()
            scales = parts.clip(gradients)
            for name in state.trained:
                self.update.apply(name, gradients[name], scales.get(name))
            state.loss_sum.add_(cross_entropy.double() * size)

    def advance(self, size: int, steps: int) -> None:
        """Move the cursor past ``steps`` launches of batches of ``size``."""
        self.state.cursor.add_(size * steps)

    def _gather(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Look schedule rows up: x [r, n, features] and y [r, n]; arms of a seed see the same."""
        return fetch(self.train, self.dataset, rows, self.rows_by_replica)

    def _objective(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Compute what the step descends, summed over replicas, and the cross entropy of each.

        Replicas share no term of the sum, so its gradient is each replica's own.
        """
        found = [self._objective_of(group, x[group.replicas], y[group.replicas]) for group in self.rule_groups]
        descend = torch.stack([one.descend.sum() for one in found]).sum()
        return descend, torch.cat([one.cross_entropy for one in found])

    def _objective_of(self, group: RuleGroup, x: Tensor, y: Tensor) -> Objective:
        params = self.params
        if len(self.rule_groups) > 1:  # a slice is copied on the way back, so the only group takes what there is
            params = {name: tensor[group.replicas] for name, tensor in params.items()}
        penalty, strength = self.penalty, self.strength[group.replicas]
        weighted = None if penalty is None else lambda branch: strength * penalty.value(branch)
        return group.rule.objective(self.model, params, group.feedback, x, y, weighted)

    def _clip(self, gradients: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return parameter → factor [r] on its gradient, for the groups of parameters that a rule clips."""
        scales: dict[str, Tensor] = {}
        for group, clips in self.clips:
            for names, largest in clips:
                own = adamw.clip_scales([gradients[name][group.replicas] for name in names], largest)
                whole = scales.get(names[0], torch.ones_like(self.strength)).clone()
                whole[group.replicas] = own
                scales |= dict.fromkeys(names, whole)
        return scales
