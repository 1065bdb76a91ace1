"""An independent reference for rules that do without a backward pass: the residual MLP by hand, in NumPy, float64.

It shares no code with the engine. Every part's gradient is an outer product that is written out; credit comes from the
papers' equations, derivatives along directions from forward mode on a network of plain functions (``torch.func.jvp``),
where the engine takes them otherwise or elsewhere. Weights are [in, out], and their names are the public ones.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.special import ndtri
from torch.nn import functional

from tests.oracles.reference_rules import AdamW, Arrays, act, norm, norm_back, signs, words

EPS = 1e-12


class Shape(NamedTuple):
    """What the weights don't tell of a network."""

    activation: str
    skip: bool
    terminal_norm: bool


def depth_of(w: Arrays) -> int:
    """Return the number of blocks."""
    return len([name for name in w if name.endswith(".w1.weight") and name.startswith("block")])


def branch(w: Arrays, layer: int, h: np.ndarray, shape: Shape) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """Return f_l(h), and what its way back needs."""
    at = f"block_{layer}"
    u, normal, scale = norm(h, w[f"{at}.norm.weight"], w[f"{at}.norm.bias"])
    a, slope = act(u @ w[f"{at}.w1.weight"] + w[f"{at}.w1.bias"], shape.activation)
    return a @ w[f"{at}.w2.weight"] + w[f"{at}.w2.bias"], (u, normal, scale, a, slope)


def branch_back(w: Arrays, layer: int, kept: tuple[np.ndarray, ...], delta: np.ndarray) -> tuple[Arrays, np.ndarray]:
    """Return the gradients of block l's weights, and that of its input through f_l."""
    at, (u, normal, scale, a, slope) = f"block_{layer}", kept
    inner = (delta @ w[f"{at}.w2.weight"].T) * slope
    du = inner @ w[f"{at}.w1.weight"].T
    g = {
        f"{at}.norm.weight": (du * normal).sum(0), f"{at}.norm.bias": du.sum(0),
        f"{at}.w1.weight": u.T @ inner, f"{at}.w1.bias": inner.sum(0),
        f"{at}.w2.weight": a.T @ delta, f"{at}.w2.bias": delta.sum(0),
    }  # fmt: skip
    return g, norm_back(du, normal, scale, w[f"{at}.norm.weight"])


def states(w: Arrays, x: np.ndarray, shape: Shape) -> list[np.ndarray]:
    """Return h_0 … h_L."""
    found = [x @ w["embedding.weight"] + w["embedding.bias"]]
    for layer in range(depth_of(w)):
        f, _ = branch(w, layer, found[-1], shape)
        found.append(found[-1] + f if shape.skip else f)
    return found


def softmax(z: np.ndarray) -> np.ndarray:
    """Return the softmax of every row."""
    p = np.exp(z - z.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True)


def logits(w: Arrays, h: np.ndarray, shape: Shape) -> np.ndarray:
    """Return z."""
    top = norm(h, w["head.norm.weight"], w["head.norm.bias"])[0] if shape.terminal_norm else h
    return top @ w["head.weight"] + w["head.bias"]


def head_back(w: Arrays, h: np.ndarray, e: np.ndarray, shape: Shape) -> tuple[Arrays, np.ndarray]:
    """Return the gradients of the head's weights from e/n, and that of h_L."""
    top = norm(h, w["head.norm.weight"], w["head.norm.bias"]) if shape.terminal_norm else (h, h, h)
    g = {"head.weight": top[0].T @ e, "head.bias": e.sum(0)}
    delta = e @ w["head.weight"].T
    if shape.terminal_norm:
        g |= {"head.norm.weight": (delta * top[1]).sum(0), "head.norm.bias": delta.sum(0)}
        delta = norm_back(delta, top[1], top[2], w["head.norm.weight"])
    return g, delta


def train_parts(w: Arrays, x: np.ndarray, inputs: list[np.ndarray], credit: list[np.ndarray], shape: Shape) -> Arrays:
    """Return the gradients of embedding and blocks, whose outputs have these credits (per sample, without 1/n)."""
    n = len(x)
    g = {"embedding.weight": x.T @ credit[0] / n, "embedding.bias": credit[0].sum(0) / n}
    for layer in range(depth_of(w)):
        _, kept = branch(w, layer, inputs[layer], shape)
        g |= branch_back(w, layer, kept, credit[layer + 1] / n)[0]
    return g


