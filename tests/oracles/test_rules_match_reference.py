"""Layer-wise rules, in float64, against networks that go back by hand: every parameter and every own tensor."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import ndtri
from torch.nn import functional

from harness.batched import keyed
from harness.datasets import Images
from harness.training.learned import copy_learned
from tests.oracles.reference_loop import Network
from tests.oracles.reference_rules import Arrays, gradients, train
from tests.oracles.test_training_matches_reference import DEVICES, MODELS, arm, images, plain_batches, run_engine

__all__ = ["images"]

RULES: dict[str, dict[str, Any]] = {
    "bp": {"name": "bp"},
    "fa": {"name": "fa"},
    "fa_normal": {"name": "fa", "init": "normal"},
    "kolen_pollack": {"name": "kolen_pollack", "init": "normal"},
    "weight_mirror": {"name": "weight_mirror", "rate": 0.2, "samples": 7},
    "random_target": {"name": "random_target"},
}


def draw_feedback(rule: dict[str, Any], weights: Arrays, specs: dict[str, Any], seed: int) -> Arrays:
    """B of every weight but the first: uniform as the weight itself, or normal; under the key of its own name."""
    found = {}
    own = "rule/" if rule["name"] == "kolen_pollack" else ""
    for name, value in weights.items():
        if value.ndim == 2 and name != "embedding.weight":
            u = keyed.uniform(value.size, seed, f"feedback/{own}{name}").reshape(value.shape)
            normal = rule.get("init") == "normal" or specs[name].init.kind == "normal"
            sd = len(value) ** -0.5 if rule.get("init") == "normal" else specs[name].init.scale
            found[name] = sd * (ndtri(u) if normal else 2 * u - 1)
    return found


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("kind", RULES)
def test_every_parameter_and_own_tensor_agrees_after_25_steps(
    kind: str, model: str, device: str, images: Images
) -> None:
    seeds, rule = [11, 12], RULES[kind]
    one = arm(model, ("random_crop",), rule=rule)
    program = run_engine({"a": one}, seeds, images, device)
    assert int(program.state.steps) == 25
    specs = {spec.name: spec for spec in program.state.specs}
    for r, seed in enumerate(seeds):
        weights = {name: keyed.tensor(spec, seed, "weights") for name, spec in specs.items()}
        back = {} if rule["name"] in ("bp", "random_target") else draw_feedback(rule, weights, specs, seed)
        plain = one.setup.model
        expected, feedback = train(
            rule["name"], weights, back, plain_batches(images, seed, one.setup), seed=seed, lr=0.01, weight_decay=0.05,
            rate=rule.get("rate", 0.0), samples=rule.get("samples", 0), activation=plain.activation,  # type: ignore[attr-defined]
            skip=plain.skip, terminal_norm=plain.terminal_norm,  # type: ignore[attr-defined]
        )  # fmt: skip
        if rule["name"] == "kolen_pollack":
            expected |= {f"rule/{name}": value for name, value in feedback.items()}
        if rule["name"] == "weight_mirror":
            expected |= {f"evolved/{name}": value for name, value in feedback.items()}
        found = copy_learned(program.state, program.kept)(r)
        assert set(found) == set(expected)
        for name, value in expected.items():
            np.testing.assert_allclose(found[name].numpy(), value, rtol=1e-9, atol=1e-9, err_msg=name)
        moved = [name for name in weights if np.abs(expected[name] - weights[name]).max() > 1e-4]
        assert moved == list(weights), "something was not trained, so the comparison proved nothing"
        if feedback and rule["name"] != "fa":
            assert all(np.abs(feedback[name] - back[name]).max() > 1e-4 for name in back)


def test_the_reference_goes_back_by_the_gradient() -> None:
    """By its own weights, the way back is that of the loss: against central differences."""
    rng = np.random.default_rng(0)
    shapes = {
        "embedding.weight": (5, 4), "embedding.bias": (4,), "block_0.norm.weight": (4,), "block_0.norm.bias": (4,),
        "block_0.w1.weight": (4, 6), "block_0.w1.bias": (6,), "block_0.w2.weight": (6, 4), "block_0.w2.bias": (4,),
        "head.norm.weight": (4,), "head.norm.bias": (4,), "head.weight": (4, 3), "head.bias": (3,),
    }  # fmt: skip
    w = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    x, y = rng.normal(size=(7, 5)), rng.integers(3, size=7)
    shape: dict[str, Any] = {"activation": "gelu", "skip": True, "terminal_norm": True}
    found = gradients(w, w, x, y, **shape)

    def loss(w: Arrays) -> float:
        """Cross entropy by the other reference, which autograd differentiates."""
        *_, logits = Network(w, "gelu", True, True)(torch.tensor(x))
        return functional.cross_entropy(logits, torch.tensor(y)).item()

    for name in shapes:
        at = tuple(rng.integers(size) for size in shapes[name])
        step = np.zeros(shapes[name])
        step[at] = 1e-5
        slope = (loss(w | {name: w[name] + step}) - loss(w | {name: w[name] - step})) / 2e-5
        assert found[name][at] == pytest.approx(slope, rel=1e-6, abs=1e-9), name
