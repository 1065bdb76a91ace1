"""AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101) on stacked replicas, with one rate per replica.

``torch.optim.AdamW`` takes one rate for all of a tensor. ``update`` is the plain form; on CUDA ``fused_update`` does
the same in one pass over memory, which is what a step's time is made of. Tests compare the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Rates:
    """What varies over replicas, [r] each, and what varies over steps, one element each; all on the device."""

    lr: Tensor
    weight_decay: Tensor
    correction1: Tensor
    """1 − β1^t."""
    correction2: Tensor
    """√(1 − β2^t)."""


def update(
    p: Tensor,
    g: Tensor,
    m: Tensor,
    v: Tensor,
    rates: Rates,
    scale: Tensor | None,
    betas: tuple[float, float],
    eps: float,
) -> None:
    """One step in place, on tensors [r, …]; ``scale`` [r] multiplies the gradient first (clipping)."""
    shape = (-1, *([1] * (p.dim() - 1)))
    lr = rates.lr.view(shape)
    if scale is not None:
        g = g * scale.view(shape)
    m.lerp_(g, 1.0 - betas[0])
    v.mul_(betas[1]).addcmul_(g, g, value=1.0 - betas[1])
    p.mul_(1.0 - lr * rates.weight_decay.view(shape))
    p.sub_(lr / rates.correction1 * m / (v.sqrt() / rates.correction2 + eps))


def fused_update(
    p: Tensor,
    g: Tensor,
    m: Tensor,
    v: Tensor,
    rates: Rates,
    scale: Tensor | None,
    betas: tuple[float, float],
    eps: float,
) -> None:
    """As ``update``, in one Triton kernel; ``p``, ``m`` and ``v`` contiguous, CUDA only."""
    g = g.contiguous()
    size = p[0].numel()
    block = 1024
    kernel = _kernel()
    kernel[(-(-size // block), p.shape[0])](
        p, g, m, v, rates.lr, rates.weight_decay, rates.correction1, rates.correction2,
        scale if scale is not None else rates.lr, size, betas[0], betas[1], eps,
        CLIP=scale is not None, BLOCK=block,
    )  # fmt: skip


@cache
def _kernel() -> Any:
    """The kernel, compiled at first use: Triton comes with PyTorch's CUDA builds only."""
    import triton
    import triton.language as tl

    @triton.jit  # type: ignore[untyped-decorator]
    def adamw(p, g, m, v, lr, decay, c1, c2, scale, size, beta1, beta2, eps, CLIP: tl.constexpr, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
        r = tl.program_id(1)
        at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
        inside = at < size
        at += r.to(tl.int64) * size
        rate = tl.load(lr + r)
        grad = tl.load(g + at, mask=inside)
        if CLIP:
            grad = grad * tl.load(scale + r)
        first = tl.load(m + at, mask=inside)
        first = first + (grad - first) * (1.0 - beta1)
        second = tl.load(v + at, mask=inside) * beta2 + grad * grad * (1.0 - beta2)
        weight = tl.load(p + at, mask=inside) * (1.0 - rate * tl.load(decay + r))
        weight = weight - rate / tl.load(c1) * first / (tl.sqrt(second) / tl.load(c2) + eps)
        tl.store(m + at, first, mask=inside)
        tl.store(v + at, second, mask=inside)
        tl.store(p + at, weight, mask=inside)

    return adamw


def clip_scales(gradients: list[Tensor], largest: float) -> Tensor:
    """Per replica, the factor that brings the joint norm of [r, …] tensors down to ``largest``, [r].

    As ``torch.nn.utils.clip_grad_norm_``, which on stacked tensors would mix replicas.
    """
    squares = torch.stack([g.flatten(1).square().sum(1) for g in gradients])
    return (largest / (squares.sum(0).sqrt() + 1e-6)).clamp(max=1.0)
