"""Residual convolutional networks: published sizes, and batch norm in training and in evaluations."""

from __future__ import annotations

from math import prod
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from harness.errors import HarnessError
from harness.metrics import parse_metric
from harness.models.residual_conv import ResidualConv
from harness.plugins.registry import find_members
from harness.training import open_device
from harness.training.evaluate import ReplicaEvaluation, evaluate
from harness.training.program import Program, build_program
from tests.unit.training.training_inputs import arm, cohort, digits

SMALL = {"name": "residual_conv", "stages": [2, 4], "blocks": 1}
SETUP: dict[str, Any] = {"model": SMALL, "batch_size": 16, "epochs": 3, "precision": "float64"}


@pytest.mark.parametrize(("blocks", "count"), [(3, 269_722), (9, 853_018)])
@pytest.mark.parametrize("norm", ["batch", "group"])
def test_it_has_as_many_parameters_as_the_literatures(norm: str, blocks: int, count: int) -> None:
    """ResNet-20 and ResNet-56 on CIFAR-10."""
    model = ResidualConv.model_validate({"name": "residual_conv", "norm": norm, "blocks": blocks}).on(3, 32)
    assert sum(prod(spec.shape) for spec in model.parameters(3072, 10)) == count
    assert {model.shape(layer) for layer in range(model.depth + 1)} == {(16, 32, 32), (32, 16, 16), (64, 8, 8)}
    products = model.products(3072, 10)
    assert len(products) == 6 * blocks + 2  # 20 or 56 layers
    if blocks == 3:
        assert sum(product.flops for product in products) / 2 == pytest.approx(40.6e6, rel=0.01)  # He et al.'s 0.04 G


def test_groups_that_do_not_divide_channels_are_refused() -> None:
    with pytest.raises(ValidationError, match="3 groups don't divide a stage's 16 channels"):
        ResidualConv.model_validate({"name": "residual_conv", "norm": "group", "norm_groups": 3})


def trained(rule: str = "bp", **parts: Any) -> Program:
    one = arm(rule, setup=SETUP | {"evaluation": {"probe_samples": 12}} | parts)
    program = build_program(cohort({"a": one}, [1, 2]), digits(40), open_device("cpu"))
    for epoch in range(2):
        program.begin_epoch(epoch, program.draw(epoch))
        program.run_epoch()
    return program


def pass_through(model: Any, p: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    h = model.embed(p, x)
    for layer in range(model.depth):
        h = model.join(h, model.branch(p, layer, h))
    return model.head(p, h)


def test_an_evaluation_takes_the_statistics_of_training_images() -> None:
    """On these images it is the network as it trains; on others, each by itself, it is not."""
    program = trained()
    model, x = program.state.model, program.settling_inputs.expand(2, -1, -1)
    p = {name: tensor.detach() for name, tensor in program.state.params.items()}
    assert x.shape[1] == 40  # all there are
    settled = model.settle(p, x)
    torch.testing.assert_close(pass_through(settled, p, x), pass_through(model, p, x), rtol=1e-10, atol=1e-12)
    evaluation = ReplicaEvaluation(program, program.state.rule_groups[0], slice(0, 2))
    probe = program.probe[0].expand(2, -1, -1)
    expected = pass_through(settled, p, probe)
    torch.testing.assert_close(evaluation.network.logits, expected, rtol=1e-12, atol=1e-13)
    one_by_one = torch.cat([pass_through(settled, p, probe[:, n : n + 1]) for n in range(12)], dim=1)
    torch.testing.assert_close(one_by_one, expected, rtol=1e-9, atol=1e-12)
    assert not torch.allclose(pass_through(model, p, probe), expected)
    test = (program.test.images.double() / 16 - 0.3053) / 0.3760
    logits = pass_through(settled, p, test.flatten(1).expand(2, -1, -1))
    torch.testing.assert_close(evaluation.test_logits, logits, rtol=1e-9, atol=1e-12)
    again = ReplicaEvaluation(program, program.state.rule_groups[0], slice(1, 2))
    torch.testing.assert_close(again.test_logits[0], evaluation.test_logits[1], rtol=1e-9, atol=1e-12)


def test_metrics_and_taps_see_the_network_as_it_is_evaluated() -> None:
    """Credit of backpropagation at its sites is the gradient of that network; curvature leaves statistics alone."""
    names = ["site_cosine", "nudging", "sharpness", "update_cosine", "hidden_norm", "test_accuracy"]
    for rule in ("bp", "dfa"):
        program = trained(rule)
        found = evaluate(program, [parse_metric(name) for name in names])
        assert set(found) == set(names)
        evaluation = ReplicaEvaluation(program, program.state.rule_groups[0], slice(0, 2))
        assert [h.shape[2] for h in evaluation.hidden] == [128, 128, 64]
        assert set(evaluation.network.params) == set(program.state.params)
        for credit in evaluation.site_gradients:  # of one sample alone: nothing goes by way of the others
            assert credit.isfinite().all()
    samples = evaluation.network
    alone = samples.lose(1, torch.zeros(2, 12, 2, 8, 8, dtype=torch.float64))
    change = torch.zeros(2, 12, 2, 8, 8, dtype=torch.float64)
    change[:, 0] = 1.0
    assert torch.equal(samples.lose(1, change)[:, 1:], alone[:, 1:])


def test_batch_norm_keeps_its_statistics_to_a_replica_and_needs_rules_that_allow_it() -> None:
    one, other = trained(), trained()
    assert torch.equal(one.state.params["head.weight"], other.state.params["head.weight"])
    rules = find_members("rules")
    for norm, refused in (("batch", {"activity_perturbation", "local_greedy"}), ("group", {"local_greedy"})):
        model = arm(setup=SETUP | {"model": SMALL | {"norm": norm, "norm_groups": 2}}).setup.model
        assert model.couples_samples == (norm == "batch")
        named = [rule.model_validate({"name": name}) for name, rule in rules.items()]
        assert {rule.name for rule in named if rule.explain_misfit(model) is not None} == refused  # type: ignore[attr-defined]


def test_a_rule_that_is_not_defined_trains_nothing_unchecked() -> None:
    """Whoever gets past check, by Python, is refused when tensors are allocated."""
    with pytest.raises(HarnessError, match="batch norm couples them") as caught:
        trained("activity_perturbation")
    assert caught.value.where == "rule activity_perturbation with model residual_conv" and caught.value.remedy
