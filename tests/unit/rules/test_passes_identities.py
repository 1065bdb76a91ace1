"""Rules that do without a backward pass: identities that their equations must have."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import pytest
import torch
from torch import Tensor

from harness.batched.fresh import draw
from harness.batched.keyed import short_key
from harness.batched.specs import Init, TensorSpec
from harness.losses import Loss
from harness.losses.cross_entropy import CrossEntropy
from harness.losses.squared_error import SquaredError
from harness.models import Model
from harness.models.residual_mlp import ResidualMlp
from harness.rules import Rule
from harness.rules.activity_perturbation import ActivityPerturbation
from harness.rules.bp import Bp
from harness.rules.dtp import Dtp
from harness.rules.forward_forward import ForwardForward
from harness.rules.forward_gradient import ForwardGradient
from harness.rules.local_greedy import LocalGreedy, compare
from harness.rules.pepita import Pepita
from harness.rules.weight_perturbation import WeightPerturbation
from harness.training.taps import tap

D, C, FEATURES, N = 6, 4, 5, 9
CE = CrossEntropy(name="cross_entropy")
LOSSES: list[Loss] = [CE, SquaredError(name="squared_error")]
MLP = ResidualMlp(name="residual_mlp", width=D, blocks=2, branch_std=0.5)
Tensors = dict[str, Tensor]


class Chain(Model):
    """A plain network: two blocks hA, after tanh or without an activation, on a linear embedding."""

    name: Literal["chain"] = "chain"
    tanh: bool = False

    @property
    def depth(self) -> int:
        return 2

    @property
    def hidden(self) -> int:
        return D

    def parameters(self, features: int, classes: int) -> tuple[TensorSpec, ...]:
        init = Init("normal", 0.4)
        return (
            TensorSpec("e", (features, D), init, "embedding"), TensorSpec("a0", (D, D), init, "block_0"),
            TensorSpec("a1", (D, D), init, "block_1"), TensorSpec("head", (D, classes), init, "head"),
        )  # fmt: skip

    def embed(self, p: Mapping[str, Tensor], x: Tensor) -> Tensor:
        return x @ p["e"]

    def branch(self, p: Mapping[str, Tensor], layer: int, h: Tensor) -> Tensor:
        return h @ p[f"a{layer}"]

    def join(self, h: Tensor, f: Tensor) -> Tensor:
        return f.tanh() if self.tanh else f

    def head(self, p: Mapping[str, Tensor], h: Tensor) -> Tensor:
        return h @ p["head"]


def make(model: Model, rule: Rule, seed: int = 0) -> tuple[Tensors, Tensors]:
    """Normal numbers for all weights and own tensors, and for feedback, of two replicas."""
    generator = torch.Generator().manual_seed(seed)

    def fill(specs: tuple[TensorSpec, ...]) -> Tensors:
        return {
            spec.name: 0.4 * torch.randn(2, *spec.shape, generator=generator, dtype=torch.float64) for spec in specs
        }

    sizes = (model, FEATURES, C)
    return fill((*model.parameters(FEATURES, C), *rule.parameters(*sizes))), fill(rule.feedback(*sizes))


def fresh(rule: Rule, model: Model, step: int, replicas: int = 2) -> Tensors:
    """What the rule draws in a step; replicas draw apart."""
    return {
        spec.name: draw(
            spec, torch.tensor([short_key(seed, f"draws/{spec.name}") for seed in range(replicas)]),
            torch.tensor(step), N, torch.float64,
        )
        for spec in rule.draws(model, FEATURES, C)
    }  # fmt: skip


def batch(replicas: int = 2) -> tuple[Tensor, Tensor]:
    """The same samples for every replica."""
    generator = torch.Generator().manual_seed(9)
    x = torch.randn(1, N, FEATURES, generator=generator, dtype=torch.float64)
    return x.expand(replicas, -1, -1), torch.randint(C, (1, N), generator=generator).expand(replicas, -1)


def differentiate(rule: Rule, model: Model, p: Tensors, feedback: Tensors, loss: Loss = CE) -> Tensors:
    """The gradient of every tensor, zero where the objective doesn't depend on it."""
    p = {name: tensor.detach().clone().requires_grad_() for name, tensor in p.items()}
    value = rule.objective(model, p, feedback, *batch(len(next(iter(p.values())))), None, loss).descend.sum()
    return dict(zip(p, torch.autograd.grad(value, list(p.values()), materialize_grads=True), strict=True))


