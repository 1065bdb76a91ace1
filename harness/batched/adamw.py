"""AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101) on stacked replicas, with one learning rate per replica.

``torch.optim.AdamW`` takes one learning rate per tensor. ``update`` is the reference; on CUDA ``fused_update`` computes
the same in a single pass over memory, which dominates the time of a step. Tests compare the two, in float64 too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from harness.system.storage import give_working_folder

CLIP_EPS = 1e-6
"""Number that is added to the norm of a gradient that is clipped, as in PyTorch."""


@dataclass(frozen=True)
class Rates:
    """The inputs of an update besides its tensors, all on the device and in the weights' type."""

    lr: Tensor
    """Learning rate per replica, [r]."""
    weight_decay: Tensor
    """Weight decay per replica, [r]."""
    correction1: Tensor
    """Bias correction 1 − β1^t, one element."""
    correction2: Tensor
    """Bias correction √(1 − β2^t), one element."""
    constants: Tensor
    """The numbers β1, 1 − β1, β2, 1 − β2, eps, as a tensor because Triton passes plain numbers in float32, where
    1 − 0.999 has a relative error of 2e-5."""


def correct_bias(step: Tensor, beta1: float, beta2: float, like: Tensor) -> dict[str, Tensor]:
    """Return the bias corrections of a step, float64 with one element, from 1, in the type of ``like``."""
    return {
        "correction1": (1.0 - beta1**step).to(like.dtype),
        "correction2": ((1.0 - beta2**step) ** 0.5).to(like.dtype),
    }


@cache
def keep_constants(beta1: float, beta2: float, eps: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return ``constants``, made once: a card captures no copy from the processor."""
    return constants(beta1, beta2, eps, torch.empty((), dtype=dtype, device=device))


def constants(beta1: float, beta2: float, eps: float, like: Tensor) -> Tensor:
    """Return the ``constants`` of ``Rates``, rounded once, from float64."""
    return torch.tensor([beta1, 1.0 - beta1, beta2, 1.0 - beta2, eps], dtype=like.dtype, device=like.device)


def update(
    param: Tensor, grad: Tensor, exp_avg: Tensor, exp_avg_sq: Tensor, rates: Rates, scale: Tensor | None
) -> None:
    """Do one step in place, on tensors [r, …]; ``scale`` [r] first multiplies the gradient (clipping)."""
    shape = (-1, *([1] * (param.dim() - 1)))
    _, one_minus_beta1, beta2, one_minus_beta2, eps = rates.constants
    lr = rates.lr.view(shape)
    if scale is not None:
        grad = grad * scale.view(shape)
    exp_avg.lerp_(grad, one_minus_beta1)
    exp_avg_sq.mul_(beta2).add_(grad.square().mul_(one_minus_beta2))
    param.mul_(1.0 - lr * rates.weight_decay.view(shape))
    param.sub_(lr / rates.correction1 * exp_avg / (exp_avg_sq.sqrt() / rates.correction2 + eps))


def fused_update(
    param: Tensor, grad: Tensor, exp_avg: Tensor, exp_avg_sq: Tensor, rates: Rates, scale: Tensor | None
) -> None:
    """Do the same as ``update`` in one Triton kernel; the weights and moments must be contiguous and on CUDA."""
    size = param[0].numel()
    block = 1024
    _kernel()[(-(-size // block), param.shape[0])](
        param, grad.contiguous(), exp_avg, exp_avg_sq,
        rates.lr, rates.weight_decay, rates.correction1, rates.correction2, rates.constants,
        scale if scale is not None else rates.lr, size, CLIP=scale is not None, BLOCK=block,
    )  # fmt: skip


@cache
def _kernel() -> Any:
    """Return the kernel, compiled at first use, because Triton comes with PyTorch's CUDA builds only."""
    import triton
    import triton.language as tl

    give_working_folder("TRITON_CACHE_DIR", "triton")

    @triton.jit  # type: ignore[untyped-decorator]
    def adamw(  # type: ignore[no-untyped-def]
        weights, gradient, exp_avg, exp_avg_sq, lr, decay, c1, c2, constants, scale, size,
        CLIP: tl.constexpr, BLOCK: tl.constexpr,
    ):  # fmt: skip
        r = tl.program_id(1)
        at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
        inside = at < size
        at += r.to(tl.int64) * size
        rate = tl.load(lr + r)
        grad = tl.load(gradient + at, mask=inside)
        if CLIP:
            grad = grad * tl.load(scale + r)
        avg = tl.load(exp_avg + at, mask=inside)
        avg = avg + (grad - avg) * tl.load(constants + 1)
        avg_sq = tl.load(exp_avg_sq + at, mask=inside) * tl.load(constants + 2) + grad * grad * tl.load(constants + 3)
        weight = tl.load(weights + at, mask=inside)
        weight = weight - weight * (rate * tl.load(decay + r))
        step = rate / tl.load(c1) * avg / (tl.sqrt(avg_sq) / tl.load(c2) + tl.load(constants + 4))
        tl.store(exp_avg + at, avg, mask=inside)
        tl.store(exp_avg_sq + at, avg_sq, mask=inside)
        tl.store(weights + at, weight - step, mask=inside)

    return adamw


def max_update(beta1: float, beta2: float) -> float:
    """Return the largest distance that a step can move a weight, in units of the learning rate, without weight decay.

    m̂ = Σ aᵢgᵢ and v̂ = Σ bᵢgᵢ² are weighted means over the steps so far, so |m̂|/√v̂ ≤ √(Σ aᵢ²/bᵢ) (Cauchy and
    Schwarz), whatever the gradients. This is the limit of that bound for late steps. The bound for step t is
    √((1 − β2ᵗ)(1 − qᵗ)) / (1 − β1ᵗ) of it, with q = β1²/β2, which never exceeds 1, because β1 is the geometric mean of
    β2 and q. The distance is infinite where β1² ≥ β2, because v then forgets faster than m².
    """
    if beta1 > 0 and beta1**2 >= beta2:
        return math.inf
    ratio = beta1**2 / beta2 if beta1 else 0.0
    return (1 - beta1) / math.sqrt((1 - beta2) * (1 - ratio))


def clip_scales(gradients: list[Tensor], largest: float) -> Tensor:
    """Return the factor for each replica, [r], that brings the joint norm of [r, …] tensors down to ``largest``.

    This is ``torch.nn.utils.clip_grad_norm_`` per replica, which on stacked tensors would mix replicas. The factor is
    NaN where the norm is not finite: 0 would stop these tensors from training without a trace, whereas NaN shows up in
    the weights.
    """
    norms = torch.stack([torch.linalg.vector_norm(grad.flatten(1), dim=1) for grad in gradients])
    joint: Tensor = torch.linalg.vector_norm(norms, dim=0)
    return torch.where(joint.isfinite(), (largest / (joint + CLIP_EPS)).clamp(max=1.0), float("nan"))
