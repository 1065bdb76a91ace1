"""AdamW (arXiv 1711.05101): over the flat weights, and behind gradients that are never stored."""

from __future__ import annotations

import triton
import triton.language as tl

from harness.training.steps.kernels.triton.common import pixel_product, tile_of


@triton.jit
def adamw_step(
    p, m, v, at, kept, first, second, grad, lr, weight_decay, corrections, tick, constants, r, ahead, mask
):  # fmt: skip
    """A replica's weights and moments at ``at`` one step on from what they were: ``kept``, ``first``, ``second``.

    corrections [step, 2]: 1 − β1^t and √(1 − β2^t). constants: β1, 1 − β1, β2, 1 − β2, ε, as in ``batched.adamw``.
    """
    now = corrections + (tl.load(tick) + ahead) * 2
    rate, decay, c1, c2 = tl.load(lr + r), tl.load(weight_decay + r), tl.load(now), tl.load(now + 1)
    first = first + (grad - first) * tl.load(constants + 1)
    second = second * tl.load(constants + 2) + grad * grad * tl.load(constants + 3)
    kept = kept - kept * (rate * decay)
    moved = rate / c1 * first / (tl.sqrt(second) * (1.0 / c2) + tl.load(constants + 4))
    tl.store(m + at, first, mask=mask)
    tl.store(v + at, second, mask=mask)
    tl.store(p + at, kept - moved, mask=mask)


@triton.jit(do_not_specialize=["ahead", "layers", "first"], do_not_specialize_on_alignment=["chunks"])
def update(
    p, m, v, gradient, squares, largest, lr, weight_decay, corrections, tick, constants, groups, chunks,
    stride, gradient_stride, skipped, slots, layers, first, ahead,
    SLOTS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """One step of what is not updated behind its gradient. groups[chunk]: a block's number, −1 unclipped, −2 frozen.

    A block's gradient is scaled by min(1, largest[r] / (norm + 1e-6)), norm² = Σ of its slots; by NaN where that is no
    finite number, as in ``batched.adamw.clip_scales``, if largest[r] is one. chunks: those that are updated, behind the
    embedding's weight. Grid (chunks, replicas), from ``first`` on.
    """
    chunk = tl.load(chunks + tl.program_id(0))
    group = tl.load(groups + chunk)
    if group > -2:
        r = (first + tl.program_id(1)).to(tl.int64)
        at = chunk * BLOCK + tl.arange(0, BLOCK)
        grad = tl.load(gradient + r * gradient_stride + at)
        if group >= 0:
            parts = tl.arange(0, SLOTS)
            square = tl.load(squares + (r * layers + group) * slots + parts, mask=parts < slots, other=0.0)
            limit, norm = tl.load(largest + r), tl.sqrt(tl.sum(square))
            scale = tl.minimum(limit / (norm + 1e-6), 1.0)
            known = (norm < float("inf")) | (limit == float("inf"))  # comparisons, which NaN fails
            grad = grad * tl.where(known, scale, float("nan"))
        at += r * stride + skipped
        adamw_step(
            p, m, v, at, tl.load(p + at), tl.load(m + at), tl.load(v + at), grad,
            lr, weight_decay, corrections, tick, constants, r, ahead, at >= 0,
        )  # fmt: skip


@triton.jit
def prefetch(base, rows, first, LINES: tl.constexpr):
    """Have LINES lines of 128 bytes, from column ``first`` on, brought to the card's cache from each row of float32."""
    lines = base + rows[:, None] + (first + tl.arange(0, LINES) * 32)[None, :]
    tl.inline_asm_elementwise(
        "prefetch.global.L2 [$1]; mov.u32 $0, 0;", "=r,l", [lines], dtype=tl.int32, is_pure=False, pack=1
    )


@triton.jit(do_not_specialize=["ahead", "first"])
def embed_update(
    x, factor, offset, slots, dh, p, m, v, lr, weight_decay, corrections, tick, constants,
    stride, w, first, ahead,
    N, BATCH: tl.constexpr, F: tl.constexpr, D: tl.constexpr, PREFETCH: tl.constexpr,
    BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """dE = xᵀ·dh, and the embedding's weight one step on. Grid (tiles of [F, D], replicas), from ``first`` on.

    x as in ``forward.embed``. With PREFETCH, weights and moments are on their way while the product is made;
    loaded before it they would take its registers. For whole tiles of float32 only, 32 columns at least.
    """
    ins, outs = tile_of(tl.program_id(0), D, BM, BN)
    r = (first + tl.program_id(1)).to(tl.int64)
    source = x + tl.load(slots + r).to(tl.int64) * (N * F)
    real = ins < F
    mask = real[:, None] & (outs < D)[None, :]
    at = r * stride + w + ins[:, None] * D + outs[None, :]
    if PREFETCH:
        rows, left = r * stride + w + ins * D, tl.program_id(0) % tl.cdiv(D, BN) * BN
        prefetch(p, rows, left, BN // 32)
        prefetch(m, rows, left, BN // 32)
        prefetch(v, rows, left, BN // 32)
    total = tl.zeros((BM, BN), dtype=p.dtype.element_ty)
    sent = tl.zeros((BK, BN), dtype=p.dtype.element_ty)
    for start in range(0, BATCH, BK):
        ns = start + tl.arange(0, BK)
        keep = ns < N
        a = tl.load(source + ns[None, :] * F + ins[:, None], mask=real[:, None] & keep[None, :], other=0.0)
        g = tl.load(dh + (r * N + ns[:, None]) * D + outs[None, :], mask=keep[:, None] & (outs < D)[None, :], other=0.0)
        total = pixel_product(a, g, total, PRECISION)
        sent += g
    scale, rest = tl.load(factor + ins, mask=real, other=0.0), tl.load(offset + ins, mask=real, other=0.0)
    grad = total * scale[:, None] + rest[:, None] * tl.sum(sent, 0)[None, :]
    adamw_step(
        p, m, v, at, tl.load(p + at, mask=mask, other=0.0), tl.load(m + at, mask=mask, other=0.0),
        tl.load(v + at, mask=mask, other=0.0), grad,
        lr, weight_decay, corrections, tick, constants, r, ahead, mask,
    )  # fmt: skip
