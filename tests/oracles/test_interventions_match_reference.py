"""Penalties of states, clips per block, factors on credit, and schedules of strengths, against a plain network by hand.

Nothing is detached and nothing is differentiated: every gradient is written out, in NumPy and float64.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from harness.batched import keyed
from harness.datasets import Images
from harness.records import Arm
from tests.oracles.test_training_matches_reference import BATCH, DEVICES, EPOCHS, images, plain_batches, run_engine

__all__ = ["images"]

Arrays = dict[str, np.ndarray]
LR, MOMENTUM = 0.05, 0.9
STEP = {"name": "step", "milestones": [2], "gamma": 0.5}
WARM = {"name": "warmup", "epochs": 3, "then": "constant"}
FACTORS = {
    "none": lambda t: 1.0,
    "step": lambda t: 0.5 if t >= 2 else 1.0,
    "warmup": lambda t: min(1.0, (t + 1) / 3),
    "cosine": lambda t: (1 + math.cos(math.pi * t / EPOCHS)) / 2,
}
ARMS: dict[str, dict[str, Any]] = {
    "bp, clip, states above a length": {
        "rule": {"name": "bp", "clip": 0.05},
        "penalty": {"name": "hidden_norm", "strength": 0.3, "threshold": 0.8, "schedule": STEP},
    },
    "dfa, scaled credit, states": {
        "rule": {"name": "dfa", "normalize": "none", "clip": None, "credit_scale": 1.7, "credit_schedule": WARM},
        "penalty": {"name": "hidden_norm", "strength": 0.2},
    },
    "dfa, all of it": {
        "rule": {"name": "dfa", "clip": 0.1, "credit_scale": 0.5, "credit_schedule": "cosine"},
        "penalty": {"name": "hidden_norm", "strength": 0.3, "threshold": 0.5, "schedule": WARM},
    },
    "dfa, batch, branches": {
        "rule": {"name": "dfa", "normalize": "batch", "credit_scale": 0.5},
        "penalty": {"name": "residual_branch", "strength": 0.2, "schedule": "cosine"},
    },
    "fa, clip, states": {
        "rule": {"name": "fa", "clip": 0.02},
        "penalty": {"name": "hidden_norm", "strength": 0.3, "threshold": 0.7, "schedule": "cosine"},
    },
}


def make_arm(parts: dict[str, Any]) -> Arm:
    setup = {
        "dataset": {"name": "digits"},
        "model": {"name": "mlp", "width": 9, "layers": 3},
        "optimizer": {"name": "sgd", "lr": LR, "momentum": MOMENTUM, "schedule": STEP},
        "epochs": EPOCHS, "batch_size": BATCH, "precision": "float64", "evaluation": {"probe_samples": 30},
    }  # fmt: skip
    return Arm.model_validate({"label": "an arm", "setup": setup, **parts})


def factor(schedule: Any, epoch: int) -> float:
    return FACTORS[schedule["name"] if isinstance(schedule, dict) else schedule or "none"](epoch)


def penalise(parts: dict[str, Any], f: np.ndarray, h: np.ndarray, epoch: int) -> tuple[np.ndarray, np.ndarray]:
    """The gradient of λ·value at a block's branch and at its result."""
    penalty = parts["penalty"]
    strength = penalty["strength"] * factor(penalty.get("schedule"), epoch)
    if penalty["name"] == "residual_branch":
        return 2 * strength * f / len(f), np.zeros_like(h)
    length = np.sqrt((h**2).sum(1, keepdims=True))
    excess = np.maximum(length - penalty.get("threshold", 0.0), 0.0)
    return np.zeros_like(f), 2 * strength * excess * h / length / len(h)


