"""Values per seed: layer, epoch, summaries, transform, contrast, and what diverged or is not finite."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from harness.inference.estimands import evaluate
from harness.records import Estimand, Measurements
from tests.unit.inference.inference_records import (
    COSINE,
    DIRECTION,
    MARGIN,
    MARGIN_PP,
    cosines,
    decide,
    direction,
    make_hypothesis,
    make_measurements,
    margin,
    margins,
)


def estimate(measurements, estimand, **more):
    hypothesis = make_hypothesis({"e": estimand}, {"d": ("e", DIRECTION)}, **more)
    return evaluate("e", hypothesis.estimands["e"], hypothesis, measurements)


def test_a_contrast_is_paired_by_seed_in_percentage_points():
    a, b = [0.61, 0.58, 0.66, 0.60], [0.31, 0.30, 0.35, 0.29]
    measured = make_measurements({("bp_penalty", "test_accuracy"): a, ("shallow", "test_accuracy"): b})
    result = estimate(measured, MARGIN_PP).result
    assert [v.value for v in result.values] == [30, 28, 31, 31]
    assert result.unit == "pp" and result.n == 4
    assert result.title == "test accuracy, BP with penalty − DFA, blocks frozen, mean over seeds"
    assert result.correlation == pytest.approx(stats.pearsonr(a, b).statistic, rel=1e-12)
    expected = stats.ttest_rel(np.multiply(a, 100), np.multiply(b, 100)).confidence_interval(0.95)
    assert result.interval95 == pytest.approx((expected.low, expected.high), rel=1e-9)


def layered(rows, epochs):
    """One seed's cosines, [epoch][layer]."""
    text = cosines([0.0, 0.0]).model_dump()
    for replica, values in zip(text["replicas"], rows, strict=True):
        replica["metrics"]["credit_cosine"] = {"epochs": epochs, "values": {"mean": values, "std": [], "median": []}}
    return Measurements.model_validate(text)


def test_layer_and_epoch_pick_the_number_and_the_default_is_the_last_epoch():
    measured = layered([[[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]], [[-0.1, -0.2, -0.3], [-0.4, -0.5, -0.6]]], (1, 10))
    assert estimate(measured, COSINE).x.tolist() == [0.6, -0.6]
    assert estimate(measured, {**COSINE, "epoch": 1, "layer": 0}).x.tolist() == [0.1, -0.1]
    assert "layer 0, epoch 1, mean over samples" in estimate(measured, {**COSINE, "epoch": 1, "layer": 0}).result.title


@pytest.mark.parametrize("change", [{"epoch": 7}, {"layer": 9}, {"samples": "median"}])
def test_what_was_not_measured_is_missing_and_never_zero(change):
    sample = estimate(layered([[[1, 2, 3]], [[4, 5, 6]]], (10,)), {**COSINE, **change})
    assert sample.missing == (0, 1) and sample.blocked
    assert "no finite credit_cosine" in sample.result.values[0].note
    assert sample.result.mean is None and sample.result.interval90 is None


def test_log10_is_taken_of_each_replica_before_the_contrast():
    a, b = [1e-3, 1e-5], [1e-6, 1e-6]
    measured = make_measurements({("penalized", "gradient_norm"): a, ("shallow", "gradient_norm"): b})
    e = {
        "metric": "gradient_norm",
        "contrast": "penalized - shallow",
        "layer": 2,
        "samples": "median",
        "transform": "log10",
    }
    result = estimate(measured, e).result
    assert [v.value for v in result.values] == pytest.approx([3, 1])
    assert result.unit == "log10" and result.title.startswith("log10 of BP gradient norm, Penalized DFA − DFA")


def test_no_logarithm_of_zero():
    measured = make_measurements({("penalized", "train_loss"): [1.0, 0.0, 0.1]})
    sample = estimate(measured, {"metric": "train_loss", "arm": "penalized", "transform": "log10"})
    assert sample.missing == (1,) and sample.x.tolist() == [0, -1]
    assert sample.result.values[1].note == "Penalized DFA: 0 has no logarithm"


def test_a_share_on_a_threshold_stays_on_it_in_percentage_points():
    measured = make_measurements({("shallow", "test_accuracy"): [0.07, 0.29, 0.57, 0.58]})
    assert estimate(measured, {"metric": "test_accuracy", "arm": "shallow", "unit": "pp"}).x.tolist() == [7, 29, 57, 58]


@pytest.mark.parametrize(
    ("estimand", "expected"),
    [
        (COSINE, (-1, 1)),
        (MARGIN_PP, (-100, 100)),
        ({"metric": "train_loss", "arm": "a", "transform": "log10"}, (-math.inf, math.inf)),
        ({"metric": "test_accuracy", "arm": "a", "transform": "log10"}, (-math.inf, 0)),
        ({"metric": "train_loss", "contrast": "a - b"}, (-math.inf, math.inf)),
        ({**COSINE, "samples": "std"}, (0, 2)),
    ],
)
def test_the_domain_follows_unit_transform_and_contrast(estimand, expected):
    assert Estimand.model_validate(estimand).domain == expected


# One diverged of ten, under each policy.
TEN = [31.2, 28.9, 33.5, 30.1, 29.4, 31.0, 30.2, 29.9, 32.2, 30.8]


def test_invalid_a_diverged_seed_means_no_outcome():
    d = decide(margin(count=10), margins(TEN, diverged={("shallow", 3): 4}))
    assert d.outcome == "invalid" and "DFA, blocks frozen diverged" in d.summary
    assert d.decisions[0].status == "diverged" and d.decisions[0].outcome == "invalid" and not d.decisions[0].atoms
    assert d.diverged == {"shallow": (3,)} and d.clean_rate_limit is None
    assert d.divergence_rate["shallow"] == pytest.approx((0.1, 0.002528579, 0.445016117), rel=1e-6)


