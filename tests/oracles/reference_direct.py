"""An independent reference for rules that give each part credit of its own: forwards and back by hand, NumPy, float64.

It shares no code with the engine, and nothing is detached, because nothing is differentiated: each part's gradient is
written out from the credit at its output. Weights and matrices are [in, out]; ``credit[l]`` [n, d] belongs to h_l.
"""

import math
from collections.abc import Callable

import numpy as np

from tests.oracles.reference_rules import AdamW, Arrays, act, norm, norm_back, signs

Form = dict[str, bool | str]


class Pass:
    """A forward pass of the residual MLP, with what the way back needs of each block."""

    def __init__(self, w: Arrays, x: np.ndarray, form: Form) -> None:
        self.w, self.x, self.form = w, x, form
        self.depth = len([name for name in w if name.endswith(".w1.weight")])
        self.states = [x @ w["embedding.weight"] + w["embedding.bias"]]
        self.kept = []
        for at in (f"block_{layer}" for layer in range(self.depth)):
            h = self.states[-1]
            u, normal, scale = norm(h, w[f"{at}.norm.weight"], w[f"{at}.norm.bias"])
            a, slope = act(u @ w[f"{at}.w1.weight"] + w[f"{at}.w1.bias"], str(form["activation"]))
            f = a @ w[f"{at}.w2.weight"] + w[f"{at}.w2.bias"]
            self.kept.append((at, u, normal, scale, a, slope))
            self.states.append(h + f if form["skip"] else f)
        h = self.states[-1]
        self.top = norm(h, w["head.norm.weight"], w["head.norm.bias"]) if form["terminal_norm"] else (h, h, h)
        z = self.top[0] @ w["head.weight"] + w["head.bias"]
        p = np.exp(z - z.max(1, keepdims=True))
        self.p = p / p.sum(1, keepdims=True)

    def gradients(self, e: np.ndarray, credit: list[np.ndarray]) -> Arrays:
        """Return every part's gradient: the head's from e, the others' from the credit at their outputs."""
        w, n = self.w, len(self.x)
        g = {"head.weight": self.top[0].T @ e / n, "head.bias": e.mean(0)}
        if self.form["terminal_norm"]:
            delta = e @ w["head.weight"].T / n
            g |= {"head.norm.weight": (delta * self.top[1]).sum(0), "head.norm.bias": delta.sum(0)}
        for layer, (at, u, normal, _, a, slope) in enumerate(self.kept):
            delta = credit[layer + 1] / n
            inner = (delta @ w[f"{at}.w2.weight"].T) * slope
            du = inner @ w[f"{at}.w1.weight"].T
            g |= {
                f"{at}.norm.weight": (du * normal).sum(0), f"{at}.norm.bias": du.sum(0),
                f"{at}.w1.weight": u.T @ inner, f"{at}.w1.bias": inner.sum(0),
                f"{at}.w2.weight": a.T @ delta, f"{at}.w2.bias": delta.sum(0),
            }  # fmt: skip
        return g | {"embedding.weight": self.x.T @ credit[0] / n, "embedding.bias": credit[0].mean(0)}

    def push(self, layer: int, c: np.ndarray) -> np.ndarray:
        """Return J_l c: what a change c of h_l changes h_{l+1} by. A layer norm's derivative is symmetric but for γ."""
        at, _, normal, scale, _, slope = self.kept[layer]
        du = norm_back(c, normal, scale, np.ones(c.shape[1])) * self.w[f"{at}.norm.weight"]
        df = ((du @ self.w[f"{at}.w1.weight"]) * slope) @ self.w[f"{at}.w2.weight"]
        return c + df if self.form["skip"] else df


Give = Callable[[Pass, Arrays, np.ndarray, np.ndarray, int, int], list[np.ndarray]]
"""Credit c_0 … c_L from a pass, the feedback, the error e, the targets t, the seed and the step."""


def direct(feedback: Arrays, e: np.ndarray, depth: int) -> list[np.ndarray]:
    """c_0 = e B_0, c_{l+1} = e B_l."""
    return [e @ feedback[f"feedback_{max(site - 1, 0)}"] for site in range(depth + 1)]


def fa_block(done: Pass, b: Arrays, e: np.ndarray, t: np.ndarray, seed: int, step: int) -> list[np.ndarray]:
    """c_L = e B, c_l = c_{l+1} D_l."""
    credit = [e @ b["feedback_out"]]
    for layer in reversed(range(done.depth)):
        credit = [credit[0] @ b[f"feedback_{layer}"], *credit]
    return credit


