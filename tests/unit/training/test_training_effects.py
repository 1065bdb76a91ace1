"""Options that check says have no effect, and beginnings that it says no training leaves: held against training."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from harness.domain.effects import is_penalised
from harness.plugins.registry import find_members
from harness.rules import Rule
from harness.training import open_device
from harness.training.program import Program, build_program
from tests.conformance.test_plugins import example
from tests.unit.training.training_inputs import arm, cohort, digits

SETUP: dict[str, Any] = {
    "batch_size": 16,
    "epochs": 4,
    "precision": "float64",
    "model": {"name": "residual_mlp", "width": 12, "blocks": 2, "branch_std": 0.2},
}
RULES = {name: example(kind) for name, kind in find_members("rules").items()}
SCALED = [name for name, rule in RULES.items() if rule.credit_scales]
ADAPTIVE = [{"name": "adamw", "eps": 1e-100}, {"name": "adam", "eps": 1e-100}, {"name": "rmsprop", "eps": 1e-100}]
SGD = {"name": "sgd", "lr": 0.01}
FAST = {"name": "sgd", "lr": 0.5}
ZERO = {"name": "mlp", "width": 8, "layers": 3, "init": "zero"}
BEHIND = (["blocks"], ["embedding", "blocks"])


def train(rule: Rule, strength: float | None = None, freeze: Any = (), **setup: Any) -> Program:
    one = arm("bp", strength, SETUP | setup, freeze=freeze).model_copy(update={"rule": rule})
    program = build_program(cohort({"a": one}, [1, 2]), digits(40), open_device("cpu"))
    for epoch in range(program.state.setup.epochs):
        program.begin_epoch(epoch, program.draw(epoch))
        program.run_epoch()
    return program


def weights(program: Program) -> Tensor:
    return torch.cat([tensor.detach().flatten() for tensor in program.state.params.values()])


def differ(one: Program, other: Program) -> float:
    return float((weights(one) - weights(other)).abs().max())


@pytest.mark.parametrize("name", SCALED)
def test_a_scale_of_credit_has_no_effect_where_the_optimizer_ignores_it_and_has_one_elsewhere(name: str) -> None:
    rule = RULES[name].model_copy(update={"clip": None, "normalize": "none"})
    assert rule.credit_scales == ("credit_scale",)
    scaled, clipped = rule.model_copy(update={"credit_scale": 3.0}), rule.model_copy(update={"clip": 0.05})
    for optimizer in ADAPTIVE:
        setup = {"optimizer": {"lr": 1e-3, **optimizer}}
        plain = train(rule, **setup)
        assert plain.state.optimizer.ignores_scale
        assert differ(plain, train(scaled, **setup)) < 1e-9
    decayed = {"optimizer": {"name": "adam", "lr": 1e-3, "weight_decay": 0.1}}
    for rules, parts in (
        ((rule, scaled), {"optimizer": SGD}),
        ((rule, scaled), decayed),
        ((clipped, clipped.model_copy(update={"credit_scale": 3.0})), {"optimizer": SGD}),
        ((rule, scaled), {"strength": 0.1}),
    ):
        assert differ(*(train(one, **parts) for one in rules)) > 1e-7


def test_there_are_rules_with_scales_and_others() -> None:
    assert {"dfa", "drtp", "ifa", "fa_block", "fresh_feedback", "direct_kolen_pollack"} <= set(SCALED) < set(RULES)


def test_a_step_to_targets_has_no_effect_with_linear_inverses() -> None:
    rule = RULES["dtp"].model_copy(update={"target_rate": 0.05})
    assert rule.find_idle(SETUP["model"]) and not RULES["dtp"].find_idle(SETUP["model"])
    assert differ(train(rule), train(RULES["dtp"])) < 1e-9
    bent = [rule.model_copy(update={"inverse": "tanh", "target_rate": rate}) for rate in (0.05, 0.328)]
    assert not any(one.find_idle(SETUP["model"]) for one in bent) and differ(*map(train, bent)) > 1e-7


@pytest.mark.parametrize("name", RULES)
def test_a_penalty_trains_something_exactly_where_it_is_said_to(name: str) -> None:
    """Behind frozen blocks that is what lies before, under rules whose gradients get there, or what rules perturb."""
    for frozen in ([], *BEHIND, ["embedding", "block_0", "head"]):
        penalised = is_penalised(arm("bp", 0.5, SETUP).model_copy(update={"rule": RULES[name]}), expand(frozen))
        gap = differ(*(train(RULES[name], strength, freeze=frozen, epochs=2) for strength in (None, 0.5)))
        assert gap > 1e-9 if penalised else gap == 0.0, (frozen, gap)


def test_there_are_rules_that_a_penalty_reaches_more_and_less_of() -> None:
    one = arm("bp", 0.5, SETUP)
    reached = {
        name: [is_penalised(one.model_copy(update={"rule": rule}), expand(frozen)) for frozen in BEHIND]
        for name, rule in RULES.items()
    }
    assert reached["drtp"] == reached["pepita"] == [False, False]
    assert reached["bp"] == reached["fa"] == [True, False]
    assert reached["weight_perturbation"] == reached["forward_gradient"] == [True, True]
    assert not is_penalised(arm("bp", 0.5, SETUP | {"model": ZERO | {"layers": 1}}), frozenset()), "no block"


def expand(frozen: list[str]) -> frozenset[str]:
    return arm("bp", None, SETUP).setup.model.expand_groups(tuple(frozen))


VARIANTS: dict[str, list[dict[str, Any]]] = {
    "sign_symmetric": [
        {"variant": variant, "scale": scale} for variant in ("usf", "frsf", "brsf") for scale in ("init", "norm")
    ],
    "local_greedy": [{"similarity": share} for share in (0.0, 0.99, 1.0)],
}  # fmt: skip


@pytest.mark.parametrize("activation", ["tanh", "logistic"])
@pytest.mark.parametrize("name", RULES)
def test_zero_weights_are_refused_where_units_stay_alike(name: str, activation: str) -> None:
    """A layer whose units all have the same weights is one unit, however wide: no seed and no training changes it."""
    for variant in VARIANTS.get(name, [{}]):
        rule = RULES[name].model_copy(update=variant)
        for layers in (1, 3):
            program = train(rule, model=ZERO | {"activation": activation, "layers": layers}, optimizer=FAST, epochs=3)
            hidden = [tensor.detach() for key, tensor in program.state.params.items() if key.endswith(".weight")][:-1]
            alike = [bool((one - one[..., :1]).abs().max() <= 1e-9 * one.abs().max()) for one in hidden]
            assert rule.is_stuck_at_zero(layers - 1, activation != "logistic") == any(alike), (variant, layers, alike)
