"""Floating-point operations that rules and models count are those that PyTorch counts in a plain step."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from harness.domain.costs import count_flops, count_per_epoch, find_affordable
from harness.domain.normal_form import encode_normal_form
from harness.penalties.residual_branch import ResidualBranch
from harness.records import Arm, Estimand
from tests.unit.inference.inference_records import make_hypothesis

SAMPLES, REPLICAS = 5, 2


def arm(rule: str, frozen: tuple[str, ...] = (), **model: Any) -> Arm:
    made = make_hypothesis({"e": ESTIMAND}, {"e": ("e", {"low": "(-inf, 0]", "high": "(0, inf)"})}).arms["penalized"]
    sizes = {"name": "residual_mlp", "width": 12, "blocks": 3, "expansion": 2} | model
    plain = made.model_dump(mode="json") | {"rule": {"name": rule}, "freeze": frozen}
    plain["setup"] |= {"model": sizes}
    return Arm.model_validate(plain)


ESTIMAND = Estimand.model_validate({"metric": "credit_cosine", "arm": "penalized", "layer": 1, "samples": "mean"})


def count_by_torch(spec: Arm, penalised: bool) -> int:
    """Operations of one replica and sample in the objective and its gradient, as PyTorch counts them."""
    model, setup = spec.setup.model, spec.setup
    frozen = model.expand_groups(spec.freeze)
    specs = model.parameters(setup.dataset.features, setup.classes)
    p = {s.name: torch.randn(REPLICAS, *s.shape, requires_grad=s.group not in frozen) for s in specs}
    feedback = {
        s.name: torch.randn(REPLICAS, *s.shape)
        for s in spec.rule.feedback(model, setup.dataset.features, setup.classes)
    }
    own = spec.rule.parameters(model, setup.dataset.features, setup.classes)
    p |= {s.name: torch.randn(REPLICAS, *s.shape, requires_grad=s.group not in frozen) for s in own}
    x = torch.randn(REPLICAS, SAMPLES, setup.dataset.features)
    y = torch.zeros(REPLICAS, SAMPLES, dtype=torch.int64)
    plugin = ResidualBranch(name="residual_branch", strength=0.1)
    penalty = plugin.weigh(torch.full((REPLICAS,), plugin.strength)) if penalised else None
    # Here, because it loads Triton, which tests of kernels load by its interpreter first.
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        objective = spec.rule.objective(model, p, feedback, x, y, penalty, setup.loss)
        trained = [tensor for tensor in p.values() if tensor.requires_grad]
        torch.autograd.grad(objective.descend.sum(), trained, allow_unused=True)
    return counter.get_total_flops() // (REPLICAS * SAMPLES)


@pytest.mark.parametrize("rule", ["bp", "dfa"])
@pytest.mark.parametrize("penalised", [False, True])
@pytest.mark.parametrize("model", [{}, {"terminal_norm": False}, {"skip": False}, {"blocks": 1, "expansion": 1}])
@pytest.mark.parametrize(
    "frozen", [(), ("embedding",), ("blocks",), ("embedding", "block_0"), ("head",), ("embedding", "blocks")]
)
def test_operations_are_those_that_pytorch_counts(rule, penalised, model, frozen):
    spec = arm(rule, frozen, **model)
    counted = count_flops(spec)
    assert counted is not None
    groups = spec.setup.model.expand_groups(frozen)
    unused = 0
    if rule == "dfa":  # the plain step computes the credit of frozen blocks too, which nothing needs
        blocks = range(spec.setup.model.depth)
        unused = sum(f"block_{at}" in groups and not (at == 0 and "embedding" not in groups) for at in blocks)
    assert counted.total + unused * 2 * spec.setup.classes * spec.setup.model.hidden == count_by_torch(spec, penalised)


@pytest.mark.parametrize("rule", ["fa_block", "drtp", "direct_kolen_pollack"])
@pytest.mark.parametrize("frozen", [(), ("head",)])
def test_operations_of_rules_with_credit_of_their_own_are_those_that_pytorch_counts(rule, frozen):
    """The plain step also computes ⟨h Bᵀ, e⟩, of which only the gradient is needed."""
    spec = arm(rule, frozen)
    model, setup = spec.setup.model, spec.setup
    besides = model.depth * 2 * setup.classes * model.hidden if rule == "direct_kolen_pollack" else 0
    assert count_flops(spec).total + besides == count_by_torch(spec, False)


def test_a_budget_pays_for_the_last_evaluated_epoch_within_it():
    cheap, dear = arm("bp"), arm("dfa")
    arms = {"cheap": cheap, "dear": dear}
    estimand = Estimand.model_validate(
        {"metric": "test_accuracy", "contrast": "cheap - dear", "epoch": {"spent": "flops"}}
    )
    for name, spec in arms.items():
        found, operations = find_affordable(estimand, name, arms), count_flops(spec)
        assert operations is not None and count_flops(cheap) is not None
        total = count_flops(cheap).total * cheap.setup.train_count * cheap.setup.epochs
        assert found.budget == total and found.per_epoch == operations.total * spec.setup.train_count
        affordable = [one for one in spec.setup.evaluated_epochs if one * found.per_epoch <= total]
        assert found.epoch == affordable[-1]
    assert find_affordable(estimand, "cheap", arms).epoch == cheap.setup.epochs
    assert find_affordable(estimand, "dear", arms).epoch < dear.setup.epochs


def test_a_budget_gives_the_seeds_of_the_epoch_that_it_comes_to_however_it_is_written():
    def form(epoch: Any) -> bytes:
        estimand = Estimand.model_validate(
            {"metric": "test_accuracy", "contrast": "penalized - shallow", "epoch": epoch}
        )
        bands = {"low": "(-inf, 0]", "high": "(0, inf)"}
        return encode_normal_form(make_hypothesis({"e": estimand}, {"e": ("e", bands)}))

    arms = make_hypothesis({"e": ESTIMAND}, {"e": ("e", {"low": "(-inf, 0]", "high": "(0, inf)"})}).arms
    cheapest = min(
        count_flops(arms[name]).total * arms[name].setup.train_count * arms[name].setup.epochs
        for name in ("penalized", "shallow")
    )
    assert form({"spent": "flops"}) == form({"spent": "flops", "at_most": cheapest})
    assert form({"spent": "flops"}) == form({"spent": "flops", "at_most": cheapest + 1})
    last = {name: arms[name].setup.epochs for name in ("penalized", "shallow")}
    assert len(set(last.values())) == 1
    assert form({"spent": "steps"}) == form(last["penalized"])  # as many steps in each: the last epoch of both
    steps = count_per_epoch(arms["shallow"], "steps")
    assert form({"spent": "steps", "at_most": steps}) == form(1) != form({"spent": "steps"})
    assert form({"when": {"metric": "train_loss", "below": 0.5}}) != form(
        {"when": {"metric": "train_loss", "below": 0.4}}
    )
