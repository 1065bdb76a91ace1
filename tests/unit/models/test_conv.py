"""The convolutional networks: sizes of published ones, images that don't fit, and training with every kind of rule."""

from __future__ import annotations

import pickle
from math import prod
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from harness.batched import keyed
from harness.domain.measured import explain_undefined
from harness.errors import UsageError
from harness.metrics import parse_metric
from harness.models.conv import Conv, ConvLayer
from harness.plugins.registry import find_members
from harness.records import Arm
from harness.training import open_device
from harness.training.evaluate import ReplicaEvaluation, evaluate
from harness.training.program import Program, build_program
from harness.verdict.tables import describe_plugin
from tests.unit.training.training_inputs import arm, cohort, digits

SMALL = {"name": "conv", "layers": [{"channels": 3, "padding": 1, "pool": 2}, {"channels": 4, "pool": 2}], "dense": [6]}
SETUP: dict[str, Any] = {"model": SMALL, "batch_size": 16, "epochs": 3, "precision": "float64"}


def conv(channels: int, size: int, layers: list[tuple[int, ...]], **parts: Any) -> Conv:
    names = ("channels", "kernel", "padding", "pool", "pool_stride", "pool_padding")
    made = [dict(zip(names, layer, strict=False)) for layer in layers]
    return Conv.model_validate({"name": "conv", "layers": made, **parts}).on(channels, size)


LENET = conv(3, 32, [(32, 3, 0, 2), (64, 3, 0, 2), (128, 3)], dense=[256])
NOKLAND = conv(3, 32, [(96, 5, 2, 3, 2), (128, 5, 2, 3, 2), (256, 5, 2, 3, 2)], dense=[2048, 2048], average=False)


@pytest.mark.parametrize(
    ("model", "count"),
    [
        (LENET, 128_842),
        (conv(1, 32, [(6, 5, 0, 2), (16, 5, 0, 2), (120, 5)], dense=[84], average=False), 61_706),
        (conv(1, 28, [(32, 5, 0, 2)], dense=[], average=False, bias=False), 46_880),
        (conv(3, 32, [(32, 5, 0, 2)], dense=[], average=False, bias=False), 65_120),
        (NOKLAND, 10_071_562),
        (conv(3, 32, [(32, 5, 2, 3, 2, 1), (64, 5, 2, 3, 2, 1)], dense=[512], average=False), 2_156_490),
    ],
)
def test_it_has_as_many_parameters_as_the_literatures(model: Conv, count: int) -> None:
    features = model.image.channels * model.image.size**2
    assert sum(prod(spec.shape) for spec in model.parameters(features, 10)) == count


def test_its_states_are_what_layers_hand_on() -> None:
    assert [LENET.shape(layer) for layer in range(4)] == [(32, 15, 15), (64, 6, 6), (128, 4, 4), (256,)]
    assert [NOKLAND.shape(layer)[-1] for layer in range(3)] == [15, 7, 3]
    forward = sum(product.flops for product in LENET.products(3072, 10)) // 2
    assert forward == 900 * 27 * 32 + 169 * 288 * 64 + 16 * 576 * 128 + 128 * 256 + 2560


@pytest.mark.parametrize(("init", "bias"), [("torch", 1), ("he", 0), ("xavier", 0)])
def test_it_begins_as_asked(init: str, bias: int) -> None:
    model = conv(3, 8, [(50, 3), (60, 3)], init=init)
    drawn = {spec.name: keyed.tensor(spec, 3, "weights") for spec in model.parameters(192, 10)}
    sd = {"torch": (1 / 450 / 3) ** 0.5, "he": (2 / 450) ** 0.5, "xavier": (2 / (450 + 540)) ** 0.5}[init]
    assert drawn["block_0.weight"].shape == (450, 60) and drawn["block_0.weight"].std() == pytest.approx(sd, rel=0.05)
    assert drawn["block_0.bias"].any() == bool(bias)


def test_it_is_on_the_images_of_its_data_set_and_says_so_where_it_is_on_none() -> None:
    assert arm(setup=SETUP).setup.model.shape(0) == (3, 4, 4)
    large = arm(setup=SETUP | {"dataset": {"name": "cifar10"}})
    assert large.setup.model.shape(0) == (3, 16, 16)
    for copy in (Arm.model_validate_json(large.model_dump_json()), pickle.loads(pickle.dumps(large))):
        assert copy == large and copy.setup.model.shape(0) == (3, 16, 16)
    assert LENET.on(1, 28).shape(0) == (32, 13, 13) and LENET.shape(0) == (32, 15, 15)
    with pytest.raises(UsageError, match="no sizes before it is on a data set's images"):
        Conv(name="conv").shape(0)


