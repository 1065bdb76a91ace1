"""AdamW (arXiv 1711.05101) on the flat weights, from stored gradients or within the kernel that computes them."""

from __future__ import annotations

import triton
import triton.language as tl

from harness.training.steps.kernels.triton.common import locate_tile, multiply_pixels


@triton.jit
def adamw_step(
    weights, exp_avg, exp_avg_sq, at, weight, avg, avg_sq, grad,
    lr, weight_decay, corrections, epoch_step, constants, r, ahead, mask,
):  # fmt: skip
    """Store a replica's weights and moments at ``at`` after one step from ``weight``, ``avg`` and ``avg_sq``.

    corrections [step, 2]: 1 − β1^t and √(1 − β2^t). constants: β1, 1 − β1, β2, 1 − β2, ε, as in ``batched.adamw``.
    """
    now = corrections + (tl.load(epoch_step) + ahead) * 2
    rate, decay, c1, c2 = tl.load(lr + r), tl.load(weight_decay + r), tl.load(now), tl.load(now + 1)
    avg = avg + (grad - avg) * tl.load(constants + 1)
    avg_sq = avg_sq * tl.load(constants + 2) + grad * grad * tl.load(constants + 3)
    weight = weight - weight * (rate * decay)
    step = rate / c1 * avg / (tl.sqrt(avg_sq) * (1.0 / c2) + tl.load(constants + 4))
    tl.store(exp_avg + at, avg, mask=mask)
    tl.store(exp_avg_sq + at, avg_sq, mask=mask)
    tl.store(weights + at, weight - step, mask=mask)


@triton.jit(do_not_specialize=["ahead", "layers", "first_replica"], do_not_specialize_on_alignment=["chunks"])
def update(
    weights, exp_avg, exp_avg_sq, gradient, square_sums, max_norms,
    lr, weight_decay, corrections, epoch_step, constants, groups, chunks,
    weight_stride, gradient_stride, gradient_start, partials, layers, first_replica, ahead,
    PADDED_PARTIALS: tl.constexpr, BLOCK: tl.constexpr, EPS: tl.constexpr,
):  # fmt: skip
    """Update chunks of weights from stored gradients. groups[chunk]: a block's number, −1 unclipped, −2 frozen.

    A block's gradient is scaled by min(1, max_norms[r] / (norm + EPS)), where norm² is the sum of its partial sums of
    squares; by NaN if max_norms[r] is finite and the norm is not, as in ``batched.adamw.clip_scales``. chunks are
    counted from gradient_start. Grid (chunks, replicas from ``first_replica`` on).
    """
    chunk = tl.load(chunks + tl.program_id(0))
    group = tl.load(groups + chunk)
    if group > -2:
        r = (first_replica + tl.program_id(1)).to(tl.int64)
        at = chunk * BLOCK + tl.arange(0, BLOCK)
        grad = tl.load(gradient + r * gradient_stride + at)
        if group >= 0:
            index = tl.arange(0, PADDED_PARTIALS)
            square = tl.load(square_sums + (r * layers + group) * partials + index, mask=index < partials, other=0.0)
            max_norm, norm = tl.load(max_norms + r), tl.sqrt(tl.sum(square))
            scale = tl.minimum(max_norm / (norm + EPS), 1.0)
            known = (norm < float("inf")) | (max_norm == float("inf"))  # comparisons, which NaN fails
            grad = grad * tl.where(known, scale, float("nan"))
        at += r * weight_stride + gradient_start
        adamw_step(
            weights, exp_avg, exp_avg_sq, at, tl.load(weights + at), tl.load(exp_avg + at), tl.load(exp_avg_sq + at),
            grad,
            lr, weight_decay, corrections, epoch_step, constants, r, ahead, at >= 0,
        )  # fmt: skip


@triton.jit
def prefetch(base, rows, first_column, LINES: tl.constexpr):
    """Prefetch LINES cache lines of 128 bytes, from ``first_column`` on, of each row of float32 into the L2 cache."""
    lines = base + rows[:, None] + (first_column + tl.arange(0, LINES) * 32)[None, :]
    tl.inline_asm_elementwise(
        "prefetch.global.L2 [$1]; mov.u32 $0, 0;", "=r,l", [lines], dtype=tl.int32, is_pure=False, pack=1
    )


@triton.jit(do_not_specialize=["ahead", "first_replica"])
def embed_update(
    x, factor, offset, seed_of_replica, dh, weights, exp_avg, exp_avg_sq,
    lr, weight_decay, corrections, epoch_step, constants,
    weight_stride, embedding, first_replica, ahead,
    N, BATCH: tl.constexpr, F: tl.constexpr, D: tl.constexpr, PREFETCH: tl.constexpr,
    BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Compute dE = xᵀ·dh and update the embedding's weight E.

    x is as in ``forward.embed``. With PREFETCH, weights and moments are brought into the cache during the product;
    loaded before it, they would take its registers. This requires whole tiles of float32 with at least 32 columns.
    Grid (tiles of [F, D], replicas from ``first_replica`` on).
    """
    ins, outs = locate_tile(tl.program_id(0), D, BM, BN)
    r = (first_replica + tl.program_id(1)).to(tl.int64)
    source = x + tl.load(seed_of_replica + r).to(tl.int64) * (N * F)
    real = ins < F
    mask = real[:, None] & (outs < D)[None, :]
    at = r * weight_stride + embedding + ins[:, None] * D + outs[None, :]
    if PREFETCH:
        rows, first_column = r * weight_stride + embedding + ins * D, tl.program_id(0) % tl.cdiv(D, BN) * BN
        prefetch(weights, rows, first_column, BN // 32)
        prefetch(exp_avg, rows, first_column, BN // 32)
        prefetch(exp_avg_sq, rows, first_column, BN // 32)
    total = tl.zeros((BM, BN), dtype=weights.dtype.element_ty)
    dh_sums = tl.zeros((BK, BN), dtype=weights.dtype.element_ty)
    for start in range(0, BATCH, BK):
        ns = start + tl.arange(0, BK)
        keep = ns < N
        a = tl.load(source + ns[None, :] * F + ins[:, None], mask=real[:, None] & keep[None, :], other=0.0)
        g = tl.load(dh + (r * N + ns[:, None]) * D + outs[None, :], mask=keep[:, None] & (outs < D)[None, :], other=0.0)
        total = multiply_pixels(a, g, total, PRECISION)
        dh_sums += g
    scale, rest = tl.load(factor + ins, mask=real, other=0.0), tl.load(offset + ins, mask=real, other=0.0)
    grad = total * scale[:, None] + rest[:, None] * tl.sum(dh_sums, 0)[None, :]
    adamw_step(
        weights, exp_avg, exp_avg_sq, at, tl.load(weights + at, mask=mask, other=0.0),
        tl.load(exp_avg + at, mask=mask, other=0.0), tl.load(exp_avg_sq + at, mask=mask, other=0.0), grad,
        lr, weight_decay, corrections, epoch_step, constants, r, ahead, mask,
    )  # fmt: skip
