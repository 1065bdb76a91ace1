"""The largest curvature of a loss in a network's parameters, per replica."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from harness.batched.fresh import draw
from harness.batched.keyed import short_key
from harness.batched.specs import DrawSpec, Init

MOST_STEPS = 100
TOLERANCE = 1e-3  # relative change of the eigenvalue from step to step


def top_eigenvalue(
    function: Callable[[Mapping[str, Tensor]], Tensor],
    params: Mapping[str, Tensor],
    tolerance: float = TOLERANCE,
    most: int = MOST_STEPS,
) -> Tensor:
    """Return the eigenvalue of largest size of the Hessian of ``function``, which maps parameters [r, …] to [r].

    Power iteration from fixed random signs, the same for all replicas, until a replica's Rayleigh quotient, which keeps
    its sign, changes by less than ``tolerance``. What one replica does has no effect on another's value.
    """
    leaves = {name: tensor.detach().requires_grad_() for name, tensor in params.items()}
    tensors = list(leaves.values())
    with torch.enable_grad():
        gradients = torch.autograd.grad(function(leaves).sum(), tensors, create_graph=True, materialize_grads=True)
    curved = [gradient for gradient in gradients if gradient.requires_grad]
    places = [i for i, gradient in enumerate(gradients) if gradient.requires_grad]
    v = _scale([_draw_signs(name, tensor) for name, tensor in leaves.items()])
    value = tensors[0].new_full((len(tensors[0]),), float("nan"))
    done = torch.zeros_like(value, dtype=torch.bool)
    for _ in range(most):
        along = [v[i] for i in places]
        product = torch.autograd.grad(curved, tensors, along, retain_graph=True, materialize_grads=True)
        found = torch.stack([(a * b).flatten(1).sum(1) for a, b in zip(v, product, strict=True)]).sum(0)
        settled = (found - value).abs() <= tolerance * found.abs()
        value = torch.where(done, value, found)
        done = done | settled | ~found.isfinite()
        if bool(done.all()):
            break
        v = _scale(list(product))
    return value


def _draw_signs(name: str, tensor: Tensor) -> Tensor:
    """Return random signs of a tensor's shape, the same for all replicas."""
    key = torch.tensor([short_key(0, f"curvature/{name}")], device=tensor.device)
    step = torch.zeros((), dtype=torch.int64, device=tensor.device)
    return draw(DrawSpec(name, tuple(tensor.shape[1:]), Init("sign", 1.0)), key, step, 0, tensor.dtype).expand_as(
        tensor
    )


def _scale(v: list[Tensor]) -> list[Tensor]:
    """Return vectors of length 1 per replica; a vector of zeros stays so."""
    lengths = torch.stack([part.flatten(1).square().sum(1) for part in v]).sum(0).sqrt()
    lengths = torch.where(lengths == 0, torch.ones_like(lengths), lengths)
    return [part / lengths.view(-1, *[1] * (part.dim() - 1)) for part in v]