def find_credit(rule: Rule, model: Model, p: Tensors, feedback: Tensors, loss: Loss = CE) -> list[Tensor]:
    """Credit at every site, by taps."""
    return tap(model, lambda m, q, x, y: rule.objective(m, q, feedback, x, y, None, loss).descend, p, *batch())


def list_states(model: Model, p: Tensors, x: Tensor) -> list[Tensor]:
    found = [model.embed(p, x)]
    for layer in range(model.depth):
        found.append(model.join(found[-1], model.branch(p, layer, found[-1])))
    return found


def assert_close(found: Tensor, expected: Tensor, atol: float = 1e-12) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=atol)


def assert_mean(draws: Tensor, expected: Tensor) -> None:
    """The mean over replicas is the expected value, within 4 standard errors of each entry, and most within 2."""
    error = draws.std(0) / math.sqrt(len(draws))
    off = (draws.mean(0) - expected).abs() / error.clamp_min(1e-30)
    assert float(off.max()) < 4 and float((off < 2).double().mean()) > 0.85


def repeat(p: Tensors, replicas: int) -> Tensors:
    """The first replica, again and again: replicas draw apart, so they are draws of one rule."""
    return {name: tensor[:1].expand(replicas, *tensor.shape[1:]) for name, tensor in p.items()}


# Local losses ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
def test_pred_gives_the_error_of_its_own_classifier(loss: Loss) -> None:
    """c = (softmax(hV) − t)Vᵀ."""
    rule = LocalGreedy(name="local_greedy", similarity=0.0)
    p, _ = make(MLP, rule)
    x, y = batch()
    for site, (h, credit) in enumerate(zip(list_states(MLP, p, x), find_credit(rule, MLP, p, {}, loss), strict=True)):
        v = p[f"rule/predict_{site}"]
        assert_close(credit, loss.error(h @ v, y) @ v.mT)


def test_similarity_is_one_within_a_class_and_lower_between_and_rotations_leave_it() -> None:
    _, y = batch()
    targets = CE.targets(torch.zeros(2, N, C, dtype=torch.float64), y)
    same = (y.unsqueeze(2) == y.unsqueeze(1)).double()
    torch.testing.assert_close(compare(targets), same - (1 - same) / (C - 1), rtol=0, atol=1e-10)

    def draw_normal(*shape: int) -> Tensor:
        return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    one = torch.ones(1, 1, dtype=torch.float64)
    basis = torch.linalg.qr(torch.cat([one.expand(D, 1), draw_normal(D, D - 1)], 1))[0]
    turn = basis @ torch.block_diag(one, torch.linalg.qr(draw_normal(D - 1, D - 1))[0]) @ basis.T
    u = draw_normal(2, N, D)
    assert not torch.allclose(u @ turn, u)
    assert_close(compare(u @ turn), compare(u))  # a rotation that keeps the mean over units
    assert_close(compare(u).diagonal(dim1=1, dim2=2), torch.ones(2, N, dtype=torch.float64), 1e-10)


def test_a_constant_row_has_a_gradient() -> None:
    """ReLU may leave a sample without activity."""
    u = torch.zeros(1, 3, D, dtype=torch.float64)
    u[0, 0, 0] = 1.0
    u.requires_grad_()
    (gradient,) = torch.autograd.grad(compare(u).square().sum(), u)
    assert gradient.isfinite().all()


@pytest.mark.parametrize(
    "rule", [LocalGreedy(name="local_greedy"), ForwardForward(name="forward_forward")], ids=lambda rule: rule.name
)
def test_a_part_learns_from_its_own_output_alone(rule: Rule) -> None:
    """What lies above a part has no say in its gradient."""
    p, _ = make(MLP, rule)
    draws = fresh(rule, MLP, 0)
    before = differentiate(rule, MLP, p, draws)
    changed = {name: tensor + 0.3 if name.startswith(("block_1", "head")) else tensor for name, tensor in p.items()}
    after = differentiate(rule, MLP, changed, draws)
    for name, gradient in before.items():
        if name.startswith(("embedding", "block_0")):
            assert torch.equal(gradient, after[name]), name
        if name.startswith(("block_1", "head")):
            assert not torch.equal(gradient, after[name]), name


