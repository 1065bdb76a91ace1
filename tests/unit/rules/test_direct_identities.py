"""Rules with credit part by part, and sign symmetry: identities that their equations must have."""

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
from harness.errors import HarnessError
from harness.losses import Loss
from harness.losses.cross_entropy import CrossEntropy
from harness.losses.squared_error import SquaredError
from harness.models import Model
from harness.models.residual_mlp import ResidualMlp
from harness.rules import Rule, RuleTensors
from harness.rules.bp import Bp
from harness.rules.dfa import Dfa
from harness.rules.direct_kolen_pollack import DirectKolenPollack
from harness.rules.drtp import Drtp
from harness.rules.fa_block import FaBlock
from harness.rules.fresh_feedback import FreshFeedback
from harness.rules.ifa import Ifa
from harness.rules.sign_symmetric import SignSymmetric
from harness.training.steps.supports import fits_explicit
from harness.training.taps import tap
from tests.unit.training.training_inputs import arm, cohort

D, C, FEATURES, N = 6, 4, 5, 9
PLAIN: dict[str, Any] = {"normalize": "none", "clip": None}
LOSSES: list[Loss] = [CrossEntropy(name="cross_entropy", label_smoothing=0.1), SquaredError(name="squared_error")]
MLP = ResidualMlp(name="residual_mlp", width=D, blocks=2, branch_std=0.5)


class Chain(Model):
    """Two linear blocks: h + hA with a skip connection, else hA, after an activation if there is one."""

    name: Literal["chain"] = "chain"
    skip: bool = True
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
            *(TensorSpec(f"bias{layer}", (D,), init, f"block_{layer}") for layer in (0, 1)),
        )  # fmt: skip

    def embed(self, p: Mapping[str, Tensor], x: Tensor) -> Tensor:
        return x @ p["e"]

    def branch(self, p: Mapping[str, Tensor], layer: int, h: Tensor) -> Tensor:
        return h @ p[f"a{layer}"] + p[f"bias{layer}"].unsqueeze(1)

    def join(self, h: Tensor, f: Tensor) -> Tensor:
        f = f.tanh() if self.tanh else f
        return h + f if self.skip else f

    def head(self, p: Mapping[str, Tensor], h: Tensor) -> Tensor:
        return h @ p["head"]


def make(specs: Any, seed: int = 0, replicas: int = 2) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = {spec.name: (replicas, *spec.shape) for spec in specs}
    return {name: torch.randn(shape, generator=generator, dtype=torch.float64) for name, shape in shapes.items()}


def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(9)
    x = torch.randn(2, N, FEATURES, generator=generator, dtype=torch.float64)
    return x, torch.randint(C, (2, N), generator=generator)


def differentiate(
    rule: Rule, model: Model, p: dict[str, Tensor], feedback: Mapping[str, Tensor], loss: Loss = LOSSES[0]
) -> dict[str, Tensor]:
    """The gradient of every tensor, zero where the objective doesn't depend on it."""
    p = {name: tensor.detach().clone().requires_grad_() for name, tensor in p.items()}
    value = rule.objective(model, p, feedback, *batch(), None, loss).descend.sum()
    return dict(zip(p, torch.autograd.grad(value, list(p.values()), materialize_grads=True), strict=True))


def find_credit(
    rule: Rule, model: Model, p: dict[str, Tensor], feedback: Mapping[str, Tensor], loss: Loss = LOSSES[0]
) -> list[Tensor]:
    """Credit at every site, by taps."""
    return tap(model, lambda m, q, x, y: rule.objective(m, q, feedback, x, y, None, loss).descend, p, *batch())


def assert_same(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-11, atol=1e-12, msg=name)


