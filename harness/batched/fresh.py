"""Random tensors that are fresh at every step, computed on the device as a function of (seed, name, step).

Philox-4x32-10 (Salmon et al. 2011, doi 10.1145/2063384.2063405) in operations on int64. It keeps no state, so a resumed
run draws the same numbers; the step may be a number on the card, so a captured step draws others at every replay; and
a processor and a card draw the same words. ``keyed`` draws what is drawn once, by another generator.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from harness.batched.specs import DrawSpec

MASK = 0xFFFFFFFF
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
INCREMENTS = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10
WORD = 32  # bits

Four = tuple[Tensor, Tensor, Tensor, Tensor]


def philox(counter: Four, key: tuple[Tensor, Tensor]) -> Four:
    """Return the four words of 32 bits that counters and keys of such words give; all int64, shapes broadcast."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(ROUNDS):
        first, second = c0 * MULTIPLIERS[0], c2 * MULTIPLIERS[1]  # wraps around, which leaves all 64 bits right
        c0, c1, c2, c3 = (
            ((second >> WORD) & MASK) ^ c1 ^ k0,
            second & MASK,
            ((first >> WORD) & MASK) ^ c3 ^ k1,
            first & MASK,
        )
        k0, k1 = (k0 + INCREMENTS[0]) & MASK, (k1 + INCREMENTS[1]) & MASK
    return c0, c1, c2, c3


def words(keys: Tensor, step: Tensor, count: int) -> Tensor:
    """Return ``count`` words per replica: keys int64 [r, 2], step int64 with one element → int64 [r, count]."""
    # Of a bare arange torch.compile knows that it is an index: it would multiply it as one, of 32 bits, on a card.
    block = torch.arange(-(-count // 4), device=keys.device) + (step & 0)
    zero = torch.zeros_like(block)
    counter = (block, zero, zero + (step & MASK), zero + (step >> WORD))
    four = philox(counter, (keys[:, :1], keys[:, 1:]))
    return torch.stack(four, dim=-1).flatten(1)[:, :count]


def draw(spec: DrawSpec, keys: Tensor, step: Tensor, batch: int, dtype: torch.dtype) -> Tensor:
    """Draw a tensor for each replica, [r, …], at a step: keys int64 [r, 2], step int64 with one element, from 0.

    Uniform numbers and signs are the same on every device. Normals are not, in their last digits.
    """
    shape = [batch if size is None else size for size in spec.shape]
    count, scale, replicas = math.prod(shape), spec.init.scale, len(keys)
    if spec.init.kind == "constant":
        return torch.full((replicas, *shape), scale, dtype=dtype, device=keys.device)
    if spec.init.kind == "sign":
        packed = words(keys, step, -(-count // WORD))
        bits = (packed.unsqueeze(-1) >> torch.arange(WORD, device=keys.device)) & 1
        flat = (2.0 * scale * bits.flatten(1)[:, :count] - scale).to(dtype)
    elif spec.init.kind == "integer":
        flat = (words(keys, step, count) * int(scale)) >> WORD
    else:
        fine = words(keys, step, count) >> 8  # 24 bits, which float32 holds
        if spec.init.kind == "uniform":
            flat = (scale * (2.0 * (fine.to(dtype) * 2.0**-24) - 1.0)).to(dtype)
        else:  # in float64, because float32 would round the largest to 1, whose normal is infinite
            flat = (scale * torch.special.ndtri((fine.double() + 0.5) * 2.0**-24)).to(dtype)
    return flat.view(replicas, *shape)