def test_exclude_the_pair_is_dropped_and_counted():
    d = decide(margin(count=10, exclusions={"diverged": "exclude"}), margins(TEN, diverged={("shallow", 3): 4}))
    assert d.outcome == "real" and d.decisions[0].estimand.n == 9
    assert d.decisions[0].estimand.values[3].value is None
    assert d.decisions[0].estimand.mean == pytest.approx(np.mean(TEN[:3] + TEN[4:]))
    assert d.divergence_rate["shallow"][0] == 0.1
    assert any("1 of 10 seeds is left out" in warning for warning in d.warnings)
    assert any("1 of 10 seeds is left out" in step for step in d.decisions[0].steps)


def test_worst_case_the_worst_value_stands_in():
    h = margin(count=10, exclusions={"diverged": "worst_case"})
    value = decide(h, margins(TEN, diverged={("bp_penalty", 3): 4})).decisions[0].estimand.values[3]
    assert value.value == -30 and "worst value, 0" in value.note
    early = h.model_copy(update={"estimands": {"margin": h.estimands["margin"].model_copy(update={"epoch": 1})}})
    value = decide(early, margins(TEN, diverged={("bp_penalty", 3): 4})).decisions[0].estimand.values[3]
    assert value.value == pytest.approx(TEN[3])  # it had not diverged yet


def test_worst_case_without_a_worst_value_is_no_outcome():
    d = decide(direction(exclusions={"diverged": "worst_case"}), cosines([0.01, None, 0.02, 0.0, 0.03]))
    assert d.outcome == "invalid" and d.decisions[0].status == "diverged"


@pytest.mark.parametrize(
    ("policy", "outcome", "n"), [("invalid", "invalid", 9), ("exclude", "real", 9), ("worst_case", "real", 10)]
)
def test_a_value_that_is_not_finite_counts_as_diverged(policy, outcome, n):
    values = [*TEN[:9], None]
    d = decide(margin(count=10, exclusions={"diverged": policy}), margins(values, base=0.6))
    assert d.decisions[0].estimand.n == n and d.clean_rate_limit is None and d.diverged == {"bp_penalty": (9,)}
    assert d.divergence_rate["bp_penalty"] == pytest.approx((0.1, 0.002528579, 0.445016117), rel=1e-6)
    assert "no finite test_accuracy at epoch 10" in d.decisions[0].estimand.values[9].note
    if policy != "worst_case":
        assert d.outcome == outcome


@pytest.mark.parametrize("poison", [math.nan, math.inf, -math.inf, 1e308, -1e308])
@pytest.mark.parametrize("policy", ["invalid", "exclude"])
@pytest.mark.filterwarnings("error")
def test_no_hostile_number_reaches_a_statistic(poison, policy):
    h = direction(exclusions={"diverged": policy})
    clean = cosines([0.01, 0.02, 0.0, 0.03, 0.01])
    series = clean.replicas[1].metrics["credit_cosine"]
    series = series.model_copy(update={"values": {"mean": ((poison,) * 5,) * 2}})  # past the record's own check
    replica = clean.replicas[1].model_copy(update={"metrics": {"credit_cosine": series}})
    measured = clean.model_copy(update={"replicas": (clean.replicas[0], replica, *clean.replicas[2:])})
    d = decide(h, measured)
    assert d.decisions[0].estimand.values[1].value is None
    assert (d.outcome, d.decisions[0].estimand.n) == (("confirmed", 4) if policy == "exclude" else ("invalid", 4))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("scale", [1e150, 1e-150, 5e-324])
def test_extreme_numbers_give_a_finite_record(scale):
    h = make_hypothesis(
        {"e": {"metric": "train_loss", "arm": "penalized"}}, {"d": ("e", {"low": "(-inf, 1)", "high": "[1, inf)"})}
    )
    d = decide(h, make_measurements({("penalized", "train_loss"): [v * scale for v in (0.1, 0.5, 0.3, 0.9, 0.2)]}))
    d.to_json()
    assert d.outcome in ("low", "high", "inconclusive")


def test_a_diverged_seed_of_an_arm_that_nothing_uses_changes_nothing():
    measured = make_measurements(
        {("penalized", "credit_cosine"): [0.01, 0.0, 0.02, 0.01, 0.0], ("shallow", "credit_cosine"): [0.1] * 5},
        diverged={("shallow", 0): 1},
    )
    d = decide(direction(exploratory={"x": {**COSINE, "arm": "shallow"}}), measured)
    assert d.outcome == "confirmed" and d.diverged == {"shallow": (0,)}
    assert d.exploratory[0].n == 4 and d.exploratory[0].interval95 is None


def test_a_replica_that_is_not_there_is_missing():
    measured = cosines([0.01, 0.02, 0.0, 0.03, 0.01])
    d = decide(direction(), measured.model_copy(update={"replicas": measured.replicas[1:]}))
    assert d.outcome == "invalid" and "was not measured" in d.decisions[0].estimand.values[0].note


def test_clean_seeds_leave_a_failure_rate_open():
    assert decide(margin(count=10), margins(TEN)).clean_rate_limit == pytest.approx(0.2588656, rel=1e-6)


def test_margin_bands_are_those_of_the_example():
    assert decide(margin(), margins(TEN[:5])).decisions[0].bands == MARGIN
