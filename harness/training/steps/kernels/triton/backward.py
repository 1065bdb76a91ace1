"""Kernels of the backward pass: credit for the blocks under each rule, and gradients of weights and vectors."""

from __future__ import annotations

import triton
import triton.language as tl

from harness.training.steps.kernels.triton.common import locate_tile, multiply, raise_amax, scale_of, unscale
from harness.training.steps.kernels.triton.update import adamw_step


@triton.jit
def feed(error, seed_of_replica, y, r, rows, N, C: tl.constexpr, CP: tl.constexpr, FED: tl.constexpr):
    """Load what is fed back of some samples: the error, its sign, −t for t = onehot(y), or 1/C − t for ``centred``."""
    classes = tl.arange(0, CP)
    known = (rows < N)[:, None] & (classes < C)[None, :]
    e = tl.load(error + (r * N + rows[:, None]) * C + classes[None, :], mask=known, other=0.0)
    if FED == "sign":  # what is no number stays none
        e = tl.where(e > 0, 1.0, tl.where(e < 0, -1.0, 0.0)).to(e.dtype) + e * 0.0
    if FED == "targets" or FED == "centred":
        label = tl.load(y + tl.load(seed_of_replica + r) * N + rows, mask=rows < N, other=0)
        hit = tl.where(classes[None, :] == label[:, None], 1.0, 0.0).to(e.dtype)
        e = tl.where(known, (1.0 - hit * C) / C if FED == "centred" else -hit, 0.0)
    return e


