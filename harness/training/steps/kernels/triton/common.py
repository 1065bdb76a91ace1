"""Device functions that several kernels share: products, scales, activations, row statistics."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def multiply(a, b, total, PRECISION: tl.constexpr):
    """Return total + a·b. PRECISION is one of Triton's input precisions (``steps.kernels.tiles``), or fp16x3.

    fp16x3 splits each factor into two float16 parts, which hold 22 bits and a sign, as those of tf32x3 do (Ootomo and
    Yokota 2022, doi 10.1177/10943420221090256), if its numbers lie well within float16's range: see ``scale_of``.
    Tensor cores truncate sums where addition rounds, so the sum of the three products is added outside of them.
    """
    if PRECISION == "fp16x3":
        a_high, b_high = a.to(tl.float16), b.to(tl.float16)
        a_low = (a - a_high.to(tl.float32)).to(tl.float16)
        b_low = (b - b_high.to(tl.float32)).to(tl.float16)
        part = tl.dot(a_low, b_high, out_dtype=tl.float32)
        part = tl.dot(a_high, b_low, acc=part, out_dtype=tl.float32)
        total += tl.dot(a_high, b_high, acc=part, out_dtype=tl.float32)
    else:
        total = tl.dot(a, b, acc=total, input_precision=PRECISION, out_dtype=total.dtype)
    return total


@triton.jit
def multiply_pixels(pixels, b, total, PRECISION: tl.constexpr):
    """Return total + pixels·b for whole numbers from −256 to 256, which bfloat16 represents exactly.

    Where ``multiply`` would take three TF32 products, b is split into three bfloat16 parts of 8 bits each, which hold
    all of its bits: exact factors for half the work. For tf32, which keeps 11 bits of each factor, two parts suffice.
    """
    if PRECISION == "ieee":
        total = multiply(pixels.to(b.dtype), b, total, PRECISION)
    else:
        exact = pixels.to(tl.bfloat16)
        high = b.to(tl.bfloat16)
        rest = b - high.to(tl.float32)
        middle = rest.to(tl.bfloat16)
        if PRECISION != "tf32":
            low = (rest - middle.to(tl.float32)).to(tl.bfloat16)
            total = tl.dot(exact, low, acc=total, out_dtype=tl.float32)
        total = tl.dot(exact, middle, acc=total, out_dtype=tl.float32)
        total = tl.dot(exact, high, acc=total, out_dtype=tl.float32)
    return total


@triton.jit
def raise_amax(amax, at, tile, SCALED: tl.constexpr):
    """Raise amax[at] to a tile's amax. The order of tiles does not matter to the maximum.

    tl.max ignores NaN, which needs no scale: it stays NaN at any.
    """
    if SCALED:
        tl.atomic_max(amax + at, tl.max(tl.abs(tile)), sem="relaxed")


@triton.jit
def scale_of(amax, at, SCALED: tl.constexpr):
    """Return the power of two that brings a tensor's amax, amax[at], to 2¹⁴ or above; 1 if not SCALED.

    float16 ends below 2¹⁶, and two parts of it hold all bits of numbers 2¹⁶ times smaller; still smaller numbers err by
    2⁻²⁵, which is 2⁻³⁹ of the amax. An amax below 2⁻¹¹², zero included, takes 2¹²⁶, whose reciprocal is still normal.
    """
    if SCALED:
        exponent = tl.load(amax + at).to(tl.int32, bitcast=True) >> 23
        scale = (tl.minimum(268 - exponent, 253) << 23).to(tl.float32, bitcast=True)
    else:
        scale = 1.0
    return scale


@triton.jit
def unscale(total, first, second, SCALED: tl.constexpr):
    """Return the product of two factors from that of the same factors scaled by these powers of two."""
    if SCALED:
        total = total * invert(first) * invert(second)
    return total


@triton.jit
def invert(power):
    """Return 1/power for a power of two."""
    return ((254 << 23) - power.to(tl.int32, bitcast=True)).to(tl.float32, bitcast=True)


@triton.jit
def activate(z, KIND: tl.constexpr):
    """Return act(z) and act'(z): gelu(z) = z·Φ(z) (arXiv 1606.08415) and Φ(z) + z·φ(z), or relu and a step function.

    relu compares instead of taking a maximum, because NaN must stay NaN.
    """
    if KIND == "gelu":
        cdf = 0.5 * (1.0 + tl.erf(z * 0.7071067811865476))
        out, slope = z * cdf, cdf + z * tl.exp(-0.5 * z * z) * 0.3989422804014327
    else:
        out, slope = tl.where(z < 0.0, 0.0, z), tl.where(z > 0.0, 1.0, 0.0).to(z.dtype)
    return out, slope


@triton.jit
def locate_tile(tile, columns, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """Return the rows and columns of a tile, numbered row by row over a matrix of ``columns`` columns."""
    across = tl.cdiv(columns, COLUMNS)
    return tile // across * ROWS + tl.arange(0, ROWS), tile % across * COLUMNS + tl.arange(0, COLUMNS)


@triton.jit
def compute_tile_stats(tile, inside, D, first, BN: tl.constexpr):
    """Return each row's mean and sum of squares about it over a tile of BN columns, from column ``first`` of D on."""
    count = tl.minimum(D - first, BN)
    mean = tl.sum(tl.where(inside, tile, 0.0), 1) / count
    centred = tl.where(inside, tile - mean[:, None], 0.0)
    return mean, tl.sum(centred * centred, 1)


@triton.jit
def merge_tile_stats(first, inside, D, TILES: tl.constexpr, PADDED_TILES: tl.constexpr, TILE_COLUMNS: tl.constexpr):
    """Return mean and variance of whole rows from statistics of their tiles (Chan et al. 1983, doi 10.2307/2683386).

    ``first`` points to the means of a row's TILES tiles, TILE_COLUMNS wide each, which are followed by as many sums of
    squares. PADDED_TILES is a power of two.
    """
    tiles = tl.arange(0, PADDED_TILES)
    there = inside[:, None] & (tiles < TILES)[None, :]
    counts = tl.minimum(D - tiles * TILE_COLUMNS, TILE_COLUMNS)
    means = tl.load(first[:, None] + tiles[None, :], mask=there, other=0.0)
    squares = tl.load(first[:, None] + TILES + tiles[None, :], mask=there, other=0.0)
    mean = tl.sum(tl.where(there, means * counts[None, :], 0.0), 1) / D
    deviation = means - mean[:, None]
    return mean, tl.sum(tl.where(there, squares + deviation * deviation * counts[None, :], 0.0), 1) / D
