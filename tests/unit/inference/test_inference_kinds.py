"""Estimands of every kind through whole decisions: absolute after averaging, unpaired arms, the pseudomedian."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy import stats

from harness.criteria.welch import Welch
from harness.criteria.wilcoxon import Wilcoxon
from harness.records import Hypothesis
from tests.unit.inference.inference_records import (
    COSINE,
    DIRECTION,
    cosines,
    decide,
    make_hypothesis,
    make_measurements,
)

ABSOLUTE = {"confirmed": "[0, 0.05)", "partial": "[0.05, 0.20)", "rejected": "[0.20, inf)"}
SIGNED = [0.3, -0.3, 0.31, -0.29, 0.3, -0.31, 0.28, -0.3, 0.3, -0.29]


def test_bands_on_an_absolute_value_are_symmetric_bands_on_the_signed_mean():
    plain = make_hypothesis({"e": COSINE}, {"d": ("e", DIRECTION)})
    absolute = make_hypothesis({"e": {**COSINE, "transform": "absolute_after"}}, {"d": ("e", ABSOLUTE)})
    assert {k: str(b) for k, b in absolute.decisions["d"].bands.items()} == DIRECTION_TEXT
    for values in ([0.012, -0.008, 0.021, 0.004, -0.015], [-0.11, -0.13, -0.09, -0.12, -0.10], [0.3, 0.31, 0.32]):
        one, other = decide(plain, cosines(values)), decide(absolute, cosines(values))
        assert (one.outcome, one.p) == (other.outcome, other.p)
        assert one.decisions[0].estimand.mean == other.decisions[0].estimand.mean  # signed


DIRECTION_TEXT = {
    "confirmed": "(-0.05, 0.05)",
    "partial": "(-0.2, -0.05] | [0.05, 0.2)",
    "rejected": "(-inf, -0.2] | [0.2, inf)",
}


def test_absolute_values_are_never_averaged():
    """Ten seeds of size 0.3 and either sign: the mean of sizes is 0.3, the size of the mean is nil."""
    absolute = make_hypothesis({"e": {**COSINE, "transform": "absolute_after"}}, {"d": ("e", ABSOLUTE)}, count=10)
    decision = decide(absolute, cosines(SIGNED)).decisions[0]
    assert abs(decision.estimand.mean) < 0.05 and decision.outcome == "inconclusive"
    assert "confirmed" in decision.alive


def test_a_hypothesis_read_again_from_its_canonical_form_is_the_same():
    absolute = make_hypothesis({"e": {**COSINE, "transform": "absolute_after"}}, {"d": ("e", ABSOLUTE)})
    assert Hypothesis.model_validate(json.loads(absolute.to_json())) == absolute


def contrasted(criterion, a, b, *, policy="invalid", **estimand):
    h = make_hypothesis(
        {"e": {"metric": "test_accuracy", "contrast": "penalized - shallow", "unit": "pp", **estimand}},
        {"d": ("e", {"up": "(0, inf)", "down": "(-inf, 0]"})},
        count=len(a),
        exclusions={"diverged": policy},
    )
    spec = h.decisions["d"].model_copy(update={"criterion": criterion})
    measured = make_measurements({("penalized", "test_accuracy"): a, ("shallow", "test_accuracy"): b}, n=len(a))
    return decide(h.model_copy(update={"decisions": {"d": spec}}), measured)


A, B = [0.61, 0.58, 0.66, 0.60, 0.63], [0.55, 0.59, 0.51, 0.60, 0.57]


def test_unpaired_arms_are_compared_by_welch():
    decision = contrasted(Welch(name="welch"), A, B, pairing="unpaired").decisions[0]
    expected = stats.ttest_ind(np.multiply(A, 100), np.multiply(B, 100), equal_var=False, alternative="greater")
    assert decision.p == pytest.approx(expected.pvalue, rel=1e-9)
    assert decision.estimand.mean == pytest.approx(100 * (np.mean(A) - np.mean(B)))
    assert decision.estimand.sd == pytest.approx(100 * math.hypot(np.std(A, ddof=1), np.std(B, ddof=1)))
    wide = stats.ttest_ind(np.multiply(A, 100), np.multiply(B, 100), equal_var=False).confidence_interval(0.95)
    assert decision.estimand.interval95 == pytest.approx((wide.low, wide.high), rel=1e-9)
    assert decision.estimand.title.endswith("mean over seeds, unpaired") and decision.estimand.correlation is None


def test_a_diverged_seed_of_unpaired_arms_is_left_out_of_both():
    decision = contrasted(Welch(name="welch"), [*A, None], [*B, 0.9], pairing="unpaired", policy="exclude").decisions[0]
    whole = contrasted(Welch(name="welch"), A, B, pairing="unpaired").decisions[0]
    assert decision.estimand.n == 5 and decision.p == whole.p


def test_a_guard_on_unpaired_arms_is_welchs_too():
    h = make_hypothesis(
        {"e": {"metric": "test_accuracy", "contrast": "penalized - shallow", "pairing": "unpaired"}},
        {"d": ("e", {"up": "(0, inf)", "down": "(-inf, 0]"})},
        guards={"g": {"estimand": "e", "above": -0.5, "otherwise": "o"}},
    )
    spec = h.decisions["d"].model_copy(update={"criterion": Welch(name="welch")})
    measured = make_measurements({("penalized", "test_accuracy"): A, ("shallow", "test_accuracy"): B})
    guard = decide(h.model_copy(update={"decisions": {"d": spec}}), measured).guards[0]
    expected = stats.ttest_ind(np.add(A, 0.5), B, equal_var=False, alternative="greater").pvalue
    assert (
        guard.test == "Welch's t test" and guard.status == "verified" and guard.p == pytest.approx(expected, rel=1e-9)
    )


def test_the_pseudomedian_is_estimated_and_written_only_where_it_is_asked_for():
    a = [0.61, 0.58, 0.66, 0.60, 0.63, 0.7]
    b = [0.55, 0.59, 0.51, 0.59, 0.57, 0.2]
    decision = contrasted(Wilcoxon(name="wilcoxon"), a, b, seeds="pseudomedian")
    part = decision.decisions[0]
    d = np.subtract(a, b) * 100
    walsh = [(d[i] + d[j]) / 2 for i in range(6) for j in range(i, 6)]
    assert part.estimand.pseudomedian == pytest.approx(np.median(walsh))
    assert part.p == pytest.approx(stats.wilcoxon(d, alternative="greater", method="exact").pvalue)
    assert f"{part.estimand.pseudomedian:.1f} pp" in part.steps[0]
    plain = decide(make_hypothesis({"e": COSINE}, {"d": ("e", DIRECTION)}), cosines([0.01, 0.02, 0.0]))
    assert (
        "pseudomedian" not in plain.to_json()
        and "pairing" not in make_hypothesis({"e": COSINE}, {"d": ("e", DIRECTION)}).to_json()
    )