def error(w: Arrays, h: np.ndarray, y: np.ndarray, shape: Shape) -> np.ndarray:
    """Return e = p − t, without 1/n."""
    p = softmax(logits(w, h, shape))
    return p - np.eye(p.shape[1])[y]


# Directions -----------------------------------------------------------------------------------------------------------


def run_torch(
    w: dict[str, torch.Tensor], shifts: list[torch.Tensor], x: torch.Tensor, y: torch.Tensor, shape: Shape
) -> torch.Tensor:
    """Return each sample's cross entropy, with every state shifted."""

    def normed(h: torch.Tensor, at: str) -> torch.Tensor:
        return functional.layer_norm(h, h.shape[-1:], w[f"{at}.weight"], w[f"{at}.bias"])

    h = x @ w["embedding.weight"] + w["embedding.bias"] + shifts[0]
    for layer in range(len(shifts) - 1):
        at = f"block_{layer}"
        u = normed(h, f"{at}.norm") @ w[f"{at}.w1.weight"] + w[f"{at}.w1.bias"]
        f = getattr(functional, shape.activation)(u) @ w[f"{at}.w2.weight"] + w[f"{at}.w2.bias"]
        h = (h + f if shape.skip else f) + shifts[layer + 1]
    top = normed(h, "head.norm") if shape.terminal_norm else h
    return functional.cross_entropy(top @ w["head.weight"] + w["head.bias"], y, reduction="none")


def differentiate(
    w: Arrays, v: Arrays | None, u: list[np.ndarray], x: np.ndarray, y: np.ndarray, shape: Shape
) -> np.ndarray:
    """Return the derivative of each sample's loss along v of the weights and u of the states, in forward mode."""
    weights = {name: torch.tensor(value) for name, value in w.items()}
    along = {name: torch.tensor(v[name]) if v else torch.zeros_like(value) for name, value in weights.items()}
    zeros = [torch.zeros(one.shape, dtype=torch.float64) for one in u]

    def run(weights: dict[str, torch.Tensor], shifts: list[torch.Tensor]) -> torch.Tensor:
        return run_torch(weights, shifts, torch.tensor(x), torch.tensor(y), shape)

    return torch.func.jvp(run, (weights, zeros), (along, [torch.tensor(one) for one in u]))[1].numpy()


def draw_normal(count: tuple[int, ...], seed: int, name: str, step: int) -> np.ndarray:
    """Return standard normal numbers that are drawn anew at every step."""
    drawn = np.array(words(math.prod(count), seed, name, step))
    return ndtri(((drawn >> 8) + 0.5) * 2.0**-24).reshape(count)


def draw_direction(count: tuple[int, ...], seed: int, name: str, step: int, kind: str) -> np.ndarray:
    """Return signs or normal numbers."""
    if kind == "normal":
        return draw_normal(count, seed, name, step)
    return signs(count, seed, name, step)  # type: ignore[arg-type]


# Rules: each returns the gradient of every tensor, of weights and of its own ------------------------------------------


class Batch(NamedTuple):
    """A batch, and what its draws depend on."""

    x: np.ndarray
    y: np.ndarray
    seed: int
    step: int


Options = dict[str, Any]


def activity_perturbation(w: Arrays, own: Arrays, batch: Batch, shape: Shape, o: Options) -> Arrays:
    """c_l = j u_l."""
    h = states(w, batch.x, shape)
    kind = o.get("distribution", "sign")
    u = [draw_direction(one.shape, batch.seed, f"direction_{i}", batch.step, kind) for i, one in enumerate(h)]
    j = differentiate(w, None, u, batch.x, batch.y, shape)
    g = head_back(w, h[-1], error(w, h[-1], batch.y, shape) / len(batch.x), shape)[0]
    return g | train_parts(w, batch.x, h, [j[:, None] * one for one in u], shape)