def transpose(*matrices: Tensor) -> Tensor:
    """(A_0 A_1 … W)ᵀ: the way back from the error."""
    product = matrices[0]
    for matrix in matrices[1:]:
        product = product @ matrix
    return product.mT


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
def test_feedback_that_is_the_way_back_of_linear_blocks_is_backpropagation(loss: Loss) -> None:
    """By blocks with D_l = (I + A_l)ᵀ, and directly with the products of all that follows."""
    model, bp = Chain(), Bp(name="bp")
    p = make(model.parameters(FEATURES, C))
    one, two = (torch.eye(D, dtype=torch.float64) + p[f"a{layer}"] for layer in (0, 1))
    expected = differentiate(bp, model, p, {}, loss)
    by_block = {"feedback_out": p["head"].mT, "feedback_1": two.mT, "feedback_0": one.mT}
    assert_same(differentiate(FaBlock(name="fa_block", **PLAIN), model, p, by_block, loss), expected)
    directly = {"feedback_1": transpose(p["head"]), "feedback_0": transpose(two, p["head"])}
    found = differentiate(Dfa(name="dfa", **PLAIN), model, p, directly, loss)
    assert_same({name: found[name] for name in found if name != "e"}, {n: g for n, g in expected.items() if n != "e"})
    assert not torch.allclose(found["e"], expected["e"])  # the embedding takes B_0, which is that of the block above
    along = DirectKolenPollack(name="direct_kolen_pollack", **PLAIN)
    learned = differentiate(along, model, p | {f"rule/{name}": matrix for name, matrix in directly.items()}, {}, loss)
    assert_same({name: learned[name] for name in found}, found)


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
def test_indirect_feedback_is_backpropagation_where_blocks_are_orthogonal(loss: Loss) -> None:
    model = Chain(skip=False)
    p = make(model.parameters(FEATURES, C))
    p |= {name: torch.linalg.qr(p[name]).Q for name in ("a0", "a1")}
    first = {"feedback": transpose(p["a0"], p["a1"], p["head"])}
    found = differentiate(Ifa(name="ifa", **PLAIN), model, p, first, loss)
    assert_same(found, differentiate(Bp(name="bp"), model, p, {}, loss))
    skewed = p | {"a0": 2 * p["a0"]}
    assert not torch.allclose(differentiate(Ifa(name="ifa"), model, skewed, first)["a0"], found["a0"])


def test_fa_block_of_one_block_is_direct_feedback_to_it() -> None:
    model = MLP.model_copy(update={"blocks": 1})
    p, b = make(model.parameters(FEATURES, C)), make(FaBlock(name="fa_block").feedback(model, FEATURES, C))
    found = differentiate(FaBlock(name="fa_block"), model, p, b)
    direct = differentiate(Dfa(name="dfa"), model, p, {"feedback_0": b["feedback_out"]})
    block = {name: gradient for name, gradient in direct.items() if not name.startswith("embedding")}
    assert len(block) == 10
    assert_same({name: found[name] for name in block}, block)


def test_a_new_rules_blocks_are_clipped_as_those_of_dfa() -> None:
    assert FaBlock(name="fa_block").clip_norms(MLP) == Dfa(name="dfa").clip_norms(MLP) == {"block_0": 1, "block_1": 1}
    assert FaBlock(name="fa_block", clip=None).clip_norms(MLP) == Ifa(name="ifa").clip_norms(MLP) == {}


# Targets in place of errors -------------------------------------------------------------------------------------------


def test_targets_differ_from_errors_by_a_common_mode_where_outputs_are_zero() -> None:
    """At z = 0 the credit of direct feedback is mean_c B_c − B_y, that of targets −B_y; centred ones are the same."""
    p = make(MLP.parameters(FEATURES, C))
    p |= {name: torch.zeros_like(tensor) for name, tensor in p.items() if name in ("head.weight", "head.bias")}
    b, loss = make(Drtp(name="drtp").feedback(MLP, FEATURES, C)), CrossEntropy(name="cross_entropy")
    direct = find_credit(Dfa(name="dfa", **PLAIN), MLP, p, b, loss)
    targets = find_credit(Drtp(name="drtp"), MLP, p, b, loss)
    also = find_credit(Dfa(name="dfa", error="target", **PLAIN), MLP, p, b, loss)
    centred = find_credit(Drtp(name="drtp", center=True), MLP, p, b, loss)
    for site in range(3):
        matrix = b[f"feedback_{max(site - 1, 0)}"]
        expected = matrix.mean(1, keepdim=True).expand(-1, N, -1)
        torch.testing.assert_close(direct[site] - targets[site], expected, rtol=0, atol=1e-12)
        torch.testing.assert_close(centred[site], direct[site], rtol=0, atol=1e-12)
        torch.testing.assert_close(also[site], targets[site], rtol=0, atol=0)
        assert torch.linalg.matrix_rank(targets[site]).max() <= C < N
    others = find_credit(Drtp(name="drtp"), MLP, make(MLP.parameters(FEATURES, C), seed=5), b, LOSSES[1])
    assert all(map(torch.equal, targets, others))  # whatever the weights and the loss


