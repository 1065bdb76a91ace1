"""Interventions: penalties of states, clips of any rule, and strengths that follow a schedule over epochs."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from harness.errors import HarnessError, Interrupted
from harness.ledger.pins import pin_code
from harness.penalties import Penalty
from harness.penalties.hidden_norm import HiddenNorm
from harness.penalties.residual_branch import ResidualBranch
from harness.plan.expand import group_by_program
from harness.plugins.registry import find_members
from harness.records import Arm
from harness.rules import Rule
from harness.rules._local import LocalRule, normalise_credit
from harness.spec import load
from harness.training import Run, open_device, train
from harness.training.evaluate import ReplicaEvaluation
from harness.training.program import Program, build_program
from harness.training.steps.supports import fits_explicit
from harness.verdict import default_templates
from tests.conformance.test_plugins import example
from tests.unit.training.training_inputs import arm, cohort, digits, planned

SETUP: dict[str, Any] = {
    "batch_size": 16,
    "epochs": 3,
    "precision": "float64",
    "model": {"name": "residual_mlp", "width": 12, "blocks": 2, "branch_std": 0.2},
    "optimizer": {"name": "sgd", "lr": 1.0, "schedule": "constant"},
    "save": ["weights"],
    "evaluation": {"probe_samples": 20, "every_epochs": 1, "metrics": ["hidden_norm"]},
}
RULES = {name: example(kind) for name, kind in find_members("rules").items()}
WARM = {"name": "warmup", "epochs": 2, "then": {"name": "step", "milestones": [2], "gamma": 0.5}}
SCHEDULED = {"name": "drtp", "center": True, "credit_scale": 0.5, "credit_schedule": WARM}
PENALTY = {"name": "hidden_norm", "strength": 0.01, "threshold": 1.0, "schedule": "cosine"}


def make(parts: dict[str, Any]) -> Arm:
    plain = arm("bp", None, SETUP | parts.get("setup", {})).model_dump()
    return Arm.model_validate(plain | {key: value for key, value in parts.items() if key != "setup"})


def build(arms: dict[str, Arm], seeds: list[int] | None = None) -> Program:
    return build_program(cohort(arms, seeds or [1, 2]), digits(40), open_device("cpu"))


def step(program: Program, steps: int = 1) -> dict[str, Tensor]:
    """The weights after the first steps of an epoch."""
    program.begin_epoch(0, program.draw(0))
    left = iter([*[False] * (steps - 1), *[True] * 9])
    program.run_epoch(lambda: next(left))
    return {name: tensor.detach().clone() for name, tensor in program.state.params.items()}


# Penalties ------------------------------------------------------------------------------------------------------------


def test_a_penalty_of_states_is_the_squared_length_beyond_its_threshold() -> None:
    h = torch.tensor([[[3.0, 4.0], [0.0, 0.5], [0.0, 0.0]]], dtype=torch.float64).requires_grad_()
    penalty = HiddenNorm(name="hidden_norm", strength=1.0, threshold=2.0)
    value = penalty.value(h)
    assert value.tolist() == pytest.approx([3.0], rel=1e-15)  # (5 − 2)² over 3 samples
    (gradient,) = torch.autograd.grad(value.sum(), h)
    torch.testing.assert_close(gradient[0, 0], torch.tensor([1.2, 1.6], dtype=torch.float64), rtol=1e-14, atol=0)
    assert not gradient[0, 1:].any()  # nothing below the threshold, and no NaN at zero
    whole = HiddenNorm(name="hidden_norm", strength=1.0)
    assert whole.value(h).tolist() == pytest.approx([25.25 / 3], rel=1e-15)
    images = torch.ones(2, 3, 2, 2, 2)  # [r, n, c, h, w]: a state of any shape
    assert whole.value(images).tolist() == [8.0, 8.0]


def test_a_penalty_sees_the_branch_or_the_state() -> None:
    strength, f, h = torch.tensor([2.0, 0.0]), torch.ones(2, 1, 3), 2 * torch.ones(2, 1, 3)
    for penalty, expected in (
        (ResidualBranch(name="residual_branch", strength=1), 6.0),
        (HiddenNorm(name="hidden_norm", strength=1), 24.0),
    ):
        assert penalty.weigh(strength)(f, h).tolist() == [expected, 0.0]
    assert ResidualBranch(name="residual_branch", strength=1).weigh(strength)(f).tolist() == [6.0, 0.0]
    with pytest.raises(HarnessError, match="nothing of states"):
        HiddenNorm(name="hidden_norm", strength=1).weigh(strength)(f)


@pytest.mark.parametrize(
    "name", [name for name, rule in RULES.items() if name not in ("forward_gradient", "weight_perturbation")]
)
def test_a_penalty_of_states_shrinks_them_under_every_rule(name: str) -> None:
    """Its gradient is added to that of the block, so that a step moves states by its share: −2λη‖h‖² to first order."""
    rule, tiny = RULES[name], {"optimizer": {"name": "sgd", "lr": 1e-6, "schedule": "constant"}}
    ends = []
    for strength in (0.0, 10.0):
        penalty = HiddenNorm(name="hidden_norm", strength=strength)
        one = arm("bp", None, SETUP | tiny).model_copy(
            update={"rule": rule.model_copy(update={"clip": None}), "penalty": penalty}
        )
        program = build({"a": one})
        step(program)
        evaluation = ReplicaEvaluation(program, program.state.rule_groups[0], slice(0, 2))
        ends.append(torch.stack([h.square().sum((1, 2)) for h in evaluation.hidden[1:]]))
    assert (ends[1] < ends[0]).all()


# Clips ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RULES)
def test_a_clip_bounds_the_gradient_of_every_block_and_leaves_the_rest(name: str) -> None:
    """At a learning rate of 1 without momentum, a step is the gradient."""
    largest, free = 1e-3, RULES[name].model_copy(update={"clip": None})
    before = {key: tensor.detach().clone() for key, tensor in build({"a": with_rule(free)}).state.params.items()}
    plain = step(build({"a": with_rule(free)}))
    clipped = step(build({"a": with_rule(free.model_copy(update={"clip": largest}))}))
    for part in ("block_0", "block_1"):
        keys = [key for key in before if key.startswith(part)]
        norms = [
            torch.stack([(after[key] - before[key]).flatten(1).square().sum(1) for key in keys]).sum(0).sqrt()
            for after in (plain, clipped)
        ]
        assert (norms[1] <= largest).all() and (norms[1] <= norms[0] * (1 + 1e-12)).all()
        short = torch.minimum(norms[0], largest * norms[0] / (norms[0] + 1e-6))
        torch.testing.assert_close(norms[1], short, rtol=1e-9, atol=1e-15)
    for key, tensor in plain.items():
        if not key.startswith("block_"):
            assert torch.equal(tensor, clipped[key]), key


def with_rule(rule: Rule) -> Arm:
    return arm("bp", None, SETUP).model_copy(update={"rule": rule})


def test_the_clip_of_a_replica_leaves_the_others_bits() -> None:
    rule = RULES["fa"].model_copy(update={"clip": 1e-3})
    alone, beside = (step(build({"a": with_rule(rule)}, seeds), 2) for seeds in ([1, 2], [1, 3]))
    for key, tensor in alone.items():
        assert torch.equal(tensor[0], beside[key][0]) and not torch.equal(tensor[1], beside[key][1])


# Normalised credit ----------------------------------------------------------------------------------------------------


def test_normalised_credit_has_its_root_mean_square_and_keeps_replicas_apart() -> None:
    credit = torch.randn(3, 5, 4, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 100
    sample, batch = (normalise_credit(credit, kind) for kind in ("sample", "batch"))
    torch.testing.assert_close(
        sample.flatten(2).norm(dim=-1), torch.full((3, 5), 8**0.5, dtype=torch.float64), rtol=1e-6, atol=0
    )
    rms = batch.flatten(1).square().mean(1).sqrt()
    torch.testing.assert_close(rms, torch.ones(3, dtype=torch.float64), rtol=1e-6, atol=0)
    torch.testing.assert_close(batch[0] / credit[0], (batch[0, 0, 0, 0] / credit[0, 0, 0, 0]).expand(5, 4, 2))
    other = torch.cat([credit[:1], 7 * credit[1:]])
    assert torch.equal(normalise_credit(other, "batch")[0], batch[0])
    assert normalise_credit(credit, "none") is credit


# Schedules ------------------------------------------------------------------------------------------------------------


def test_strengths_follow_their_schedules_replica_by_replica() -> None:
    rules = [SCHEDULED, {"name": "drtp", "credit_scale": 3.0, "credit_schedule": "cosine"}]
    weak = {**PENALTY, "strength": 0.005}
    arms = {
        "a": make({"rule": rules[0], "penalty": PENALTY}), "b": make({"rule": rules[1], "penalty": weak}),
        "c": make({"rule": {"name": "drtp"}}),
    }  # fmt: skip
    program = build(arms, [4])
    for epoch in range(3):
        program.begin_epoch(epoch, program.draw(epoch))
        cosine = find_members("schedules")["cosine"].model_validate({"name": "cosine"}).factor(epoch, 3)
        assert program.state.penalty_strength.tolist() == pytest.approx([0.01 * cosine, 0.005 * cosine, 0.0])
        scales = [float(tensor) for group in program.state.rule_groups for tensor in group.strengths.values()]
        assert scales == pytest.approx([0.5 * (0.5, 1.0, 0.5)[epoch], 3.0 * cosine])


def train_all(folder: Path, **options: Any) -> Any:
    arms = {"a": make({"rule": SCHEDULED, "penalty": PENALTY}), "b": make({"rule": {"name": "bp", "clip": 0.1}})}
    plan = planned(cohort(arms, [5, 6]))
    return train(plan, Run({"digits": digits(40)}, replace(open_device("cpu"), workers=1), folder, **options))


def test_stopped_within_epochs_a_scheduled_strength_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    expected, stops = train_all(tmp_path / "whole"), 0
    for _ in range(40):
        try:
            found = train_all(tmp_path / "stopped", stop=partial(next, chain([False], repeat(True))))
            break
        except Interrupted:
            stops += 1
    assert stops >= 4 and found.weights == expected.weights
    assert [one.model_dump() for one in found.replicas] == [one.model_dump() for one in expected.replicas]


def test_a_measurement_does_not_depend_on_where_a_schedule_is() -> None:
    evaluations = []
    for rule in (SCHEDULED, {key: value for key, value in SCHEDULED.items() if key != "credit_schedule"}):
        program = build({"a": make({"rule": rule})})
        program.begin_epoch(2, program.draw(2))
        evaluations.append(ReplicaEvaluation(program, program.state.rule_groups[0], slice(0, 2)))
    for one, other in zip(*(evaluation.site_credits for evaluation in evaluations), strict=True):
        assert torch.equal(one, other)


def test_steps_that_read_a_strength_once_are_not_given_one_that_changes() -> None:
    plain = {"rule": {"name": "dfa"}, "penalty": {"name": "residual_branch", "strength": 0.1}}
    scheduled = {**plain, "penalty": {**plain["penalty"], "schedule": "cosine"}}
    credit = {"rule": {"name": "dfa", "credit_schedule": "cosine"}}
    states = {"rule": {"name": "dfa"}, "penalty": PENALTY}
    adamw = {"setup": {"optimizer": {"name": "adamw", "lr": 0.01}}}
    arms = {
        name: make({**parts, **adamw}) for name, parts in zip("abcd", (plain, scheduled, credit, states), strict=True)
    }
    fits = {name: fits_explicit(cohort({name: one}, [1])) for name, one in arms.items()}
    assert fits == {"a": True, "b": False, "c": False, "d": False}
    assert [set(group) for group in group_by_program(arms).values()] == [{"a"}, {"b", "c", "d"}]


def test_a_schedule_of_a_strength_is_pinned(tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    text = (root / "tests/corpus/odd/milestone_after_the_end.yaml").read_text()
    pins = []
    for schedule in ("", ", schedule: {name: warmup, then: {name: step, milestones: [3]}}"):
        path = tmp_path / "base.yaml"
        path.write_text(
            text.replace("milestones: [4, 7]}", "milestones: [4]}")
            .replace("strength: 0.01", f"strength: 0.01{schedule}")
            .replace("{name: step, milestones: [4]}", "cosine")
        )
        (tmp_path / "claims.yaml").write_text((root / "tests/corpus/odd/claims.yaml").read_text())
        pins.append(set(pin_code(load(path).hypothesis, default_templates()).plugins))
    assert pins[1] - pins[0] == {"schedules/warmup", "schedules/step"}


def test_there_are_rules_of_both_kinds() -> None:
    assert any(isinstance(rule, LocalRule) for rule in RULES.values())
    assert {kind.of_state for kind in find_members("penalties").values() if issubclass(kind, Penalty)} == {True, False}
