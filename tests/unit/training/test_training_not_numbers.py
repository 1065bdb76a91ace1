"""What is no number stays none: each of the three steps, and what is measured, call such a replica diverged.

The replica beside it keeps its bits, whatever becomes of its neighbour.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.batched.adamw import clip_scales
from harness.metrics.credit_cosine import CreditCosine
from harness.metrics.test_accuracy import TestAccuracy as Accuracy
from harness.records import Arm, ReplicaResult
from harness.rules.dfa import Dfa
from harness.training import Run, open_device, train
from harness.training.batches import draw_schedule
from harness.training.diagnostics import Diagnostics
from harness.training.evaluate import evaluate, summarise
from harness.training.program import Program, build_program
from harness.training.results import select_metrics
from harness.training.steps.explicit_storage import Clip
from harness.training.steps.interface import StepKind
from tests.unit.training.interpreted import ON_CARD
from tests.unit.training.training_inputs import arm, cohort, digits, planned

pytestmark = [
    pytest.mark.usefixtures("interpreter"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),  # of Triton's interpreter, which is NumPy
]
DEVICE = "cuda" if ON_CARD else "cpu"
WAYS: list[StepKind] = ["autograd", "kernels"] if ON_CARD else ["autograd", "explicit", "kernels"]
SETUP: dict[str, Any] = {
    "batch_size": 16,
    "epochs": 2,
    "precision": "float64",
    "model": {"name": "residual_mlp", "width": 20, "blocks": 2},
}


def dfa(clip: float | None = 1.0) -> Arm:
    return arm("dfa", setup=SETUP).model_copy(update={"rule": Dfa(name="dfa", clip=clip)})


def after_an_epoch(arms: dict[str, Arm], way: StepKind, spoil: Callable[[dict[str, torch.Tensor]], None]) -> Program:
    """Two replicas, of which the second begins with what ``spoil`` makes of its weights."""
    program = build_program(cohort(arms, [5]), digits(16), open_device(DEVICE), kind=way)
    with torch.no_grad():
        spoil({name: tensor[1] for name, tensor in program.state.params.items()})
    program.begin_epoch(0, draw_schedule(program.state.dataset, program.state.count, program.state.seeds, 0))
    program.run_epoch()
    return program


def nothing(weights: dict[str, torch.Tensor]) -> None:
    pass


def large_inside(weights: dict[str, torch.Tensor]) -> None:
    """Activations of 10^160 between matrices that leave every state and every gradient finite, but not its square."""
    weights["block_1.w1.weight"] *= 1e160
    weights["block_1.w2.weight"] *= 1e-165


def spared(program: Program) -> list[torch.Tensor]:
    """All that belongs to the first replica."""
    return [
        tensor[0]
        for tensor in (
            *program.state.params.values(),
            *program.state.optimizer_state["exp_avg"].values(),
            *program.state.optimizer_state["exp_avg_sq"].values(),
        )
    ]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "arms",
    [
        {"a": dfa(0.01), "b": dfa(0.01)},
        {"a": dfa(None), "b": dfa(None)},
        {"a": arm("bp", setup=SETUP), "b": arm("bp", setup=SETUP)},
        {"a": dfa(), "b": arm("bp", setup=SETUP)},
    ],
    ids=["clipped", "unclipped", "bp", "dfa beside bp"],
)
def test_a_gradient_whose_square_overflows_is_a_divergence(way: StepKind, arms: dict[str, Arm]) -> None:
    """A clip factor of 0 stops a block from training, an infinite second moment a weight, and the loss stays finite."""
    fine, spoilt = after_an_epoch(arms, way, nothing), after_an_epoch(arms, way, large_inside)
    assert fine.find_finite().tolist() == [True, True]
    assert spoilt.find_finite().tolist() == [True, False]
    assert all(torch.equal(one, other) for one, other in zip(spared(fine), spared(spoilt), strict=True))


@pytest.mark.parametrize("largest", [1.0, 1e-3])
def test_a_norm_that_is_no_number_gives_no_factor(largest: float) -> None:
    """For the two written-out forms alike: the last two replicas' norms are infinite and NaN."""
    gradients = [torch.full((4, 3, 2), 0.5), torch.full((4, 5), 2.0)]
    gradients[1][1], gradients[0][2], gradients[0][3, 1, 1] = 0.0, 1e25, math.nan
    factors = clip_scales(gradients, largest)
    assert factors[:2].isfinite().all() and (factors[:2] > 0).all() and factors[2:].isnan().all()
    clipped = [gradient.clone().unsqueeze(0) for gradient in gradients]
    Clip(clipped, largest)()
    for gradient, found in zip(gradients, clipped, strict=True):
        expected = gradient * factors.view(-1, *[1] * (gradient.dim() - 1))
        torch.testing.assert_close(found[0], expected, equal_nan=True)


def no_logits(weights: dict[str, torch.Tensor]) -> None:
    weights["head.weight"].fill_(1e308)


