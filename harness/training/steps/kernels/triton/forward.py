"""Forward: images to logits, and the output error."""

from __future__ import annotations

import triton
import triton.language as tl

from harness.training.steps.kernels.triton.common import (
    activated,
    keep_amax,
    merged,
    moments_of,
    pixel_product,
    product,
    scale_of,
    tile_of,
    unscaled,
)


@triton.jit(do_not_specialize=["ahead", "count"])
def fetch(
    images, labels, schedule, cursor, centre, x, y, ahead, count,
    N, CHANNELS: tl.constexpr, SIZE: tl.constexpr, STORED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """x[s, n] = crop of image schedule[s, cursor + ahead + n] (index, row, column, flip) − centre; y[s, n] its label.

    images uint8 [·, channel, STORED, STORED]; a crop is SIZE wide, and flipped after cropping. centre [F]: a whole
    number for each feature. Grid (N, S).
    """
    n, s = tl.program_id(0), tl.program_id(1)
    row = schedule + (s.to(tl.int64) * count + tl.load(cursor) + ahead + n) * 4
    index = tl.load(row).to(tl.int64)
    top, left, flip = tl.load(row + 1), tl.load(row + 2), tl.load(row + 3)
    for start in range(0, CHANNELS * SIZE * SIZE, BLOCK):
        at = start + tl.arange(0, BLOCK)
        inside = at < CHANNELS * SIZE * SIZE
        channel, line, column = at // (SIZE * SIZE), at // SIZE % SIZE, at % SIZE
        column = tl.where(flip != 0, SIZE - 1 - column, column)
        pixel = images + (index * CHANNELS + channel) * (STORED * STORED) + (line + top) * STORED + column + left
        here = x + (s.to(tl.int64) * N + n) * (CHANNELS * SIZE * SIZE) + at
        middle = tl.load(centre + at, mask=inside, other=0.0)
        value = tl.load(pixel, mask=inside, other=0).to(middle.dtype) - middle
        tl.store(here, value.to(x.dtype.element_ty), mask=inside)
    tl.store(y + s * N + n, tl.load(labels + index))


@triton.jit(do_not_specialize=["replicas"])
def embed(
    x, factor, offset, slots, weights, parts, replicas, stride, w,
    N, F: tl.constexpr, D: tl.constexpr, SHARE: tl.constexpr,
    BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """parts[k, r] = normalised ``x[slot of r][:, features of part k]`` · E[those features], without the bias.

    x holds pixels less a whole number, and normalised they are factor·x + offset: the product takes whole numbers, what
    remains is a sum over E. SHARE features fall to each part: one replica alone would otherwise keep few
    multiprocessors busy for long. Grid (tiles, splits, R).
    """
    rows, cols = tile_of(tl.program_id(0), D, BM, BN)
    part, r = tl.program_id(1), tl.program_id(2).to(tl.int64)
    source = x + tl.load(slots + r).to(tl.int64) * (N * F)
    weight = weights + r * stride + w
    total = tl.zeros((BM, BN), dtype=weights.dtype.element_ty)
    constant = tl.zeros((BK, BN), dtype=weights.dtype.element_ty)
    for start in range(0, SHARE, BK):
        ks = part * SHARE + start + tl.arange(0, BK)
        keep = ks < F
        a = tl.load(source + rows[:, None] * F + ks[None, :], mask=(rows < N)[:, None] & keep[None, :], other=0.0)
        b = tl.load(weight + ks[:, None] * D + cols[None, :], mask=keep[:, None] & (cols < D)[None, :], other=0.0)
        constant += b * tl.load(offset + ks, mask=keep, other=0.0)[:, None]
        b = b * tl.load(factor + ks, mask=keep, other=0.0)[:, None]
        total = pixel_product(a, b, total, PRECISION)
    total += tl.sum(constant, 0)[None, :]
    out = parts + (part * replicas + r) * (N * D)
    tl.store(out + rows[:, None] * D + cols[None, :], total, mask=(rows < N)[:, None] & (cols < D)[None, :])


@triton.jit(do_not_specialize=["replicas", "measured"])
def embed_sum(
    parts, weights, h, moments, amax, replicas, stride, b, measured,
    N, D: tl.constexpr, SPLITS: tl.constexpr, AMAX: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr,
):  # fmt: skip
    """h_0[r] = Σ_k parts[k, r] + bias, in the order of k; moments as in ``out_linear``. Grid (tiles, R).

    And what this step will measure begins at nothing: amax [``measured``, r]. AMAX: a power of two.
    """
    rows, cols = tile_of(tl.program_id(0), D, BM, BN)
    r = tl.program_id(1).to(tl.int64)
    inside = (rows < N)[:, None] & (cols < D)[None, :]
    at = rows[:, None] * D + cols[None, :]
    bias = tl.load(weights + r * stride + b + cols, mask=cols < D, other=0.0)
    total = tl.zeros((BM, BN), dtype=h.dtype.element_ty) + bias[None, :]
    for part in range(SPLITS):
        total += tl.load(parts + (part * replicas + r) * (N * D) + at, mask=inside, other=0.0)
    tl.store(h + r * (N * D) + at, total, mask=inside)
    if tl.program_id(0) == 0:
        factors = tl.arange(0, AMAX)
        tl.store(amax + factors * replicas + r, 0.0, mask=factors < measured)
    keep_moments(moments, total, inside, rows, r, N, D, BM, BN)


@triton.jit
def keep_moments(moments, tile, inside, rows, r, N, D: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr):
    """Keep a tile's moments: moments [r, n, 2, column tile] holds mean and sum of squares about it, part by part."""
    across = tl.cdiv(D, BN)
    part = tl.program_id(0) % across
    mean, square = moments_of(tile, inside, D, part * BN, BN)
    place = moments + (r * N + rows) * (2 * across) + part
    tl.store(place, mean, mask=rows < N)
    tl.store(place + across, square, mask=rows < N)


@triton.jit(do_not_specialize=["layer", "first", "replicas"])
def norm_linear(
    h, moments, stats, weights, slopes, u, amax_in, amax_w, amax_u, replicas, stride, blocks, block_stride, layer,
    first, gamma, beta, w, b,
    N, D: tl.constexpr, H: tl.constexpr, ACT: tl.constexpr, EPS: tl.constexpr,
    PARTS: tl.constexpr, PP: tl.constexpr, WIDE: tl.constexpr, SCALED: tl.constexpr,
    BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """z_l = LN(h_l)·W1 + b1; u_l = act(z_l); slopes_l = act'(z_l).

    stats[l, r, n] = mean and 1/√(variance + ε) of h_l's row. moments: of h_l, in PARTS parts WIDE columns wide. Grid
    (tiles, 1, replicas), from ``first`` on.
    """
    rows, cols = tile_of(tl.program_id(0), H, BM, BN)
    r = (first + tl.program_id(2)).to(tl.int64)
    own = weights + r * stride + blocks + layer * block_stride
    place = layer * replicas + r
    source = h + place * (N * D)
    scale_in, scale_w = scale_of(amax_in, place, SCALED), scale_of(amax_w, place, SCALED)
    inside = rows < N
    mean, variance = merged(moments + (r * N + rows) * (2 * PARTS), inside, D, PARTS, PP, WIDE)
    spread = 1.0 / tl.sqrt(variance + EPS)
    total = tl.zeros((BM, BN), dtype=h.dtype.element_ty)
    for start in range(0, D, BK):
        ks = start + tl.arange(0, BK)
        keep = ks < D
        a = tl.load(source + rows[:, None] * D + ks[None, :], mask=inside[:, None] & keep[None, :], other=0.0)
        scale = tl.load(own + gamma + ks, mask=keep, other=0.0) * scale_in
        offset = tl.load(own + beta + ks, mask=keep, other=0.0) * scale_in
        a = (a - mean[:, None]) * spread[:, None] * scale[None, :] + offset[None, :]
        kernel = tl.load(own + w + ks[:, None] * H + cols[None, :], mask=keep[:, None] & (cols < H)[None, :], other=0.0)
        total = product(a, kernel * scale_w, total, PRECISION)
    total = unscaled(total, scale_in, scale_w, SCALED)
    total += tl.load(own + b + cols, mask=cols < H, other=0.0)[None, :]
    at = place * (N * H) + rows[:, None] * H + cols[None, :]
    keep_amax(amax_u, place, total, SCALED)  # |act(z)| ≤ |z|; of act(z) itself, Triton would have it done twice
    out, slope = activated(total, ACT)
    tl.store(u + at, out, mask=inside[:, None] & (cols < H)[None, :])
    tl.store(slopes + at, slope, mask=inside[:, None] & (cols < H)[None, :])
    if tl.program_id(0) % tl.cdiv(H, BN) == 0:
        note = stats + (place * N + rows) * 2
        tl.store(note, mean, mask=inside)
        tl.store(note + 1, spread, mask=inside)


@triton.jit(do_not_specialize=["layer", "first", "replicas"])
def out_linear(
    h, u, f, moments, weights, amax_u, amax_w, replicas, stride, blocks, block_stride, layer, first, w, b,
    N, D: tl.constexpr, H: tl.constexpr, SKIP: tl.constexpr, KEEP: tl.constexpr, SCALED: tl.constexpr,
    BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """f_l = u_l·W2 + b2 (kept if KEEP); h_{l+1} = h_l + f_l, or f_l without SKIP; and its moments.

    Grid (tiles, 1, replicas), from ``first`` on.
    """
    rows, cols = tile_of(tl.program_id(0), D, BM, BN)
    r = (first + tl.program_id(2)).to(tl.int64)
    own = weights + r * stride + blocks + layer * block_stride
    place = layer * replicas + r
    source = u + place * (N * H)
    scale_u, scale_w = scale_of(amax_u, place, SCALED), scale_of(amax_w, place, SCALED)
    total = tl.zeros((BM, BN), dtype=h.dtype.element_ty)
    for start in range(0, H, BK):
        ks = start + tl.arange(0, BK)
        keep = ks < H
        a = tl.load(source + rows[:, None] * H + ks[None, :], mask=(rows < N)[:, None] & keep[None, :], other=0.0)
        kernel = tl.load(own + w + ks[:, None] * D + cols[None, :], mask=keep[:, None] & (cols < D)[None, :], other=0.0)
        total = product(a * scale_u, kernel * scale_w, total, PRECISION)
    total = unscaled(total, scale_u, scale_w, SCALED)
    total += tl.load(own + b + cols, mask=cols < D, other=0.0)[None, :]
    inside = (rows < N)[:, None] & (cols < D)[None, :]
    at = place * (N * D) + rows[:, None] * D + cols[None, :]
    if KEEP:
        tl.store(f + at, total, mask=inside)
    if SKIP:
        total += tl.load(h + at, mask=inside, other=0.0)
    tl.store(h + at + replicas * (N * D), total, mask=inside)
    keep_moments(moments, total, inside, rows, r, N, D, BM, BN)


@triton.jit(do_not_specialize=["layers", "first", "replicas"])
def head(
    h, stats, f, weights, slots, y, flows, slope, error, dhn, dh, df, amax_df, loss, replicas, stride, layers,
    first, gamma, beta, w, b,
    N, D: tl.constexpr, C: tl.constexpr, DP: tl.constexpr, CP: tl.constexpr, NORM: tl.constexpr,
    PENALTY: tl.constexpr, SCALED: tl.constexpr, EPS: tl.constexpr, BM: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """logits = LN_out(h_L)·W + b; error = softmax − onehot; loss[r, tile] += Σ cross entropy of the tile's samples.

    dhn = error·Wᵀ/N is the loss's gradient at LN_out(h_L), dh that at h_L, and for replicas through which gradients
    flow (flows) df_{L−1} = dh + slope·f_{L−1}/N. Grid (row tiles, replicas), from ``first`` on.
    """
    rows = tl.program_id(0) * BM + tl.arange(0, BM)
    r = (first + tl.program_id(1)).to(tl.int64)
    own = weights + r * stride
    wide, classes = tl.arange(0, DP), tl.arange(0, CP)
    inside = rows < N
    real = inside[:, None] & (wide < D)[None, :]
    at = r * (N * D) + rows[:, None] * D + wide[None, :]
    top = tl.load(h + layers * replicas * (N * D) + at, mask=real, other=0.0)
    if NORM:
        mean = tl.sum(top, 1) / D
        top = tl.where(real, top - mean[:, None], 0.0)
        spread = 1.0 / tl.sqrt(tl.sum(top * top, 1) / D + EPS)
        top = top * spread[:, None]
        note = stats + ((layers * replicas + r) * N + rows) * 2
        tl.store(note, mean, mask=inside)
        tl.store(note + 1, spread, mask=inside)
        scale = tl.load(own + gamma + wide, mask=wide < D, other=0.0)
        offset = tl.load(own + beta + wide, mask=wide < D, other=0.0)
        fed = top * scale[None, :] + offset[None, :]
    else:
        fed = top
    known = (wide < D)[:, None] & (classes < C)[None, :]
    kernel = tl.load(own + w + wide[:, None] * C + classes[None, :], mask=known, other=0.0)
    logits = product(fed, kernel, tl.zeros((BM, CP), dtype=h.dtype.element_ty), PRECISION)
    logits += tl.load(own + b + classes, mask=classes < C, other=0.0)[None, :]
    logits = tl.where((classes < C)[None, :], logits, float("-inf"))
    largest = tl.max(logits, 1)
    power = tl.exp(logits - largest[:, None])
    total = tl.sum(power, 1)
    label = tl.load(y + tl.load(slots + r) * N + rows, mask=inside, other=0)
    hit = classes[None, :] == label[:, None]
    chosen = tl.sum(tl.where(hit, logits, 0.0), 1)
    entropy = tl.where(inside, largest + tl.log(total) - chosen, 0.0)
    slot = loss + r * tl.num_programs(0) + tl.program_id(0)
    tl.store(slot, tl.load(slot) + tl.sum(entropy.to(tl.float64), 0))
    wrong = power / total[:, None] - tl.where(hit, 1.0, 0.0).to(power.dtype)
    wrong = tl.where(inside[:, None] & (classes < C)[None, :], wrong, 0.0)
    tl.store(
        error + (r * N + rows[:, None]) * C + classes[None, :], wrong, mask=inside[:, None] & (classes < C)[None, :]
    )
    back = product(wrong, tl.trans(kernel), tl.zeros((BM, DP), dtype=h.dtype.element_ty), PRECISION) / N
    tl.store(dhn + at, back, mask=real)
    if NORM:
        back = back * scale[None, :]
        back = back - tl.sum(back, 1)[:, None] / D - top * (tl.sum(back * top, 1) / D)[:, None]
        back = back * spread[:, None]
    if tl.load(flows + r) != 0:
        tl.store(dh + at, back, mask=real)
        if PENALTY:
            branch = tl.load(f + (layers - 1) * replicas * (N * D) + at, mask=real, other=0.0)
            back += branch * (tl.load(slope + r) / N)
        tl.store(df + (layers - 1) * replicas * (N * D) + at, back, mask=real)
        keep_amax(amax_df, (layers - 1) * replicas + r, back, SCALED)
