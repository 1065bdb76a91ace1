"""The plain network: its size in published settings, its beginnings, and training beside a network of torch's own."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from harness.batched import keyed
from harness.batched.specs import Init, TensorSpec
from harness.losses.cross_entropy import CrossEntropy
from harness.models.mlp import Mlp
from harness.rules.dfa import Dfa
from harness.rules.ifa import Ifa
from harness.training import open_device
from harness.training.program import build_program
from tests.unit.training.training_inputs import arm, cohort, digits

SETUP: dict[str, Any] = {
    "batch_size": 32,
    "epochs": 3,
    "precision": "float64",
    "optimizer": {"name": "sgd", "lr": 0.3, "schedule": "constant"},
}


def mlp(**parts: Any) -> Mlp:
    return Mlp.model_validate({"name": "mlp", **parts})


@pytest.mark.parametrize(
    ("features", "parts", "count"),
    [
        (784, {"width": 800, "layers": 1}, 636_010),
        (784, {"width": 800, "layers": 2}, 1_276_810),
        (784, {"width": 240, "layers": 7}, 537_850),
        (784, {"width": 1000, "layers": 1, "activation": "logistic"}, 795_010),
        (3072, {"width": 1000, "layers": 1}, 3_083_010),
        (3072, {"width": 1000, "layers": 3}, 5_085_010),
        (3072, {"width": 1024, "layers": 1, "activation": "relu", "bias": False}, 3_155_968),
        (784, {"width": 1024, "layers": 1, "activation": "relu", "bias": False}, 813_056),
        (784, {"width": 2000, "layers": 4, "activation": "relu"}, 13_596_010),
    ],
)
def test_it_has_as_many_parameters_as_the_literatures(features: int, parts: dict[str, Any], count: int) -> None:
    assert sum(int(np.prod(spec.shape)) for spec in mlp(**parts).parameters(features, 10)) == count


@pytest.mark.parametrize(("init", "bias"), [("he", 0), ("xavier", 0), ("zero", 0), ("orthogonal", 0), ("torch", 1)])
def test_it_begins_as_asked(init: str, bias: int) -> None:
    specs = {spec.name: spec for spec in mlp(width=30, init=init).parameters(20, 10)}
    drawn = {name: keyed.tensor(spec, 3, "weights") for name, spec in specs.items()}
    assert drawn["block_0.bias"].any() == bool(bias)
    weight = drawn["embedding.weight"]
    if init == "orthogonal":
        np.testing.assert_allclose(weight @ weight.T, np.eye(20), atol=1e-12)
        np.testing.assert_allclose(drawn["head.weight"].T @ drawn["head.weight"], np.eye(10), atol=1e-12)
    else:
        sd = {"he": (2 / 20) ** 0.5, "xavier": (6 / 50 / 3) ** 0.5, "zero": 0.0, "torch": (1 / 20 / 3) ** 0.5}[init]
        assert weight.std() == pytest.approx(sd, rel=0.1)


def test_orthogonal_matrices_are_spread_over_all() -> None:
    """An entry's mean is 0 and its square's 1/n, which signs that LAPACK chooses would not leave."""
    spec = TensorSpec("w", (4, 4), Init("orthogonal", 3.0), "g")
    drawn = np.stack([keyed.tensor(spec, seed, "weights") for seed in range(400)])
    np.testing.assert_allclose(drawn.mean(0), 0, atol=4 * 1.5 / 20)
    np.testing.assert_allclose((drawn**2).mean(0), 9 / 4, rtol=0.25)


def test_zeros_that_nothing_leaves_are_refused() -> None:
    with pytest.raises(ValidationError, match="no gradient leaves zero weights"):
        mlp(init="zero", activation="relu")


def train_with(rule: str, model: dict[str, Any]) -> tuple[Any, list[tuple[Tensor, Tensor]]]:
    """Return a program after 30 steps and the batches of its second replica, which a wrapped objective notes."""
    one = arm(rule, setup=SETUP | {"model": {"name": "mlp", "width": 24, "layers": 3} | model})
    program = build_program(cohort({"a": one}, [1, 2]), digits(), open_device("cpu"))
    group, seen = program.state.rule_groups[0], []
    plain = type(group.rule).objective

    def objective(self: Any, model: Any, p: Any, feedback: Any, x: Tensor, y: Tensor, *rest: Any) -> Any:
        seen.append((x[1].clone(), y[1].clone()))
        return plain(self, model, p, feedback, x, y, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(group.rule), "objective", objective)
        for epoch in range(3):
            program.begin_epoch(epoch, program.draw(epoch))
            program.run_epoch()
    return program, seen


@pytest.mark.parametrize("activation", ["tanh", "relu", "logistic"])
def test_backpropagation_trains_it_as_a_network_of_torch(activation: str) -> None:
    program, batches = train_with("bp", {"activation": activation})
    function = {"tanh": nn.Tanh, "relu": nn.ReLU, "logistic": nn.Sigmoid}[activation]
    sizes = [64, 24, 24, 24, 10]
    layers = [nn.Linear(i, o, dtype=torch.float64) for i, o in itertools.pairwise(sizes)]
    twin = nn.Sequential(layers[0], function(), layers[1], function(), layers[2], function(), layers[3])
    names = ["embedding", "block_0", "block_1", "head"]
    for name, layer in zip(names, layers, strict=True):
        for part, tensor in (("weight", layer.weight), ("bias", layer.bias)):
            spec = next(spec for spec in program.state.specs if spec.name == f"{name}.{part}")
            tensor.data = torch.from_numpy(keyed.tensor(spec, 2, "weights").T.copy())
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.3)
    assert len(batches) >= 25
    for x, y in batches:
        optimizer.zero_grad()
        nn.functional.cross_entropy(twin(x), y).backward()
        optimizer.step()
    for name, layer in zip(names, layers, strict=True):
        torch.testing.assert_close(program.state.params[f"{name}.weight"][1].mT, layer.weight, rtol=0, atol=1e-9)
        torch.testing.assert_close(program.state.params[f"{name}.bias"][1], layer.bias, rtol=0, atol=1e-9)


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("rule", ["bp", "fa", "dfa", "kolen_pollack"])
def test_every_kind_of_rule_lowers_its_loss(rule: str, layers: int) -> None:
    optimizer = {"name": "adamw", "lr": 0.02, "schedule": "constant"}
    one = arm(rule, setup=SETUP | {"model": {"name": "mlp", "width": 24, "layers": layers}, "optimizer": optimizer})
    program = build_program(cohort({"a": one}, [1, 2]), digits(), open_device("cpu"))
    before = {name: tensor.detach().clone() for name, tensor in program.state.params.items()}
    losses = []
    for epoch in range(3):
        program.begin_epoch(epoch, program.draw(epoch))
        program.run_epoch()
        losses.append(program.state.loss_sum / program.state.count)
    assert (losses[-1] < 0.9 * losses[0]).all()
    for name, tensor in program.state.params.items():
        assert not torch.equal(tensor, before[name]), f"{name} is not trained"
    assert losses[0][0] != losses[0][1]


def test_direct_feedback_leaves_zero_weights_and_passes_through_the_activation() -> None:
    one = arm("dfa", setup=SETUP | {"model": {"name": "mlp", "width": 24, "layers": 2, "init": "zero"}})
    program = build_program(cohort({"a": one}, [1]), digits(), open_device("cpu"))
    program.begin_epoch(0, program.draw(0))
    program.run_epoch()
    assert all(tensor.any() for tensor in program.state.params.values())
    state, group = program.state, program.state.rule_groups[0]
    x, y = torch.randn(1, 5, 64, dtype=torch.float64), torch.arange(5).unsqueeze(0)
    p = {name: tensor.detach().requires_grad_() for name, tensor in state.params.items()}
    objective = group.rule.objective(state.model, p, group.feedback, x, y, None, state.setup.loss)
    (found,) = torch.autograd.grad(objective.descend.sum(), [p["block_0.bias"]])
    h = state.model.embed(p, x)
    u = state.model.branch(p, 0, h)
    error = state.model.head(p, u.tanh()).softmax(-1) - nn.functional.one_hot(y, 10)
    a = error @ group.feedback["feedback_0"]
    a = a / (a.square().mean(-1, keepdim=True).sqrt() + 1e-6)
    torch.testing.assert_close(found, (a * (1 - u.tanh().square())).mean(1), rtol=1e-10, atol=1e-14)


def test_indirect_feedback_goes_up_through_weights_and_activations() -> None:
    """c_0 = e B and c_{l+1} = (c_l W) ⊙ φ′, each of which trains its layer through that layer's own φ′.

    As quoted of the source, δ_0 = (e B) ⊙ φ′ and δ_{l+1} = (δ_l W) ⊙ φ′: the same for the first layer only.
    """
    model, rule, generator = mlp(width=5, layers=3), Ifa(name="ifa"), torch.Generator().manual_seed(3)

    def make(*shape: int) -> Tensor:
        return torch.randn(1, *shape, generator=generator, dtype=torch.float64)

    p = {spec.name: make(*spec.shape).requires_grad_() for spec in model.parameters(7, 4)}
    (spec,) = rule.feedback(model, 7, 4)
    feedback, x, y = {spec.name: make(*spec.shape)}, make(6, 7), torch.arange(6).unsqueeze(0) % 4
    loss = CrossEntropy(name="cross_entropy")
    value = rule.objective(model, p, feedback, x, y, None, loss).descend.sum()
    found = dict(zip(p, torch.autograd.grad(value, list(p.values())), strict=True))
    h, slopes = [x], []
    for layer in ("embedding", "block_0", "block_1"):
        h.append((h[-1] @ p[f"{layer}.weight"] + p[f"{layer}.bias"].unsqueeze(1)).tanh())
        slopes.append(1 - h[-1].square())
    logits = h[-1] @ p["head.weight"] + p["head.bias"].unsqueeze(1)
    error = logits.softmax(-1) - nn.functional.one_hot(y, 4)
    credit = quoted = error @ feedback[spec.name]
    for number, layer in enumerate(("embedding", "block_0", "block_1")):
        if number:
            credit = (credit @ p[f"{layer}.weight"]) * slopes[number]
            quoted = quoted @ p[f"{layer}.weight"]
        delta, quoted = credit * slopes[number], quoted * slopes[number]
        assert torch.allclose(delta, quoted) == (number == 0)
        torch.testing.assert_close(found[f"{layer}.weight"], h[number].mT @ delta / 6, rtol=1e-11, atol=1e-13)
        torch.testing.assert_close(found[f"{layer}.bias"], delta.mean(1), rtol=1e-11, atol=1e-13)


def test_dfa_has_a_credit_for_the_one_hidden_layer() -> None:
    """It is what the embedding is trained on, by the matrix of its own that it has where no block follows."""
    model, rule = mlp(width=5, layers=1), Dfa(name="dfa")
    (spec,) = rule.feedback(model, 7, 3)
    matrix, error = torch.randn(2, *spec.shape), torch.randn(2, 4, 3)
    assert torch.equal(rule.credit(model, {spec.name: matrix}, error, 0), error @ matrix)
