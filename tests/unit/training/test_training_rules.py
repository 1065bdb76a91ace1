"""Properties of every rule that the registry finds, whatever tensors it has: a new rule is tested without an edit."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from harness.batched.specs import TensorSpec
from harness.errors import HarnessError, Interrupted
from harness.models import Model
from harness.plugins.registry import find_members
from harness.records import Arm
from harness.rules import Rule
from harness.rules.bp import Bp
from harness.training import Run, open_device, train
from harness.training.evaluate import ReplicaEvaluation
from harness.training.learned import copy_learned
from harness.training.program import Program, build_program
from harness.training.steps.state import TrainingState
from tests.conformance.test_plugins import example
from tests.unit.training.training_inputs import arm, cohort, digits, planned

SETUP: dict[str, Any] = {
    "batch_size": 16,
    "epochs": 3,
    "precision": "float64",
    "model": {"name": "residual_mlp", "width": 12, "blocks": 2, "branch_std": 0.2},
    "save": ["weights", "feedback"],
    "evaluation": {"probe_samples": 20, "every_epochs": 1, "metrics": ["hidden_norm"]},
}
RULES = [pytest.param(example(kind), id=name) for name, kind in find_members("rules").items()]
MODELS = [pytest.param(example(kind), id=name) for name, kind in find_members("models").items()]


def with_rule(rule: Rule, **parts: Any) -> Arm:
    return arm("bp", None, SETUP, **parts).model_copy(update={"rule": rule})


def program_of(rule: Rule, seeds: list[int], **parts: Any) -> Program:
    return build_program(cohort({"a": with_rule(rule, **parts)}, seeds), digits(40), open_device("cpu"))


def run(program: Program, epochs: int) -> None:
    for epoch in range(epochs):
        program.begin_epoch(epoch, program.draw(epoch))
        program.run_epoch()


def list_tensors(state: TrainingState[Any]) -> dict[str, Tensor]:
    """The model's tensors and those that the rule trains along."""
    return {**state.params, **state.rule_groups[0].own}


def differentiate(
    program: Program, x: Tensor, y: Tensor, fresh: dict[str, Tensor] | None = None
) -> dict[str, Tensor | None]:
    """The gradient of every trained tensor, [r, …]; None where the objective doesn't depend on it."""
    state, group = program.state, program.state.rule_groups[0]
    tensors = list_tensors(state)
    if fresh is None:
        fresh = group.draw(torch.tensor(3), x.shape[1], torch.float64)
    objective = group.rule.objective(state.model, tensors, {**group.feedback, **fresh}, x, y, None, state.setup.loss)
    trained = {name: tensor for name, tensor in tensors.items() if tensor.requires_grad}
    found = torch.autograd.grad(objective.descend.sum(), list(trained.values()), allow_unused=True)
    return dict(zip(trained, found, strict=True))


def batch(replicas: int = 2, samples: int = 6) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(replicas, samples, 64, dtype=torch.float64, generator=generator)
    return x, torch.randint(10, (replicas, samples), generator=generator)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("rule", RULES)
def test_a_rule_trains_every_parameter_and_keeps_replicas_apart(rule: Rule, model: Model) -> None:
    if rule.explain_misfit(model) is not None:
        pytest.skip("refused")
    one = with_rule(rule)
    setup = one.setup.model_copy(update={"model": model})
    made = cohort({"a": one.model_copy(update={"setup": setup})}, [1, 2])
    program = build_program(made, digits(40), open_device("cpu"), trains=False)
    state, group, (x, y) = program.state, program.state.rule_groups[0], batch()
    tensors, fresh = list_tensors(state), group.draw(torch.tensor(0), 6, torch.float64)

    def penalty(branch: Tensor, state: Tensor) -> Tensor:
        return 0.1 * branch.square().flatten(1).mean(1)

    objective = rule.objective(model, tensors, {**group.feedback, **fresh}, x, y, penalty, setup.loss)
    assert objective.descend.shape == objective.loss.shape == (2,)
    assert not objective.loss.requires_grad
    found = torch.autograd.grad(objective.descend[0], list(tensors.values()), allow_unused=True)
    unused = {name for name, gradient in zip(tensors, found, strict=True) if gradient is None}
    assert unused == rule.list_untrained(model)
    for name, gradient in zip(tensors, found, strict=True):
        if gradient is not None:
            assert gradient[0].abs().sum() > 0, f"{name} is not trained"
            assert not gradient[1].any(), f"{name} of one replica touches another"
    own = {spec.group for spec in group.tensors.own}
    assert set(rule.clip_norms(model)) <= {*model.groups(), *own}
    if rule.defines_credit and model.has_equal_states:
        error = torch.randn(2, 6, 10, dtype=torch.float64)
        for layer in range(model.depth + 1):
            assert rule.credit(model, group.feedback, error, layer).shape == (2, 6, *model.shape(layer))
    elif not rule.defines_credit:
        with pytest.raises(NotImplementedError):
            rule.credit(model, {}, batch()[0], 0)


