"""Criteria and metrics are asked what they can do, never who they are: those made here get the same."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

import numpy as np
import pytest

from harness.criteria import Criterion, Target
from harness.criteria.t import T
from harness.criteria.t_sequence import TSequence
from harness.domain.partition import split_line
from harness.inference import Spread, power
from harness.inference.chances import ExactT, Simulated, choose_chances
from harness.inference.estimands import evaluate
from harness.inference.foreseen import bound_prediction_chance
from harness.inference.stops import Sequential
from harness.metrics import Metric
from harness.metrics.credit_norm import CreditNorm
from harness.metrics.train_loss import TrainLoss
from harness.records import Hypothesis
from harness.stats.distributions import t_exceeded
from harness.verdict.profiles import choose_panels
from tests.unit.inference.inference_records import (
    ACCURACY,
    COSINE,
    DIRECTION,
    decide,
    make_hypothesis,
    make_measurements,
)

STUDENT = T(name="t")
SPREAD = Spread(low=0.02, value=0.03, high=0.04, source="assumed")


class Elsewhere(Criterion):
    """A t test from another package, as it could have been written before ``critical_t`` was asked for."""

    name: Literal["elsewhere"]
    targets: ClassVar[Target] = "mean"
    assumes: ClassVar[str] = "as t"
    source: ClassVar[str] = "nowhere"

    def smallest_n(self, alpha: float, cut: float | None = None) -> int:
        return 2

    def p_greater(self, x: np.ndarray, cut: float) -> float:
        return STUDENT.p_greater(x, cut)

    def p_less(self, x: np.ndarray, cut: float) -> float:
        return STUDENT.p_less(x, cut)

    def interval(self, x: np.ndarray, level: float) -> tuple[float, float]:
        return STUDENT.interval(x, level)


class Quick(Elsewhere):
    """The same, which says by which t it decides, and that it is a t test. No p of a simulated seed is needed."""

    name: Literal["quick"]
    t_test: ClassVar[bool] = True

    def critical_t(self, alpha: float, n: int) -> float | None:
        return t_exceeded(alpha, n - 1)


class Unasked(Quick):
    """Its p values are never to be asked for: what is quick does without."""

    name: Literal["unasked"]

    def p_greater(self, x: np.ndarray, cut: float) -> float:
        raise AssertionError("simulated")

    p_less = p_greater


def deciding(criterion: Criterion, **more: Any) -> Hypothesis:
    h = make_hypothesis({"direction": COSINE}, {"direction": ("direction", DIRECTION)}, count=8, **more)
    spec = h.decisions["direction"].model_copy(update={"criterion": criterion})
    return h.model_copy(update={"decisions": {"direction": spec}})


def test_a_criterion_that_says_its_critical_t_has_exact_chances() -> None:
    found, plain = (power(deciding(one), {"direction": SPREAD}) for one in (Unasked(name="unasked"), STUDENT))
    (mine,), (theirs,) = found.decisions, plain.decisions
    assert mine.draws is None and mine.curve == theirs.curve and mine.prediction == theirs.prediction


def test_one_that_does_not_is_simulated_through_its_p_values() -> None:
    (part,) = power(deciding(Elsewhere(name="elsewhere")), {"direction": SPREAD}).decisions
    assert part.draws == 200


def test_what_it_says_is_enough_for_planning_and_for_looks() -> None:
    mine = Unasked(name="unasked")
    for distance, n in ((0.5, 4), (1.5, 12)):
        assert mine.type_two(distance, 1.0, n, 0.05) == STUDENT.type_two(distance, 1.0, n, 0.05)
    looks = {"stopping": {"kind": "looks", "at": [4, 8]}}
    for more in ({}, looks):
        foreseen = [bound_prediction_chance(deciding(one, **more), {"direction": SPREAD}) for one in (mine, STUDENT)]
        assert foreseen[0] == foreseen[1] is not None
    atoms = split_line(deciding(mine).decisions["direction"].bands)
    by_look = [Sequential(one, atoms, 0.025, (4, 8)).by_look(np.array([0.0, 0.1]), 0.03) for one in (mine, STUDENT)]
    assert (by_look[0] == by_look[1]).all() and by_look[0].any()


def test_the_t_sequence_at_one_look_is_exact_as_its_simulation_says() -> None:
    criterion = TSequence(name="t_sequence")
    atoms = split_line(deciding(criterion).decisions["direction"].bands)
    exact = choose_chances(criterion, atoms, 0.05, (-1.0, 1.0), 8)
    assert isinstance(exact, ExactT)
    groups, effects = [frozenset([band]) for band in DIRECTION], np.array([0.0, 0.1, 0.3])
    simulated = Simulated(criterion, atoms, 0.05)(groups, effects, 0.04, 12)
    assert exact(groups, effects, 0.04, 12) == pytest.approx(simulated, abs=4 * math.sqrt(0.25 / 200))
    assert not exact(groups, effects, 0.04, 3).any()  # no t is enough


@pytest.mark.parametrize(("criterion", "warned"), [(Quick(name="quick"), True), (Elsewhere(name="elsewhere"), False)])
def test_a_t_test_of_two_seeds_is_warned_of(criterion: Criterion, warned: bool) -> None:
    h = deciding(criterion)
    h = h.model_copy(update={"seeds": h.seeds.model_copy(update={"count": 2})})
    values = {("penalized", "credit_cosine"): [0.30, 0.31]}
    said = decide(h, make_measurements(values)).warnings
    assert any("a t test rests wholly on the values being normal" in line for line in said) is warned


class Coarse(Metric):
    """A share of the test split in steps of a tenth of it, whatever its size."""

    name: Literal["test_accuracy"]  # measured under this name
    layered: ClassVar[bool] = False
    per_sample: ClassVar[bool] = False
    label: ClassVar[str] = "tenths"

    def resolution(self, test_count: int) -> float:
        return 0.1

    def measure(self, evaluation: Any) -> Any:
        raise NotImplementedError


class Fine(Coarse):
    """The same by its name, without steps."""

    resolution = Metric.resolution


@pytest.mark.parametrize(("metric", "degenerate"), [(Coarse, True), (Fine, False)])
def test_the_step_of_a_metric_is_its_own(metric: type[Metric], degenerate: bool) -> None:
    h = make_hypothesis({"e": ACCURACY}, {"d": ("e", {"low": "(-inf, 0.5]", "high": "(0.5, inf)"})}, count=3)
    own = h.estimands["e"].model_copy(update={"metric": metric(name="test_accuracy")})
    measured = make_measurements({("penalized", "test_accuracy"): [0.90, 0.91, 0.92]})
    assert evaluate("e", own, h, measured).degenerate is degenerate


def test_a_curve_is_drawn_of_every_metric_that_asks_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    h = make_hypothesis({"e": ACCURACY}, {"d": ("e", {"low": "(-inf, 0.5]", "high": "(0.5, inf)"})}, count=2)
    measured = make_measurements(
        {("penalized", name): [0.5, 0.6] for name in ("test_accuracy", "train_loss", "credit_norm")}
    )
    assert [panel.metric for panel in choose_panels(h, measured)] == ["test_accuracy", "train_loss"]
    monkeypatch.setattr(TrainLoss, "curve", False)
    monkeypatch.setattr(CreditNorm, "curve", True)
    assert [panel[:2] for panel in choose_panels(h, measured)] == [
        ("test_accuracy", "value"),
        ("credit_norm", "median"),
    ]
