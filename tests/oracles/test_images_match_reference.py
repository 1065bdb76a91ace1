"""Models of images, in float64, against networks that go back by hand: every parameter after 25 steps, to 1e-9."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import ndtri

from harness.batched import keyed
from harness.datasets import Images
from harness.metrics.credit_norm import CreditNorm
from harness.records import Arm
from harness.training.evaluate import ReplicaEvaluation
from harness.training.learned import copy_learned
from tests.oracles.reference_images import (
    Net,
    Part,
    Weights,
    activation,
    add_class_token,
    attention,
    chain,
    convolution,
    flatten,
    layer_norm,
    linear,
    max_pool,
    mean_of_positions,
    mean_of_tokens,
    norm,
    patches,
    residual,
    same,
    swap,
    take_class_token,
    train,
    view,
)
from tests.oracles.test_training_matches_reference import BATCH, DEVICES, EPOCHS, images, plain_batches, run_engine

__all__ = ["images"]

CONV = {
    "name": "conv",
    "layers": [{"channels": 3, "padding": 1, "pool": 3, "pool_stride": 2}, {"channels": 4, "kernel": 2, "pool": 2}],
    "dense": [6],
    "activation": "tanh",
    "average": False,
}
AVERAGED = {
    "name": "conv",
    "layers": [{"channels": 3, "stride": 2, "padding": 2}, {"channels": 5, "pool": 3, "pool_stride": 2,
               "pool_padding": 1}],
    "dense": [],
    "init": "xavier",
}  # fmt: skip


def residual_conv(groups: int | None) -> tuple[dict[str, Any], Net]:
    parts = {"norm": "batch"} if groups is None else {"norm": "group", "norm_groups": groups}

    def block(number: int, stride: int) -> Part:
        name = f"block_{number}"
        first = chain(convolution(f"{name}.w1", 3, stride, 1), norm(f"{name}.w1", groups), activation("relu"))
        second = chain(convolution(f"{name}.w2", 3, 1, 1), norm(f"{name}.w2", groups))
        return residual(chain(first, second), activation("relu"), stride)

    stem = chain(view(1, 8, 8), convolution("embedding", 3, 1, 1), norm("embedding", groups), activation("relu"))
    net = Net(stem, (block(0, 1), block(1, 2)), chain(mean_of_positions, linear("head")))
    return {"name": "residual_conv", "stages": [2, 4], "blocks": 1, **parts}, net


def mlp(name: str, kind: str) -> Part:
    return chain(linear(f"{name}.w1"), activation(kind), linear(f"{name}.w2"))


def patch_mixer() -> tuple[dict[str, Any], Net]:
    def block(name: str) -> Part:
        tokens = chain(layer_norm(f"{name}.tokens"), swap, mlp(f"{name}.tokens", "gelu"), swap)
        units = chain(layer_norm(f"{name}.units"), mlp(f"{name}.units", "gelu"))
        return chain(residual(tokens, same), residual(units, same))

    stem = chain(view(1, 8, 8), patches(4), linear("embedding"))
    net = Net(stem, (block("block_0"), block("block_1")), chain(layer_norm("head"), mean_of_tokens, linear("head")))
    return {"name": "patch_mixer", "width": 6, "blocks": 2, "token_ratio": 2}, net


def tiny_vit() -> tuple[dict[str, Any], Net]:
    mix = chain(layer_norm("block_0.attention"), linear("block_0.attention.qkv"), attention(2),
                linear("block_0.attention.out"))  # fmt: skip
    units = chain(layer_norm("block_1.units"), mlp("block_1.units", "tanh"))
    stem = chain(view(1, 8, 8), patches(4), linear("embedding"), add_class_token)
    head = chain(take_class_token, layer_norm("head"), linear("head"))
    model = {"name": "tiny_vit", "width": 6, "blocks": 1, "heads": 2, "activation": "tanh", "sites": "branches"}
    return model, Net(stem, (residual(mix, same), residual(units, same)), head)


MODELS: dict[str, tuple[dict[str, Any], Net]] = {
    "conv": (
        CONV,
        Net(
            chain(view(1, 8, 8), convolution("embedding", 3, 1, 1), max_pool(3, 2), activation("tanh")),
            (
                chain(convolution("block_0", 2), max_pool(2, 2), activation("tanh")),
                chain(flatten, linear("block_1"), activation("tanh")),
            ),
            linear("head"),
        ),
    ),
    "averaged": (
        AVERAGED,
        Net(
            chain(view(1, 8, 8), convolution("embedding", 3, 2, 2), activation("relu")),
            (chain(convolution("block_0", 3), max_pool(3, 2, 1), activation("relu")),),
            chain(mean_of_positions, linear("head")),
        ),
    ),
    "residual_batch": residual_conv(None),
    "residual_group": residual_conv(2),
    "patch_mixer": patch_mixer(),
    "tiny_vit": tiny_vit(),
}
CASES = [("conv", "bp"), ("conv", "fa"), ("conv", "dfa"), ("averaged", "bp"), ("averaged", "dfa"),
         ("residual_batch", "bp"), ("residual_batch", "dfa"), ("residual_batch", "fa"),
         ("residual_group", "bp"), ("residual_group", "dfa"),
         ("patch_mixer", "bp"), ("patch_mixer", "dfa"), ("patch_mixer", "fa"),
         ("tiny_vit", "bp"), ("tiny_vit", "dfa"), ("tiny_vit", "fa")]  # fmt: skip


def make_arm(model: dict[str, Any], rule: str) -> Arm:
    setup = {
        "dataset": {"name": "digits", "augment": ["random_crop"]},
        "model": model,
        "optimizer": {"name": "adamw", "lr": 0.01, "weight_decay": 0.05, "schedule": "cosine"},
        "epochs": EPOCHS,
        "batch_size": BATCH,
        "precision": "float64",
    }
    return Arm.model_validate({"label": "an arm", "rule": {"name": rule}, "setup": setup})


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("name", "rule"), CASES)
def test_every_parameter_agrees_after_25_steps(name: str, rule: str, device: str, images: Images) -> None:
    model, net = MODELS[name]
    one, seeds = make_arm(model, rule), [11, 12]
    program = run_engine({"a": one}, seeds, images, device)
    assert int(program.state.steps) == 25
    specs = one.rule.feedback(one.setup.model, 64, 10)
    found = copy_learned(program.state, program.kept)
    for r, seed in enumerate(seeds):
        weights = {spec.name: keyed.tensor(spec, seed, "weights") for spec in program.state.specs}
        back = {spec.name: keyed.tensor(spec, seed, "feedback") for spec in specs}
        expected = train(net, rule, weights, back, plain_batches(images, seed, one.setup), lr=0.01, weight_decay=0.05)
        assert set(found(r)) == set(expected) == set(weights)
        for key, value in expected.items():
            np.testing.assert_allclose(found(r)[key].numpy(), value, rtol=1e-9, atol=1e-9, err_msg=key)
            assert np.abs(value - weights[key]).max() > 1e-4, f"{key} was not trained: this proves nothing"


def test_the_norm_of_credit_is_over_every_unit_of_a_map(images: Images) -> None:
    """Of states that are maps of one shape, against a pass in NumPy: ‖e B_l‖ for each sample, h_L with B of h_{L−1}."""
    layer = {"channels": 3, "padding": 1}
    one = make_arm({"name": "conv", "layers": [layer] * 3, "dense": [], "activation": "tanh"}, "dfa")
    program = run_engine({"a": one}, [11, 12], images)
    assert one.setup.model.shape(0) == one.setup.model.shape(2) == (3, 8, 8)
    stem = chain(view(1, 8, 8), convolution("embedding", 3, 1, 1), activation("tanh"))
    blocks = [chain(convolution(f"block_{number}", 3, 1, 1), activation("tanh")) for number in (0, 1)]
    net = chain(stem, *blocks, mean_of_positions, linear("head"))
    measured = CreditNorm(name="credit_norm").measure(
        ReplicaEvaluation(program, program.state.rule_groups[0], slice(0, 2))
    )
    x, y = (tensor[0].numpy() for tensor in program.probe)
    for r, seed in enumerate((11, 12)):
        weights = {name: tensor[r].detach().numpy() for name, tensor in program.state.params.items()}
        logits, _ = net(Weights(weights), x)
        p = np.exp(logits - logits.max(1, keepdims=True))
        e = p / p.sum(1, keepdims=True) - np.eye(10)[y]
        matrices = [
            ndtri(keyed.uniform(10 * 3 * 64, seed, f"feedback/feedback_{number}")).reshape(10, 3 * 64) / np.sqrt(10)
            for number in (0, 1)
        ]
        expected = [np.sqrt(((e @ matrix) ** 2).sum(1)) for matrix in (*matrices, matrices[-1])]
        assert measured.shape == (2, 3, len(y))
        np.testing.assert_allclose(measured[r].numpy(), expected, rtol=1e-9)