@triton.jit(do_not_specialize=["first_replica", "group_start", "group_size", "replicas"])
def credit(
    error, seed_of_replica, y, feedback, f, slope, df, dh, amax_df, replicas, first_replica, group_start, group_size,
    N, D: tl.constexpr, C: tl.constexpr, DP: tl.constexpr, CP: tl.constexpr, PENALTY: tl.constexpr,
    FED: tl.constexpr, NORMALIZE: tl.constexpr, EMBEDDING: tl.constexpr, BLOCKS: tl.constexpr,
    SCALED: tl.constexpr, EPS: tl.constexpr, BM: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Compute direct feedback: a_l = error·B_l, â_l = a_l / (rms(a_l) + EPS), df_l = (â_l + slope·f_l)/N, dh = â_0/N.

    What ``FED`` says takes the error's place, and the root mean square is that of a sample, of all samples, or 1, as
    ``NORMALIZE`` says. dh is written with EMBEDDING, df with BLOCKS. feedback [l, ``group_size`` replicas from
    ``group_start`` on, C, D]. Grid (row tiles, matrices, replicas from ``first_replica`` on).
    """
    rows = tl.program_id(0) * BM + tl.arange(0, BM)
    layer, r = tl.program_id(1), (first_replica + tl.program_id(2)).to(tl.int64)
    wide, classes = tl.arange(0, DP), tl.arange(0, CP)
    inside = rows < N
    known = classes < C
    e = feed(error, seed_of_replica, y, r, rows, N, C, CP, FED)
    matrix = feedback + (layer * group_size + r - group_start) * (C * D)
    b = tl.load(matrix + classes[:, None] * D + wide[None, :], mask=known[:, None] & (wide < D)[None, :], other=0.0)
    a = multiply(e, b, tl.zeros((BM, DP), dtype=error.dtype.element_ty), PRECISION)
    if NORMALIZE == "sample":
        a = a / (tl.sqrt(tl.sum(a * a, 1) / D) + EPS)[:, None]
    if NORMALIZE == "batch":  # each program adds up all samples: a few small products, and no wait for the others
        squares = tl.zeros((BM,), dtype=error.dtype.element_ty)
        for first in range(0, N, BM):
            others = feed(error, seed_of_replica, y, r, first + tl.arange(0, BM), N, C, CP, FED)
            again = multiply(others, b, tl.zeros((BM, DP), dtype=error.dtype.element_ty), PRECISION)
            squares += tl.sum(again * again, 1)
        a = a / (tl.sqrt(tl.sum(squares, 0) / N / D) + EPS)
    real = inside[:, None] & (wide < D)[None, :]
    at = rows[:, None] * D + wide[None, :]
    if EMBEDDING and layer == 0:
        tl.store(dh + r * (N * D) + at, a / N, mask=real)
    if BLOCKS:
        at += (layer * replicas + r) * (N * D)
        if PENALTY:
            a += tl.load(f + at, mask=real, other=0.0) * tl.load(slope + r)
        a = a / N
        tl.store(df + at, a, mask=real)
        raise_amax(amax_df, layer * replicas + r, a, SCALED)


@triton.jit(do_not_specialize=["first_replica", "first_layer", "replicas", "layer_stride"])
def back_linear(
    dout, weights, slopes, din, amax_out, amax_w, amax_in, layer_stride, replicas, stride, blocks, block_stride,
    first_layer, first_replica, w,
    N, IN: tl.constexpr, OUT: tl.constexpr, SLOPE: tl.constexpr, SCALED: tl.constexpr,
    BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Compute din_l = dout_l·Wᵀ, W [IN, OUT], multiplied by slopes_l = act'(z_l) with SLOPE.

    Layers of din lie ``layer_stride`` replicas apart; 0 if it holds one layer only. Grid (tiles, layers, replicas from
    ``first_replica`` on).
    """
    rows, cols = locate_tile(tl.program_id(0), IN, BM, BN)
    layer, r = first_layer + tl.program_id(1), (first_replica + tl.program_id(2)).to(tl.int64)
    weight = weights + r * stride + blocks + layer * block_stride + w
    index = layer * replicas + r
    source = dout + index * (N * OUT)
    scale, scale_w = scale_of(amax_out, index, SCALED), scale_of(amax_w, index, SCALED)
    total = tl.zeros((BM, BN), dtype=dout.dtype.element_ty)
    for start in range(0, OUT, BK):
        ks = start + tl.arange(0, BK)
        keep = ks < OUT
        a = tl.load(source + rows[:, None] * OUT + ks[None, :], mask=(rows < N)[:, None] & keep[None, :], other=0.0)
        matrix = tl.load(
            weight + cols[None, :] * OUT + ks[:, None], mask=keep[:, None] & (cols < IN)[None, :], other=0.0
        )
        total = multiply(a * scale, matrix * scale_w, total, PRECISION)
    total = unscale(total, scale, scale_w, SCALED)
    inside = (rows < N)[:, None] & (cols < IN)[None, :]
    at = index * (N * IN) + rows[:, None] * IN + cols[None, :]
    if SLOPE:
        total = total * tl.load(slopes + at, mask=inside, other=0.0)
        raise_amax(amax_in, index, total, SCALED)
    tl.store(din + (layer * layer_stride + r) * (N * IN) + rows[:, None] * IN + cols[None, :], total, mask=inside)


@triton.jit(do_not_specialize=["first_replica", "layer", "replicas"])
def back_norm(
    du, h, stats, f, weights, slope, dh, df, amax_df, norm_sums, replicas, stride, blocks, block_stride, layer,
    first_replica, gamma,
    N, D: tl.constexpr, DP: tl.constexpr, PARTIALS: tl.constexpr, SKIP: tl.constexpr, PENALTY: tl.constexpr,
    SCALED: tl.constexpr, BM: tl.constexpr,
):  # fmt: skip
    """Add the layer norm's gradient of du to dh (with SKIP, else replace dh); df_{l−1} = dh_l + slope·f_{l−1}/N.

    du [r, n, d]. The tile's partial sums of dγ = Σ du·x̂ and dβ = Σ du, where x̂ is the normalised row, go to
    norm_sums[l, r, 2, row tile, D]. Grid (row tiles of a full batch, replicas from ``first_replica`` on through which
    gradients flow).
    """
    rows = tl.program_id(0) * BM + tl.arange(0, BM)
    r = (first_replica + tl.program_id(1)).to(tl.int64)
    wide = tl.arange(0, DP)
    inside = rows < N
    real = inside[:, None] & (wide < D)[None, :]
    flat = rows[:, None] * D + wide[None, :]
    at = (layer * replicas + r) * (N * D) + flat
    row_stats = stats + ((layer * replicas + r) * N + rows) * 2
    mean = tl.load(row_stats, mask=inside, other=0.0)
    rstd = tl.load(row_stats + 1, mask=inside, other=0.0)
    scale = tl.load(weights + r * stride + blocks + layer * block_stride + gamma + wide, mask=wide < D, other=0.0)
    sent = tl.load(du + r * (N * D) + flat, mask=real, other=0.0)
    normalised = (tl.load(h + at, mask=real, other=0.0) - mean[:, None]) * rstd[:, None]
    normalised = tl.where(real, normalised, 0.0)
    partial = norm_sums + ((layer * replicas + r) * 2 * PARTIALS + tl.program_id(0)) * D + wide
    tl.store(partial, tl.sum(sent * normalised, 0), mask=wide < D)
    tl.store(partial + PARTIALS * D, tl.sum(sent, 0), mask=wide < D)
    back = sent * scale[None, :]
    back = back - tl.sum(back, 1)[:, None] / D - normalised * (tl.sum(back * normalised, 1) / D)[:, None]
    back = back * rstd[:, None]
    here = dh + r * (N * D) + flat
    if SKIP:
        back += tl.load(here, mask=real, other=0.0)
    tl.store(here, back, mask=real)
    if layer > 0:
        below = at - replicas * (N * D)
        if PENALTY:
            back += tl.load(f + below, mask=real, other=0.0) * (tl.load(slope + r) / N)
        tl.store(df + below, back, mask=real)
        raise_amax(amax_df, (layer - 1) * replicas + r, back, SCALED)


@triton.jit(do_not_specialize=["first_partial", "first_replica", "replicas", "ahead"])
def weight_gradient(
    source, stats, dout, amax_in, amax_out, weights, exp_avg, exp_avg_sq, gradient, square_sums, norm_sums,
    gradients_flow, lr, weight_decay, corrections, epoch_step, constants, replicas, stride,
    gradient_stride, blocks, block_stride, gradient_start, gamma, beta, w, b, partials, first_partial, first_replica,
    ahead,
    N, BATCH: tl.constexpr, IN: tl.constexpr, OUT: tl.constexpr, NORM: tl.constexpr, PARTIALS: tl.constexpr,
    STEP: tl.constexpr, SCALED: tl.constexpr,
    BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Compute dW_l = inᵀ·dout_l, where in = LN(h_l) with NORM, else u_l, and db_l = Σ dout_l, over samples.

    With NORM, in = γ·x̂ + β, where x̂ is the normalised h_l, so G = x̂ᵀ·dout gives dW = γ·G + β·Σ dout. Where no
    gradient flows on through the layer norm (gradients_flow; elsewhere ``back_norm`` does this), it also gives
    dγ = Σ_out G·W and dβ = W·Σ dout, whose partial sums per tile go to norm_sums[l, r, 2, column tile, IN].
    square_sums[r, l, partial] receives the sum of squares of the tile, plus that of db in the uppermost tiles.
    ``gradient_start`` is the offset of the gradient's flat tensor in that of the weights. With STEP, for replicas
    through which gradients flow and that are not clipped, W is updated here, and only db is stored. Grid (tiles, L,
    replicas from ``first_replica`` on).
    """
    ins, outs = locate_tile(tl.program_id(0), OUT, BM, BN)
    layer, r = tl.program_id(1), (first_replica + tl.program_id(2)).to(tl.int64)
    own = blocks + layer * block_stride
    at = layer * replicas + r
    scale_in = scale_of(amax_in, at, SCALED)
    scale_out = scale_of(amax_out, at, SCALED)
    total = tl.zeros((BM, BN), dtype=dout.dtype.element_ty)
    bias_sums = tl.zeros((BK, BN), dtype=dout.dtype.element_ty)
    for start in range(0, BATCH, BK):
        ns = start + tl.arange(0, BK)
        keep = ns < N
        a = tl.load(
            source + (at * N + ns[None, :]) * IN + ins[:, None], mask=(ins < IN)[:, None] & keep[None, :], other=0.0
        )
        if NORM:
            row_stats = stats + (at * N + ns) * 2
            mean = tl.load(row_stats, mask=keep, other=0.0)
            rstd = tl.load(row_stats + 1, mask=keep, other=0.0)
            a = (a - mean[None, :]) * (rstd * scale_in)[None, :]
        else:
            a = a * scale_in
        g = tl.load(
            dout + (at * N + ns[:, None]) * OUT + outs[None, :], mask=keep[:, None] & (outs < OUT)[None, :], other=0.0
        )
        total = multiply(a, g * scale_out, total, PRECISION)
        bias_sums += g
    total = unscale(total, scale_in, scale_out, SCALED)
    bias_gradient = tl.sum(bias_sums, 0)
    inside = (ins < IN)[:, None] & (outs < OUT)[None, :]
    owned = weights + r * stride + own
    total = tl.where(inside, total, 0.0)
    if NORM:
        if not STEP and tl.load(gradients_flow + r) == 0:
            matrix = tl.load(owned + w + ins[:, None] * OUT + outs[None, :], mask=inside, other=0.0)
            partial = norm_sums + (at * 2 * PARTIALS + tl.program_id(0) % tl.cdiv(OUT, BN)) * IN + ins
            tl.store(partial, tl.sum(total * matrix, 1), mask=ins < IN)
            tl.store(partial + PARTIALS * IN, tl.sum(matrix * bias_gradient[None, :], 1), mask=ins < IN)
        scale = tl.load(owned + gamma + ins, mask=ins < IN, other=0.0)
        offset = tl.load(owned + beta + ins, mask=ins < IN, other=0.0)
        total = total * scale[:, None] + offset[:, None] * bias_gradient[None, :]
    out = gradient + r * gradient_stride + own - gradient_start
    uppermost = tl.program_id(0) < tl.cdiv(OUT, BN)
    if uppermost:
        tl.store(out + b + outs, bias_gradient, mask=outs < OUT)
    if STEP:
        place = r * stride + own + w + ins[:, None] * OUT + outs[None, :]
        adamw_step(
            weights, exp_avg, exp_avg_sq, place, tl.load(weights + place, mask=inside, other=0.0),
            tl.load(exp_avg + place, mask=inside, other=0.0), tl.load(exp_avg_sq + place, mask=inside, other=0.0),
            total, lr, weight_decay, corrections, epoch_step, constants, r, ahead, inside,
        )  # fmt: skip
    else:
        tl.store(out + w + ins[:, None] * OUT + outs[None, :], total, mask=inside)
        square = tl.sum(total * total)
        if uppermost:
            square += tl.sum(bias_gradient * bias_gradient)
        tl.store(square_sums + (r * tl.num_programs(1) + layer) * partials + first_partial + tl.program_id(0), square)


@triton.jit(do_not_specialize=["first_partial", "replicas"])
def norm_vectors(
    norm_sums, gradient, square_sums, replicas, gradient_stride, blocks, block_stride, gradient_start,
    gamma, beta, partials, first_partial, D: tl.constexpr, PARTIALS: tl.constexpr, BN: tl.constexpr,
):  # fmt: skip
    """Add up a layer norm's dγ and dβ from their partial sums. Grid (D / BN, L, R)."""
    cols = tl.program_id(0) * BN + tl.arange(0, BN)
    layer, r = tl.program_id(1), tl.program_id(2).to(tl.int64)
    at = layer * replicas + r
    g_gamma = tl.zeros((BN,), dtype=norm_sums.dtype.element_ty)
    g_beta = tl.zeros((BN,), dtype=norm_sums.dtype.element_ty)
    for partial in range(PARTIALS):
        place = norm_sums + (at * 2 * PARTIALS + partial) * D + cols
        g_gamma += tl.load(place, mask=cols < D, other=0.0)
        g_beta += tl.load(place + PARTIALS * D, mask=cols < D, other=0.0)
    out = gradient + r * gradient_stride + blocks + layer * block_stride - gradient_start
    tl.store(out + gamma + cols, g_gamma, mask=cols < D)
    tl.store(out + beta + cols, g_beta, mask=cols < D)
    square = tl.sum(g_gamma * g_gamma + g_beta * g_beta)
    tl.store(square_sums + (r * tl.num_programs(1) + layer) * partials + first_partial + tl.program_id(0), square)


@triton.jit(do_not_specialize=["layers", "replicas"])
def end_vectors(
    h, stats, weights, error, dhn, dh, gradient, replicas, stride, gradient_stride, gradient_start, layers,
    b0, gamma, beta, w, b,
    N, BATCH: tl.constexpr, D: tl.constexpr, C: tl.constexpr, CP: tl.constexpr, NORM: tl.constexpr,
    BN: tl.constexpr, BK: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Compute the gradients of the parameters at both ends.

    They are the embedding's bias Σ dh and the head's bias, norm and weight inᵀ·error/N. Grid (D / BN, R).
    """
    cols = tl.program_id(0) * BN + tl.arange(0, BN)
    r = tl.program_id(1).to(tl.int64)
    classes = tl.arange(0, CP)
    at = layers * replicas + r
    zero = tl.zeros((BN,), dtype=h.dtype.element_ty)
    g_b0, g_gamma, g_beta = zero, zero, zero
    g_w = tl.zeros((BN, CP), dtype=h.dtype.element_ty)
    g_b = tl.zeros((CP,), dtype=h.dtype.element_ty)
    if NORM:
        scale = tl.load(weights + r * stride + gamma + cols, mask=cols < D, other=0.0)
        offset = tl.load(weights + r * stride + beta + cols, mask=cols < D, other=0.0)
    for start in range(0, BATCH, BK):
        ns = start + tl.arange(0, BK)
        keep = (ns < N)[:, None] & (cols < D)[None, :]
        head_input = tl.load(h + (at * N + ns[:, None]) * D + cols[None, :], mask=keep, other=0.0)
        if NORM:
            mean = tl.load(stats + (at * N + ns) * 2, mask=ns < N, other=0.0)
            rstd = tl.load(stats + (at * N + ns) * 2 + 1, mask=ns < N, other=0.0)
            normalised = (head_input - mean[:, None]) * rstd[:, None]
            back = tl.load(dhn + (r * N + ns[:, None]) * D + cols[None, :], mask=keep, other=0.0)
            g_gamma += tl.sum(back * normalised, 0)
            g_beta += tl.sum(back, 0)
            head_input = tl.where(keep, normalised * scale[None, :] + offset[None, :], 0.0)
        known = (ns < N)[:, None] & (classes < C)[None, :]
        e = tl.load(error + (r * N + ns[:, None]) * C + classes[None, :], mask=known, other=0.0)
        g_w = multiply(tl.trans(head_input), e, g_w, PRECISION)
        g_b += tl.sum(e, 0)
        g_b0 += tl.sum(tl.load(dh + (r * N + ns[:, None]) * D + cols[None, :], mask=keep, other=0.0), 0)
    out = gradient + r * gradient_stride - gradient_start
    tl.store(out + b0 + cols, g_b0, mask=cols < D)
    tl.store(out + w + cols[:, None] * C + classes[None, :], g_w / N, mask=(cols < D)[:, None] & (classes < C)[None, :])
    if NORM:
        tl.store(out + gamma + cols, g_gamma, mask=cols < D)
        tl.store(out + beta + cols, g_beta, mask=cols < D)
    if tl.program_id(0) == 0:
        tl.store(out + b + classes, g_b / N, mask=classes < C)