def test_dfa_starts_from_zero_weights_of_saturating_units() -> None:
    """Of zero weights, the first step moves the embedding's weights and all biases of what follows, nothing else."""
    model = Chain(skip=False, tanh=True)
    p = {name: torch.zeros_like(tensor) for name, tensor in make(model.parameters(FEATURES, C)).items()}
    b = make(Dfa(name="dfa").feedback(model, FEATURES, C))
    found = differentiate(Dfa(name="dfa", **PLAIN), model, p, b)
    assert {name for name, gradient in found.items() if gradient.any()} == {"e", "bias0", "bias1"}


# Options of dfa -------------------------------------------------------------------------------------------------------


def test_one_matrix_for_all_is_one_credit_for_all() -> None:
    p = make(MLP.parameters(FEATURES, C))
    for matrices in ("shared", "nested"):
        rule = Dfa(name="dfa", matrices=matrices)
        (spec,) = rule.feedback(MLP, FEATURES, C)
        assert spec.shape == (C, D) and rule.list_untrained(MLP) == frozenset()
        first, *others = find_credit(rule, MLP, p, make([spec]))
        assert len(others) == 2 and all(torch.equal(first, other) for other in others)


class Wider(Chain):
    """A chain whose states have several sizes, of which the second has two axes."""

    def shape(self, layer: int) -> tuple[int, ...]:
        return ((D,), (2, D), (3,))[layer]


def test_blocks_of_several_sizes_nest_their_matrices_and_share_none() -> None:
    error = torch.randn(2, N, C, dtype=torch.float64)
    nested = Dfa(name="dfa", matrices="nested")
    (spec,) = nested.feedback(Wider(), FEATURES, C)
    assert spec.shape == (C, 2 * D)
    b = make([spec])
    whole = error @ b["feedback"]
    torch.testing.assert_close(nested.credit(Wider(), b, error, 1), whole[..., :3])
    torch.testing.assert_close(nested.credit(Wider(), b, error, 0), whole.view(2, N, 2, D))
    names = {spec.name: spec.shape for spec in Dfa(name="dfa").feedback(Wider(), FEATURES, C)}
    assert names == {"feedback_embedding": (C, D), "feedback_0": (C, 2 * D), "feedback_1": (C, 3)}
    with pytest.raises(HarnessError, match="several sizes: 6, 12, 3") as caught:
        RuleTensors.of(Dfa(name="dfa", matrices="shared"), Wider(), FEATURES, C)
    assert caught.value.remedy == "use matrices: nested or per_layer"


def test_options_have_the_distribution_seed_and_sign_that_they_say() -> None:
    uniform = Dfa(name="dfa", init="uniform", feedback_seed=4).feedback(MLP, FEATURES, C)
    assert {(spec.init, spec.seed) for spec in uniform} == {(Init("uniform", D**-0.5), 4)}
    assert {(spec.init, spec.seed) for spec in Dfa(name="dfa").feedback(MLP, FEATURES, C)} == {
        (Init("normal", C**-0.5), None)
    }
    p, b = make(MLP.parameters(FEATURES, C)), make(uniform)
    errors = {"feedback_0": torch.eye(C, D, dtype=torch.float64).expand(2, -1, -1), "feedback_1": b["feedback_1"]}
    signs = find_credit(Dfa(name="dfa", error="sign", **PLAIN), MLP, p, errors)[0]
    assert set(signs[..., :C].unique().tolist()) == {-1.0, 1.0} and not signs[..., C:].any()
    with pytest.raises(NotImplementedError):
        Dfa(name="dfa", error="target").credit(MLP, b, torch.randn(2, N, C), 0)


def test_normalised_credit_has_the_norm_of_its_extent() -> None:
    p, b = make(MLP.parameters(FEATURES, C)), make(Dfa(name="dfa").feedback(MLP, FEATURES, C))
    plain, sample, batched = (
        find_credit(Dfa(name="dfa", normalize=kind), MLP, p, b) for kind in ("none", "sample", "batch")
    )
    for raw, single, whole in zip(plain, sample, batched, strict=True):
        torch.testing.assert_close(single.norm(dim=-1), single.new_full((2, N), D**0.5), rtol=1e-4, atol=0)
        size = whole.square().mean((1, 2)).sqrt()
        torch.testing.assert_close(size, torch.ones_like(size), rtol=1e-4, atol=0)
        ratio = whole.norm(dim=-1) / raw.norm(dim=-1)
        torch.testing.assert_close(ratio, ratio[:, :1].expand(-1, N), rtol=1e-10, atol=0)


