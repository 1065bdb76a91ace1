"""The reference loop against formulas derived by hand in NumPy, and against finite differences."""

import math

import numpy as np
import pytest
from scipy.special import erf

from tests.oracles.reference_loop import direction, train

Weights = dict[str, np.ndarray]

FEATURES, WIDTH, HIDDEN, CLASSES, DEPTH = 5, 4, 6, 3, 2
PARTS = ["embedding", "block_0", "block_1", "head"]

ACT = {
    "gelu": lambda z: z * 0.5 * (1 + erf(z / math.sqrt(2))),
    "relu": lambda z: np.maximum(z, 0),
    "tanh": np.tanh,
}
ACT_SLOPE = {
    "gelu": lambda z: 0.5 * (1 + erf(z / math.sqrt(2))) + z * np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi),
    "relu": lambda z: (z > 0).astype(float),
    "tanh": lambda z: 1 - np.tanh(z) ** 2,
}
OPTIONS = [
    {"activation": "gelu", "skip": True, "terminal_norm": True},
    {"activation": "relu", "skip": False, "terminal_norm": True},
    {"activation": "tanh", "skip": True, "terminal_norm": False},
]
SMOOTH = [OPTIONS[0], OPTIONS[2], {"activation": "gelu", "skip": False, "terminal_norm": True}]


# --- a tiny problem, and the network by hand ---------------------------------------------------------------------


