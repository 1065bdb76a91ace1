"""Parts of rules that follow random directions of the parameters; this module is no plug-in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from harness.batched.specs import DrawSpec, Init
from harness.models import Model

if TYPE_CHECKING:
    from torch import Tensor

PREFIX = "direction/"
Distribution = Literal["sign", "normal"]
"""+1 or −1 with equal chances, or standard normal numbers."""


def list_directions(
    model: Model, features: int, classes: int, count: int, distribution: Distribution
) -> tuple[DrawSpec, ...]:
    """Return the specs of ``count`` directions [count, …] of every parameter, frozen ones too."""
    return tuple(
        DrawSpec(f"{PREFIX}{spec.name}", (count, *spec.shape), Init(distribution, 1.0))
        for spec in model.parameters(features, classes)
    )


def take_direction(feedback: Mapping[str, Tensor], index: int) -> dict[str, Tensor]:
    """Return one of the directions, [r, …] by the name of the parameter."""
    names = [name for name in feedback if name.startswith(PREFIX)]
    return {name.removeprefix(PREFIX): feedback[name][:, index] for name in names}


def descend_along(
    p: Mapping[str, Tensor], directions: Sequence[Mapping[str, Tensor]], slopes: Sequence[Tensor]
) -> Tensor:
    """Return Σ ⟨θ, q⟩ [r], whose gradient is q = mean_k s_k v_k, from slopes s_k [r] along directions v_k."""
    descend = 0.0 * slopes[0]
    for name in directions[0]:
        weight = p[name]
        if weight.requires_grad:  # a frozen part descends nothing
            terms = [v[name] * scale_rows(s, weight) for v, s in zip(directions, slopes, strict=True)]
            q = sum(terms[1:], terms[0]).detach() / len(terms)
            descend = descend + (weight * q).flatten(1).sum(-1)
    return descend


def scale_rows(scale: Tensor, like: Tensor) -> Tensor:
    """Return a scale [r] in a shape that multiplies a tensor [r, …]."""
    return scale.view(-1, *[1] * (like.dim() - 1))
