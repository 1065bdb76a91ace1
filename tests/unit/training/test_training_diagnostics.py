"""Diagnostics of a trained network: what must come out for backpropagation, and for feedback made equal to weights."""

from __future__ import annotations

import gc
from typing import Any

import pytest
import torch
from torch import Tensor

from harness.domain.measured import find_lack
from harness.metrics import parse_metric
from harness.plugins.registry import find_members
from harness.rules import Rule
from harness.training import open_device
from harness.training.evaluate import ReplicaEvaluation
from harness.training.evaluate import measure as measure_all
from harness.training.program import Program, build_program
from tests.conformance.test_plugins import example
from tests.unit.training.training_inputs import arm, cohort, digits

RESIDUAL = {"name": "residual_mlp", "width": 12, "blocks": 2, "branch_std": 0.2}
PLAIN = {"name": "mlp", "width": 12, "layers": 3}
SETUP: dict[str, Any] = {"batch_size": 16, "epochs": 1, "evaluation": {"probe_samples": 40}}
RULES = [pytest.param(example(kind), id=name) for name, kind in find_members("rules").items()]


def program_of(rule: Rule, model: dict[str, Any]) -> Program:
    one = arm("bp", None, SETUP | {"model": model}).model_copy(update={"rule": rule})
    program = build_program(cohort({"a": one}, [5, 6]), digits(80), open_device("cpu"))
    program.begin_epoch(0, program.draw(0))
    program.run_epoch()
    return program


def evaluate(program: Program) -> ReplicaEvaluation:
    return ReplicaEvaluation(program, program.state.rule_groups[0], slice(0, 2))


def measure(key: str, evaluation: ReplicaEvaluation) -> Tensor:
    metric = parse_metric(key)
    return metric.measure(evaluation.under(metric.conditions))


@pytest.mark.parametrize("model", [RESIDUAL, PLAIN], ids=["residual", "plain"])
def test_backpropagation_has_its_own_direction(model: dict[str, Any]) -> None:
    evaluation = evaluate(program_of(example(find_members("rules")["bp"]), model))
    for key in ("site_cosine", "stacked_cosine", "update_cosine", "nudging:relative=true"):
        torch.testing.assert_close(measure(key, evaluation), torch.ones_like(measure(key, evaluation)), msg=key)
    assert (measure("perturbation_correlation", evaluation) > 0.99).all()
    assert (measure("nudging:step=0.0001", evaluation) < 0).all()
    for layer, (one, other) in enumerate(zip(evaluation.site_gradients, evaluation.gradients, strict=True)):
        if model is RESIDUAL or layer == 0:  # under an additive join, a site is the state
            torch.testing.assert_close(one, other * 40, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("model", [RESIDUAL, PLAIN], ids=["residual", "plain"])
def test_the_probed_network_is_the_network(model: dict[str, Any]) -> None:
    """Its loss, with nothing added at any site, and its slope along a change there."""
    evaluation = evaluate(program_of(example(find_members("rules")["dfa"]), model))
    network, generator = evaluation.network, torch.Generator().manual_seed(0)
    for site, gradient in enumerate(evaluation.site_gradients):
        plain = network.lose(site, torch.zeros_like(gradient))
        torch.testing.assert_close(plain.mean(1), network.lose_with(network.params), rtol=1e-12, atol=0)
        change = 1e-6 * torch.randn(gradient.shape, dtype=torch.float64, generator=generator)
        slope = (network.lose(site, change) - network.lose(site, -change)) / 2
        torch.testing.assert_close(slope, (gradient * change).sum(-1), rtol=1e-5, atol=1e-13)
    for name, values in {"site_cosine": (2, 3, 40), "update_cosine": (2, 3), "sharpness": (2,)}.items():
        assert measure(name, evaluation).shape == values and measure(name, evaluation).isfinite().all()
    assert (measure("cka:against=last", evaluation)[:, 2] == pytest.approx(1)) and measure("cka", evaluation).max() < 1


@pytest.mark.parametrize("rule", RULES)
def test_what_was_measured_is_given_back_at_once(rule: Rule) -> None:
    """Reference cycles would keep a chunk's tensors beside those of the next until Python looks for cycles."""
    program = program_of(rule, RESIDUAL)
    found = [parse_metric(key) for key in ("site_cosine", "update_cosine", "credit_cosine:feedback=fresh")]
    if rule.name == "dfa":  # the other metrics ask no rule for more
        found = [*found, *map(example, find_members("metrics").values()), parse_metric("hidden_norm:probe_samples=20")]
    metrics = [metric for metric in found if metric.split != "validation"]
    measure_all(program, metrics)  # what is drawn once and stays
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        measure_all(program, metrics)
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        kept = [thing for thing in gc.garbage if isinstance(thing, Tensor | ReplicaEvaluation)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
        gc.unfreeze()
    assert not kept


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_says_whether_it_pairs_weights(rule: Rule) -> None:
    pairs = evaluate(program_of(rule, RESIDUAL)).pairs
    assert len(pairs) == 3
    sizes = [w.shape[1] for w, b in pairs if w.shape == b.shape]
    assert sizes == ([288, 288, 120] if rule.pairs_weights else [0, 0, 0])


def test_angles_of_feedback_that_is_random_equal_and_opposite() -> None:
    program = program_of(example(find_members("rules")["fa"]), PLAIN)
    drawn = measure("alignment_angle", evaluate(program))
    assert drawn.shape == (2, 3) and ((drawn - 90).abs() < 4 * 57.3 / 120**0.5).all() and (drawn != 90).all()
    group, params = program.state.rule_groups[0], program.state.params
    for sign, angle, share in ((2.0, 0.0, 1.0), (-2.0, 180.0, 0.0)):
        for name, matrix in group.feedback.items():
            matrix.copy_(sign * params[name].detach())
        evaluation = evaluate(program)
        expected = torch.full((2, 3), angle, dtype=torch.float64)
        torch.testing.assert_close(measure("alignment_angle", evaluation), expected, rtol=0, atol=1e-5)
        torch.testing.assert_close(measure("feedback_ratio", evaluation), torch.full((2, 3), 2.0).double())
        assert (measure("sign_agreement", evaluation) == share).all()
    group.feedback["head.weight"][1] = float("nan")
    broken = torch.tensor([[False] * 3, [False, False, True]])
    for key in ("alignment_angle", "feedback_ratio", "sign_agreement"):
        assert torch.equal(measure(key, evaluate(program)).isnan(), broken), key


@pytest.mark.parametrize("rule", ["fa", "dfa"])
def test_a_diverged_replica_is_no_number_and_leaves_the_other_alone(rule: str) -> None:
    program = program_of(example(find_members("rules")[rule]), RESIDUAL)
    left_out = ("validation", "credit", "train", "class")  # of other splits, of other rules, and one of one class
    others = [name for name in find_members("metrics") if not name.startswith(left_out)]
    names = [name for name in others if find_lack(parse_metric(name), program.state.rule_groups[0].rule) is None]
    assert {"alignment_angle", "feedback_alignment"} & set(names)
    before = {name: measure(name, evaluate(program)) for name in names}
    with torch.no_grad():
        program.state.params["block_0.w1.bias"][1] = float("inf")
    for name in names:
        after = measure(name, evaluate(program))
        torch.testing.assert_close(after[0], before[name][0], rtol=1e-9, atol=1e-12, msg=name)
        pairs = parse_metric(name).needs_pairs  # of weights alone, which are numbers
        assert pairs or not after[1].isfinite().all(), name