def problem(terminal_norm: bool = True, samples: int = 7) -> tuple[Weights, list[np.ndarray], np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    shapes: dict[str, tuple[int, ...]] = {"embedding.weight": (FEATURES, WIDTH), "embedding.bias": (WIDTH,)}
    for i in range(DEPTH):
        shapes |= {f"block_{i}.norm.weight": (WIDTH,), f"block_{i}.norm.bias": (WIDTH,)}
        shapes |= {f"block_{i}.w1.weight": (WIDTH, HIDDEN), f"block_{i}.w1.bias": (HIDDEN,)}
        shapes |= {f"block_{i}.w2.weight": (HIDDEN, WIDTH), f"block_{i}.w2.bias": (WIDTH,)}
    if terminal_norm:
        shapes |= {"head.norm.weight": (WIDTH,), "head.norm.bias": (WIDTH,)}
    shapes |= {"head.weight": (WIDTH, CLASSES), "head.bias": (CLASSES,)}
    weights = {name: rng.normal(0, 0.7, shape) + name.endswith("norm.weight") for name, shape in shapes.items()}
    feedback = [rng.normal(0, CLASSES**-0.5, (CLASSES, WIDTH)) for _ in range(DEPTH)]
    return weights, feedback, rng.normal(0, 1, (samples, FEATURES)), rng.integers(0, CLASSES, samples)


def whiten(h: np.ndarray) -> np.ndarray:
    centred = h - h.mean(1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(1, keepdims=True) + 1e-5)


def norm(w: Weights, name: str, h: np.ndarray) -> np.ndarray:
    return whiten(h) * w[f"{name}.weight"] + w[f"{name}.bias"] if f"{name}.weight" in w else h


def branch(w: Weights, i: int, h: np.ndarray, activation: str) -> np.ndarray:
    z = norm(w, f"block_{i}.norm", h) @ w[f"block_{i}.w1.weight"] + w[f"block_{i}.w1.bias"]
    return ACT[activation](z) @ w[f"block_{i}.w2.weight"] + w[f"block_{i}.w2.bias"]


def forward_from(w: Weights, i: int, h: np.ndarray, activation: str, skip: bool):
    """From h_l on: the states h_l … h_L, the branches and the logits."""
    states, branches = [h], []
    for k in range(i, DEPTH):
        f = branch(w, k, states[-1], activation)
        branches.append(f)
        states.append(states[-1] + f if skip else f)
    return states, branches, norm(w, "head.norm", states[-1]) @ w["head.weight"] + w["head.bias"]


def forward(w: Weights, x: np.ndarray, activation: str, skip: bool):
    return forward_from(w, 0, x @ w["embedding.weight"] + w["embedding.bias"], activation, skip)


def cross_entropy(logits: np.ndarray, y: np.ndarray) -> float:
    top = logits.max(1, keepdims=True)
    log_p = logits - top - np.log(np.exp(logits - top).sum(1, keepdims=True))
    return float(-log_p[np.arange(len(y)), y].mean())


def error(logits: np.ndarray, y: np.ndarray) -> np.ndarray:
    p = np.exp(logits - logits.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True) - np.eye(CLASSES)[y]


def dfa_gradient_by_hand(w, feedback, x, y, strength, activation="gelu", skip=True, terminal_norm=True) -> Weights:
    n = len(y)
    states, branches, logits = forward(w, x, activation, skip)
    e = error(logits, y)
    grad: Weights = {}
    for i in range(DEPTH):
        a = e @ feedback[i]
        a_hat = a / (np.sqrt((a**2).mean(1, keepdims=True)) + 1e-6)
        if i == 0:
            grad["embedding.weight"], grad["embedding.bias"] = x.T @ a_hat / n, a_hat.mean(0)
        d_f = a_hat / n + 2 * strength * branches[i] / n
        u = norm(w, f"block_{i}.norm", states[i])
        z = u @ w[f"block_{i}.w1.weight"] + w[f"block_{i}.w1.bias"]
        d_z = (d_f @ w[f"block_{i}.w2.weight"].T) * ACT_SLOPE[activation](z)
        d_u = d_z @ w[f"block_{i}.w1.weight"].T
        grad[f"block_{i}.w2.weight"], grad[f"block_{i}.w2.bias"] = ACT[activation](z).T @ d_f, d_f.sum(0)
        grad[f"block_{i}.w1.weight"], grad[f"block_{i}.w1.bias"] = u.T @ d_z, d_z.sum(0)
        grad[f"block_{i}.norm.weight"], grad[f"block_{i}.norm.bias"] = (d_u * whiten(states[i])).sum(0), d_u.sum(0)
    d_u = e @ w["head.weight"].T / n
    grad["head.weight"], grad["head.bias"] = norm(w, "head.norm", states[-1]).T @ e / n, e.mean(0)
    if terminal_norm:
        grad["head.norm.weight"], grad["head.norm.bias"] = (d_u * whiten(states[-1])).sum(0), d_u.sum(0)
    return grad


def part_of(name: str) -> str:
    return name.split(".")[0]


def part_norm(values: Weights, part: str) -> float:
    return math.sqrt(sum(float((v**2).sum()) for name, v in values.items() if part_of(name) == part))


def seen_gradient(w: Weights, feedback, x, y, **settings) -> Weights:
    """The gradient that one AdamW step saw: with lr = eps = 1 and no decay the update is g / (|g| + 1)."""
    arguments = {"strength": 0.0, "frozen": set(), "clip": None} | settings
    after = train(
        weights=w,
        feedback=feedback,
        batches=[[(x, y)]],
        lr=1.0,
        weight_decay=0.0,
        schedule="constant",
        eps=1.0,
        **arguments,
    )
    update = {name: w[name] - after[name] for name in w}
    return {name: u / (1 - np.abs(u)) for name, u in update.items()}


def assert_close(left: Weights, right: Weights, rtol: float, atol: float) -> None:
    assert set(left) == set(right)
    for name in left:
        np.testing.assert_allclose(left[name], right[name], rtol=rtol, atol=atol, err_msg=name)


# --- gradients ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("strength", [0.0, 0.3])
def test_dfa_gradients_equal_the_hand_derived_ones(options: dict, strength: float) -> None:
    w, feedback, x, y = problem(options["terminal_norm"])
    expected = dfa_gradient_by_hand(w, feedback, x, y, strength, **options)
    assert_close(seen_gradient(w, feedback, x, y, rule="dfa", strength=strength, **options), expected, 1e-9, 1e-12)


@pytest.mark.parametrize("options", SMOOTH)
@pytest.mark.parametrize("strength", [0.0, 0.3])
def test_bp_gradients_equal_finite_differences(options: dict, strength: float) -> None:
    w, feedback, x, y = problem(options["terminal_norm"])

    def loss() -> float:
        _, branches, logits = forward(w, x, options["activation"], options["skip"])
        return cross_entropy(logits, y) + strength * sum(float((f**2).sum(1).mean()) for f in branches)

    seen = seen_gradient(w, feedback, x, y, rule="bp", strength=strength, **options)
    expected = {name: finite_difference(loss, value) for name, value in w.items()}
    assert_close(seen, expected, 1e-6, 1e-8)


def finite_difference(function, value: np.ndarray, step: float = 1e-5) -> np.ndarray:
    """Central differences of ``function()`` in each entry of ``value``, which it reads in place."""
    slope = np.zeros_like(value)
    for i in np.ndindex(value.shape):
        kept = value[i]
        value[i] = kept + step
        above = function()
        value[i] = kept - step
        below = function()
        value[i] = kept
        slope[i] = (above - below) / (2 * step)
    return slope


# --- freezing and clipping ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["dfa", "bp"])
@pytest.mark.parametrize("frozen", [{"block_0", "block_1"}, {"embedding"}, {"head"}, {"block_1"}, set(PARTS)])
def test_frozen_parts_keep_their_bits_and_the_others_move(rule: str, frozen: set[str]) -> None:
    w, feedback, x, y = problem()
    before = {name: value.copy() for name, value in w.items()}
    after = train(
        weights=w,
        feedback=feedback,
        batches=[[(x, y)] * 2] * 2,
        rule=rule,
        strength=0.1,
        frozen=frozen,
        lr=1e-2,
        weight_decay=0.1,
        schedule="cosine",
    )
    assert list(after) == list(w)
    for name, value in after.items():
        assert np.array_equal(w[name], before[name]), "the arguments are left alone"
        assert np.array_equal(value, before[name]) == (part_of(name) in frozen), name


def test_under_bp_gradient_and_penalty_pass_through_frozen_blocks() -> None:
    w, feedback, x, y = problem()
    for strength in (0.0, 0.3):
        free = seen_gradient(w, feedback, x, y, rule="bp", strength=strength)
        held = seen_gradient(w, feedback, x, y, rule="bp", strength=strength, frozen={"block_0", "block_1"})
        assert_close(*({k: v for k, v in g.items() if "block" not in k} for g in (free, held)), 1e-12, 1e-15)


def test_clipping_is_per_block_and_spares_embedding_and_head() -> None:
    w, feedback, x, y = problem()
    x = x * 20
    w["head.weight"] = w["head.weight"] * 20
    raw = dfa_gradient_by_hand(w, feedback, x, y, strength=0.5)
    limit = math.sqrt(part_norm(raw, "block_0") * part_norm(raw, "block_1"))
    for clip in (0.01, limit):  # both blocks over the limit; one over and one under
        seen = seen_gradient(w, feedback, x, y, rule="dfa", strength=0.5, clip=clip)
        scale = {part: min(1.0, clip / (part_norm(raw, part) + 1e-6)) for part in ("block_0", "block_1")}
        assert (scale["block_0"] < 1) + (scale["block_1"] < 1) == (2 if clip == 0.01 else 1)
        assert scale["block_0"] != scale["block_1"]
        assert_close(seen, {name: g * scale.get(part_of(name), 1.0) for name, g in raw.items()}, 1e-8, 1e-12)
    assert min(part_norm(raw, "embedding"), part_norm(raw, "head")) > 0.01


def test_bp_ignores_the_clip() -> None:
    w, feedback, x, y = problem()
    clipped = seen_gradient(w, feedback, x, y, rule="bp", clip=1e-3)
    assert_close(clipped, seen_gradient(w, feedback, x, y, rule="bp"), 0, 0)


# --- the loop ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("schedule", ["cosine", "constant"])
def test_dfa_loop_equals_a_numpy_loop(schedule: str) -> None:
    w, feedback, x, y = problem(samples=10)
    w["block_0.w2.weight"] = w["block_0.w2.weight"] * 6  # so that clipping bites in one block
    epochs = [[(x[i], y[i]) for i in np.split(np.random.default_rng(k).permutation(10), [4, 8])] for k in range(3)]
    lr, decay, beta1, beta2, eps, strength = 1e-2, 0.3, 0.8, 0.95, 1e-8, 0.2
    now = {name: value.copy() for name, value in w.items()}
    m = {name: np.zeros_like(value) for name, value in w.items()}
    v = {name: np.zeros_like(value) for name, value in w.items()}
    step, clipped = 0, 0
    for k, epoch in enumerate(epochs):
        rate = lr * (1 + math.cos(math.pi * k / len(epochs))) / 2 if schedule == "cosine" else lr
        for xb, yb in epoch:
            step += 1
            grad = dfa_gradient_by_hand(now, feedback, xb, yb, strength)
            scale = {p: min(1.0, 1.0 / (part_norm(grad, p) + 1e-6)) for p in ("block_0", "block_1")}
            clipped += sum(s < 1 for s in scale.values())
            for name, value in now.items():
                g = grad[name] * scale.get(part_of(name), 1.0)
                m[name] = beta1 * m[name] + (1 - beta1) * g
                v[name] = beta2 * v[name] + (1 - beta2) * g**2
                m_hat, v_hat = m[name] / (1 - beta1**step), v[name] / (1 - beta2**step)
                now[name] = value - rate * decay * value - rate * m_hat / (np.sqrt(v_hat) + eps)
    assert clipped > 0
    after = train(
        weights=w,
        feedback=feedback,
        batches=epochs,
        rule="dfa",
        strength=strength,
        frozen=set(),
        lr=lr,
        weight_decay=decay,
        schedule=schedule,
        beta1=beta1,
        beta2=beta2,
        eps=eps,
    )
    assert_close(after, now, 1e-9, 1e-11)


@pytest.mark.parametrize("rule", ["dfa", "bp"])
def test_training_lowers_the_loss(rule: str) -> None:
    w, feedback, x, y = problem()
    after = train(
        weights=w,
        feedback=feedback,
        batches=[[(x, y)] * 10] * 3,
        rule=rule,
        strength=0.0,
        frozen=set(),
        lr=1e-2,
        weight_decay=0.01,
        schedule="cosine",
    )
    assert direction(after, feedback, x, y)["loss"] < direction(w, feedback, x, y)["loss"]


@pytest.mark.parametrize(
    "change",
    [{"rule": "fa"}, {"schedule": "linear"}, {"frozen": {"block_2"}}, {"feedback": []}, {"terminal_norm": False}],
)
def test_wrong_arguments_are_refused(change: dict) -> None:
    w, feedback, x, y = problem()
    arguments = {"weights": w, "feedback": feedback, "batches": [[(x, y)]], "rule": "dfa", "frozen": set()} | change
    with pytest.raises(ValueError):
        train(**({"strength": 0.0, "lr": 1e-3, "weight_decay": 0.0, "schedule": "cosine"} | arguments))


# --- direction quality -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", SMOOTH)
def test_direction_equals_finite_differences_and_the_definitions(options: dict) -> None:
    w, feedback, x, y = problem(options["terminal_norm"])
    activation, skip = options["activation"], options["skip"]
    found = direction(w, feedback, x, y, **options)
    states, _, logits = forward(w, x, activation, skip)
    e = error(logits, y)
    for i in range(DEPTH + 1):
        h = states[i].copy()
        g = finite_difference(lambda i=i, h=h: cross_entropy(forward_from(w, i, h, activation, skip)[2], y), h)
        np.testing.assert_allclose(found["g"][i], g, rtol=1e-6, atol=1e-9)
        a = e @ feedback[min(i, DEPTH - 1)]
        np.testing.assert_allclose(found["a"][i], a, rtol=1e-12)
        exact = found["g"][i]
        cosine = (a * exact).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(exact, axis=1))
        np.testing.assert_allclose(found["cosine"][i], cosine, rtol=1e-10, atol=1e-14)
        np.testing.assert_allclose(found["g_norm"][i], np.linalg.norm(exact, axis=1), rtol=1e-12)
        np.testing.assert_allclose(found["a_norm"][i], np.linalg.norm(a, axis=1), rtol=1e-12)
        np.testing.assert_allclose(found["h_norm"][i], np.linalg.norm(states[i], axis=1), rtol=1e-12)
    sizes = np.stack([np.linalg.norm(h, axis=1) for h in states])
    np.testing.assert_allclose(found["growth"], np.maximum(sizes[1] / sizes[0], sizes[2] / sizes[1]), rtol=1e-12)
    assert found["accuracy"] == (logits.argmax(1) == y).mean()
    np.testing.assert_allclose(found["loss"], cross_entropy(logits, y), rtol=1e-12)


def test_a_tiny_gradient_keeps_its_cosine() -> None:
    """Huge ‖h‖ behind the terminal norm makes g tiny; its direction is data all the same."""
    w, feedback, x, y = problem()
    for k in range(DEPTH):  # silence the branches, so that h_l = E x throughout
        w[f"block_{k}.w2.weight"] = w[f"block_{k}.w2.weight"] * 0
        w[f"block_{k}.w2.bias"] = w[f"block_{k}.w2.bias"] * 0
    w["embedding.weight"], w["embedding.bias"] = w["embedding.weight"] * 1e6, w["embedding.bias"] * 1e6
    near = direction(w, feedback, x, y)
    far = direction({k: v * 1e12 if "embedding" in k else v for k, v in w.items()}, feedback, x, y)
    assert far["g_norm"].max() < 1e-17
    np.testing.assert_allclose(far["g_norm"] * 1e12, near["g_norm"], rtol=1e-6)
    np.testing.assert_allclose(far["cosine"], near["cosine"], rtol=1e-6, atol=1e-9)
