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


class Settled:
    """One replica of ``SMALL`` in PyTorch's own functions, whose batch norms have the statistics of training images."""

    def __init__(self, program: Program, replica: int) -> None:
        state = program.state
        self.p = {name: tensor.detach()[replica].requires_grad_() for name, tensor in state.params.items()}
        self.feedback = {name: tensor[replica] for name, tensor in state.rule_groups[0].feedback.items()}
        self.statistics: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
        with torch.no_grad():
            self.pass_through(program.settling_inputs[0], noting=True)

    def convolve(self, name: str, h: torch.Tensor, noting: bool, stride: int = 1) -> torch.Tensor:
        weight, norm = self.p[f"{name}.weight"], (self.p[f"{name}.norm.weight"], self.p[f"{name}.norm.bias"])
        u = torch.nn.functional.conv2d(h, weight.T.reshape(-1, h.shape[1], 3, 3), None, stride, 1)
        if noting:
            self.statistics[name] = u.mean((0, 2, 3)), u.var((0, 2, 3), correction=0)
        return torch.nn.functional.batch_norm(u, *self.statistics[name], *norm)

    def pass_through(
        self, x: torch.Tensor, noting: bool = False, local: bool = False
    ) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Return h_0 … h_2 and logits; ``local`` lets no gradient pass from part to part."""
        hidden = [self.convolve("embedding", x.view(len(x), 1, 8, 8), noting).relu()]
        for block, stride in enumerate((1, 2)):
            h = hidden[-1].detach() if local else hidden[-1]
            f = self.convolve(f"block_{block}.w1", h, noting, stride).relu()
            f = self.convolve(f"block_{block}.w2", f, noting)
            short = h[..., ::stride, ::stride]
            hidden.append((torch.cat([short, torch.zeros_like(f[:, short.shape[1] :])], dim=1) + f).relu())
        top = hidden[-1].detach() if local else hidden[-1]
        return hidden, top.mean((2, 3)) @ self.p["head.weight"] + self.p["head.bias"]

    def differentiate(self, x: torch.Tensor, y: torch.Tensor, rule: str) -> list[torch.Tensor]:
        """Return the gradients of embedding and blocks under backpropagation or direct feedback, flat."""
        hidden, logits = self.pass_through(x, local=rule == "dfa")
        value = torch.nn.functional.cross_entropy(logits, y)
        if rule == "dfa":
            error = logits.detach().softmax(1) - torch.nn.functional.one_hot(y, 10)
            for h, number in zip(hidden, (0, 0, 1), strict=True):
                a = error @ self.feedback[f"feedback_{number}"]
                a = a / (a.square().mean(1, keepdim=True).sqrt() + 1e-6)
                value = value + (h.flatten(1) * a).sum(1).mean()
        found = dict(zip(self.p, torch.autograd.grad(value, list(self.p.values())), strict=True))
        parts = ("embedding", "block_0", "block_1")
        return [torch.cat([g.flatten() for name, g in found.items() if name.startswith(part)]) for part in parts]


@pytest.mark.parametrize("rule", ["bp", "dfa"])
def test_updates_and_gradients_are_those_of_the_settled_network(rule: str) -> None:
    """Parts of the probe are normalised by the statistics of training images, not by their own; norms are of maps."""
    program = trained(rule)
    (x, y), snr = (one[0] for one in program.probe), f"gradient_snr:batches=3,of={'rule' if rule == 'dfa' else 'bp'}"
    found = evaluate(program, [parse_metric(key) for key in (snr, "update_cosine", "gradient_norm", "hidden_norm")])
    for r in range(2):
        network = Settled(program, r)
        parts = zip(*(network.differentiate(x[at : at + 4], y[at : at + 4], rule) for at in (0, 4, 8)), strict=True)
        for layer, gradients in enumerate(map(torch.stack, parts)):
            noise = gradients.var(0).sum() / 3
            expected = (gradients.mean(0).square().sum() - noise) / noise
            assert found[parse_metric(snr).key]["value"][r, layer] == pytest.approx(expected.item(), rel=1e-8)
        whole = zip(network.differentiate(x, y, rule), network.differentiate(x, y, "bp"), strict=True)
        cosines = [torch.cosine_similarity(own, exact, dim=0).item() for own, exact in whole]
        assert found["update_cosine"]["value"][r, :3].tolist() == pytest.approx(cosines, rel=1e-8)
        hidden, logits = network.pass_through(x)
        gradients = torch.autograd.grad(torch.nn.functional.cross_entropy(logits, y), hidden)
        for metric, maps in (("gradient_norm", gradients), ("hidden_norm", hidden)):
            norms = [one.square().sum((1, 2, 3)).sqrt().mean().item() for one in maps]
            assert found[metric]["mean"][r].tolist() == pytest.approx(norms, rel=1e-8)


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