# Perturbations --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("distribution", ["sign", "normal"])
def test_a_forward_gradient_is_unbiased_and_its_error_is_that_of_the_formula(distribution: Any) -> None:
    model, replicas = Chain(tanh=True), 4000
    rule = ForwardGradient(name="forward_gradient", distribution=distribution)
    one, _ = make(model, rule)
    p = repeat(one, replicas)
    found = differentiate(rule, model, p, fresh(rule, model, 0, replicas))
    true = {name: gradient[0] for name, gradient in differentiate(Bp(name="bp"), model, repeat(one, 1), {}).items()}
    q = torch.cat([found[name].flatten(1) for name in true], 1)
    g = torch.cat([gradient.flatten() for gradient in true.values()])
    assert_mean(q, g)
    errors, size = (q - g).square().sum(1), len(g)
    expected = (size + (1 if distribution == "normal" else -1)) * g.square().sum()
    assert abs(errors.mean() - expected) < 4 * errors.std() / math.sqrt(replicas)


@pytest.mark.parametrize("rule", [
    ForwardGradient(name="forward_gradient"), ForwardGradient(name="forward_gradient", distribution="normal"),
    WeightPerturbation(name="weight_perturbation", sigma=1e-5),
], ids=["forward", "normal", "weights"])  # fmt: skip
def test_every_draw_goes_down_the_loss(rule: Rule) -> None:
    """⟨q, ∇⟩ = (∇·v)² ≥ 0, and q = (∇·v) v, for every draw."""
    p, _ = make(MLP, rule)
    true = differentiate(Bp(name="bp"), MLP, p, {})
    for step in range(20):
        draws = fresh(rule, MLP, step)
        found = differentiate(rule, MLP, p, draws)
        slope = sum((true[name] * draws[f"direction/{name}"][:, 0]).flatten(1).sum(1) for name in true)
        along = sum((true[name] * found[name]).flatten(1).sum(1) for name in true)
        torch.testing.assert_close(along, slope**2, rtol=1e-4, atol=1e-9)
        assert (along >= 0).all()


def test_directions_are_averaged() -> None:
    """Also those of weight perturbation, whose mean over all signs is nothing else."""
    many = ForwardGradient(name="forward_gradient", directions=3)
    p, _ = make(MLP, many)
    draws = fresh(many, MLP, 0)
    one = ForwardGradient(name="forward_gradient")
    alone = [differentiate(one, MLP, p, {name: v[:, k : k + 1] for name, v in draws.items()}) for k in range(3)]
    for name, gradient in differentiate(many, MLP, p, draws).items():
        assert_close(gradient, sum(q[name] for q in alone) / 3)


def test_a_central_difference_is_exact_on_a_quadratic_and_a_one_sided_one_is_off_by_sigma() -> None:
    """The squared error of a linear network, of which only the head is perturbed, is quadratic along v."""
    model, squared = Chain(), SquaredError(name="squared_error")
    forward = ForwardGradient(name="forward_gradient")
    p, _ = make(model, forward)
    draws = {name: v if name.endswith("head") else 0 * v for name, v in fresh(forward, model, 0).items()}
    exact = differentiate(forward, model, p, draws, squared)["head"]

    def distance(sigma: float, difference: Any) -> float:
        rule = WeightPerturbation(name="weight_perturbation", sigma=sigma, difference=difference)
        return float((differentiate(rule, model, p, draws, squared)["head"] - exact).abs().max())

    assert distance(0.3, "central") < 1e-11
    assert distance(0.2, "one_sided") == pytest.approx(2 * distance(0.1, "one_sided"), rel=1e-8)
    assert distance(0.1, "one_sided") > 1e-3


@pytest.mark.parametrize("distribution", ["sign", "normal"])
def test_perturbed_activities_give_the_gradient_on_average(distribution: Any) -> None:
    model, replicas = Chain(tanh=True), 4000
    rule = ActivityPerturbation(name="activity_perturbation", distribution=distribution)
    one, _ = make(model, rule)
    found = differentiate(rule, model, repeat(one, replicas), fresh(rule, model, 0, replicas))
    true = {name: gradient[0] for name, gradient in differentiate(Bp(name="bp"), model, repeat(one, 1), {}).items()}
    assert_close(found["head"][0], true["head"])  # exact for the head, which takes its own gradient
    names = ("e", "a0", "a1")
    q = torch.cat([found[name].flatten(1) for name in names], 1)
    assert_mean(q, torch.cat([true[name].flatten() for name in names]))


