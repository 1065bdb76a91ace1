"""An independent reference for layer-wise rules: the residual MLP forwards and backwards by hand, in NumPy, float64.

It shares no code with the engine. Every product u = hW + b sends δBᵀ back, for whatever B it is given; nothing is
detached, because nothing is differentiated. Weights are [in, out], and their names are the public ones.
"""

import hashlib
import math

import numpy as np
from scipy.special import erf

Arrays = dict[str, np.ndarray]
NORM_EPS = 1e-5


def act(z: np.ndarray, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Return φ(z) and φ′(z)."""
    if kind == "tanh":
        value = np.tanh(z)
        return value, 1 - value**2
    if kind == "relu":
        return np.maximum(z, 0), (z > 0).astype(float)
    below = 0.5 * (1 + erf(z / math.sqrt(2)))
    return z * below, below + z * np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)


def norm(h: np.ndarray, gain: np.ndarray, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the layer norm of h [n, d], the normalised h, and 1/sd [n, 1]."""
    centred = h - h.mean(1, keepdims=True)
    scale = 1 / np.sqrt((centred**2).mean(1, keepdims=True) + NORM_EPS)
    return centred * scale * gain + shift, centred * scale, scale


def norm_back(du: np.ndarray, normal: np.ndarray, scale: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """Return ∂/∂h of a layer norm from ∂/∂(its output)."""
    d = du * gain
    return scale * (d - d.mean(1, keepdims=True) - normal * (d * normal).mean(1, keepdims=True))


def gradients(
    w: Arrays, back: Arrays, x: np.ndarray, y: np.ndarray, *, activation: str, skip: bool, terminal_norm: bool
) -> Arrays:
    """Return the gradient of mean cross entropy in every tensor, if the error passes back through ``back``."""
    depth = len([name for name in w if name.endswith(".w1.weight")])
    h = x @ w["embedding.weight"] + w["embedding.bias"]
    kept = []
    for at in (f"block_{layer}" for layer in range(depth)):
        u, normal, scale = norm(h, w[f"{at}.norm.weight"], w[f"{at}.norm.bias"])
        a, slope = act(u @ w[f"{at}.w1.weight"] + w[f"{at}.w1.bias"], activation)
        f = a @ w[f"{at}.w2.weight"] + w[f"{at}.w2.bias"]
        kept.append((at, u, normal, scale, a, slope))
        h = h + f if skip else f
    top = norm(h, w["head.norm.weight"], w["head.norm.bias"]) if terminal_norm else (h, h, h)
    z = top[0] @ w["head.weight"] + w["head.bias"]
    p = np.exp(z - z.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    e = (p - np.eye(p.shape[1])[y]) / len(x)
    g = {"head.weight": top[0].T @ e, "head.bias": e.sum(0)}
    delta = e @ back["head.weight"].T
    if terminal_norm:
        g |= {"head.norm.weight": (delta * top[1]).sum(0), "head.norm.bias": delta.sum(0)}
        delta = norm_back(delta, top[1], top[2], w["head.norm.weight"])
    for at, u, normal, scale, a, slope in reversed(kept):
        g |= {f"{at}.w2.weight": a.T @ delta, f"{at}.w2.bias": delta.sum(0)}
        inner = (delta @ back[f"{at}.w2.weight"].T) * slope
        g |= {f"{at}.w1.weight": u.T @ inner, f"{at}.w1.bias": inner.sum(0)}
        du = inner @ back[f"{at}.w1.weight"].T
        g |= {f"{at}.norm.weight": (du * normal).sum(0), f"{at}.norm.bias": du.sum(0)}
        below = norm_back(du, normal, scale, w[f"{at}.norm.weight"])
        delta = delta + below if skip else below
    return g | {"embedding.weight": x.T @ delta, "embedding.bias": delta.sum(0)}


class AdamW:
    """AdamW on a set of arrays, by its equations."""

    def __init__(self, weight_decay: float) -> None:
        self.decay, self.t = weight_decay, 0
        self.m: Arrays = {}
        self.v: Arrays = {}

    def step(self, w: Arrays, g: Arrays, lr: float) -> None:
        """Update ``w`` in place."""
        self.t += 1
        for name, own in g.items():
            self.m[name] = 0.9 * self.m.get(name, 0.0) + 0.1 * own
            self.v[name] = 0.999 * self.v.get(name, 0.0) + 0.001 * own**2
            mean, square = self.m[name] / (1 - 0.9**self.t), self.v[name] / (1 - 0.999**self.t)
            w[name] = w[name] * (1 - lr * self.decay) - lr * mean / (np.sqrt(square) + 1e-8)


def philox(counter: list[int], key: list[int]) -> list[int]:
    """Return the four words of Philox-4x32-10, by whole numbers."""
    c, k, mask = list(counter), list(key), 2**32 - 1
    for _ in range(10):
        first, second = c[0] * 0xD2511F53, c[2] * 0xCD9E8D57
        c = [(second >> 32) ^ c[1] ^ k[0], second & mask, (first >> 32) ^ c[3] ^ k[1], first & mask]
        k = [(k[0] + 0x9E3779B9) & mask, (k[1] + 0xBB67AE85) & mask]
    return c


def words(count: int, seed: int, name: str, step: int) -> list[int]:
    """Return the words of a tensor that is drawn anew at every step."""
    digest = hashlib.sha256(f"harness/v1\0{seed}\0draws/{name}\0{0}".encode()).digest()
    key = [int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:8], "little")]
    found: list[int] = []
    while len(found) < count:
        found += philox([len(found) // 4, 0, step % 2**32, step >> 32], key)
    return found[:count]


def signs(shape: tuple[int, int], seed: int, name: str, step: int) -> np.ndarray:
    """Return +1 where a bit is set and −1 elsewhere, the lowest bit of each word first."""
    count = math.prod(shape)
    drawn = words(-(-count // 32), seed, name, step)
    bits = [word >> place & 1 for word in drawn for place in range(32)][:count]
    return (2.0 * np.array(bits) - 1.0).reshape(shape)


def train(
    rule: str,
    weights: Arrays,
    back: Arrays,
    batches: list[list[tuple[np.ndarray, np.ndarray]]],
    *,
    seed: int,
    lr: float,
    weight_decay: float,
    rate: float = 0.0,
    samples: int = 0,
    **shape: bool | str,
) -> tuple[Arrays, Arrays]:
    """Train by a layer-wise rule on batches (a list per epoch), cosine schedule; return weights and feedback.

    ``back`` has a matrix for every weight but the first: those of feedback, or under bp none, which are the weights.
    """
    w, b = dict(weights), dict(back)
    optimizer, of_feedback = AdamW(weight_decay), AdamW(weight_decay)
    step = 0
    for k, epoch in enumerate(batches):
        now = lr * (1 + math.cos(math.pi * k / len(batches))) / 2
        for x, labels in epoch:
            y = labels
            if rule == "random_target":
                y = np.array([word * 10 >> 32 for word in words(len(x), seed, "labels", step)])
            g = gradients(w, b or w, x, y, **shape)  # type: ignore[arg-type]
            optimizer.step(w, g, now)
            if rule == "kolen_pollack":
                of_feedback.step(b, {name: g[name] for name in b}, now)
            if rule == "weight_mirror":
                for name in b:
                    noise = signs((samples, len(w[name])), seed, f"noise/{name}", step)
                    b[name] = (1 - rate) * b[name] + rate * noise.T @ (noise @ w[name]) / samples
            step += 1
    return w, b
