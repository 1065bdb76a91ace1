"""A step for any model, rule and optimizer through autograd; the faster steps are tested against it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from harness.batched import adamw
from harness.batched.specs import TensorSpec
from harness.rules import Objective
from harness.system.storage import give_working_folder
from harness.training.batches import fetch
from harness.training.device import use_precision
from harness.training.steps.interface import TrainingStep, allocate_separately
from harness.training.steps.state import RuleGroup, TrainingState
from harness.training.steps.updates import UPDATES


class SeparateStorage:
    """Storage that holds a separate tensor for each tensor of the model."""

    def __init__(
        self, specs: tuple[TensorSpec, ...], trained: tuple[str, ...], replicas: int, factory_kwargs: Mapping[str, Any]
    ) -> None:
        self.factory_kwargs = factory_kwargs
        self.params = allocate_separately(specs, replicas, factory_kwargs)
        self.exp_avg, self.exp_avg_sq = (
            {name: torch.empty_like(self.params[name]) for name in trained} for _ in range(2)
        )
        self.clear()
        for name in trained:
            self.params[name].requires_grad_()

    def allocate_feedback(self, specs: tuple[TensorSpec, ...], replicas: slice) -> dict[str, Tensor]:
        """Allocate a separate tensor for each of a rule group's fixed ones."""
        return allocate_separately(specs, replicas.stop - replicas.start, self.factory_kwargs)

    def clear(self) -> None:
        """Zero weights and moments."""
        for tensor in (*self.params.values(), *self.exp_avg.values(), *self.exp_avg_sq.values()):
            tensor.zero_()

    @property
    def screened(self) -> tuple[list[Tensor], list[Tensor]]:
        """Trained weights and their second moments."""
        return [self.params[name] for name in self.exp_avg_sq], list(self.exp_avg_sq.values())


@dataclass(frozen=True)
class StepFunctions:
    """The functions that make up a step, compiled or not; nothing is fused across them."""

    gather: Callable[[Tensor], tuple[Tensor, Tensor]]
    objective: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    clip: Callable[[dict[str, Tensor]], dict[str, Tensor]]

    def compiled(self) -> StepFunctions:
        """Return the same functions with elementwise work fused by torch.compile; products stay with cuBLAS.

        Shapes are fixed, and artefacts are kept between runs. Summation orders are never chosen by timing, because a
        resumed run could choose another one and give other bits.
        """
        give_working_folder("TORCHINDUCTOR_CACHE_DIR", "inductor")
        compiled = partial(torch.compile, fullgraph=True, dynamic=False, options={"deterministic": True})
        return StepFunctions(gather=compiled(self.gather), objective=compiled(self.objective), clip=compiled(self.clip))


class AutogradStep(TrainingStep):
    """A step as gather, objective, gradient, clipping and update."""

    can_stop_mid_epoch = True

    def __init__(self, state: TrainingState[SeparateStorage], *, compiled: bool) -> None:
        self.state = state
        # Attributes of this object, because torch.compile guards on each one when it traces a function.
        self.train, self.dataset, self.model = state.train, state.dataset, state.model
        self.params, self.penalty, self.strength = state.params, state.penalty, state.penalty_strength
        self.rule_groups = state.rule_groups
        self.functions = StepFunctions(self._gather, self._objective, self._clip)
        self.full_batch_functions = self.functions.compiled() if compiled else self.functions
        self.update = UPDATES[state.setup.optimizer.name](state)
        self.rows_by_replica = state.rows_by_replica
        self.clip_groups = [(group, state.list_clip_groups(group)) for group in state.rule_groups]

    def launch(self, size: int, ahead: int = 0, more: bool = False) -> None:
        """Do one step on the ``size`` schedule rows that begin ``ahead`` batches past the cursor, whatever ``more``.

        Only full batches are compiled: the smaller one comes once per epoch and would not earn back its compilation.
        """
        state = self.state
        functions = self.full_batch_functions if size == state.setup.batch_size else self.functions
        with use_precision(state.setup.precision, state.device):
            at = state.cursor + torch.arange(ahead * size, (ahead + 1) * size, device=state.device.torch)
            x, y = functions.gather(state.schedule.index_select(1, at))
            descend, cross_entropy = functions.objective(x, y)
            trained = [state.params[name] for name in state.trained]
            gradients = dict(zip(state.trained, torch.autograd.grad(descend, trained), strict=True))
        with torch.no_grad():
            state.steps.add_(1)
            self.update.begin_step()
            scales = functions.clip(gradients)
            for name in state.trained:
                self.update.apply(name, gradients[name], scales.get(name))
            state.loss_sum.add_(cross_entropy.double() * size)

    def advance(self, size: int, steps: int) -> None:
        """Move the cursor past ``steps`` launches of batches of ``size``."""
        self.state.cursor.add_(size * steps)

    def _gather(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Look up schedule rows: x [r, n, features] and y [r, n]; arms of a seed see the same."""
        return fetch(self.train, self.dataset, rows, self.rows_by_replica)

    def _objective(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the objective summed over replicas, and the cross entropy of each.

        Replicas share no term of the sum, so the gradient for each replica is its own.
        """
        objectives = [
            self._compute_objective(group, x[group.replicas], y[group.replicas]) for group in self.rule_groups
        ]
        descend = torch.stack([one.descend.sum() for one in objectives]).sum()
        return descend, torch.cat([one.cross_entropy for one in objectives])

    def _compute_objective(self, group: RuleGroup, x: Tensor, y: Tensor) -> Objective:
        params = self.params
        if len(self.rule_groups) > 1:  # a slice's gradient is copied, so a single group takes the whole tensor
            params = {name: tensor[group.replicas] for name, tensor in params.items()}
        penalty, strength = self.penalty, self.strength[group.replicas]
        weighted = None if penalty is None else lambda branch: strength * penalty.value(branch)
        return group.rule.objective(self.model, params, group.feedback, x, y, weighted)

    def _clip(self, gradients: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return parameter → factor [r] on its gradient, for the parameter groups that a rule clips."""
        scales: dict[str, Tensor] = {}
        for group, clip_groups in self.clip_groups:
            for names, largest in clip_groups:
                own = adamw.clip_scales([gradients[name][group.replicas] for name in names], largest)
                whole = scales.get(names[0], torch.ones_like(self.strength)).clone()
                whole[group.replicas] = own
                scales |= dict.fromkeys(names, whole)
        return scales
