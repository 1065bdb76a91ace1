"""Tensors of a replica that training changes: the model's weights, and those that its rule trains or changes itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from harness.training.steps.interface import Storage, list_screened
from harness.training.steps.state import TrainingState


def select_learned(state: TrainingState[Storage], r: int) -> dict[str, Tensor]:
    """Return what training changes of a replica, by name, on the device."""
    group = state.find_rule_group(r)
    own = {name: tensor[r - group.replicas.start] for name, tensor in group.learned.items()}
    return {name: tensor[r] for name, tensor in state.params.items()} | own


def copy_learned(
    state: TrainingState[Storage], kept: Mapping[int, dict[str, Tensor]]
) -> Callable[[int], dict[str, Tensor]]:
    """Copy what training changes to the processor, all replicas' at once, and return it by replica.

    Of a replica that has stopped, it is what was ``kept`` then.
    """
    weights = {name: tensor.detach().cpu() for name, tensor in state.params.items()}
    groups = [
        (group, {name: tensor.detach().cpu() for name, tensor in group.learned.items()}) for group in state.rule_groups
    ]

    def read(r: int) -> dict[str, Tensor]:
        if r in kept:
            return kept[r]
        group, learned = next(one for one in groups if r < one[0].replicas.stop)
        own = {name: tensor[r - group.replicas.start] for name, tensor in learned.items()}
        return {name: tensor[r] for name, tensor in weights.items()} | own

    return read


def screen(state: TrainingState[Storage]) -> Tensor:
    """Tell which replicas' epoch loss, learned tensors and denominators of updates are all finite, bool [r].

    A weight whose denominator (Adam's second moment) is infinite, because the square of a gradient overflowed, never
    moves again: the loss stays finite although the network no longer learns.
    """
    weights, roots = state.storage.screened
    # Extremes instead of a mask, which would take as much memory again; denominators are never negative.
    ends = [state.loss_sum, *(tensor.flatten(1).amax(1).double() for tensor in (*weights, *roots))]
    ends += [tensor.flatten(1).amin(1).double() for tensor in weights]
    fine = torch.stack(ends).isfinite().all(0)
    for group in state.rule_groups:
        learned, roots = list_screened(group.learned, group.own_state, state.optimizer)
        for tensor in (*learned, *roots):
            fine[group.replicas] &= tensor.isfinite().flatten(1).all(1)
    return fine