# Targets --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
def test_targets_through_transposes_of_orthogonal_blocks_are_gradients(loss: Loss) -> None:
    model, rule = Chain(), Dtp(name="dtp")
    p, _ = make(model, rule)
    for layer in (0, 1):
        p[f"a{layer}"] = torch.linalg.qr(p[f"a{layer}"])[0]
        p[f"rule/inverse_{layer}.weight"] = p[f"a{layer}"].mT
    draws = fresh(rule, model, 0)
    for found, true in zip(
        find_credit(rule, model, p, draws, loss), find_credit(Bp(name="bp"), model, p, {}, loss), strict=True
    ):
        assert_close(found, true)
    expected = differentiate(Bp(name="bp"), model, p, {}, loss)
    for name, gradient in differentiate(rule, model, p, draws, loss).items():
        if not name.startswith("rule/"):
            assert_close(gradient, expected[name])


def test_targets_through_exact_inverses_are_steps_of_gauss_and_newton() -> None:
    """c_l = c_{l+1} F_l⁻¹, and an exact inverse has nothing to learn."""
    model, rule = Chain(), Dtp(name="dtp")
    p, _ = make(model, rule)
    for layer in (0, 1):
        p[f"rule/inverse_{layer}.weight"] = torch.linalg.inv(p[f"a{layer}"])
        p[f"rule/inverse_{layer}.bias"] = torch.zeros(2, D, dtype=torch.float64)
    draws = fresh(rule, model, 0)
    credit = find_credit(rule, model, p, draws)
    for layer in (0, 1):
        torch.testing.assert_close(credit[layer] @ p[f"a{layer}"], credit[layer + 1], rtol=1e-9, atol=1e-10)
    for name, gradient in differentiate(rule, model, p, draws).items():
        if name.startswith("rule/"):
            assert float(gradient.abs().max()) < 1e-9, name


# PEPITA ---------------------------------------------------------------------------------------------------------------


def test_pepita_is_adaptive_feedback_in_linear_layers_and_to_first_order_elsewhere() -> None:
    """h_0 − h′_0 = −e F W, exactly; behind tanh, half of F leaves half of the relative error."""
    rule = Pepita(name="pepita")
    x, y = batch()
    p, feedback = make(MLP, rule)
    error = CE.error(MLP.head(p, list_states(MLP, p, x)[-1]), y)
    assert_close(find_credit(rule, MLP, p, feedback)[0], -error @ feedback["feedback"] @ p["embedding.weight"])
    model = Chain(tanh=True)
    p, feedback = make(model, rule)
    states = list_states(model, p, x)
    error = CE.error(model.head(p, states[-1]), y)
    off = []
    for scale in (0.02, 0.01):
        given = {"feedback": scale * feedback["feedback"]}
        expected = -((error @ given["feedback"] @ p["e"] @ p["a0"]) * (1 - states[1] ** 2))
        changed = list_states(model, p, x + error @ given["feedback"])
        found = tap_branch(rule, model, p, given, changed)
        off.append(float((found - expected).norm() / expected.norm()))
    assert off[0] == pytest.approx(2 * off[1], rel=0.1) and off[0] > 1e-4


def tap_branch(rule: Rule, model: Model, p: Tensors, feedback: Tensors, changed: list[Tensor]) -> Tensor:
    """Credit of the first block's f, which its weight's gradient h′ᵀc/n shows, if h′ has an inverse: by taps."""
    credit = find_credit(rule, model, p, feedback)[1]
    assert_close(differentiate(rule, model, p, feedback)["a0"], changed[0].mT @ credit / N)
    return credit


def test_without_feedback_pepita_trains_only_the_head() -> None:
    rule = Pepita(name="pepita", scale=0.0)
    p, feedback = make(MLP, rule)
    (spec,) = rule.feedback(MLP, FEATURES, C)
    assert spec.init.scale == 0.0
    found = differentiate(rule, MLP, p, {"feedback": 0 * feedback["feedback"]})
    expected = differentiate(Bp(name="bp"), MLP, p, {})
    for name, gradient in found.items():
        assert_close(gradient, expected[name] if name.startswith("head") else torch.zeros_like(gradient))