@pytest.mark.parametrize("rule", RULES)
def test_credit_at_every_site_trains_what_ends_there(rule: Rule) -> None:
    """Also a rule that says it has none: then nobody may ask."""
    program = program_of(rule, [5, 6])
    run(program, 1)
    evaluation = ReplicaEvaluation(program, program.state.rule_groups[0], slice(0, 2))
    if not rule.gives_site_credit:
        pytest.skip("acts on parameters, or passes see different inputs")
    found, gradients = evaluation.site_credits, evaluation.site_gradients
    again = ReplicaEvaluation(program, program.state.rule_groups[0], slice(1, 2)).site_credits
    assert len(found) == len(gradients) == program.state.model.depth + 1
    for layer, (credit, gradient, alone) in enumerate(zip(found, gradients, again, strict=True)):
        assert credit.shape == gradient.shape == (2, 20, *program.state.model.shape(layer))
        assert credit.isfinite().all() and credit.any()
        torch.testing.assert_close(credit[1:], alone, rtol=1e-12, atol=1e-14)  # a function of the replica's weights


def test_taps_are_the_gradients_of_backpropagation_and_the_feedback_of_dfa() -> None:
    """At its sites: block l's output takes e B_l, embed(x) takes e B_0, each normalised by sample."""
    for rule in ("bp", "dfa"):
        program = program_of(example(find_members("rules")[rule]), [5, 6])
        run(program, 1)
        evaluation = ReplicaEvaluation(program, program.state.rule_groups[0], slice(0, 2))
        found, gradients = evaluation.site_credits, evaluation.site_gradients
        x, y = program.get_probe()
        for gradient, plain in zip(gradients, evaluation.gradients, strict=True):
            torch.testing.assert_close(gradient, plain * x.shape[1], rtol=1e-10, atol=1e-14)
        if rule == "bp":
            assert all(map(torch.equal, found, gradients))
            continue
        p = {name: tensor.detach() for name, tensor in program.state.params.items()}
        h, model = program.state.model.embed(p, x.expand(2, -1, -1)), program.state.model
        for layer in range(model.depth):
            h = model.join(h, model.branch(p, layer, h))
        error = model.head(p, h).softmax(-1) - torch.nn.functional.one_hot(y.expand(2, -1), 10)
        matrices = list(program.state.rule_groups[0].feedback.values())
        for credit, matrix in zip(found, [matrices[0], *matrices], strict=True):
            expected = error @ matrix
            cosine = torch.nn.functional.cosine_similarity(credit, expected, dim=-1)
            torch.testing.assert_close(cosine, torch.ones_like(cosine), rtol=0, atol=1e-10)


@pytest.mark.parametrize("optimizer", [{"name": "adamw", "lr": 0.01, "weight_decay": 0.3},
                                       {"name": "sgd", "lr": 0.05, "weight_decay": 0.1}])  # fmt: skip
def test_kolen_and_pollack_contract_by_the_decay_whatever_is_learned(optimizer: dict[str, Any]) -> None:
    """W − B after T steps is (W_0 − B_0)·Π(1 − η_t λ), exactly; a matrix that got another gradient would not be."""
    one = arm("kolen_pollack", None, SETUP | {"optimizer": optimizer})
    program = build_program(cohort({"a": one}, [5]), digits(40), open_device("cpu"))
    group, params = program.state.rule_groups[0], program.state.params
    before = {name: (params[name.removeprefix("rule/")] - own).detach() for name, own in group.own.items()}
    run(program, 3)
    factor = 1.0
    for epoch in range(3):
        rate = optimizer["lr"] * one.setup.optimizer.schedule.factor(epoch, 3)
        factor *= (1 - rate * optimizer["weight_decay"]) ** 3  # three steps an epoch
    assert len(before) == 5 and factor < 0.99
    for name, distance in before.items():
        now = params[name.removeprefix("rule/")] - group.own[name]
        torch.testing.assert_close(now.detach(), distance * factor, rtol=1e-9, atol=1e-13)


def test_a_weight_mirror_comes_to_the_weights() -> None:
    program = program_of(example(find_members("rules")["weight_mirror"]), [5])
    group, params = program.state.rule_groups[0], program.state.params

    def angle(name: str) -> float:
        weight, mirror = params[name].detach().flatten(), group.feedback[name].flatten()
        return float(torch.nn.functional.cosine_similarity(weight, mirror, 0))

    assert all(abs(angle(name)) < 0.5 for name in group.feedback)
    for _ in range(10):
        run(program, 3)
    assert all(angle(name) > 0.9 for name in group.feedback)


@pytest.mark.parametrize("rule", RULES)
def test_a_batch_twice_has_the_gradient_of_the_batch(rule: Rule) -> None:
    program, (x, y) = program_of(rule, [5, 6]), batch()
    if any(None in spec.shape for spec in program.state.rule_groups[0].tensors.draws):
        pytest.skip("draws for every sample")
    once, twice = differentiate(program, x, y), differentiate(program, torch.cat([x, x], 1), torch.cat([y, y], 1))
    for name, gradient in once.items():
        if gradient is not None:
            torch.testing.assert_close(gradient, twice[name], rtol=1e-9, atol=1e-13, msg=name)


