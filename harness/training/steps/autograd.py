"""A step for any model, rule and optimizer through autograd; the faster steps are tested against it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from harness.batched import adamw
from harness.batched.specs import TensorSpec
from harness.errors import CompilerFailed
from harness.optimizers import Optimizer, Rates
from harness.rules import OWN, Objective
from harness.system.storage import give_working_folder
from harness.training.batches import fetch
from harness.training.device import use_precision
from harness.training.steps.interface import (
    TrainingStep,
    allocate_optimizer_state,
    allocate_separately,
    list_screened,
)
from harness.training.steps.state import RuleGroup, TrainingState


class SeparateStorage:
    """Storage that holds a separate tensor for each tensor of the model."""

    def __init__(
        self,
        specs: tuple[TensorSpec, ...],
        trained: tuple[str, ...],
        replicas: int,
        factory_kwargs: Mapping[str, Any],
        optimizer: Optimizer,
    ) -> None:
        self.factory_kwargs, self.trained, self.optimizer = factory_kwargs, trained, optimizer
        self.params = allocate_separately(specs, replicas, factory_kwargs)
        self.optimizer_state = allocate_optimizer_state(optimizer, {name: self.params[name] for name in trained})
        self.clear()
        for name in trained:
            self.params[name].requires_grad_()

    def allocate_feedback(self, specs: tuple[TensorSpec, ...], replicas: slice) -> dict[str, Tensor]:
        """Allocate a separate tensor for each of a rule group's fixed ones."""
        return allocate_separately(specs, replicas.stop - replicas.start, self.factory_kwargs)

    def clear(self) -> None:
        """Zero weights and the optimizer's tensors."""
        for tensor in self.params.values():
            tensor.zero_()
        for own in self.optimizer_state.values():
            for tensor in own.values():
                tensor.zero_()

    @property
    def screened(self) -> tuple[list[Tensor], list[Tensor]]:
        """Trained weights and the denominators of their updates."""
        return list_screened({name: self.params[name] for name in self.trained}, self.optimizer_state, self.optimizer)


Draws = list[dict[str, Tensor]]
"""Tensors that each rule group draws anew in a step, by name."""


@dataclass(frozen=True)
class StepFunctions:
    """The functions that make up a step, compiled or not; nothing is fused across them."""

    gather: Callable[[Tensor], tuple[Tensor, Tensor]]
    draw: Callable[[Tensor, int], Draws]
    objective: Callable[[Tensor, Tensor, Draws], tuple[Tensor, Tensor]]
    clip: Callable[[dict[str, Tensor]], dict[str, Tensor]]
    evolve: Callable[[Draws], Draws]

    def compiled(self) -> StepFunctions:
        """Return the same functions with elementwise work fused by torch.compile; products stay with cuBLAS.

        Shapes are fixed, and artefacts are kept between runs. Summation orders are never chosen by timing, because a
        resumed run could choose another one and give other bits.
        """
        give_working_folder("TORCHINDUCTOR_CACHE_DIR", "inductor")
        compiled = partial(torch.compile, fullgraph=True, dynamic=False, options={"deterministic": True})
        return StepFunctions(**{name: compiled(function) for name, function in vars(self).items()})


