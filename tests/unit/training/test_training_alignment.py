"""Alignment to direct feedback, the update of the head, signal and noise of gradients, and readouts: known answers."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import jacrev

from harness.batched.collapse import ClassMeans
from harness.batched.geometry import signal_to_noise
from harness.domain.measured import find_lack
from harness.metrics import parse_metric
from harness.metrics.feedback_alignment import FeedbackAlignment
from harness.plugins.registry import find_members
from harness.rules import Rule
from harness.training.evaluate import ReplicaEvaluation
from harness.training.program import Program
from tests.conformance.test_plugins import example
from tests.unit.training.test_training_diagnostics import PLAIN, RESIDUAL, evaluate, measure, program_of

RULES: dict[str, Rule] = {name: example(kind) for name, kind in find_members("rules").items()}
DIRECT = [name for name, rule in RULES.items() if rule.is_direct]
HEAD_ELSEWHERE = {"pepita", "forward_gradient", "weight_perturbation", "random_target"}
"""Rules that train the head on something else than the gradient of the loss."""
MODELS = pytest.mark.parametrize("model", [RESIDUAL, PLAIN], ids=["residual", "plain"])


def set_feedback(program: Program, values: list[Tensor]) -> None:
    """Give dfa the matrices [r, c, d] of blocks 0 … L − 1."""
    for layer, value in enumerate(values):
        program.state.rule_groups[0].feedback[f"feedback_{layer}"].copy_(value)


# feedback_alignment ---------------------------------------------------------------------------------------------------


@MODELS
def test_the_mean_jacobian_is_that_of_single_samples(model: dict[str, Any]) -> None:
    evaluation = evaluate(program_of(RULES["dfa"], model))
    network, built = evaluation.network, program_of(RULES["dfa"], model).state.model
    for layer in range(built.depth + 1):
        found = network.average_jacobian(layer)
        assert found.shape == (2, 10, 12)
        for r in range(2):
            own = {name: tensor[r : r + 1] for name, tensor in network.params.items()}

            def run(h: Tensor, own: dict[str, Tensor] = own, layer: int = layer) -> Tensor:
                state = h.view(1, 1, -1)
                for above in range(layer, built.depth):
                    state = built.join(state, built.branch(own, above, state))
                return built.head(own, state)[0, 0]

            singles = torch.stack([jacrev(run)(h) for h in evaluation.hidden[layer][r]])
            torch.testing.assert_close(found[r], singles.mean(0), rtol=1e-9, atol=1e-12)


def test_the_jacobian_of_a_linear_network_is_the_product_of_its_weights() -> None:
    """ReLU units that are all active."""
    program = program_of(RULES["dfa"], PLAIN | {"activation": "relu"})
    params = program.state.params
    with torch.no_grad():
        for part, bias in (("embedding", 1e3), ("block_0", 1e5), ("block_1", 1e7)):
            params[f"{part}.bias"].fill_(bias)
    network = evaluate(program).network
    weights = [network.params[f"{name}.weight"] for name in ("block_0", "block_1", "head")]
    product = weights[2]
    for layer, weight in ((2, None), (1, weights[1]), (0, weights[0])):
        product = product if weight is None else weight @ product
        torch.testing.assert_close(network.average_jacobian(layer), product.mT, rtol=1e-9, atol=1e-12)


@MODELS
def test_feedback_that_is_the_jacobian_is_aligned_and_its_opposite_opposed(model: dict[str, Any]) -> None:
    program = program_of(RULES["dfa"].model_copy(update={"feedback_seed": None}), model)
    network = evaluate(program).network
    jacobians = [network.average_jacobian(layer) for layer in (1, 2)]
    for sign in (1.0, -1.0):
        set_feedback(program, [sign * one for one in jacobians])
        found = measure("feedback_alignment", evaluate(program))
        torch.testing.assert_close(found[:, 1:], torch.full((2, 2), sign, dtype=torch.float64), rtol=1e-6, atol=0)
        fresh = measure("feedback_alignment:feedback=fresh", evaluate(program))
        assert (fresh.abs() < 5 / math.sqrt(10 * 12)).all()  # the control: matrices that nothing was trained with


@pytest.mark.parametrize("name", DIRECT)
def test_the_matrix_of_a_state_is_what_credit_is_made_of(name: str) -> None:
    """Without normalisation and clip, credit at the last state is e B, or −t B."""
    rule = RULES[name].model_copy(update={"normalize": "none", "clip": None})
    evaluation = evaluate(program_of(rule, PLAIN))
    matrices, network = evaluation.matrices, evaluation.network
    assert [matrix.shape for matrix in matrices] == [(2, 10, 12)] * 3
    targets = torch.nn.functional.one_hot(network.labels, 10).double()
    error = -targets if name == "drtp" else network.logits.softmax(-1) - targets
    slope = 1 - evaluation.hidden[2] ** 2  # the tap is at f, before the activation
    torch.testing.assert_close(evaluation.site_credits[2], (error @ matrices[2]) * slope, rtol=1e-9, atol=1e-12)


def test_what_has_no_matrix_per_state_is_told() -> None:
    assert set(DIRECT) == {"dfa", "drtp", "direct_kolen_pollack", "fresh_feedback"}
    lack = find_lack(FeedbackAlignment, RULES["fa"])
    assert lack is not None and lack[0].startswith("brings the error to states by no matrix")
    assert find_lack(FeedbackAlignment, RULES["dfa"]) is None


# head_update_cosine ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RULES)
def test_the_head_is_trained_on_the_loss_or_elsewhere(name: str) -> None:
    found = measure("head_update_cosine", evaluate(program_of(RULES[name], PLAIN)))
    assert found.shape == (2,)
    if name in HEAD_ELSEWHERE:
        assert ((found < 1 - 1e-6) & (found >= -1)).all()
    else:
        torch.testing.assert_close(found, torch.ones(2, dtype=torch.float64), rtol=1e-9, atol=0)


# gradient_snr ---------------------------------------------------------------------------------------------------------


def test_the_ratio_of_known_signal_and_noise() -> None:
    count, size = 8, 20_000
    noise = torch.randn(1, count, size, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    spread = math.sqrt(2 * count / (size * (count - 1)))
    assert abs(signal_to_noise(noise).item()) < 5 * spread
    mean = torch.full((size,), 0.5, dtype=torch.float64)
    assert signal_to_noise(noise + mean).item() == pytest.approx(count * 0.25, rel=0.05)
    two = torch.tensor([[[3.0, 0.0], [1.0, 0.0]]], dtype=torch.float64)  # ḡ = 2, tr S/K = 2/2
    assert signal_to_noise(two).item() == pytest.approx((4 - 1) / 1)
    assert signal_to_noise(two[:, :1]).isnan().all() and signal_to_noise(two.expand(3, 2, 2)).shape == (3,)


@pytest.mark.parametrize("of", ["bp", "rule"])
@MODELS
def test_gradients_of_parts_average_to_that_of_the_batch(model: dict[str, Any], of: str) -> None:
    evaluation = evaluate(program_of(RULES["dfa"], model))
    for parts, (own, exact) in zip(evaluation.split_updates(8, of), evaluation.updates, strict=True):  # type: ignore[arg-type]
        assert parts.shape[:2] == (2, 8)
        torch.testing.assert_close(parts.mean(1), own if of == "rule" else exact, rtol=1e-9, atol=1e-13)
    found = measure(f"gradient_snr:of={of},batches=40", evaluation)
    single = evaluation.split_updates(40, of)[1]  # type: ignore[arg-type]
    spread = single.var(1).sum(1) / 40
    torch.testing.assert_close(found[:, 1], single.mean(1).square().sum(1) / spread - 1, rtol=1e-9, atol=1e-12)
    assert measure(f"gradient_snr:of={of},batches=41", evaluation).isnan().all()


# neural_collapse: duality, and the features ---------------------------------------------------------------------------


def test_a_readout_in_proportion_to_the_means_is_dual_to_them() -> None:
    labels = torch.arange(60) % 10
    states = torch.eye(10, dtype=torch.float64)[labels].unsqueeze(0)
    means = ClassMeans(states, labels)
    own = means.centred.mT
    for readout, expected in ((7 * own, 0.0), (-own, 4.0), (torch.ones_like(own), 2.0)):
        assert means.duality(readout).item() == pytest.approx(expected, abs=1e-12)
    missing = labels < 8  # of classes without samples, the readout says nothing
    fewer = ClassMeans(states[:, missing], labels[missing])
    padded = torch.cat([3 * fewer.centred.mT, torch.ones(1, 10, 2, dtype=torch.float64)], dim=-1)
    assert fewer.duality(padded).item() == pytest.approx(0, abs=1e-12)


@MODELS
def test_features_are_what_the_last_weight_is_multiplied_by(model: dict[str, Any]) -> None:
    evaluation: ReplicaEvaluation = evaluate(program_of(RULES["bp"], model))
    network = evaluation.network
    logits = network.features @ network.readout + network.params["head.bias"].unsqueeze(1)
    torch.testing.assert_close(logits, network.logits, rtol=1e-12, atol=1e-12)
    behind_norm = not torch.equal(network.features, evaluation.hidden[-1])
    assert behind_norm == (model is RESIDUAL)
    for of in ("within", "norms", "angles", "disagreement"):
        there, here = (measure(f"neural_collapse:of={of}{site}", evaluation) for site in (",site=features", ""))
        assert torch.equal(there, here) or behind_norm
    expected = ClassMeans(network.features, network.labels[0]).duality(network.readout)
    for key in ("neural_collapse:of=duality", "neural_collapse:of=duality,site=features"):
        assert torch.equal(measure(key, evaluation), expected)
    assert parse_metric("neural_collapse:of=angles,site=features").title.endswith("(angles, behind the norm)")
