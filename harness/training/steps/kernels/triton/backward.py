"""Backward: what each rule sends to the blocks, and the gradients of weights and vectors."""

from __future__ import annotations

import triton
import triton.language as tl

from harness.training.steps.kernels.triton.common import keep_amax, product, scale_of, tile_of, unscaled
from harness.training.steps.kernels.triton.update import adamw_step


@triton.jit(do_not_specialize=["first", "begin", "own", "replicas"])
def credit(
    error, feedback, f, slope, df, dh, amax_df, replicas, first, begin, own,
    N, D: tl.constexpr, C: tl.constexpr, DP: tl.constexpr, CP: tl.constexpr, PENALTY: tl.constexpr,
    SCALED: tl.constexpr, BM: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Direct feedback: a_l = error·B_l, â_l = a_l / (rms(a_l) + 1e-6); df_l = (â_l + slope·f_l)/N; dh = â_0/N.

    feedback [l, ``own`` replicas from ``begin`` on, C, D]. Grid (row tiles, L, replicas), from ``first`` on.
    """
    rows = tl.program_id(0) * BM + tl.arange(0, BM)
    layer, r = tl.program_id(1), (first + tl.program_id(2)).to(tl.int64)
    wide, classes = tl.arange(0, DP), tl.arange(0, CP)
    inside = rows < N
    known = classes < C
    e = tl.load(
        error + (r * N + rows[:, None]) * C + classes[None, :], mask=inside[:, None] & known[None, :], other=0.0
    )
    matrix = feedback + (layer * own + r - begin) * (C * D)
    b = tl.load(matrix + classes[:, None] * D + wide[None, :], mask=known[:, None] & (wide < D)[None, :], other=0.0)
    a = product(e, b, tl.zeros((BM, DP), dtype=error.dtype.element_ty), PRECISION)
    a = a / (tl.sqrt(tl.sum(a * a, 1) / D) + 1e-6)[:, None]
    real = inside[:, None] & (wide < D)[None, :]
    at = rows[:, None] * D + wide[None, :]
    if layer == 0:
        tl.store(dh + r * (N * D) + at, a / N, mask=real)
    at += (layer * replicas + r) * (N * D)
    if PENALTY:
        a += tl.load(f + at, mask=real, other=0.0) * tl.load(slope + r)
    a = a / N
    tl.store(df + at, a, mask=real)
    keep_amax(amax_df, layer * replicas + r, a, SCALED)


@triton.jit(do_not_specialize=["first", "first_layer", "replicas", "apart"])
def back_linear(
    dout, weights, slopes, din, amax_out, amax_w, amax_in, apart, replicas, stride, blocks, block_stride,
    first_layer, first, w,
    N, IN: tl.constexpr, OUT: tl.constexpr, SLOPE: tl.constexpr, SCALED: tl.constexpr,
    BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """din_l = dout_l·Wᵀ, W [IN, OUT]; with SLOPE times slopes_l, act'(z_l).

    din holds ``apart`` replicas from layer to layer, or with 0 one layer only. Grid (tiles, layers, replicas), from
    ``first`` on.
    """
    rows, cols = tile_of(tl.program_id(0), IN, BM, BN)
    layer, r = first_layer + tl.program_id(1), (first + tl.program_id(2)).to(tl.int64)
    weight = weights + r * stride + blocks + layer * block_stride + w
    place = layer * replicas + r
    source = dout + place * (N * OUT)
    scale, scale_w = scale_of(amax_out, place, SCALED), scale_of(amax_w, place, SCALED)
    total = tl.zeros((BM, BN), dtype=dout.dtype.element_ty)
    for start in range(0, OUT, BK):
        ks = start + tl.arange(0, BK)
        keep = ks < OUT
        a = tl.load(source + rows[:, None] * OUT + ks[None, :], mask=(rows < N)[:, None] & keep[None, :], other=0.0)
        kernel = tl.load(
            weight + cols[None, :] * OUT + ks[:, None], mask=keep[:, None] & (cols < IN)[None, :], other=0.0
        )
        total = product(a * scale, kernel * scale_w, total, PRECISION)
    total = unscaled(total, scale, scale_w, SCALED)
    inside = (rows < N)[:, None] & (cols < IN)[None, :]
    at = place * (N * IN) + rows[:, None] * IN + cols[None, :]
    if SLOPE:
        total = total * tl.load(slopes + at, mask=inside, other=0.0)
        keep_amax(amax_in, place, total, SCALED)
    tl.store(din + (layer * apart + r) * (N * IN) + rows[:, None] * IN + cols[None, :], total, mask=inside)


@triton.jit(do_not_specialize=["first", "layer", "replicas"])
def back_norm(
    du, h, stats, f, weights, slope, dh, df, amax_df, partial, replicas, stride, blocks, block_stride, layer, first,
    gamma,
    N, D: tl.constexpr, DP: tl.constexpr, PARTS: tl.constexpr, SKIP: tl.constexpr, PENALTY: tl.constexpr,
    SCALED: tl.constexpr, BM: tl.constexpr,
):  # fmt: skip
    """dh_l = dh_{l+1} (with SKIP) + the layer norm's gradient of du, in place; df_{l−1} = dh_l + slope·f_{l−1}/N.

    du [r, n, d]. The tile's parts of dγ = Σ du·unit and dβ = Σ du go to partial[l, r, 2, row tile, D]. Grid (row tiles
    of a full batch, replicas through which gradients flow), from ``first`` on.
    """
    rows = tl.program_id(0) * BM + tl.arange(0, BM)
    r = (first + tl.program_id(1)).to(tl.int64)
    wide = tl.arange(0, DP)
    inside = rows < N
    real = inside[:, None] & (wide < D)[None, :]
    flat = rows[:, None] * D + wide[None, :]
    at = (layer * replicas + r) * (N * D) + flat
    note = stats + ((layer * replicas + r) * N + rows) * 2
    mean = tl.load(note, mask=inside, other=0.0)
    spread = tl.load(note + 1, mask=inside, other=0.0)
    scale = tl.load(weights + r * stride + blocks + layer * block_stride + gamma + wide, mask=wide < D, other=0.0)
    sent = tl.load(du + r * (N * D) + flat, mask=real, other=0.0)
    unit = (tl.load(h + at, mask=real, other=0.0) - mean[:, None]) * spread[:, None]
    unit = tl.where(real, unit, 0.0)
    part = partial + ((layer * replicas + r) * 2 * PARTS + tl.program_id(0)) * D + wide
    tl.store(part, tl.sum(sent * unit, 0), mask=wide < D)
    tl.store(part + PARTS * D, tl.sum(sent, 0), mask=wide < D)
    back = sent * scale[None, :]
    back = back - tl.sum(back, 1)[:, None] / D - unit * (tl.sum(back * unit, 1) / D)[:, None]
    back = back * spread[:, None]
    here = dh + r * (N * D) + flat
    if SKIP:
        back += tl.load(here, mask=real, other=0.0)
    tl.store(here, back, mask=real)
    if layer > 0:
        below = at - replicas * (N * D)
        if PENALTY:
            back += tl.load(f + below, mask=real, other=0.0) * (tl.load(slope + r) / N)
        tl.store(df + below, back, mask=real)
        keep_amax(amax_df, (layer - 1) * replicas + r, back, SCALED)


@triton.jit(do_not_specialize=["first_slot", "first", "replicas", "ahead"])
def weight_gradient(
    source, stats, dout, amax_in, amax_out, weights, m, v, gradient, squares, partial, flows,
    lr, weight_decay, corrections, tick, constants, replicas, stride,
    gradient_stride, blocks, block_stride, skipped, gamma, beta, w, b, slots, first_slot, first, ahead,
    N, BATCH: tl.constexpr, IN: tl.constexpr, OUT: tl.constexpr, NORM: tl.constexpr, PARTS: tl.constexpr,
    STEP: tl.constexpr, SCALED: tl.constexpr,
    BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """dW_l = inᵀ·dout_l, where in = LN(h_l) with NORM, else u_l, and db_l = Σ dout_l, over samples.

    With NORM, in = γ·unit + β, so G = unitᵀ·dout gives all that is asked: dW = γ·G + β·Σ dout, and where no gradient
    flows between layer norm and W (flows; else ``back_norm`` does this), dγ = Σ_out G·W and dβ = W·Σ dout: the tile's
    parts of these two go to partial[l, r, 2, column tile, IN]. squares[r, l, slot] = the sum of squares of the tile,
    and of the biases below the uppermost. ``skipped``: how far the gradient's flat tensor begins behind that of the
    weights. With STEP, for replicas through which gradients flow and that are not clipped, W is updated here and of all
    that only db stored. Grid (tiles, L, replicas), from ``first`` on.
    """
    ins, outs = tile_of(tl.program_id(0), OUT, BM, BN)
    layer, r = tl.program_id(1), (first + tl.program_id(2)).to(tl.int64)
    own = blocks + layer * block_stride
    at = layer * replicas + r
    scale_in = scale_of(amax_in, at, SCALED)
    scale_out = scale_of(amax_out, at, SCALED)
    total = tl.zeros((BM, BN), dtype=dout.dtype.element_ty)
    heap = tl.zeros((BK, BN), dtype=dout.dtype.element_ty)
    for start in range(0, BATCH, BK):
        ns = start + tl.arange(0, BK)
        keep = ns < N
        a = tl.load(
            source + (at * N + ns[None, :]) * IN + ins[:, None], mask=(ins < IN)[:, None] & keep[None, :], other=0.0
        )
        if NORM:
            note = stats + (at * N + ns) * 2
            mean = tl.load(note, mask=keep, other=0.0)
            spread = tl.load(note + 1, mask=keep, other=0.0)
            a = (a - mean[None, :]) * (spread * scale_in)[None, :]
        else:
            a = a * scale_in
        g = tl.load(
            dout + (at * N + ns[:, None]) * OUT + outs[None, :], mask=keep[:, None] & (outs < OUT)[None, :], other=0.0
        )
        total = product(a, g * scale_out, total, PRECISION)
        heap += g
    total = unscaled(total, scale_in, scale_out, SCALED)
    sent = tl.sum(heap, 0)
    inside = (ins < IN)[:, None] & (outs < OUT)[None, :]
    owned = weights + r * stride + own
    total = tl.where(inside, total, 0.0)
    if NORM:
        if not STEP and tl.load(flows + r) == 0:
            kernel = tl.load(owned + w + ins[:, None] * OUT + outs[None, :], mask=inside, other=0.0)
            part = partial + (at * 2 * PARTS + tl.program_id(0) % tl.cdiv(OUT, BN)) * IN + ins
            tl.store(part, tl.sum(total * kernel, 1), mask=ins < IN)
            tl.store(part + PARTS * IN, tl.sum(kernel * sent[None, :], 1), mask=ins < IN)
        scale = tl.load(owned + gamma + ins, mask=ins < IN, other=0.0)
        offset = tl.load(owned + beta + ins, mask=ins < IN, other=0.0)
        total = total * scale[:, None] + offset[:, None] * sent[None, :]
    out = gradient + r * gradient_stride + own - skipped
    uppermost = tl.program_id(0) < tl.cdiv(OUT, BN)
    if uppermost:
        tl.store(out + b + outs, sent, mask=outs < OUT)
    if STEP:
        place = r * stride + own + w + ins[:, None] * OUT + outs[None, :]
        adamw_step(
            weights, m, v, place, tl.load(weights + place, mask=inside, other=0.0),
            tl.load(m + place, mask=inside, other=0.0), tl.load(v + place, mask=inside, other=0.0), total,
            lr, weight_decay, corrections, tick, constants, r, ahead, inside,
        )  # fmt: skip
    else:
        tl.store(out + w + ins[:, None] * OUT + outs[None, :], total, mask=inside)
        square = tl.sum(total * total)
        if uppermost:
            square += tl.sum(sent * sent)
        tl.store(squares + (r * tl.num_programs(1) + layer) * slots + first_slot + tl.program_id(0), square)


@triton.jit(do_not_specialize=["first_slot", "replicas"])
def norm_vectors(
    partial, gradient, squares, replicas, gradient_stride, blocks, block_stride, skipped,
    gamma, beta, slots, first_slot, D: tl.constexpr, PARTS: tl.constexpr, BN: tl.constexpr,
):  # fmt: skip
    """A layer norm's dγ and dβ from their parts. Grid (D / BN, L, R)."""
    cols = tl.program_id(0) * BN + tl.arange(0, BN)
    layer, r = tl.program_id(1), tl.program_id(2).to(tl.int64)
    at = layer * replicas + r
    g_gamma = tl.zeros((BN,), dtype=partial.dtype.element_ty)
    g_beta = tl.zeros((BN,), dtype=partial.dtype.element_ty)
    for part in range(PARTS):
        place = partial + (at * 2 * PARTS + part) * D + cols
        g_gamma += tl.load(place, mask=cols < D, other=0.0)
        g_beta += tl.load(place + PARTS * D, mask=cols < D, other=0.0)
    out = gradient + r * gradient_stride + blocks + layer * block_stride - skipped
    tl.store(out + gamma + cols, g_gamma, mask=cols < D)
    tl.store(out + beta + cols, g_beta, mask=cols < D)
    square = tl.sum(g_gamma * g_gamma + g_beta * g_beta)
    tl.store(squares + (r * tl.num_programs(1) + layer) * slots + first_slot + tl.program_id(0), square)


