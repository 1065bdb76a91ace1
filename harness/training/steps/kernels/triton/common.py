"""What several kernels share: products, the activation and its slope."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def product(a, b, total, PRECISION: tl.constexpr):
    """total + a·b. PRECISION: ieee, or factors in parts: tf32, tf32x3, bf16x3, bf16x6 (``steps.kernels.step``), fp16x3.

    fp16x3: two parts of float16 each hold 22 bits and a sign, as tf32x3's do (Ootomo and Yokota 2022, doi
    10.1177/10943420221090256), of numbers that lie well within float16's range: see ``scale_of``. Tensor cores cut sums
    off where addition rounds, so each product of three is added outside of them.
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
def pixel_product(pixels, b, total, PRECISION: tl.constexpr):
    """total + pixels·b for whole numbers from −256 to 256, which bfloat16 holds exactly.

    Where ``product`` would take three TF32 products, b goes in three parts of 8 bits each, which are all that it has:
    exact factors for half the work. For tf32, which keeps 11 bits of each factor, two parts are more than that, and
    taken unless the products are parted anyhow.
    """
    if PRECISION == "ieee":
        total = product(pixels.to(b.dtype), b, total, PRECISION)
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
def keep_amax(amax, at, tile, SCALED: tl.constexpr):
    """Raise amax[at] to a tile's largest absolute number. In any order: the largest of all is the same.

    NaN need not count, and does not in tl.max: it stays NaN at any scale.
    """
    if SCALED:
        tl.atomic_max(amax + at, tl.max(tl.abs(tile)), sem="relaxed")


@triton.jit
def scale_of(amax, at, SCALED: tl.constexpr):
    """The power of two that brings a tensor's largest absolute number, amax[at], to 2¹⁴ and above; else 1.

    Float16 ends below 2¹⁶, and holds numbers 2¹⁶ times smaller in two parts with all of their bits; what is smaller
    still errs by 2⁻²⁵, which is 2⁻³⁹ of the largest. Peaks below 2⁻¹¹², zero too, take 2¹²⁶: its inverse is a number.
    """
    if SCALED:
        exponent = tl.load(amax + at).to(tl.int32, bitcast=True) >> 23
        scale = (tl.minimum(268 - exponent, 253) << 23).to(tl.float32, bitcast=True)
    else:
        scale = 1.0
    return scale


@triton.jit
def unscaled(total, first, second, SCALED: tl.constexpr):
    """A product of two factors that were scaled by these powers of two."""
    if SCALED:
        total = total * inverse(first) * inverse(second)
    return total


@triton.jit
def inverse(power):
    """1/power, of a power of two."""
    return ((254 << 23) - power.to(tl.int32, bitcast=True)).to(tl.float32, bitcast=True)


@triton.jit
def activated(z, KIND: tl.constexpr):
    """act(z) and act'(z): gelu(z) = z·Φ(z) (arXiv 1606.08415) and Φ(z) + z·φ(z), or relu and a step.

    A comparison, not a maximum: NaN must stay NaN.
    """
    if KIND == "gelu":
        share = 0.5 * (1.0 + tl.erf(z * 0.7071067811865476))
        out, slope = z * share, share + z * tl.exp(-0.5 * z * z) * 0.3989422804014327
    else:
        out, slope = tl.where(z < 0.0, 0.0, z), tl.where(z > 0.0, 1.0, 0.0).to(z.dtype)
    return out, slope


@triton.jit
def tile_of(tile, columns, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """Rows and columns of a tile, numbered row by row over a matrix of ``columns`` columns."""
    across = tl.cdiv(columns, COLUMNS)
    return tile // across * ROWS + tl.arange(0, ROWS), tile % across * COLUMNS + tl.arange(0, COLUMNS)


@triton.jit
def moments_of(tile, inside, D, first, BN: tl.constexpr):
    """Per row of a tile of BN columns, beginning at ``first`` of D: mean, and sum of squares about it."""
    count = tl.minimum(D - first, BN)
    mean = tl.sum(tl.where(inside, tile, 0.0), 1) / count
    centred = tl.where(inside, tile - mean[:, None], 0.0)
    return mean, tl.sum(centred * centred, 1)


@triton.jit
def merged(place, inside, D, PARTS: tl.constexpr, PP: tl.constexpr, WIDE: tl.constexpr):
    """Mean and variance of whole rows from those of parts WIDE columns wide (Chan et al. 1983, doi 10.2307/2683386).

    place: where a row's PARTS means begin; behind them stand as many sums of squares. PP: a power of two.
    """
    parts = tl.arange(0, PP)
    there = inside[:, None] & (parts < PARTS)[None, :]
    counts = tl.minimum(D - parts * WIDE, WIDE)
    means = tl.load(place[:, None] + parts[None, :], mask=there, other=0.0)
    squares = tl.load(place[:, None] + PARTS + parts[None, :], mask=there, other=0.0)
    mean = tl.sum(tl.where(there, means * counts[None, :], 0.0), 1) / D
    off = means - mean[:, None]
    return mean, tl.sum(tl.where(there, squares + off * off * counts[None, :], 0.0), 1) / D
