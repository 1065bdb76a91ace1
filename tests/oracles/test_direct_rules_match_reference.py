"""Rules with direct credit, in float64, against networks that go back by hand: every parameter and own tensor."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.special import ndtri

from harness.batched import keyed
from harness.datasets import Images
from harness.training.learned import copy_learned
from tests.oracles.reference_direct import Pass, make_signs, train
from tests.oracles.reference_rules import AdamW, Arrays, gradients, words
from tests.oracles.test_training_matches_reference import DEVICES, MODELS, arm, images, plain_batches, run_engine

__all__ = ["images"]

RULES: dict[str, dict[str, Any]] = {
    "fa_block": {"name": "fa_block"},
    "fa_block_plain": {"name": "fa_block", "normalize": "none", "clip": None},
    "drtp": {"name": "drtp"},
    "drtp_centred": {"name": "drtp", "center": True, "normalize": "batch", "clip": 0.5},
    "fresh_feedback": {"name": "fresh_feedback"},
    "direct_kolen_pollack": {"name": "direct_kolen_pollack"},
    "ifa": {"name": "ifa"},
    "dfa_none": {"name": "dfa", "normalize": "none", "clip": None},
    "dfa_shared": {"name": "dfa", "matrices": "shared", "feedback_seed": 3, "init": "uniform", "normalize": "batch"},
    "dfa_nested": {"name": "dfa", "matrices": "nested", "error": "sign"},
    "dfa_target": {"name": "dfa", "error": "target"},
}
TWINS = {"drtp_centred": "drtp_centred", "dfa_nested": "dfa_sign", "dfa_target": "drtp"}
"""Case → its twin, where that has not the rule's own name."""


def draw_feedback(rule: dict[str, Any], width: int, depth: int, seed: int) -> Arrays:
    """Each rule's matrices for 10 classes, under the key of their names: name → shape and standard deviation."""
    name, layers = rule["name"], range(depth)
    if name == "fa_block":
        shapes = {f"feedback_{layer}": ((width, width), width**-0.5) for layer in layers}
        shapes["feedback_out"] = ((10, width), 10**-0.5)
    elif name == "ifa" or rule.get("matrices"):
        shapes = {"feedback": ((10, width), 10**-0.5)}
    else:
        shapes = {f"feedback_{layer}": ((10, width), 10**-0.5) for layer in layers}
    found = {}
    own, seed = "rule/" if name == "direct_kolen_pollack" else "", rule.get("feedback_seed", seed)
    bound = {"drtp": (6 / width) ** 0.5, "dfa": width**-0.5}.get(name, 0.0)
    for key, (shape, sd) in shapes.items():
        u = keyed.uniform(math.prod(shape), seed, f"feedback/{own}{key}").reshape(shape)
        found[key] = bound * (2 * u - 1) if name == "drtp" or rule.get("init") == "uniform" else sd * ndtri(u)
    if rule.get("matrices"):
        return {f"feedback_{layer}": found["feedback"] for layer in layers}
    return {} if name == "fresh_feedback" else found


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
    plain: Any = one.setup.model
    for r, seed in enumerate(seeds):
        weights = {spec.name: keyed.tensor(spec, seed, "weights") for spec in program.state.specs}
        back = draw_feedback(rule, plain.width, plain.blocks, seed)
        settled: Any = one.rule
        expected, feedback = train(
            TWINS.get(kind, rule["name"]), weights, back,
            plain_batches(images, seed, one.setup), seed=seed, lr=0.01, weight_decay=0.05, over=settled.normalize,
            clip=settled.clip, activation=plain.activation, skip=plain.skip, terminal_norm=plain.terminal_norm,
        )  # fmt: skip
        if rule["name"] == "direct_kolen_pollack":
            expected |= {f"rule/{name}": value for name, value in feedback.items()}
            assert all(np.abs(feedback[name] - back[name]).max() > 1e-4 for name in back)
        found = copy_learned(program.state, program.kept)(r)
        assert set(found) == set(expected)
        for name, value in expected.items():
            np.testing.assert_allclose(found[name].numpy(), value, rtol=1e-9, atol=1e-9, err_msg=name)
        moved = [name for name in weights if np.abs(expected[name] - weights[name]).max() > 1e-4]
        assert moved == list(weights), "something was not trained, so the comparison proved nothing"


