"""An independent reference for models of images: every operation forwards and backwards by hand, in NumPy, float64.

It shares no code with the engine: convolutions are loops over positions, and nothing is differentiated. An operation
returns its value and a function that takes ∂/∂(value), adds to the gradients of its weights, and returns ∂/∂(input).
What a product sends back passes ``back`` in place of the weights, which for backpropagation are the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from tests.oracles.reference_rules import AdamW

Arrays = dict[str, np.ndarray]
Back = Callable[[np.ndarray], np.ndarray]
Done = tuple[np.ndarray, Back]
EPS = 1e-5


@dataclass
class Weights:
    """Weights, what stands in for them on the way back, and the gradients so far."""

    w: Arrays
    back: Arrays = field(default_factory=dict)
    g: Arrays = field(default_factory=dict)

    def add(self, name: str, gradient: np.ndarray) -> None:
        """Add to a gradient."""
        self.g[name] = self.g.get(name, 0.0) + gradient

    def way_back(self, name: str) -> np.ndarray:
        """Return the matrix that sends the error back."""
        return self.back.get(name, self.w[name])


Part = Callable[[Weights, np.ndarray], Done]


def chain(*parts: Part) -> Part:
    """Return parts one after another."""

    def run(own: Weights, x: np.ndarray) -> Done:
        backs = []
        for part in parts:
            x, back = part(own, x)
            backs.append(back)

        def go_back(d: np.ndarray) -> np.ndarray:
            for back in reversed(backs):
                d = back(d)
            return d

        return x, go_back

    return run


def linear(name: str) -> Part:
    """u = hW + b over the last axis."""

    def run(own: Weights, h: np.ndarray) -> Done:
        weight, bias = f"{name}.weight", f"{name}.bias"

        def back(d: np.ndarray) -> np.ndarray:
            own.add(weight, h.reshape(-1, h.shape[-1]).T @ d.reshape(-1, d.shape[-1]))
            if bias in own.w:
                own.add(bias, d.reshape(-1, d.shape[-1]).sum(0))
            return d @ own.way_back(weight).T

        return h @ own.w[weight] + own.w.get(bias, 0.0), back

    return run


def convolution(name: str, side: int, stride: int = 1, padding: int = 0) -> Part:
    """Every patch [c·k·k] times W, plus b."""

    def run(own: Weights, x: np.ndarray) -> Done:
        weight, bias = f"{name}.weight", f"{name}.bias"
        n, c, size, _ = x.shape
        padded = np.zeros((n, c, size + 2 * padding, size + 2 * padding))
        padded[:, :, padding : padding + size, padding : padding + size] = x
        m = (size + 2 * padding - side) // stride + 1
        out = np.zeros((n, own.w[weight].shape[1], m, m))
        places = [(i, j, slice(i * stride, i * stride + side), slice(j * stride, j * stride + side))
                  for i in range(m) for j in range(m)]  # fmt: skip
        for i, j, rows, columns in places:
            out[:, :, i, j] = padded[:, :, rows, columns].reshape(n, -1) @ own.w[weight] + own.w.get(bias, 0.0)

        def back(d: np.ndarray) -> np.ndarray:
            below = np.zeros_like(padded)
            for i, j, rows, columns in places:
                own.add(weight, padded[:, :, rows, columns].reshape(n, -1).T @ d[:, :, i, j])
                sent = d[:, :, i, j] @ own.way_back(weight).T
                below[:, :, rows, columns] += sent.reshape(n, c, side, side)
            if bias in own.w:
                own.add(bias, d.sum((0, 2, 3)))
            return below[:, :, padding : padding + size, padding : padding + size]

        return out, back

    return run


def max_pool(side: int, stride: int, padding: int = 0) -> Part:
    """The largest of every window; the error goes to the first of the largest."""

    def run(own: Weights, x: np.ndarray) -> Done:
        n, c, size, _ = x.shape
        padded = np.full((n, c, size + 2 * padding, size + 2 * padding), -np.inf)
        padded[:, :, padding : padding + size, padding : padding + size] = x
        m = (size + 2 * padding - side) // stride + 1
        out, chosen = np.zeros((n, c, m, m)), {}
        for i in range(m):
            for j in range(m):
                window = padded[:, :, i * stride : i * stride + side, j * stride : j * stride + side].reshape(n, c, -1)
                out[:, :, i, j], chosen[i, j] = window.max(-1), window.argmax(-1)

        def back(d: np.ndarray) -> np.ndarray:
            below, (a, b) = np.zeros_like(padded), np.indices((n, c))
            for (i, j), at in chosen.items():
                below[a, b, i * stride + at // side, j * stride + at % side] += d[:, :, i, j]
            return below[:, :, padding : padding + size, padding : padding + size]

        return out, back

    return run


def activation(kind: str) -> Part:
    """φ(u), with φ′ on the way back."""

    def run(own: Weights, u: np.ndarray) -> Done:
        if kind == "relu":
            return np.maximum(u, 0), lambda d: d * (u > 0)
        if kind == "tanh":
            return np.tanh(u), lambda d: d * (1 - np.tanh(u) ** 2)
        if kind == "logistic":
            value = 1 / (1 + np.exp(-u))
            return value, lambda d: d * value * (1 - value)
        from scipy.special import erf

        below = 0.5 * (1 + erf(u / math.sqrt(2)))
        return u * below, lambda d: d * (below + u * np.exp(-(u**2) / 2) / math.sqrt(2 * math.pi))

    return run


def norm(name: str, groups: int | None = None) -> Part:
    """Channels over samples and positions, or groups of channels over channels and positions; then gain and shift."""

    def run(own: Weights, x: np.ndarray) -> Done:
        n, c = x.shape[:2]
        one = x.reshape(1, n, c, -1) if groups is None else x.reshape(n, groups, c // groups, -1)
        axes = (1, 3) if groups is None else (2, 3)
        sd = np.sqrt(one.var(axes, keepdims=True) + EPS)
        normal = (one - one.mean(axes, keepdims=True)) / sd
        gain, shift = f"{name}.norm.weight", f"{name}.norm.bias"

        def back(d: np.ndarray) -> np.ndarray:
            own.add(gain, (d * normal.reshape(x.shape)).sum((0, 2, 3)))
            own.add(shift, d.sum((0, 2, 3)))
            inner = (d * own.w[gain][:, None, None]).reshape(one.shape)
            means = inner.mean(axes, keepdims=True), (inner * normal).mean(axes, keepdims=True)
            return ((inner - means[0] - normal * means[1]) / sd).reshape(x.shape)

        return normal.reshape(x.shape) * own.w[gain][:, None, None] + own.w[shift][:, None, None], back

    return run


def residual(branch: Part, after: Part, stride: int = 1) -> Part:
    """h + f(h), where h loses pixels and gets channels of zeros if f(h) has fewer and more; then ``after``."""

    def run(own: Weights, h: np.ndarray) -> Done:
        f, back_f = branch(own, h)
        kept = np.zeros_like(f)
        kept[:, : h.shape[1]] = h[:, :, ::stride, ::stride] if stride > 1 else h
        out, back_out = after(own, kept + f)

        def back(d: np.ndarray) -> np.ndarray:
            inner = back_out(d)
            below = back_f(inner)
            below[(slice(None), slice(None), slice(None, None, stride), slice(None, None, stride))[: h.ndim]] += inner[
                :, : h.shape[1]
            ]
            return below

        return out, back

    return run


def layer_norm(name: str) -> Part:
    """Every token over its units, then gain and shift."""

    def run(own: Weights, h: np.ndarray) -> Done:
        sd = np.sqrt(h.var(-1, keepdims=True) + EPS)
        normal = (h - h.mean(-1, keepdims=True)) / sd
        gain, shift = f"{name}.norm.weight", f"{name}.norm.bias"

        def back(d: np.ndarray) -> np.ndarray:
            axes = tuple(range(d.ndim - 1))
            own.add(gain, (d * normal).sum(axes))
            own.add(shift, d.sum(axes))
            inner = d * own.w[gain]
            means = inner.mean(-1, keepdims=True), (inner * normal).mean(-1, keepdims=True)
            return (inner - means[0] - normal * means[1]) / sd

        return normal * own.w[gain] + own.w[shift], back

    return run


def swap(own: Weights, h: np.ndarray) -> Done:
    """[n, t, d] as [n, d, t]."""
    return h.transpose(0, 2, 1), lambda d: d.transpose(0, 2, 1)


def same(own: Weights, h: np.ndarray) -> Done:
    """Nothing."""
    return h, lambda d: d


def patches(side: int) -> Part:
    """Images [n, c, s, s] as patches [n, t, c·side·side], row by row; nothing is trained before them."""

    def run(own: Weights, x: np.ndarray) -> Done:
        steps = range(0, x.shape[2], side)
        cut = [x[:, :, i : i + side, j : j + side].reshape(len(x), -1) for i in steps for j in steps]
        return np.stack(cut, axis=1), lambda d: d

    return run


def mean_of_tokens(own: Weights, h: np.ndarray) -> Done:
    """[n, t, d] to [n, d]."""
    return h.mean(1), lambda d: np.broadcast_to(d[:, None] / h.shape[1], h.shape)


def add_class_token(own: Weights, h: np.ndarray) -> Done:
    """The class token before the others, and positions."""
    first, places = own.w["embedding.class_token"], own.w["embedding.positions"]

    def back(d: np.ndarray) -> np.ndarray:
        own.add("embedding.class_token", d[:, 0].sum(0))
        own.add("embedding.positions", d.sum(0))
        return d[:, 1:]

    return np.concatenate([np.broadcast_to(first, (len(h), 1, len(first))), h], axis=1) + places, back


def take_class_token(own: Weights, h: np.ndarray) -> Done:
    """[n, t, d] to [n, d]."""

    def back(d: np.ndarray) -> np.ndarray:
        below = np.zeros_like(h)
        below[:, 0] = d
        return below

    return h[:, 0], back


def attention(heads: int) -> Part:
    """Softmax attention, head by head, of queries, keys and values [n, t, 3·d]."""

    def run(own: Weights, u: np.ndarray) -> Done:
        d = u.shape[2] // 3
        size = d // heads
        out, kept = np.zeros((*u.shape[:2], d)), []
        for head in range(heads):
            at = [slice(part * d + head * size, part * d + (head + 1) * size) for part in range(3)]
            q, k, v = (u[:, :, one] for one in at)
            s = np.exp(q @ k.transpose(0, 2, 1) / math.sqrt(size))
            a = s / s.sum(-1, keepdims=True)
            out[:, :, head * size : (head + 1) * size] = a @ v
            kept.append((at, q, k, v, a))

        def back(delta: np.ndarray) -> np.ndarray:
            below = np.zeros_like(u)
            for head, (at, q, k, v, a) in enumerate(kept):
                own_delta = delta[:, :, head * size : (head + 1) * size]
                da = own_delta @ v.transpose(0, 2, 1)
                ds = a * (da - (da * a).sum(-1, keepdims=True)) / math.sqrt(size)
                below[:, :, at[0]] = ds @ k
                below[:, :, at[1]] = ds.transpose(0, 2, 1) @ q
                below[:, :, at[2]] = a.transpose(0, 2, 1) @ own_delta
            return below

        return out, back

    return run


def flatten(own: Weights, x: np.ndarray) -> Done:
    """[n, …] as [n, units]."""
    return x.reshape(len(x), -1), lambda d: d.reshape(x.shape)


def mean_of_positions(own: Weights, x: np.ndarray) -> Done:
    """The mean of every channel: [n, c, s, s] to [n, c]."""
    size = x.shape[2] * x.shape[3]
    return x.mean((2, 3)), lambda d: np.broadcast_to(d[:, :, None, None] / size, x.shape)


def view(*shape: int) -> Part:
    """Inputs [n, features] as images."""
    return lambda own, x: (x.reshape(len(x), *shape), lambda d: d)


@dataclass(frozen=True)
class Net:
    """Embedding, blocks and head."""

    embedding: Part
    blocks: tuple[Part, ...]
    head: Part


def gradients(net: Net, w: Arrays, back: Arrays, x: np.ndarray, y: np.ndarray, rule: str, classes: int = 10) -> Arrays:
    """Return the gradient of every tensor under bp or fa (``back`` in place of weights) or dfa (``back`` is B)."""
    own = Weights(w, {} if rule == "dfa" else back)
    h, sites, backs = x, [], []
    for part in (net.embedding, *net.blocks, net.head):
        h, go_back = part(own, h)
        sites.append(h)
        backs.append(go_back)
    p = np.exp(h - h.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    e = p - np.eye(classes)[y]
    d = backs.pop()(e / len(x))
    if rule != "dfa":
        for go_back in reversed(backs):
            d = go_back(d)
        return own.g
    first = back.get("feedback_embedding", back.get("feedback_0"))
    matrices = [first, *(back[f"feedback_{layer}"] for layer in range(len(net.blocks)))]
    for number, (site, matrix, go_back) in enumerate(zip(sites, matrices, backs, strict=False)):
        a = e @ matrix
        a = a / (np.sqrt((a**2).mean(1, keepdims=True)) + 1e-6)
        go_back(a.reshape(site.shape) / len(x))
        if number:
            clip(own.g, f"block_{number - 1}.")
    return own.g


def clip(g: Arrays, prefix: str) -> None:
    """Scale the gradients of a block to a norm of at most 1."""
    names = [name for name in g if name.startswith(prefix)]
    scale = min(1.0, 1.0 / (math.sqrt(sum((g[name] ** 2).sum() for name in names)) + 1e-6))
    for name in names:
        g[name] = g[name] * scale


def train(
    net: Net,
    rule: str,
    weights: Arrays,
    back: Arrays,
    batches: list[list[tuple[np.ndarray, np.ndarray]]],
    lr: float,
    weight_decay: float,
) -> Arrays:
    """Train on batches (a list per epoch) by AdamW, cosine schedule; return the weights."""
    w, optimizer = dict(weights), AdamW(weight_decay)
    for k, epoch in enumerate(batches):
        now = lr * (1 + math.cos(math.pi * k / len(batches))) / 2
        for x, y in epoch:
            optimizer.step(w, gradients(net, w, back, x, y, rule), now)
    return w