def differentiate(w: Arrays, b: Arrays, x: np.ndarray, y: np.ndarray, parts: dict[str, Any], epoch: int) -> Arrays:
    rule, n = parts["rule"], len(x)
    layers = ["embedding", "block_0", "block_1"]
    inputs, branches, states = [x], [], []
    for at in layers:
        branches.append(inputs[-1] @ w[f"{at}.weight"] + w[f"{at}.bias"])
        states.append(np.tanh(branches[-1]))
        inputs.append(states[-1])
    z = states[-1] @ w["head.weight"] + w["head.bias"]
    e = np.exp(z - z.max(1, keepdims=True))
    e = e / e.sum(1, keepdims=True) - np.eye(10)[y]
    g = {"head.weight": states[-1].T @ e / n, "head.bias": e.mean(0)}
    way_back = {name: b.get(name, matrix) for name, matrix in w.items()}
    flows = e @ way_back["head.weight"].T / n
    for place in (2, 1, 0):
        at = layers[place]
        if rule["name"] == "dfa":
            credit = e @ b[f"feedback_{max(place - 1, 0)}"]
            axes = {"sample": 1, "batch": (0, 1)}.get(rule.get("normalize", "sample"))
            if axes is not None:
                credit = credit / (np.sqrt((credit**2).mean(axes, keepdims=True)) + 1e-6)
            flows = credit / n * rule["credit_scale"] * factor(rule.get("credit_schedule"), epoch)
        at_branch, at_state = penalise(parts, branches[place], states[place], epoch) if place else (0.0, 0.0)
        inner = (flows + at_state) * (1 - states[place] ** 2) + at_branch
        g |= {f"{at}.weight": inputs[place].T @ inner, f"{at}.bias": inner.sum(0)}
        clip = rule.get("clip", 1.0 if rule["name"] == "dfa" else None)
        if place and clip is not None:
            names = [f"{at}.weight", f"{at}.bias"]
            norm = math.sqrt(sum(float((g[name] ** 2).sum()) for name in names))
            g |= {name: g[name] * min(1.0, clip / (norm + 1e-6)) for name in names}
        flows = inner @ way_back[f"{at}.weight"].T
    return g


def train_by_hand(w: Arrays, b: Arrays, batches: list[Any], parts: dict[str, Any]) -> Arrays:
    gathered = {name: np.zeros_like(value) for name, value in w.items()}
    for epoch, rows in enumerate(batches):
        for x, y in rows:
            g = differentiate(w, b, x, y, parts, epoch)
            gathered = {name: MOMENTUM * gathered[name] + g[name] for name in w}
            w = {name: w[name] - LR * factor(STEP, epoch) * gathered[name] for name in w}
    return w


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", ARMS)
def test_every_parameter_agrees_after_25_steps(name: str, device: str, images: Images) -> None:
    seeds, one = [11, 12], make_arm(ARMS[name])
    program = run_engine({"a": one}, seeds, images, device)
    assert int(program.state.steps) == 25
    for r, seed in enumerate(seeds):
        weights = {spec.name: keyed.tensor(spec, seed, "weights") for spec in program.state.specs}
        specs = program.state.rule_groups[0].tensors.feedback
        feedback = {spec.name: keyed.tensor(spec, seed, "feedback") for spec in specs}
        expected = train_by_hand(weights, feedback, plain_batches(images, seed, one.setup), ARMS[name])
        for key, value in expected.items():
            found = program.state.params[key][r].detach().cpu().numpy()
            np.testing.assert_allclose(found, value, rtol=1e-9, atol=1e-9, err_msg=key)


def test_every_part_of_the_interventions_matters(images: Images) -> None:
    """Each difference between the cases, taken away alone, is seen: the comparison above could fail."""
    seed = 11
    for name, parts in ARMS.items():
        one = make_arm(parts)
        program = run_engine({"a": one}, [seed], images)
        weights = {spec.name: keyed.tensor(spec, seed, "weights") for spec in program.state.specs}
        specs = program.state.rule_groups[0].tensors.feedback
        feedback = {spec.name: keyed.tensor(spec, seed, "feedback") for spec in specs}
        batches = plain_batches(images, seed, one.setup)
        for part, key, other in (
            ("rule", "clip", None), ("rule", "credit_scale", 1.0), ("rule", "credit_schedule", None),
            ("penalty", "strength", 0.0), ("penalty", "threshold", 0.0), ("penalty", "schedule", None),
        ):  # fmt: skip
            if parts[part].get(key) is not None:
                without = {**parts, part: {**parts[part], key: other}}
                changed = train_by_hand(weights, feedback, batches, without)
                gap = max(
                    np.abs(program.state.params[at][0].detach().numpy() - value).max() for at, value in changed.items()
                )
                assert gap > 1e-6, (name, part, key)
