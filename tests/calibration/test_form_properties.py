"""What must not change an estimand's values does not, whatever its form: names and order of arms, layers, units."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.records import Estimand
from tests.calibration.evaluated import evaluate_readings
from tests.calibration.pairings import ARMS, FORMS, LAYERS, Form

SEEDS = 4
BY_FORM = pytest.mark.parametrize("form", FORMS, ids=lambda form: form.words)


def drawn(form: Form, key: int) -> tuple[np.ndarray, np.ndarray]:
    """Readings of one data set, [seed, arm, epoch, layer] and [seed, arm, epoch]."""
    found = form.draw(8, SEEDS)
    return found.series[key], found.loss[key]


def renamed(estimand: Estimand, names: dict[str, str], order: list[int]) -> Estimand:
    """The same estimand about arms of other names, in another order."""
    weights = [(names[arm], weight) for arm, weight in estimand.weights.items()]
    plain: dict[str, Any] = estimand.model_dump(exclude={"contrast", "ratio", "trend"}, exclude_none=True)
    plain["metric"] = estimand.metric.name
    if estimand.trend is not None:
        places = [(names[arm], value) for arm, value in estimand.trend.arms.items()]
        kept = estimand.trend.model_dump() | {"arms": dict(places[place] for place in order)}
        return Estimand.model_validate(plain | {"trend": kept})
    return Estimand.model_validate(plain | {estimand.comparison: dict(weights[place] for place in order)})


@BY_FORM
@settings(max_examples=8, deadline=None)
@given(key=st.integers(0, 7), names=st.permutations([*ARMS]), data=st.data())
def test_names_and_order_of_the_arms_change_nothing(form: Form, key: int, names: list[str], data: Any) -> None:
    series, loss = drawn(form, key)
    estimand = form.estimand()
    other = renamed(
        estimand, dict(zip(ARMS, names, strict=True)), data.draw(st.permutations(range(len(estimand.arms))))
    )
    column = {arm: names[ARMS.index(arm)] for arm in estimand.arms}
    order = [list(column.values()).index(arm) for arm in other.arms]
    here = evaluate_readings(estimand, series, loss).x
    there = evaluate_readings(other, series[:, order], loss[:, order]).x
    assert there == pytest.approx(here, rel=1e-12, abs=1e-12)


@BY_FORM
@settings(max_examples=8, deadline=None)
@given(key=st.integers(0, 7), power=st.integers(-20, 20))
def test_another_unit_of_the_metric_rescales_values_or_cancels(form: Form, key: int, power: int) -> None:
    """Of logarithms it cancels, because weights sum to zero; and it moves no chosen epoch."""
    series, loss = drawn(form, key)
    estimand = form.estimand()
    here = evaluate_readings(estimand, series, loss).x
    there = evaluate_readings(estimand, series * 2.0**power, loss).x
    expected = here if estimand.in_logs else here * 2.0**power
    assert there == pytest.approx(expected, rel=1e-9, abs=1e-9 * max(1.0, 2.0**power))


@BY_FORM
@settings(max_examples=8, deadline=None)
@given(key=st.integers(0, 7), shift=st.floats(0.0, 1000.0))
def test_what_all_arms_share_cancels(form: Form, key: int, shift: float) -> None:
    """Added to every reading, or as a factor of every reading whose logarithm is compared."""
    series, loss = drawn(form, key)
    estimand = form.estimand()
    moved = series * (1 + shift) if estimand.in_logs else series + shift
    here, there = (evaluate_readings(estimand, one, loss).x for one in (series, moved))
    assert there == pytest.approx(here, rel=1e-9, abs=1e-8)


@pytest.mark.parametrize("form", [form for form in FORMS if "layers" in form.says], ids=lambda form: form.words)
@settings(max_examples=8, deadline=None)
@given(key=st.integers(0, 7), layers=st.permutations(LAYERS.tolist()))
def test_the_order_of_layers_in_the_file_changes_nothing(form: Form, key: int, layers: list[int]) -> None:
    series, loss = drawn(form, key)
    here, there = (
        evaluate_readings(one, series, loss).x
        for one in (form.estimand(), Estimand.model_validate(form.estimand().model_dump() | {"layer": layers}))
    )
    assert there.tolist() == here.tolist()


@pytest.mark.parametrize("form", [form for form in FORMS if "layers" in form.says], ids=lambda form: form.words)
@settings(max_examples=8, deadline=None)
@given(key=st.integers(0, 7), order=st.permutations(LAYERS.tolist()))
def test_permuted_layers_change_a_slope_and_nothing_else(form: Form, key: int, order: list[int]) -> None:
    series, loss = drawn(form, key)
    here, there = (evaluate_readings(form.estimand(), one, loss).x for one in (series, series[..., order]))
    alike = there == pytest.approx(here, rel=1e-9, abs=1e-9)
    assert alike or (form.says["layers"] == "slope" and order != LAYERS.tolist())