def no_hidden_states(weights: dict[str, torch.Tensor]) -> None:
    """States of 10^170: layer norm divides by the root of their squares, and makes zeros of them."""
    weights["embedding.weight"] *= 1e171


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("spoil", [no_logits, no_hidden_states])
@pytest.mark.parametrize("measured", [("test_accuracy", "credit_cosine"), ("credit_norm",)])
def test_logits_that_are_no_numbers_are_a_divergence(
    way: StepKind, spoil: Callable[[dict[str, torch.Tensor]], None], measured: tuple[str, ...]
) -> None:
    """Weights that the last step of an epoch left finite, and a network that is none any more."""
    evaluation = {"probe_samples": 50, "every_epochs": 1, "metrics": measured}
    arms = {name: arm("dfa", setup=SETUP | {"evaluation": evaluation}) for name in ("a", "b")}
    values = {}
    program = after_an_epoch(arms, way, nothing)
    for kind in (nothing, spoil):
        with torch.no_grad():
            kind({name: tensor[1] for name, tensor in program.state.params.items()})
        assert program.find_finite().all()
        diagnostics = Diagnostics(program, select_metrics(program.state.setup))
        values[kind] = diagnostics.evaluate()
        assert diagnostics.finite.tolist() == [True, kind is nothing]
        assert list(values[kind]) == list(measured) == list(evaluate(program, select_metrics(program.state.setup)))
    for metric, summaries in values[nothing].items():
        for summary, before in summaries.items():
            assert (values[spoil][metric][summary][0] == before[0]).all()
    if "test_accuracy" in measured:
        assert math.isnan(values[spoil]["test_accuracy"]["value"][1, 0])


@pytest.mark.parametrize("lr", [1e38, 1e25], ids=["logits", "hidden states"])
@pytest.mark.parametrize("rule", ["dfa", "bp"])
def test_a_replica_whose_last_step_leaves_no_network_is_marked(lr: float, rule: str, tmp_path: Path) -> None:
    """One step: its loss is that of the weights before, and those after are finite. The share of zeros is no data."""

    def results(last: float, folder: str) -> tuple[ReplicaResult, ...]:
        arms = {
            name: arm(rule, setup={"batch_size": 300, "epochs": 1, "optimizer": {"name": "adamw", "lr": rate}})
            for name, rate in (("tame", 1e-3), ("wild", last))
        }
        plan = planned(cohort(arms, [4, 5]))
        return train(plan, Run({"digits": digits()}, open_device(DEVICE), tmp_path / folder)).replicas

    before, replicas = results(1e-3, "a"), results(lr, "b")
    assert [replica.status for replica in replicas] == ["finished"] * 2 + ["diverged"] * 2
    assert {replica.diverged_epoch for replica in replicas[2:]} == {1}
    values = replicas[2].metrics["test_accuracy"].values["value"]
    assert values == ((None,),)
    assert replicas[:2] == before[:2]


class Vectors:
    """Credits and gradients of one replica at one layer."""

    def __init__(self, a: list[float], g: list[float]) -> None:
        self.credits, self.gradients = ([torch.tensor([[one]], dtype=torch.float64)] for one in (a, g))


@pytest.mark.parametrize(
    ("a", "g", "expected"),
    [
        ([3.0, 4.0], [4.0, 3.0], 24 / 25),
        ([3e-25, 4e-25], [4e-10, 3e-10], 24 / 25),  # ‖a‖‖g‖ < 1e-30
        ([3e-200, 4e-200], [4e-180, 3e-180], 24 / 25),  # the squares are 0
        ([3e200, 4e200], [4e180, 3e180], 24 / 25),  # the squares are infinite
        ([3e200, 4e200], [4e-180, 3e-180], 24 / 25),
        ([0.0, 0.0], [4.0, 3.0], math.nan),  # what has no direction is not at right angles to everything
        ([3.0, 4.0], [0.0, 0.0], math.nan),
        ([math.inf, 4.0], [4.0, 3.0], math.nan),
        ([math.nan, 4.0], [4.0, 3.0], math.nan),
    ],
)
def test_a_cosine_is_one_or_no_number(a: list[float], g: list[float], expected: float) -> None:
    found = CreditCosine(name="credit_cosine").measure(Vectors(a, g)).item()  # type: ignore[arg-type]
    assert found == pytest.approx(expected, abs=1e-15, nan_ok=True)


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_one_sample_that_is_no_number_leaves_no_summary(broken: float) -> None:
    """Sorting puts NaN and infinity last, and a median never looks there."""
    values = torch.tensor([[[0.1, 0.2, 0.3, 0.4]], [[0.1, 0.2, 0.3, broken]]], dtype=torch.float64)
    for summary in summarise(CreditCosine(name="credit_cosine"), values).values():
        assert summary[0].isfinite().all() and summary[1].isnan().all()


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_an_accuracy_without_logits_is_no_number(broken: float) -> None:
    class Known:
        test_logits = torch.tensor([[[1.0, 2.0], [2.0, 1.0]], [[1.0, 2.0], [broken, 1.0]]])
        test_labels = torch.tensor([1, 0])

    found = Accuracy(name="test_accuracy").measure(Known())  # type: ignore[arg-type]
    assert found[0] == 1.0 and found[1].isnan()