@triton.jit(do_not_specialize=["layers", "replicas"])
def end_vectors(
    h, stats, weights, error, dhn, dh, gradient, replicas, stride, gradient_stride, skipped, layers,
    b0, gamma, beta, w, b,
    N, BATCH: tl.constexpr, D: tl.constexpr, C: tl.constexpr, CP: tl.constexpr, NORM: tl.constexpr,
    BN: tl.constexpr, BK: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """What is small at both ends: the embedding's bias Σ dh; the head's weight fedᵀ·error/N, bias and norm.

    Grid (D / BN, R).
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
        fed = tl.load(h + (at * N + ns[:, None]) * D + cols[None, :], mask=keep, other=0.0)
        if NORM:
            mean = tl.load(stats + (at * N + ns) * 2, mask=ns < N, other=0.0)
            spread = tl.load(stats + (at * N + ns) * 2 + 1, mask=ns < N, other=0.0)
            unit = (fed - mean[:, None]) * spread[:, None]
            back = tl.load(dhn + (r * N + ns[:, None]) * D + cols[None, :], mask=keep, other=0.0)
            g_gamma += tl.sum(back * unit, 0)
            g_beta += tl.sum(back, 0)
            fed = tl.where(keep, unit * scale[None, :] + offset[None, :], 0.0)
        known = (ns < N)[:, None] & (classes < C)[None, :]
        e = tl.load(error + (r * N + ns[:, None]) * C + classes[None, :], mask=known, other=0.0)
        g_w = product(tl.trans(fed), e, g_w, PRECISION)
        g_b += tl.sum(e, 0)
        g_b0 += tl.sum(tl.load(dh + (r * N + ns[:, None]) * D + cols[None, :], mask=keep, other=0.0), 0)
    out = gradient + r * gradient_stride - skipped
    tl.store(out + b0 + cols, g_b0, mask=cols < D)
    tl.store(out + w + cols[:, None] * C + classes[None, :], g_w / N, mask=(cols < D)[:, None] & (classes < C)[None, :])
    if NORM:
        tl.store(out + gamma + cols, g_gamma, mask=cols < D)
        tl.store(out + beta + cols, g_beta, mask=cols < D)
    if tl.program_id(0) == 0:
        tl.store(out + b + classes, g_b / N, mask=classes < C)