class AutogradStep(TrainingStep):
    """A step as gather, draws, objective, gradient, clipping, update and what rules change after it."""

    can_stop_mid_epoch = True

    def __init__(self, state: TrainingState[SeparateStorage], *, compiled: bool) -> None:
        self.state = state
        # Attributes of this object, because torch.compile guards on each one when it traces a function.
        self.train, self.labels, self.dataset, self.model = state.train, state.labels, state.dataset, state.model
        self.params, self.penalty, self.strength = state.params, state.penalty, state.penalty_strength
        self.rule_groups, self.loss, self.dtype = state.rule_groups, state.setup.loss, state.dtype
        self.functions = StepFunctions(self._gather, self._draw, self._objective, self._clip, self._evolve)
        self.full_batch_functions, self.compiled = self.functions, compiled
        self.rows_by_replica = state.rows_by_replica
        self.clip_groups = [(group, state.list_clip_groups(group)) for group in state.rule_groups]
        self.parts = _list_parts(state)
        self.draws = any(group.tensors.draws for group in state.rule_groups)
        self.evolves = any(group.rule.evolves for group in state.rule_groups)

    def compile(self) -> None:
        """Compile the step for full batches by running one, if it is to be compiled and there is a full batch.

        Going on without would be slower and give other bits, without anybody having asked for it.

        Raises:
            CompilerFailed: There is no compiler, say, or it failed.
        """
        size = self.state.setup.batch_size
        if not self.compiled or size > self.state.count:
            return
        self.full_batch_functions = self.functions.compiled()
        try:
            self.launch(size)
        except Exception as error:
            if not type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
                raise  # of the step itself, or memory that ran out
            cause = " ".join(str(error).strip().partition("\n")[0].split())
            raise CompilerFailed(
                f"torch.compile failed: {cause or type(error).__name__}",
                where="--compile",
                remedy="give --compile off, which is slower, or mend the compiler and give the same command again",
            ) from error

    def launch(self, size: int, ahead: int = 0, more: bool = False) -> None:
        """Do one step on the ``size`` schedule rows that begin ``ahead`` batches past the cursor, whatever ``more``.

        Only full batches are compiled: the smaller one comes once per epoch and would not earn back its compilation.
        """
        state = self.state
        functions = self.full_batch_functions if size == state.setup.batch_size else self.functions
        with use_precision(state.setup.precision, state.device):
            at = state.cursor + torch.arange(ahead * size, (ahead + 1) * size, device=state.device.torch)
            x, y = functions.gather(state.schedule.index_select(1, at))
            drawn: Draws = [{} for _ in self.rule_groups]
            if self.draws:
                drawn = functions.draw(state.steps.long(), size)
            descend, loss = functions.objective(x, y, drawn)
            trained = [part.tensor for part in self.parts]
            found = torch.autograd.grad(descend, trained, materialize_grads=True)
            gradients = {part.key: gradient for part, gradient in zip(self.parts, found, strict=True)}
        with torch.no_grad():
            state.steps.add_(1)
            numbers = state.optimizer.begin_step(state.steps, state.lr)
            scales = functions.clip(gradients)
            for part in self.parts:
                rates = replace(part.rates, numbers=numbers)
                state.optimizer.apply(part.tensor, gradients[part.key], part.state, rates, scales.get(part.key))
            if self.evolves:
                self._change_feedback(functions.evolve(drawn))
            state.loss_sum.add_(loss.double() * size)

    def advance(self, size: int, steps: int) -> None:
        """Move the cursor past ``steps`` launches of batches of ``size``."""
        self.state.cursor.add_(size * steps)

    def _gather(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Look up schedule rows: x [r, n, features] and y [r, n]; arms of a seed see the same."""
        return fetch(self.train, self.labels, self.dataset, rows, self.rows_by_replica)

    def _draw(self, step: Tensor, size: int) -> Draws:
        """Draw what rules ask for anew; ``step`` is the number of steps so far, int64, one element."""
        return [group.draw(step, size, self.dtype) for group in self.rule_groups]

    def _objective(self, x: Tensor, y: Tensor, drawn: Draws) -> tuple[Tensor, Tensor]:
        """Compute the objective summed over replicas, and the mean loss of each.

        Replicas share no term of the sum, so the gradient for each replica is its own.
        """
        objectives = [
            self._compute_objective(group, x[group.replicas], y[group.replicas], fresh)
            for group, fresh in zip(self.rule_groups, drawn, strict=True)
        ]
        descend = torch.stack([one.descend.sum() for one in objectives]).sum()
        return descend, torch.cat([one.loss for one in objectives])

    def _compute_objective(self, group: RuleGroup, x: Tensor, y: Tensor, fresh: dict[str, Tensor]) -> Objective:
        penalty, strength = self.penalty, self.strength[group.replicas]
        weighted = None if penalty is None else penalty.weigh(strength)
        feedback = {**group.feedback, **group.strengths, **fresh}
        return group.rule.objective(self.model, self._select(group), feedback, x, y, weighted, self.loss)

    def _select(self, group: RuleGroup) -> dict[str, Tensor]:
        """Return a rule group's weights, with those that its rule trains along."""
        params = dict(self.params)
        if len(self.rule_groups) > 1:  # a slice's gradient is copied, so a single group takes the whole tensor
            params = {name: tensor[group.replicas] for name, tensor in params.items()}
        return params | dict(group.own)

    def _evolve(self, drawn: Draws) -> Draws:
        """Compute the feedback that rules change after the update."""
        return [
            dict(group.rule.evolve(self.model, self._select(group), {**group.feedback, **fresh}))
            for group, fresh in zip(self.rule_groups, drawn, strict=True)
        ]

    def _change_feedback(self, changed: Draws) -> None:
        for group, values in zip(self.rule_groups, changed, strict=True):
            for name, value in values.items():
                group.feedback[name].copy_(value)

    def _clip(self, gradients: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return key of a gradient → factor [r] on it, for the parameter groups that a rule clips."""
        scales: dict[str, Tensor] = {}
        for group, clip_groups in self.clip_groups:
            for names, largest in clip_groups:
                if names[0].startswith(OWN):
                    keys = [_name_own(group, name) for name in names]
                    scales |= dict.fromkeys(keys, adamw.clip_scales([gradients[key] for key in keys], largest))
                    continue
                own = adamw.clip_scales([gradients[name][group.replicas] for name in names], largest)
                whole = scales.get(names[0], torch.ones_like(self.strength)).clone()
                whole[group.replicas] = own
                scales |= dict.fromkeys(names, whole)
        return scales


@dataclass(frozen=True)
class Part:
    """A tensor that is trained, and what its update takes."""

    key: str
    """Key of its gradient: its name, for a rule's own tensor together with the rule group's first replica."""
    tensor: Tensor
    state: Mapping[str, Tensor]
    """The optimizer's tensors."""
    rates: Rates
    """Rates of its replicas, without the numbers of a step."""


def _list_parts(state: TrainingState[SeparateStorage]) -> list[Part]:
    """List the trained tensors of the model, and those that rules train along."""

    def take(tensors: Mapping[str, Mapping[str, Tensor]], name: str) -> dict[str, Tensor]:
        return {kind: own[name] for kind, own in tensors.items()}

    rates = Rates(lr=state.lr, weight_decay=state.weight_decay, numbers={})
    parts = [Part(name, state.params[name], take(state.optimizer_state, name), rates) for name in state.trained]
    for group in state.rule_groups:
        own = Rates(lr=state.lr[group.replicas], weight_decay=state.weight_decay[group.replicas], numbers={})
        for name, tensor in group.own_trained.items():
            parts.append(Part(_name_own(group, name), tensor, take(group.own_state, name), own))
    return parts


def _name_own(group: RuleGroup, name: str) -> str:
    return f"{group.replicas.start}/{name}"