SIGNS: dict[str, dict[str, Any]] = {
    "usf": {"variant": "usf"},
    "usf_norm": {"variant": "usf", "scale": "norm"},
    "frsf": {"variant": "frsf"},
    "brsf_norm": {"variant": "brsf", "scale": "norm"},
}


def draw_magnitudes(variant: str, specs: dict[str, Any], seed: int, step: int) -> Arrays:
    """M of every weight but the first: its initial deviation, drawn with another key, or drawn at every step."""
    found = {}
    for name, spec in specs.items():
        if len(spec.shape) < 2 or name == "embedding.weight":
            continue
        normal, size, count = spec.init.kind == "normal", spec.init.scale, math.prod(spec.shape)
        if variant == "usf":
            found[name] = np.full(spec.shape, size if normal else size / math.sqrt(3))
            continue
        if variant == "frsf":
            u = keyed.uniform(count, seed, f"feedback/{name}")
            flat = ndtri(u) if normal else 2 * u - 1
        else:
            fine = np.array([word >> 8 for word in words(count, seed, name, step)])
            flat = ndtri((fine + 0.5) / 2**24) if normal else 2 * fine / 2**24 - 1
        found[name] = size * flat.reshape(spec.shape)
    return found


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", SIGNS)
def test_sign_symmetry_agrees_after_25_steps(kind: str, device: str, images: Images) -> None:
    """B is made from the present weights before every step."""
    chosen, seed = {"scale": "init"} | SIGNS[kind], 11
    one = arm("variant", ("random_crop",), rule={"name": "sign_symmetric"} | chosen)
    program = run_engine({"a": one}, [7, seed], images, device)
    specs = {spec.name: spec for spec in program.state.specs}
    weights = {name: keyed.tensor(spec, seed, "weights") for name, spec in specs.items()}
    w, optimizer, step = dict(weights), AdamW(0.05), 0
    batches = plain_batches(images, seed, one.setup)
    for k, epoch in enumerate(batches):
        for x, y in epoch:
            back = make_signs(w, draw_magnitudes(chosen["variant"], specs, seed, step), chosen["scale"])
            g = gradients(w, back, x, y, activation="tanh", skip=False, terminal_norm=False)
            optimizer.step(w, g, 0.01 * (1 + math.cos(math.pi * k / len(batches))) / 2)
            step += 1
    assert step == 25
    found = copy_learned(program.state, program.kept)(1)
    for name, value in w.items():
        np.testing.assert_allclose(found[name].numpy(), value, rtol=1e-9, atol=1e-9, err_msg=name)
        assert np.abs(value - weights[name]).max() > 1e-4


def test_the_reference_is_backpropagation_where_credit_is_the_gradient() -> None:
    """Of one sample, the last bias of a part has the gradient at its output: R(g) = BP, and J_l is the transpose of the
    way back, ⟨J_l c, g_{l+1}⟩ = ⟨c, g_l⟩, against the reference that passes the error through the whole network."""
    rng = np.random.default_rng(0)
    shapes = {"embedding.weight": (5, 4), "embedding.bias": (4,), "head.norm.weight": (4,), "head.norm.bias": (4,),
              "head.weight": (4, 3), "head.bias": (3,)}  # fmt: skip
    for at in ("block_0", "block_1"):
        shapes |= {f"{at}.norm.weight": (4,), f"{at}.norm.bias": (4,), f"{at}.w1.weight": (4, 6)}
        shapes |= {f"{at}.w1.bias": (6,), f"{at}.w2.weight": (6, 4), f"{at}.w2.bias": (4,)}
    w = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    x, y = rng.normal(size=(1, 5)), np.array([2])
    for skip in (True, False):
        form: dict[str, Any] = {"activation": "gelu", "skip": skip, "terminal_norm": True}
        done, true = Pass(w, x, form), gradients(w, w, x, y, **form)
        g = [true[name][None] for name in ("embedding.bias", "block_0.w2.bias", "block_1.w2.bias")]
        for name, value in done.gradients(done.p - np.eye(3)[y], g).items():
            np.testing.assert_allclose(value, true[name], rtol=1e-12, atol=1e-14, err_msg=name)
        for layer in (0, 1):
            c = rng.normal(size=(1, 4))
            assert (done.push(layer, c) * g[layer + 1]).sum() == pytest.approx((c * g[layer]).sum(), rel=1e-12)
