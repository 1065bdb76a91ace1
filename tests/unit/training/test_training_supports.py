"""Plug-ins that nobody foresaw: trained as they say, by the faster steps where they declare equations these know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from harness.batched.specs import TensorSpec
from harness.models import Model
from harness.models.residual_mlp import ResidualMlp
from harness.penalties.residual_branch import ResidualBranch
from harness.records import Arm, Cohort
from harness.rules import FixedCredit, Objective, Rule
from harness.rules.bp import Bp
from harness.rules.dfa import Dfa
from harness.training import open_device, takes_kernels
from harness.training.batches import draw_schedule
from harness.training.program import Program, build_program
from harness.training.steps.autograd import AutogradStep, SeparateStorage
from harness.training.steps.choose import choose_step_kind
from harness.training.steps.explicit import ExplicitStep
from harness.training.steps.explicit_storage import StackedStorage
from harness.training.steps.interface import StepKind
from harness.training.steps.kernels.layout import FlatStorage
from harness.training.steps.kernels.step import KernelsStep
from harness.training.steps.state import TrainingState, allocate_state
from harness.training.steps.supports import fits_explicit, fits_kernels
from tests.unit.training.interpreted import ON_CARD
from tests.unit.training.training_inputs import arm, cohort, digits

pytestmark = pytest.mark.usefixtures("interpreter")

DEVICE = "cuda" if ON_CARD else "cpu"
SETUP: dict[str, Any] = {
    "batch_size": 16,
    "precision": "float64",
    "model": {"name": "residual_mlp", "width": 20, "blocks": 2},
}


class ClippedBp(Bp):
    """Backpropagation whose blocks are clipped, as a research group's own rule may be."""

    backward = "through"

    def clip_norms(self, model: Model) -> Mapping[str, float]:
        return {f"block_{layer}": 0.01 for layer in range(model.depth)}


class ClippedAtTheHead(ClippedBp):
    backward = "through"

    def clip_norms(self, model: Model) -> Mapping[str, float]:
        return {"head": 0.01}


class FedBack(Bp):
    """A rule built on backpropagation that says what it feeds back: no gradient passes through its blocks."""

    local = True

    @property
    def fixed_credit(self) -> FixedCredit:
        return FixedCredit()

    def feedback(self, model: Model, features: int, classes: int) -> tuple[TensorSpec, ...]:
        return Dfa(name="dfa").feedback(model, features, classes)

    def objective(self, *given: Any, **named: Any) -> Objective:
        return Dfa(name="dfa").objective(*given, **named)


class Steeper(ResidualBranch):
    """Another penalty whose gradient is a multiple of the branch."""

    gradient_factor = 10.0

    def value(self, branch: Tensor) -> Tensor:
        return 5.0 * branch.square().sum(-1).mean(-1)


class Unsaid(ResidualBranch):
    """Inherits from a penalty, computes something else, and declares nothing."""

    def value(self, branch: Tensor) -> Tensor:
        return branch.abs().sum(-1).mean(-1)


class OfStates(ResidualBranch):
    """Says the gradient of its value, which is that of the state and not of the branch."""

    of_state = True
    gradient_factor = 2.0


class UnsaidRule(Bp):
    pass


class UnsaidModel(ResidualMlp):
    pass


def with_rule(rule: Rule, strength: float | None = None) -> Arm:
    return arm("bp", strength, SETUP).model_copy(update={"rule": rule})


def with_penalty(kind: type[ResidualBranch], rule: str) -> Arm:
    penalty = kind(name="residual_branch", strength=0.05)
    return arm(rule, 0.05, SETUP).model_copy(update={"penalty": penalty})


def with_model(model: Model) -> Arm:
    one = arm("bp", None, SETUP)
    return one.model_copy(update={"setup": one.setup.model_copy(update={"model": model})})


def trained(arms: dict[str, Arm], kind: StepKind, device: str) -> Program:
    program = build_program(cohort(arms, [5]), digits(20), open_device(device), kind=kind)
    state = program.state
    for epoch in range(2):
        program.begin_epoch(epoch, draw_schedule(state.dataset, state.count, state.seeds, epoch))
        program.run_epoch()
    return program


