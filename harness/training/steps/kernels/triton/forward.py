"""Kernels of the forward pass, from images to logits and the output error."""

from __future__ import annotations

import triton
import triton.language as tl

from harness.training.steps.kernels.triton.common import (
    activate,
    compute_tile_stats,
    locate_tile,
    merge_tile_stats,
    multiply,
    multiply_pixels,
    raise_amax,
    scale_of,
    unscale,
)


@triton.jit(do_not_specialize=["ahead", "count", "label_stride"])
def fetch(
    images, labels, schedule, cursor, centre, x, y, ahead, count, label_stride,
    N, CHANNELS: tl.constexpr, SIZE: tl.constexpr, STORED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Crop x[s, n] from image schedule[s, cursor + ahead + n] (index, row, column, flip) and subtract the centre.

    images uint8 [·, channel, STORED, STORED]; a crop is SIZE wide and flipped after cropping. centre [F] holds a whole
    number for each feature; y[s, n] is the label, from labels [s, ·] or, with a label_stride of 0, [·] that all seeds
    share. Grid (N, S).
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
    tl.store(y + s * N + n, tl.load(labels + s.to(tl.int64) * label_stride + index))


@triton.jit(do_not_specialize=["replicas"])
def embed(
    x, factor, offset, seed_of_replica, weights, partials, replicas, stride, w,
    N, F: tl.constexpr, D: tl.constexpr, SPLIT_FEATURES: tl.constexpr,
    BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Compute partials[k, r], the product of normalised x[seed of r] and E over the features of split k, without bias.

    x holds pixels minus a whole number, and factor·x + offset is the normalised image: the product takes whole numbers,
    and the offset adds a sum over E. Split-K, with SPLIT_FEATURES features per split, keeps more multiprocessors busy
    when there are few replicas. Grid (tiles, splits, R).
    """
    rows, cols = locate_tile(tl.program_id(0), D, BM, BN)
    split, r = tl.program_id(1), tl.program_id(2).to(tl.int64)
    source = x + tl.load(seed_of_replica + r).to(tl.int64) * (N * F)
    weight = weights + r * stride + w
    total = tl.zeros((BM, BN), dtype=weights.dtype.element_ty)
    constant = tl.zeros((BK, BN), dtype=weights.dtype.element_ty)
    for start in range(0, SPLIT_FEATURES, BK):
        ks = split * SPLIT_FEATURES + start + tl.arange(0, BK)
        keep = ks < F
        a = tl.load(source + rows[:, None] * F + ks[None, :], mask=(rows < N)[:, None] & keep[None, :], other=0.0)
        b = tl.load(weight + ks[:, None] * D + cols[None, :], mask=keep[:, None] & (cols < D)[None, :], other=0.0)
        constant += b * tl.load(offset + ks, mask=keep, other=0.0)[:, None]
        b = b * tl.load(factor + ks, mask=keep, other=0.0)[:, None]
        total = multiply_pixels(a, b, total, PRECISION)
    total += tl.sum(constant, 0)[None, :]
    out = partials + (split * replicas + r) * (N * D)
    tl.store(out + rows[:, None] * D + cols[None, :], total, mask=(rows < N)[:, None] & (cols < D)[None, :])


@triton.jit(do_not_specialize=["replicas", "measured"])
def embed_sum(
    partials, weights, h, tile_stats, amax, replicas, stride, b, measured,
    N, D: tl.constexpr, SPLITS: tl.constexpr, AMAX: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr,
):  # fmt: skip
    """Add h_0[r] = Σ_k partials[k, r] + bias in the order of k, and store its tile statistics as ``out_linear`` does.

    The rows of amax that this step will measure, amax [``measured``, r], are reset to 0. AMAX is a power of two. Grid
    (tiles, R).
    """
    rows, cols = locate_tile(tl.program_id(0), D, BM, BN)
    r = tl.program_id(1).to(tl.int64)
    inside = (rows < N)[:, None] & (cols < D)[None, :]
    at = rows[:, None] * D + cols[None, :]
    bias = tl.load(weights + r * stride + b + cols, mask=cols < D, other=0.0)
    total = tl.zeros((BM, BN), dtype=h.dtype.element_ty) + bias[None, :]
    for split in range(SPLITS):
        total += tl.load(partials + (split * replicas + r) * (N * D) + at, mask=inside, other=0.0)
    tl.store(h + r * (N * D) + at, total, mask=inside)
    if tl.program_id(0) == 0:
        factors = tl.arange(0, AMAX)
        tl.store(amax + factors * replicas + r, 0.0, mask=factors < measured)
    store_tile_stats(tile_stats, total, inside, rows, r, N, D, BM, BN)


@triton.jit
def store_tile_stats(tile_stats, tile, inside, rows, r, N, D: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr):
    """Store each row's mean and sum of squares about it for one column tile, in tile_stats [r, n, 2, column tile]."""
    tiles = tl.cdiv(D, BN)
    tile_index = tl.program_id(0) % tiles
    mean, square = compute_tile_stats(tile, inside, D, tile_index * BN, BN)
    first = tile_stats + (r * N + rows) * (2 * tiles) + tile_index
    tl.store(first, mean, mask=rows < N)
    tl.store(first + tiles, square, mask=rows < N)


@triton.jit(do_not_specialize=["layer", "first_replica", "replicas"])
def norm_linear(
    h, tile_stats, stats, weights, slopes, u, amax_in, amax_w, amax_u, replicas, stride, blocks, block_stride, layer,
    first_replica, gamma, beta, w, b,
    N, D: tl.constexpr, H: tl.constexpr, ACT: tl.constexpr, EPS: tl.constexpr,
    COLUMN_TILES: tl.constexpr, PADDED_TILES: tl.constexpr, TILE_COLUMNS: tl.constexpr, SCALED: tl.constexpr,
    BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Compute z_l = LN(h_l)·W1 + b1, u_l = act(z_l) and slopes_l = act'(z_l).

    stats[l, r, n] receives mean and rstd = 1/√(variance + ε) of h_l's row, from the tile statistics of COLUMN_TILES
    tiles with TILE_COLUMNS columns each. Grid (tiles, 1, replicas from ``first_replica`` on).
    """
    rows, cols = locate_tile(tl.program_id(0), H, BM, BN)
    r = (first_replica + tl.program_id(2)).to(tl.int64)
    own = weights + r * stride + blocks + layer * block_stride
    index = layer * replicas + r
    source = h + index * (N * D)
    scale_in, scale_w = scale_of(amax_in, index, SCALED), scale_of(amax_w, index, SCALED)
    inside = rows < N
    first = tile_stats + (r * N + rows) * (2 * COLUMN_TILES)
    mean, variance = merge_tile_stats(first, inside, D, COLUMN_TILES, PADDED_TILES, TILE_COLUMNS)
    rstd = 1.0 / tl.sqrt(variance + EPS)
    total = tl.zeros((BM, BN), dtype=h.dtype.element_ty)
    for start in range(0, D, BK):
        ks = start + tl.arange(0, BK)
        keep = ks < D
        a = tl.load(source + rows[:, None] * D + ks[None, :], mask=inside[:, None] & keep[None, :], other=0.0)
        scale = tl.load(own + gamma + ks, mask=keep, other=0.0) * scale_in
        offset = tl.load(own + beta + ks, mask=keep, other=0.0) * scale_in
        a = (a - mean[:, None]) * rstd[:, None] * scale[None, :] + offset[None, :]
        matrix = tl.load(own + w + ks[:, None] * H + cols[None, :], mask=keep[:, None] & (cols < H)[None, :], other=0.0)
        total = multiply(a, matrix * scale_w, total, PRECISION)
    total = unscale(total, scale_in, scale_w, SCALED)
    total += tl.load(own + b + cols, mask=cols < H, other=0.0)[None, :]
    at = index * (N * H) + rows[:, None] * H + cols[None, :]
    raise_amax(amax_u, index, total, SCALED)  # |act(z)| ≤ |z|; for act(z) itself Triton would compute it twice
    out, slope = activate(total, ACT)
    tl.store(u + at, out, mask=inside[:, None] & (cols < H)[None, :])
    tl.store(slopes + at, slope, mask=inside[:, None] & (cols < H)[None, :])
    if tl.program_id(0) % tl.cdiv(H, BN) == 0:
        row_stats = stats + (index * N + rows) * 2
        tl.store(row_stats, mean, mask=inside)
        tl.store(row_stats + 1, rstd, mask=inside)


@triton.jit(do_not_specialize=["layer", "first_replica", "replicas"])
def out_linear(
    h, u, f, tile_stats, weights, amax_u, amax_w, replicas, stride, blocks, block_stride, layer, first_replica, w, b,
    N, D: tl.constexpr, H: tl.constexpr, SKIP: tl.constexpr, KEEP: tl.constexpr, SCALED: tl.constexpr,
    BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Compute f_l = u_l·W2 + b2 (stored if KEEP), h_{l+1} = h_l + f_l (f_l without SKIP) and its tile statistics.

    Grid (tiles, 1, replicas from ``first_replica`` on).
    """
    rows, cols = locate_tile(tl.program_id(0), D, BM, BN)
    r = (first_replica + tl.program_id(2)).to(tl.int64)
    own = weights + r * stride + blocks + layer * block_stride
    index = layer * replicas + r
    source = u + index * (N * H)
    scale_u, scale_w = scale_of(amax_u, index, SCALED), scale_of(amax_w, index, SCALED)
    total = tl.zeros((BM, BN), dtype=h.dtype.element_ty)
    for start in range(0, H, BK):
        ks = start + tl.arange(0, BK)
        keep = ks < H
        a = tl.load(source + rows[:, None] * H + ks[None, :], mask=(rows < N)[:, None] & keep[None, :], other=0.0)
        matrix = tl.load(own + w + ks[:, None] * D + cols[None, :], mask=keep[:, None] & (cols < D)[None, :], other=0.0)
        total = multiply(a * scale_u, matrix * scale_w, total, PRECISION)
    total = unscale(total, scale_u, scale_w, SCALED)
    total += tl.load(own + b + cols, mask=cols < D, other=0.0)[None, :]
    inside = (rows < N)[:, None] & (cols < D)[None, :]
    at = index * (N * D) + rows[:, None] * D + cols[None, :]
    if KEEP:
        tl.store(f + at, total, mask=inside)
    if SKIP:
        total += tl.load(h + at, mask=inside, other=0.0)
    tl.store(h + at + replicas * (N * D), total, mask=inside)
    store_tile_stats(tile_stats, total, inside, rows, r, N, D, BM, BN)


@triton.jit(do_not_specialize=["layers", "first_replica", "replicas"])
def head(
    h, stats, f, weights, seed_of_replica, y, gradients_flow, slope, error, dhn, dh, df, amax_df, loss,
    replicas, stride, layers, first_replica, gamma, beta, w, b,
    N, D: tl.constexpr, C: tl.constexpr, DP: tl.constexpr, CP: tl.constexpr, NORM: tl.constexpr,
    PENALTY: tl.constexpr, SCALED: tl.constexpr, EPS: tl.constexpr, BM: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Compute logits = LN_out(h_L)·W + b and error = softmax − onehot; add the tile's cross entropies to loss[r, tile].

    dhn = error·Wᵀ/N is the loss's gradient at LN_out(h_L). For replicas with gradients_flow, dh is the gradient at h_L
    and df_{L−1} = dh + slope·f_{L−1}/N. Grid (row tiles, replicas from ``first_replica`` on).
    """
    rows = tl.program_id(0) * BM + tl.arange(0, BM)
    r = (first_replica + tl.program_id(1)).to(tl.int64)
    own = weights + r * stride
    wide, classes = tl.arange(0, DP), tl.arange(0, CP)
    inside = rows < N
    real = inside[:, None] & (wide < D)[None, :]
    at = r * (N * D) + rows[:, None] * D + wide[None, :]
    top = tl.load(h + layers * replicas * (N * D) + at, mask=real, other=0.0)
    if NORM:
        mean = tl.sum(top, 1) / D
        top = tl.where(real, top - mean[:, None], 0.0)
        rstd = 1.0 / tl.sqrt(tl.sum(top * top, 1) / D + EPS)
        top = top * rstd[:, None]
        row_stats = stats + ((layers * replicas + r) * N + rows) * 2
        tl.store(row_stats, mean, mask=inside)
        tl.store(row_stats + 1, rstd, mask=inside)
        scale = tl.load(own + gamma + wide, mask=wide < D, other=0.0)
        offset = tl.load(own + beta + wide, mask=wide < D, other=0.0)
        head_input = top * scale[None, :] + offset[None, :]
    else:
        head_input = top
    known = (wide < D)[:, None] & (classes < C)[None, :]
    matrix = tl.load(own + w + wide[:, None] * C + classes[None, :], mask=known, other=0.0)
    logits = multiply(head_input, matrix, tl.zeros((BM, CP), dtype=h.dtype.element_ty), PRECISION)
    logits += tl.load(own + b + classes, mask=classes < C, other=0.0)[None, :]
    logits = tl.where((classes < C)[None, :], logits, float("-inf"))
    largest = tl.max(logits, 1)
    exps = tl.exp(logits - largest[:, None])
    total = tl.sum(exps, 1)
    label = tl.load(y + tl.load(seed_of_replica + r) * N + rows, mask=inside, other=0)
    hit = classes[None, :] == label[:, None]
    chosen = tl.sum(tl.where(hit, logits, 0.0), 1)
    entropy = tl.where(inside, largest + tl.log(total) - chosen, 0.0)
    partial_loss = loss + r * tl.num_programs(0) + tl.program_id(0)
    tl.store(partial_loss, tl.load(partial_loss) + tl.sum(entropy.to(tl.float64), 0))
    wrong = exps / total[:, None] - tl.where(hit, 1.0, 0.0).to(exps.dtype)
    wrong = tl.where(inside[:, None] & (classes < C)[None, :], wrong, 0.0)
    tl.store(
        error + (r * N + rows[:, None]) * C + classes[None, :], wrong, mask=inside[:, None] & (classes < C)[None, :]
    )
    back = multiply(wrong, tl.trans(matrix), tl.zeros((BM, DP), dtype=h.dtype.element_ty), PRECISION) / N
    tl.store(dhn + at, back, mask=real)
    if NORM:
        back = back * scale[None, :]
        back = back - tl.sum(back, 1)[:, None] / D - top * (tl.sum(back * top, 1) / D)[:, None]
        back = back * rstd[:, None]
    if tl.load(gradients_flow + r) != 0:
        tl.store(dh + at, back, mask=real)
        if PENALTY:
            branch = tl.load(f + (layers - 1) * replicas * (N * D) + at, mask=real, other=0.0)
            back += branch * (tl.load(slope + r) / N)
        tl.store(df + (layers - 1) * replicas * (N * D) + at, back, mask=real)
        raise_amax(amax_df, (layers - 1) * replicas + r, back, SCALED)