def drtp(done: Pass, b: Arrays, e: np.ndarray, t: np.ndarray, seed: int, step: int) -> list[np.ndarray]:
    """Row y of B_l, with the sign of −t."""
    labels = t.argmax(1)
    return [-b[f"feedback_{max(site - 1, 0)}"][labels] for site in range(done.depth + 1)]


def drtp_centred(done: Pass, b: Arrays, e: np.ndarray, t: np.ndarray, seed: int, step: int) -> list[np.ndarray]:
    """Row y of B_l without the mean of its rows, with the sign of −t."""
    return drtp(done, {name: matrix - matrix.mean(0) for name, matrix in b.items()}, e, t, seed, step)


def fresh(done: Pass, b: Arrays, e: np.ndarray, t: np.ndarray, seed: int, step: int) -> list[np.ndarray]:
    """As direct feedback, from signs over √C that are drawn at every step."""
    sizes = e.shape[1], done.states[0].shape[1]
    names = [f"feedback_{layer}" for layer in range(done.depth)]
    return direct({name: signs(sizes, seed, name, step) / math.sqrt(sizes[0]) for name in names}, e, done.depth)


def ifa(done: Pass, b: Arrays, e: np.ndarray, t: np.ndarray, seed: int, step: int) -> list[np.ndarray]:
    """c_0 = e B, c_{l+1} = J_l c_l."""
    credit = [e @ b["feedback"]]
    for layer in range(done.depth):
        credit.append(done.push(layer, credit[-1]))
    return credit


def dfa(done: Pass, b: Arrays, e: np.ndarray, t: np.ndarray, seed: int, step: int) -> list[np.ndarray]:
    """Direct feedback of the error."""
    return direct(b, e, done.depth)


def dfa_sign(done: Pass, b: Arrays, e: np.ndarray, t: np.ndarray, seed: int, step: int) -> list[np.ndarray]:
    """Direct feedback of the error's signs."""
    return direct(b, np.sign(e), done.depth)


RULES: dict[str, Give] = {
    "fa_block": fa_block, "drtp": drtp, "drtp_centred": drtp_centred, "fresh_feedback": fresh, "ifa": ifa,
    "direct_kolen_pollack": dfa, "dfa": dfa, "dfa_sign": dfa_sign,
}  # fmt: skip


def divide(c: np.ndarray, over: str) -> np.ndarray:
    """Return credit [n, d] by its root mean square + 1e-6."""
    if over == "none":
        return c
    mean = (c**2).mean(1, keepdims=True) if over == "sample" else (c**2).mean()
    return c / (np.sqrt(mean) + 1e-6)


def clip_blocks(g: Arrays, depth: int, largest: float) -> Arrays:
    """Return gradients of which each block's norm is at most ``largest``, up to PyTorch's 1e-6."""
    found = dict(g)
    for layer in range(depth):
        own = [name for name in g if name.startswith(f"block_{layer}.")]
        total = math.sqrt(sum((g[name] ** 2).sum() for name in own))
        found |= {name: g[name] * min(1.0, largest / (total + 1e-6)) for name in own}
    return found


def train(
    rule: str,
    weights: Arrays,
    back: Arrays,
    batches: list[list[tuple[np.ndarray, np.ndarray]]],
    *,
    seed: int,
    lr: float,
    weight_decay: float,
    over: str,
    clip: float | None,
    **form: bool | str,
) -> tuple[Arrays, Arrays]:
    """Train on batches (a list per epoch), cosine schedule; return weights and feedback."""
    w, b = dict(weights), dict(back)
    optimizer, of_feedback = AdamW(weight_decay), AdamW(weight_decay)
    step = 0
    for k, epoch in enumerate(batches):
        now = lr * (1 + math.cos(math.pi * k / len(batches))) / 2
        for x, y in epoch:
            done = Pass(w, x, form)
            t = np.eye(done.p.shape[1])[y]
            e = done.p - t
            credit = RULES[rule](done, b, e, t, seed, step)
            g = done.gradients(e, [divide(c, over) for c in credit])
            if rule == "direct_kolen_pollack":
                states = done.states[1:]
                of_feedback.step(b, {f"feedback_{k}": e.T @ h / len(x) for k, h in enumerate(states)}, now)
            optimizer.step(w, g if clip is None else clip_blocks(g, done.depth, clip), now)
            step += 1
    return w, b


def make_signs(w: Arrays, magnitudes: Arrays, scale: str) -> Arrays:
    """Return |M| ⊙ sign(W) for every weight that M is given for; under ``norm`` as long as W."""
    found = {}
    for name, m in magnitudes.items():
        b = np.abs(m) * np.where(w[name] < 0, -1.0, 1.0)
        found[name] = b * np.sqrt((w[name] ** 2).sum() / (b**2).sum()) if scale == "norm" else b
    return found