@pytest.mark.parametrize("rule", RULES)
def test_replicas_in_another_order_are_the_same_replicas(rule: Rule) -> None:
    """With what they draw, what changes and what is trained along."""
    one, other = program_of(rule, [5, 6, 7]), program_of(rule, [7, 5, 6])
    for program in (one, other):
        run(program, 2)
    read, read_other = copy_learned(one.state, one.kept), copy_learned(other.state, other.kept)
    for r, place in ((0, 1), (1, 2), (2, 0)):
        for name, tensor in read(r).items():
            torch.testing.assert_close(tensor, read_other(place)[name], rtol=1e-9, atol=1e-12, msg=name)


@pytest.mark.parametrize("rule", RULES)
def test_a_frozen_part_has_no_gradient_and_its_neighbours_keep_theirs(rule: Rule) -> None:
    """What backpropagates through it stays; what a rule trains along with it is frozen too."""
    x, y = batch()
    free, frozen = program_of(rule, [5, 6]), program_of(rule, [5, 6], freeze=["block_1"])
    whole, rest = differentiate(free, x, y), differentiate(frozen, x, y)
    groups = {spec.name: spec.group for spec in (*free.state.specs, *free.state.rule_groups[0].tensors.own)}
    assert {name for name in whole if groups[name] != "block_1"} == set(rest) < set(whole)
    for name, gradient in rest.items():
        if gradient is not None and whole[name] is not None:
            torch.testing.assert_close(gradient, whole[name], rtol=1e-12, atol=1e-15, msg=name)
    before = {name: tensor.clone() for name, tensor in frozen.checkpoint().items()}
    run(frozen, 1)
    moved = {name for name, tensor in frozen.checkpoint().items() if not torch.equal(tensor, before[name])}
    assert not {name for name in moved if "block_1" in name and "evolved" not in name}


def train_all(rule: Rule, folder: Path, **options: Any) -> Any:
    plan = planned(cohort({"a": with_rule(rule), "bp": with_rule(Bp(name="bp"))}, [5, 6]))
    return train(plan, Run({"digits": digits(40)}, replace(open_device("cpu"), workers=1), folder, **options))


@pytest.mark.parametrize("rule", RULES)
def test_stopped_after_any_step_it_goes_on_to_the_same_bytes(rule: Rule, tmp_path: Path) -> None:
    """Nine steps of two rules in a cohort: stopped after each of them, within epochs and between them."""
    expected = train_all(rule, tmp_path / "whole")
    stops = 0
    for _ in range(40):
        answers = chain([False], repeat(True))
        try:
            found = train_all(rule, tmp_path / "stopped", stop=partial(next, answers))
            break
        except Interrupted:
            stops += 1
    assert stops >= 4
    assert [one.model_dump() for one in found.replicas] == [one.model_dump() for one in expected.replicas]
    assert found.weights == expected.weights


@pytest.mark.parametrize("rule", RULES)
def test_what_is_learned_is_kept_and_measured_again(rule: Rule, tmp_path: Path) -> None:
    """The digest of weights covers what a rule trains along or changes, and stored files bring it back."""
    from harness.training.stored import WeightsFile, measure_stored

    found = train_all(rule, tmp_path)
    made = cohort({"a": with_rule(rule)}, [5, 6])
    names = {("a", i): f"a/{i}.safetensors" for i in (0, 1)}
    files = {key: WeightsFile(tmp_path / "weights" / name, found.weights[name]) for key, name in names.items()}
    metrics = list(made.setup.evaluation.measured)
    _, digests = measure_stored(made, files, digits(40), open_device("cpu"), metrics)
    assert digests == [one.weights_sha256 for one in found.replicas if one.arm == "a"]


# Names of tensors -----------------------------------------------------------------------------------------------------


class Taking(Bp):
    """A rule that trains a tensor under a name of the model's."""

    def parameters(self, model: Model, features: int, classes: int) -> tuple[TensorSpec, ...]:
        return tuple(spec for spec in model.parameters(features, classes) if spec.name == "head.weight")


class Twice(Bp):
    """A rule with two tensors of one name."""

    def feedback(self, model: Model, features: int, classes: int) -> tuple[TensorSpec, ...]:
        return 2 * model.parameters(features, classes)[:1]


@pytest.mark.parametrize(("rule", "message"), [(Taking, "may be one of the model's"), (Twice, "two tensors")])
def test_tensors_that_are_not_told_apart_are_refused(rule: type[Bp], message: str) -> None:
    """B under W's name would be trained in W's place, and W not at all."""
    with pytest.raises(HarnessError, match=message) as caught:
        program_of(rule(name="bp"), [5])
    assert caught.value.where == "rule bp with model residual_mlp" and caught.value.remedy