def forward_gradient(w: Arrays, own: Arrays, batch: Batch, shape: Shape, o: Options) -> Arrays:
    """q = mean_k (∇L·v) v."""
    count, kind = o.get("directions", 1), o.get("distribution", "sign")
    drawn = {
        name: draw_direction((count, *value.shape), batch.seed, f"direction/{name}", batch.step, kind)
        for name, value in w.items()
    }
    still = [np.zeros_like(h) for h in states(w, batch.x, shape)]
    g = {name: np.zeros_like(value) for name, value in w.items()}
    for k in range(count):
        v = {name: value[k] for name, value in drawn.items()}
        slope = differentiate(w, v, still, batch.x, batch.y, shape).mean()
        for name in g:
            g[name] += slope * v[name] / count
    return g


def weight_perturbation(w: Arrays, own: Arrays, batch: Batch, shape: Shape, o: Options) -> Arrays:
    """q = v (L(θ + σv) − L(θ − σv))/2σ, or one-sided."""

    def loss(w: Arrays) -> float:
        p = softmax(logits(w, states(w, batch.x, shape)[-1], shape))
        return float(-np.log(p[np.arange(len(p)), batch.y]).mean())

    sigma = o["sigma"]
    v = {
        name: draw_direction((1, *value.shape), batch.seed, f"direction/{name}", batch.step, "sign")[0]
        for name, value in w.items()
    }
    ahead = loss({name: value + sigma * v[name] for name, value in w.items()})
    if o.get("difference") == "one_sided":
        slope = (ahead - loss(w)) / sigma
    else:
        slope = (ahead - loss({name: value - sigma * v[name] for name, value in w.items()})) / (2 * sigma)
    return {name: slope * value for name, value in v.items()}