def test_windows_that_do_not_fit_are_refused_with_their_place() -> None:
    with pytest.raises(ValidationError, match=r"layers\.1: a kernel of 7 × 7 doesn't fit what comes in, 6 × 6"):
        arm(setup=SETUP | {"model": {"name": "conv", "layers": [{"channels": 3}, {"channels": 3, "kernel": 7}]}})
    with pytest.raises(ValidationError, match=r"layers\.0: a window of pooling of 9 × 9"):
        arm(setup=SETUP | {"model": {"name": "conv", "layers": [{"channels": 3, "pool": 9}]}})
    with pytest.raises(ValidationError, match="more than half of pool"):
        arm(setup=SETUP | {"model": {"name": "conv", "layers": [{"channels": 3, "pool": 3, "pool_padding": 2}]}})


def run(program: Program, epochs: int) -> list[Any]:
    losses = []
    for epoch in range(epochs):
        program.begin_epoch(epoch, program.draw(epoch))
        program.run_epoch()
        losses.append(program.state.loss_sum / program.state.count)
    return losses


@pytest.mark.parametrize("rule", ["bp", "fa", "dfa", "sign_symmetric", "kolen_pollack", "weight_mirror"])
def test_every_kind_of_rule_lowers_its_loss(rule: str) -> None:
    optimizer = {"name": "adamw", "lr": 0.02, "schedule": "constant"}
    one = arm(rule, setup=SETUP | {"optimizer": optimizer})
    program = build_program(cohort({"a": one}, [1, 2]), digits(96), open_device("cpu"))
    before = {name: tensor.detach().clone() for name, tensor in program.state.params.items()}
    losses = run(program, 4)
    assert (losses[-1] < losses[0]).all()
    for name, tensor in program.state.params.items():
        assert not torch.equal(tensor, before[name]), f"{name} is not trained"
    assert losses[0][0] != losses[0][1]


def test_a_replica_alone_is_the_replica_among_others() -> None:
    def weights(seeds: list[int]) -> dict[str, torch.Tensor]:
        program = build_program(cohort({"a": arm("fa", setup=SETUP)}, seeds), digits(40), open_device("cpu"))
        run(program, 2)
        return {name: tensor[-1] for name, tensor in program.state.params.items()}

    alone, among = weights([7]), weights([5, 6, 7])
    for name, tensor in alone.items():
        torch.testing.assert_close(tensor, among[name], rtol=1e-9, atol=1e-12, msg=name)


def test_metrics_see_its_states_as_vectors() -> None:
    """Every metric that is defined for an arm is measured; what pairs states of one size is not defined."""
    names = ["residual_growth", "hidden_norm", "gradient_norm", "site_cosine", "nudging", "perturbation_correlation",
             "effective_rank", "cka", "direction_stability", "update_cosine", "sharpness", "alignment_angle",
             "credit_cosine", "credit_norm"]  # fmt: skip
    metrics = [parse_metric(name) for name in names]
    for rule in ("fa", "dfa"):
        one = arm(rule, setup=SETUP | {"evaluation": {"probe_samples": 12, "metrics": names}})
        program = build_program(cohort({"a": one}, [1, 2]), digits(40), open_device("cpu"))
        run(program, 1)
        found = evaluate(program, metrics)
        assert {"credit_cosine", "credit_norm"}.isdisjoint(found) and ("alignment_angle" in found) == (rule == "fa")
        assert set(names) - {"credit_cosine", "credit_norm", "alignment_angle"} <= set(found)
    hidden = ReplicaEvaluation(program, program.state.rule_groups[0], slice(0, 2)).hidden
    assert [h.shape[2] for h in hidden] == [48, 4, 6]
    norms = torch.stack([h.square().sum(-1).sqrt() for h in hidden], dim=1).mean(-1)
    np.testing.assert_allclose(found["hidden_norm"]["mean"], norms, rtol=1e-12)
    assert found["residual_growth"]["mean"].shape == (2, 1)
    lack = explain_undefined(metrics[-2], one.rule, one.setup)
    assert lack is not None and "states of several shapes" in lack[0] and "site_cosine" in lack[1]


def test_a_verdict_tells_its_layers() -> None:
    one = ConvLayer(channels=3, pool=2)
    told = describe_plugin(Conv(name="conv", layers=(one,), dense=()))
    layer = "(channels 3, kernel 3, stride 1, padding 0, pool 2, pool stride none, pool padding 0)"
    assert told == f"conv: layers {layer}, average yes, dense none, activation relu, init torch, bias yes"


def test_rules_that_are_not_defined_for_its_states_say_so() -> None:
    model, rules = arm(setup=SETUP).setup.model, find_members("rules")

    def misfit(name: str, **parts: Any) -> Any:
        return rules[name].model_validate({"name": name, **parts}).explain_misfit(model)  # type: ignore[attr-defined]

    assert "48, 4, 6" in misfit("dfa", matrices="shared")[0] and "nested" in misfit("dfa", matrices="shared")[1]
    assert "compares vectors only" in misfit("local_greedy")[0] and misfit("local_greedy", similarity=0) is None
    assert not any(misfit(name) for name in rules if name != "local_greedy")