@pytest.mark.parametrize(
    ("options", "fast"),
    [({}, True), ({"init": "uniform", "feedback_seed": 0}, True), ({"matrices": "shared"}, True),
     ({"normalize": "none"}, True), ({"error": "sign"}, True), ({"credit_scale": 2.0}, False)],
)  # fmt: skip
def test_faster_steps_train_the_equations_that_they_know_and_no_others(options: dict[str, Any], fast: bool) -> None:
    """A factor on credit is left to autograd."""
    plain = arm("dfa", None)
    other = plain.model_copy(update={"rule": Dfa(name="dfa", **options)})
    assert fits_explicit(cohort({"a": other}, [1])) == fast
    assert set(other.rule.model_dump()) == {"name", "clip", *options}


# Fresh feedback, sign symmetry ----------------------------------------------------------------------------------------


def test_fresh_feedback_has_no_direction() -> None:
    """The mean of 400 draws of credit is 0 within 4 standard errors, in every entry."""
    rule, error = FreshFeedback(name="fresh_feedback", **PLAIN), torch.tensor([0.5, -0.25, 0.5, -0.75]).double()
    (spec, _), draws = rule.draws(MLP, FEATURES, C), 400
    keys = torch.tensor([short_key(3, f"draws/{spec.name}")])
    drawn = torch.cat([draw(spec, keys, torch.tensor(step), N, torch.float64) for step in range(draws)])
    credit = error @ drawn
    assert credit.shape == (draws, D)
    deviation = float(error.norm()) * C**-0.5
    assert (credit.mean(0).abs() < 4 * deviation / math.sqrt(draws)).all()
    assert (credit.std(0) > 0.8 * deviation).all()


SIGNS = {
    "usf": ({"variant": "usf"}, lambda w: torch.ones(2, 1, 1, dtype=torch.float64)),
    "usf_norm": ({"variant": "usf", "scale": "norm"}, lambda w: torch.full((2, 1, 1), 7.0, dtype=torch.float64)),
    "frsf": ({"variant": "frsf"}, lambda w: -w.abs()),
    "frsf_norm": ({"variant": "frsf", "scale": "norm"}, lambda w: 3 * w),
    "brsf": ({"variant": "brsf"}, lambda w: w),
}


@pytest.mark.parametrize("kind", SIGNS)
def test_the_right_magnitudes_are_backpropagation(kind: str) -> None:
    """M = |W|; and one magnitude, if W has only one. A norm of W makes any multiple of it right."""
    options, magnitudes = SIGNS[kind]
    p = make(MLP.parameters(FEATURES, C))
    if options["variant"] == "usf":
        p = {name: tensor.sign() for name, tensor in p.items()}
    rule = SignSymmetric(name="sign_symmetric", **options)
    names = [spec.name for spec in (*rule.feedback(MLP, FEATURES, C), *rule.draws(MLP, FEATURES, C))]
    assert len(names) == 5
    found = differentiate(rule, MLP, p, {name: magnitudes(p[name]) for name in names})
    assert_same(found, differentiate(Bp(name="bp"), MLP, p, {}))


@pytest.mark.parametrize(("kind", "normal", "uniform"), [("usf", math.sqrt(2 / math.pi), math.sqrt(3) / 2),
                                                         ("frsf", 2 / math.pi, 0.75)])  # fmt: skip
def test_the_angle_to_the_weights_is_that_of_their_distribution(kind: Any, normal: float, uniform: float) -> None:
    """Signs concord everywhere; the cosine is E|w|/√E w² for each of W and M that varies."""
    rule, size = SignSymmetric(name="sign_symmetric", variant=kind), 400
    generator = torch.Generator().manual_seed(1)
    drawn = {
        normal: [torch.randn(1, size, size, generator=generator) for _ in range(2)],
        uniform: [2 * torch.rand(1, size, size, generator=generator) - 1 for _ in range(2)],
    }
    for expected, (weight, other) in drawn.items():
        made = rule._make(weight, other if kind == "frsf" else torch.ones(1, 1, 1))
        assert torch.equal(made.sign(), weight.sign())
        cosine = torch.nn.functional.cosine_similarity(made.flatten(), weight.flatten(), 0)
        assert abs(float(cosine) - expected) < 4 / size  # standard error below 1/√(numbers)


def test_zero_weights_have_feedback() -> None:
    """sign(0) = 1: a network that begins at zero would otherwise stay there."""
    for scale, expected in (("init", 0.5), ("norm", 0.0)):
        rule = SignSymmetric(name="sign_symmetric", scale=scale)
        made = rule._make(torch.zeros(1, 2, 3), torch.full((1, 1, 1), 0.5))
        assert torch.equal(made, torch.full((1, 2, 3), expected))