def correlate(u: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return sim(u), the rows centred and normalised, and their lengths."""
    centred = u - u.mean(1, keepdims=True)
    length = np.sqrt((centred**2).sum(1, keepdims=True) + EPS)
    return (centred / length) @ (centred / length).T, centred / length, length


def local_greedy(w: Arrays, own: Arrays, batch: Batch, shape: Shape, o: Options) -> Arrays:
    """(1 − β)·CE(hV, y) + β·mean (sim(hP) − sim(t))², by hand."""
    beta, n = o.get("similarity", 0.99), len(batch.x)
    h = states(w, batch.x, shape)
    t = np.eye(w["head.bias"].size)[batch.y]
    credit, g = [], head_back(w, h[-1], error(w, h[-1], batch.y, shape) / n, shape)[0]
    for site, one in enumerate(h):
        c = np.zeros_like(one)
        if beta < 1:
            v = own[f"rule/predict_{site}"]
            wrong = (1 - beta) * (softmax(one @ v) - t)
            g[f"rule/predict_{site}"] = one.T @ wrong / n
            c += wrong @ v.T
        if beta > 0:
            m = own[f"rule/compare_{site}"]
            sim, unit, length = correlate(one @ m)
            apart = sim - correlate(t)[0]
            back = 4 * beta / n**2 * apart @ unit  # both factors of sim, which is symmetric
            back = (back - unit * (back * unit).sum(1, keepdims=True)) / length
            back -= back.mean(1, keepdims=True)
            g[f"rule/compare_{site}"] = one.T @ back
            c += n * back @ m.T
        credit.append(c)
    return g | train_parts(w, batch.x, h, credit, shape)


def dtp(w: Arrays, own: Arrays, batch: Batch, shape: Shape, o: Options) -> Arrays:
    """Targets from the top, and the inverses' own gradients."""
    rate, tanh, n, depth = o.get("target_rate", 0.328), o.get("inverse") == "tanh", len(batch.x), depth_of(w)

    def invert(layer: int, above: np.ndarray) -> np.ndarray:
        out = above @ own[f"rule/inverse_{layer}.weight"] + own[f"rule/inverse_{layer}.bias"]
        return np.tanh(out) if tanh else out

    h = states(w, batch.x, shape)
    g, delta = head_back(w, h[-1], error(w, h[-1], batch.y, shape) / n, shape)
    target = h[-1] - rate * n * delta
    targets = [target]
    for layer in reversed(range(depth)):
        target = h[layer] - invert(layer, h[layer + 1]) + invert(layer, target)
        targets.insert(0, target)
    for layer in range(depth):
        noisy = h[layer] + o.get("noise", 0.36) * draw_normal(h[layer].shape, batch.seed, f"noise_{layer}", batch.step)
        f, _ = branch(w, layer, noisy, shape)
        above = noisy + f if shape.skip else f
        back = invert(layer, above)
        wrong = 2 * (back - noisy) / n * (1 - back**2 if tanh else 1)
        g |= {f"rule/inverse_{layer}.weight": above.T @ wrong, f"rule/inverse_{layer}.bias": wrong.sum(0)}
    return g | train_parts(w, batch.x, h, [(a - b) / rate for a, b in zip(h, targets, strict=True)], shape)


def pepita(w: Arrays, own: Arrays, batch: Batch, shape: Shape, o: Options) -> Arrays:
    """Updates h′ᵀ(h − h′)/n of a second pass, and h′ᵀe/n of the head."""
    h = states(w, batch.x, shape)
    e = error(w, h[-1], batch.y, shape)
    changed = batch.x + e @ own["feedback"]
    after = states(w, changed, shape)
    if o.get("head_error") == "second":
        e = error(w, after[-1], batch.y, shape)
    g = head_back(w, after[-1], e / len(e), shape)[0]
    return g | train_parts(w, changed, after, [a - b for a, b in zip(h, after, strict=True)], shape)


def forward_forward(w: Arrays, own: Arrays, batch: Batch, shape: Shape, o: Options) -> Arrays:
    """A loop over layers, each with positive and negative samples; then the readout."""
    x, y, n, classes = batch.x, batch.y, len(batch.x), w["head.bias"].size
    past = np.array([word * (classes - 1) >> 32 for word in words(n, batch.seed, "past", batch.step)])
    plain = states(w, x, shape)
    g = head_back(w, plain[-1], error(w, plain[-1], y, shape) / n, shape)[0]
    width = plain[0].shape[1]
    labels = "rule/label_embedding"
    for sign, told in ((1, y), (-1, (y + 1 + past) % classes)):
        found: Arrays = {}
        h = plain[0] + own[labels][told]
        for layer in range(-1, depth_of(w)):
            if layer >= 0:
                below = h / (np.sqrt((h**2).mean(1, keepdims=True)) + 1e-8) if o.get("normalize", True) else h
                f, kept = branch(w, layer, below, shape)
                h = below + f if shape.skip else f
            goodness = (h**2).sum(1, keepdims=True) - o.get("threshold", 1.0) * width
            wrong = -sign / (1 + np.exp(sign * goodness)) * 2 * h / n  # ∂softplus(∓(G − θ))/∂h
            if layer >= 0:
                found |= branch_back(w, layer, kept, wrong)[0]
            else:
                found |= {"embedding.weight": x.T @ wrong, "embedding.bias": wrong.sum(0)}
                found[labels] = np.eye(classes)[told].T @ wrong
        g = {name: g.get(name, 0) + found.get(name, 0) for name in {*g, *found}}
    return g


RULES = {
    function.__name__: function
    for function in (
        activity_perturbation, dtp, forward_forward, forward_gradient, local_greedy, pepita, weight_perturbation,
    )
}  # fmt: skip


def train(
    rule: dict[str, Any],
    weights: Arrays,
    own: Arrays,
    batches: list[list[tuple[np.ndarray, np.ndarray]]],
    shape: Shape,
    *,
    seed: int,
    lr: float,
    weight_decay: float,
) -> Arrays:
    """Train on batches (a list per epoch), cosine schedule; return weights and own tensors that are trained along."""
    options = {name: value for name, value in rule.items() if name != "name"}
    w, b = dict(weights), dict(own)
    optimizer = AdamW(weight_decay)
    step = 0
    for k, epoch in enumerate(batches):
        now = lr * (1 + math.cos(math.pi * k / len(batches))) / 2
        for x, y in epoch:
            g = RULES[rule["name"]](w, b, Batch(x, y, seed, step), shape, options)
            everything = w | b
            optimizer.step(everything, g, now)
            w, b = {name: everything[name] for name in w}, {name: everything[name] for name in b}
            step += 1
    return w | {name: value for name, value in b.items() if name.startswith("rule/")}
