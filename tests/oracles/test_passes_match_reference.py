"""Rules that do without a backward pass, in float64, against networks by hand: every parameter and own tensor."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from harness.batched import keyed
from harness.datasets import Images
from harness.training.learned import copy_learned
from tests.oracles.reference_passes import Shape, train
from tests.oracles.test_training_matches_reference import DEVICES, MODELS, arm, images, plain_batches, run_engine

__all__ = ["images"]

RULES: dict[str, dict[str, Any]] = {
    "predsim": {"name": "local_greedy", "similarity": 0.7},
    "pred": {"name": "local_greedy", "similarity": 0.0},
    "sim": {"name": "local_greedy", "similarity": 1.0},
    "activity_perturbation": {"name": "activity_perturbation"},
    "activity_normal": {"name": "activity_perturbation", "distribution": "normal"},
    "forward_gradient": {"name": "forward_gradient"},
    "forward_gradient_mean": {"name": "forward_gradient", "directions": 2, "distribution": "normal"},
    "weight_perturbation": {"name": "weight_perturbation", "sigma": 0.1},
    "weight_perturbation_one_sided": {"name": "weight_perturbation", "sigma": 0.1, "difference": "one_sided"},
    "dtp": {"name": "dtp"},
    "dtp_tanh": {"name": "dtp", "inverse": "tanh", "noise": 0.2, "target_rate": 0.5},
    "pepita": {"name": "pepita", "scale": 0.5},
    "pepita_second": {"name": "pepita", "scale": 0.5, "head_error": "second"},
    "forward_forward": {"name": "forward_forward"},
    "forward_forward_unscaled": {"name": "forward_forward", "normalize": False, "threshold": 2.0},
}


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
    plain, tensors = one.setup.model, program.state.rule_groups[0].tensors
    shape = Shape(plain.activation, plain.skip, plain.terminal_norm)  # type: ignore[attr-defined]
    for r, seed in enumerate(seeds):
        weights = {spec.name: keyed.tensor(spec, seed, "weights") for spec in program.state.specs}
        own = {spec.name: keyed.tensor(spec, seed, "feedback") for spec in (*tensors.own, *tensors.feedback)}
        batches = plain_batches(images, seed, one.setup)
        expected = train(rule, weights, own, batches, shape, seed=seed, lr=0.01, weight_decay=0.05)
        found = copy_learned(program.state, program.kept)(r)
        assert set(found) == set(expected)
        for name, value in expected.items():
            np.testing.assert_allclose(found[name].numpy(), value, rtol=1e-9, atol=1e-9, err_msg=name)
        start = weights | own
        still = [name for name, value in expected.items() if np.abs(value - start[name]).max() < 1e-4]
        assert not still, "something was not trained, so the comparison proved nothing"