# Forward-forward ------------------------------------------------------------------------------------------------------


def test_labels_through_a_matrix_are_labels_written_into_the_first_inputs() -> None:
    rule = ForwardForward(name="forward_forward")
    model = Chain(tanh=True)
    x, y = batch()
    p, _ = make(model, rule)
    x = torch.cat([torch.zeros(2, N, C, dtype=torch.float64), x[..., C:]], -1)
    p["rule/label_embedding"] = p["e"][:, :C]
    told = torch.cat([CE.targets(x[..., :C], y), x[..., C:]], -1)
    sites, _ = rule._pass_with_labels(model, p, x, y)
    assert_close(sites[0], model.embed(p, told))


def test_goodness_pushes_by_its_distance_from_the_threshold() -> None:
    """∂/∂G⁺ = −σ(θ − G⁺) and ∂/∂G⁻ = σ(G⁻ − θ); where both are θ the loss is 2 ln 2 for every part."""
    rule, model = ForwardForward(name="forward_forward", normalize=False), Chain()
    p, _ = make(model, rule)
    draws, (x, y) = fresh(rule, model, 0), batch()
    wrong = (y + 1 + draws["past"]) % C
    assert (wrong != y).all() and (wrong >= 0).all()
    h, labels = x @ p["e"], p["rule/label_embedding"]
    rows = torch.arange(2).unsqueeze(1)
    good, bad = h + labels[rows, y], h + labels[rows, wrong]
    push = -torch.sigmoid(D - good.square().sum(-1, keepdim=True)) * 2 * good
    pull = torch.sigmoid(bad.square().sum(-1, keepdim=True) - D) * 2 * bad
    assert_close(differentiate(rule, model, p, draws)["e"], x.mT @ (push + pull) / N)
    still = {name: torch.zeros_like(tensor) for name, tensor in p.items()}
    for name in ("a0", "a1"):
        still[name] = torch.eye(D, dtype=torch.float64).repeat(2, 1, 1)
    still["rule/label_embedding"] = torch.ones(2, C, D, dtype=torch.float64)  # G = d = θ at every site
    still = {name: tensor.requires_grad_() for name, tensor in still.items()}
    value = rule.objective(model, still, draws, x, y, None, CE)
    assert_close(value.descend.detach() - value.loss, torch.full((2,), 3 * 2 * math.log(2), dtype=torch.float64))


def test_normalised_outputs_hide_their_goodness_from_the_next_part() -> None:
    """The first part's length says nothing to the second, unless ``normalize`` is off."""
    model = Chain(tanh=True)
    for normalize in (True, False):
        rule = ForwardForward(name="forward_forward", normalize=normalize)
        p, _ = make(model, rule)
        longer = {name: 3 * t if name in ("e", "rule/label_embedding") else t for name, t in p.items()}
        short, long = (rule._pass_with_labels(model, one, *batch())[0][1] for one in (p, longer))
        assert torch.allclose(short, long, rtol=1e-6) == normalize


# Penalties ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [
    LocalGreedy(name="local_greedy"), ActivityPerturbation(name="activity_perturbation"), Dtp(name="dtp"),
], ids=lambda rule: rule.name)  # fmt: skip
def test_a_penalty_adds_its_gradient_in_every_block_and_nowhere_else(rule: Rule) -> None:
    """By hand: ∂(λ·mean f²)/∂(w2's bias) is 2λ·mean f, on the states that the rule's own pass has."""
    p, feedback = make(MLP, rule)
    given = {**feedback, **fresh(rule, MLP, 0)}
    x, y = batch()
    leaves = {name: tensor.clone().requires_grad_() for name, tensor in p.items()}

    def penalty(f: Tensor, h: Tensor) -> Tensor:
        return 0.3 * f.square().sum(-1).mean(-1)

    found = []
    for one in (penalty, None):
        value = rule.objective(MLP, leaves, given, x, y, one, CE).descend.sum()
        found.append(torch.autograd.grad(value, list(leaves.values()), materialize_grads=True))
    states = list_states(MLP, p, x)
    for name, penalised, plain in zip(leaves, *found, strict=True):
        if name.endswith("w2.bias"):
            f = MLP.branch(p, int(name[6]), states[int(name[6])])
            assert_close(penalised - plain, 0.6 * f.mean(1))
        elif not name.startswith("block"):
            assert torch.equal(penalised, plain), name
