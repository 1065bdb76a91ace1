"""Every rule that the registry finds trains hidden layers: they beat those of the same seeds that are left as drawn.

A head on random features is far above chance, so that accuracy alone shows nothing of a rule. The network is narrow,
where random features are poor. Seeds are fixed, and each rule's mean gain was at least twice the least that is asked
for (on six seeds, .13 to .55): what is tested is that hidden layers learn, not how well.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from harness.plugins.registry import find_members
from harness.rules import Rule
from harness.training import open_device
from harness.training.evaluate import ReplicaEvaluation
from harness.training.program import build_program
from tests.conformance.test_plugins import example
from tests.unit.training.training_inputs import arm, cohort, digits

LEAST = 0.06
SEEDS = [1, 2, 3, 4, 5, 6]
BODY = ["embedding", "blocks"]
SETUP: dict[str, Any] = {
    "model": {"name": "mlp", "width": 16, "layers": 2, "activation": "relu"},
    "optimizer": {"name": "adamw", "lr": 0.01, "schedule": "constant"},
    "epochs": 8, "batch_size": 50, "evaluation": {"probe_samples": 20},
}  # fmt: skip
SLOWLY = {"optimizer": {"name": "adamw", "lr": 0.005, "schedule": "constant"}, "epochs": 12}
SETTINGS: dict[str, dict[str, Any]] = {
    "drtp": SLOWLY | {"model": {"name": "mlp", "width": 16, "layers": 2, "activation": "tanh"}},  # it must saturate
    "pepita": SLOWLY,  # its second pass sees an input that grows with the error
}
"""Rule → setting in which its source says that hidden layers learn, where the usual one is none."""
PARAMETERS = {"forward_gradient": {"directions": 4}, "weight_perturbation": {"directions": 4}}
WANDERING = {"fresh_feedback"}
"""Controls that learn, but by their head alone: their hidden layers walk at random."""
RULES = [pytest.param(example(kind), id=name) for name, kind in find_members("rules").items()]


def find_accuracies(rule: Rule, frozen: list[str], **parts: Any) -> Tensor:
    """The test accuracy of each seed after training."""
    setup = SETUP | SETTINGS.get(rule.name, {}) | parts
    one = arm("bp", None, setup, freeze=frozen).model_copy(update={"rule": rule})
    program = build_program(cohort({"a": one}, SEEDS), digits(500), open_device("cpu"))
    for epoch in range(program.state.setup.epochs):
        program.begin_epoch(epoch, program.draw(epoch))
        program.run_epoch()
    logits = ReplicaEvaluation(program, program.state.rule_groups[0], slice(0, len(SEEDS))).test_logits
    return (logits.argmax(-1) == program.test.original_labels).double().mean(-1)


@pytest.mark.parametrize("rule", RULES)
def test_hidden_layers_beat_the_same_seeds_with_the_body_frozen(rule: Rule) -> None:
    if not rule.learns or rule.name in WANDERING:
        pytest.skip("a control, whose hidden layers are not expected to learn")
    rule = rule.model_copy(update=PARAMETERS.get(rule.name, {}))
    gains = find_accuracies(rule, []) - find_accuracies(rule, BODY)
    assert gains.mean() > LEAST, gains


def test_a_rule_whose_hidden_layers_get_no_credit_would_not_pass() -> None:
    """The comparison can fail: it does for pepita without feedback, and for the control that walks at random."""
    still = example(find_members("rules")["pepita"]).model_copy(update={"scale": 0.0})
    without_decay = {"optimizer": {"name": "adamw", "lr": 0.01, "weight_decay": 0.0, "schedule": "constant"}}
    gains = find_accuracies(still, [], **without_decay) - find_accuracies(still, BODY, **without_decay)
    assert torch.equal(gains, torch.zeros(len(SEEDS), dtype=torch.float64))
    wandering = example(find_members("rules")["fresh_feedback"])
    assert (find_accuracies(wandering, []) - find_accuracies(wandering, BODY)).mean() < LEAST