FORESEEN = {
    "a rule that flows and clips": {"a": with_rule(ClippedBp(name="bp"), 0.05), "b": arm("bp", 0.05, SETUP)},
    "a rule that feeds back and inherits from one that doesn't": {"a": with_rule(FedBack(name="bp"), 0.05)},
    "both": {"a": with_rule(FedBack(name="bp"), 0.05), "b": arm("bp", 0.05, SETUP)},
    "a penalty": {"a": with_penalty(Steeper, "bp"), "b": with_penalty(Steeper, "dfa")},
}
UNFORESEEN = {
    "rule": {"a": with_rule(UnsaidRule(name="bp"))},
    "clipping": {"a": with_rule(ClippedAtTheHead(name="bp"))},
    "penalty": {"a": with_penalty(Unsaid, "bp")},
    "penalty of states": {"a": with_penalty(OfStates, "bp")},
    "model": {"a": with_model(UnsaidModel(name="residual_mlp", width=20, blocks=2))},
}


@pytest.mark.parametrize("name", FORESEEN)
@pytest.mark.parametrize(("kind", "device"), [("explicit", "cpu"), ("kernels", DEVICE)])
def test_a_plugin_that_declares_known_equations_is_trained_by_faster_steps(
    name: str, kind: StepKind, device: str
) -> None:
    """The same weights as autograd finds by differentiating what the plug-in computes."""
    arms = FORESEEN[name]
    assert fits_explicit(cohort(arms, [5])) and fits_kernels(cohort(arms, [5]))
    expected, found = trained(arms, "autograd", device).checkpoint(), trained(arms, kind, device).checkpoint()
    for tensor, value in expected.items():
        torch.testing.assert_close(
            found[tensor], value, rtol=1e-9, atol=1e-11, msg=lambda text, name=tensor: f"{name}: {text}"
        )


@pytest.mark.parametrize("name", UNFORESEEN)
def test_a_plugin_that_declares_nothing_is_trained_by_autograd(name: str) -> None:
    """Also where it inherits a declaration, or has one that no step can follow: it may compute anything else."""
    unknown: Cohort = cohort(UNFORESEEN[name], [5])
    device = open_device("cpu")
    assert not fits_explicit(unknown) and not fits_kernels(unknown)
    assert not takes_kernels(device)(unknown)
    assert choose_step_kind(unknown, device, 100) == "autograd"


def steps() -> list[Any]:
    return [
        pytest.param(SeparateStorage, lambda state: AutogradStep(state, compiled=False), id="autograd"),
        pytest.param(StackedStorage, ExplicitStep, id="explicit"),
        pytest.param(FlatStorage, KernelsStep, id="kernels"),
    ]


@pytest.mark.parametrize(("storage", "step"), steps())
def test_making_a_step_changes_nothing_of_its_state(storage: Any, step: Any) -> None:
    arms = {"a": arm("dfa", 0.05, SETUP), "b": arm("bp", None, SETUP)}
    state = allocate_state(cohort(arms, [5, 6]), digits(20), open_device(DEVICE), storage)
    for number, tensor in enumerate(tensors_of(state).values()):
        with torch.no_grad():
            tensor.fill_(number)
    before = tensors_of(state)
    values = {name: tensor.clone() for name, tensor in before.items()}
    step(state)
    after = tensors_of(state)
    assert [tensor.data_ptr() for tensor in after.values()] == [tensor.data_ptr() for tensor in before.values()]
    assert all(torch.equal(after[name], values[name]) for name in values)


def tensors_of(state: TrainingState[Any]) -> dict[str, Tensor]:
    found = {f"weights/{name}": tensor for name, tensor in state.params.items()}
    found |= {f"exp_avg/{name}": tensor for name, tensor in state.optimizer_state["exp_avg"].items()}
    found |= {f"exp_avg_sq/{name}": tensor for name, tensor in state.optimizer_state["exp_avg_sq"].items()}
    for group in state.rule_groups:
        found |= {f"feedback/{name}": tensor for name, tensor in group.feedback.items()}
    return found | {"lr": state.lr, "steps": state.steps, "cursor": state.cursor, "loss": state.loss_sum}
