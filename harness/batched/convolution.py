"""Convolutions and pooling on stacked replicas: images [r, n, c, h, w] with kernels [r, c·k·k, o].

A kernel is kept as the matrix that multiplies a patch, flattened as channel, row, column: a weight [in, out] like any
other, so that what rules do with weights (ways back, beginnings, noise) holds for kernels too.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from harness.batched.forms import Form, Layer, find_form, present
from harness.batched.layers import Pair, multiply
from harness.batched.windows import Window


def choose_form(x: Tensor, out: int, window: Window) -> Form:
    """Return the form that convolves x [r, n, c, h, w] to ``out`` channels; all give the same up to rounding.

    This is the one place to decide by shape and device, as benchmarks/conv.py measures it. On a processor, a group of
    three channels of a large image takes twice as long as each replica's convolution by itself; otherwise a grouped
    convolution is the fastest, or nearly. A card has a table of its own (``harness.batched.forms``).
    """
    channels, side = x.shape[2], x.shape[-1]
    if x.device.type == "cpu":
        return "looped" if channels < 4 and side > 16 else "grouped"
    return find_form(present.get("card", ""), Layer(channels, out, side, window), len(x))


def convolve(x: Tensor, weight: Tensor | Pair, bias: Tensor | None, window: Window, form: Form | None = None) -> Tensor:
    """Convolve x [r, n, c, h, w] with weight [r, c·k·k, o] and bias [r, o], if there is one, to [r, n, o, h′, w′].

    Of a ``Pair``, the value and the gradient of W are those of W alone; the gradient of x is what B sends back.
    """
    out = (weight.forward if isinstance(weight, Pair) else weight).shape[-1]
    product = {"grouped": _group, "batched": _batch, "looped": _loop}[form or choose_form(x, out, window)]
    return multiply(x, weight, bias, partial(product, window=window))


def _group(x: Tensor, weight: Tensor, bias: Tensor | None, window: Window) -> Tensor:
    """Convolve by one convolution whose groups are the replicas, folded into channels."""
    r, n, c, h, w = x.shape
    folded = x.transpose(0, 1).reshape(n, r * c, h, w)
    kernels = _as_kernels(weight, c, window).flatten(0, 1)
    own = None if bias is None else bias.flatten()
    found = functional.conv2d(folded, kernels, own, window.stride, window.padding, groups=r)
    return found.view(n, r, -1, *found.shape[-2:]).transpose(0, 1)


def _batch(x: Tensor, weight: Tensor, bias: Tensor | None, window: Window) -> Tensor:
    """Convolve by batched products of the patches, which take k·k times the memory of x."""
    side, stride, padding = window
    patches = functional.pad(x, [padding] * 4).unfold(-2, side, stride).unfold(-2, side, stride)  # [r,n,c,h′,w′,k,k]
    r, n, _, h, w = patches.shape[:5]
    rows = patches.permute(0, 1, 3, 4, 2, 5, 6).reshape(r, n * h * w, -1)
    found = torch.bmm(rows, weight) if bias is None else torch.baddbmm(bias.unsqueeze(1), rows, weight)
    return found.view(r, n, h, w, -1).permute(0, 1, 4, 2, 3)


def _loop(x: Tensor, weight: Tensor, bias: Tensor | None, window: Window) -> Tensor:
    """Convolve replica by replica."""
    kernels = _as_kernels(weight, x.shape[2], window)
    biases = [None] * len(x) if bias is None else list(bias)
    each = zip(x, kernels, biases, strict=True)
    return torch.stack([functional.conv2d(one, own, add, window.stride, window.padding) for one, own, add in each])


def _as_kernels(weight: Tensor, channels: int, window: Window) -> Tensor:
    """Return weights [r, c·k·k, o] as PyTorch's kernels [r, o, c, k, k]."""
    return weight.mT.reshape(len(weight), -1, channels, window.side, window.side)


def pool_max(x: Tensor, window: Window) -> Tensor:
    """Return the largest number of every window, [r, n, c, h′, w′]. Padding is never the largest.

    Where windows overlap, they are cut out and reduced: on a card, the gradient of PyTorch's own pooling would add what
    comes from several windows in any order, and not be the same twice.
    """
    side, stride, padding = window
    if stride >= side:
        found = functional.max_pool2d(x.flatten(0, 1), side, stride, padding)
        return found.view(*x.shape[:2], *found.shape[1:])
    padded = functional.pad(x, [padding] * 4, value=float("-inf"))
    return padded.unfold(-2, side, stride).unfold(-2, side, stride).flatten(-2).max(-1).values


def pool_mean(x: Tensor) -> Tensor:
    """Return the mean over all positions of every channel: [r, n, c, h, w] to [r, n, c]."""
    return x.mean((-2, -1))
