"""AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101) on stacked replicas, with one rate per replica.

``torch.optim.AdamW`` takes one rate for all of a tensor. ``update`` is the plain form; on CUDA ``fused_update`` does
the same in one pass over memory, which is what a step's time is made of. Tests compare the two, in float64 too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Rates:
    """What an update needs besides its tensors; everything on the device, in the weights' type."""

    lr: Tensor
    """Per replica, [r]."""
    weight_decay: Tensor
    """Per replica, [r]."""
    correction1: Tensor
    """1 − β1^t, one element."""
    correction2: Tensor
    """√(1 − β2^t), one element."""
    constants: Tensor
    """β1, 1 − β1, β2, 1 − β2, eps. As a tensor, because Triton hands plain numbers on in float32, and 1 − 0.999 is then
    off by 2e-5 of itself."""


def constants(beta1: float, beta2: float, eps: float, like: Tensor) -> Tensor:
    """Return the ``constants`` of ``Rates``, rounded once, from float64."""
    return torch.tensor([beta1, 1.0 - beta1, beta2, 1.0 - beta2, eps], dtype=like.dtype, device=like.device)


def update(p: Tensor, g: Tensor, m: Tensor, v: Tensor, rates: Rates, scale: Tensor | None) -> None:
    """Do one step in place, on tensors [r, …]; ``scale`` [r] multiplies the gradient first (clipping)."""
    shape = (-1, *([1] * (p.dim() - 1)))
    _, one_minus_beta1, beta2, one_minus_beta2, eps = rates.constants
    lr = rates.lr.view(shape)
    if scale is not None:
        g = g * scale.view(shape)
    m.lerp_(g, one_minus_beta1)
    v.mul_(beta2).add_(g.square().mul_(one_minus_beta2))
    p.mul_(1.0 - lr * rates.weight_decay.view(shape))
    p.sub_(lr / rates.correction1 * m / (v.sqrt() / rates.correction2 + eps))


def fused_update(p: Tensor, g: Tensor, m: Tensor, v: Tensor, rates: Rates, scale: Tensor | None) -> None:
    """Do as ``update`` does, in one Triton kernel; ``p``, ``m`` and ``v`` contiguous, CUDA only."""
    size = p[0].numel()
    block = 1024
    _kernel()[(-(-size // block), p.shape[0])](
        p, g.contiguous(), m, v,
        rates.lr, rates.weight_decay, rates.correction1, rates.correction2, rates.constants,
        scale if scale is not None else rates.lr, size, CLIP=scale is not None, BLOCK=block,
    )  # fmt: skip


@cache
def _kernel() -> Any:
    """Return the kernel, compiled at first use: Triton comes with PyTorch's CUDA builds only."""
    import triton
    import triton.language as tl

    @triton.jit  # type: ignore[untyped-decorator]
    def adamw(p, g, m, v, lr, decay, c1, c2, constants, scale, size, CLIP: tl.constexpr, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
        r = tl.program_id(1)
        at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
        inside = at < size
        at += r.to(tl.int64) * size
        rate = tl.load(lr + r)
        grad = tl.load(g + at, mask=inside)
        if CLIP:
            grad = grad * tl.load(scale + r)
        first = tl.load(m + at, mask=inside)
        first = first + (grad - first) * tl.load(constants + 1)
        second = tl.load(v + at, mask=inside) * tl.load(constants + 2) + grad * grad * tl.load(constants + 3)
        kept = tl.load(p + at, mask=inside)
        kept = kept - kept * (rate * tl.load(decay + r))
        moved = rate / tl.load(c1) * first / (tl.sqrt(second) / tl.load(c2) + tl.load(constants + 4))
        tl.store(m + at, first, mask=inside)
        tl.store(v + at, second, mask=inside)
        tl.store(p + at, kept - moved, mask=inside)

    return adamw


def max_update(beta1: float, beta2: float) -> float:
    """Return how far a step can move a weight at most, in units of the rate, weight decay apart.

    m̂ = Σ aᵢgᵢ and v̂ = Σ bᵢgᵢ² are weighted means over the steps so far, so |m̂|/√v̂ ≤ √(Σ aᵢ²/bᵢ) (Cauchy and Schwarz),
    whatever the gradients. This is its limit for late steps. Step t's bound is √((1 − β2ᵗ)(1 − qᵗ)) / (1 − β1ᵗ) of it,
    q = β1²/β2, and that is never more than 1, because β1 is the geometric mean of β2 and q. Infinite where β1² ≥ β2,
    under which v forgets what m still holds.
    """
    if beta1 > 0 and beta1**2 >= beta2:
        return math.inf
    ratio = beta1**2 / beta2 if beta1 else 0.0
    return (1 - beta1) / math.sqrt((1 - beta2) * (1 - ratio))


def clip_scales(gradients: list[Tensor], largest: float) -> Tensor:
    """Return per replica the factor that brings the joint norm of [r, …] tensors down to ``largest``, [r].

    As ``torch.nn.utils.clip_grad_norm_``, which on stacked tensors would mix replicas. NaN where the norm is no finite
    number: a factor of 0 would stop these tensors from training without a trace, NaN is found in the weights.
    """
    norms = torch.stack([torch.linalg.vector_norm(g.flatten(1), dim=1) for g in gradients])
    joint: Tensor = torch.linalg.vector_norm(norms, dim=0)
    return torch.where(joint.isfinite(), (largest / (joint + 1e-6)).clamp(max=1.0), float("nan"))
