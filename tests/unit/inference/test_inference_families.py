"""Several tests at once: Holm and Benjamini–Hochberg against statsmodels, and what a decision tells of them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from harness.inference import holm
from harness.inference.families import benjamini_hochberg
from harness.wording import format_p_equals
from tests.unit.inference.inference_records import decide, make_hypothesis, make_measurements

ONE = {"metric": "test_accuracy", "contrast": "bp_penalty - shallow", "unit": "pp"}
TWO = {"metric": "train_loss", "contrast": "bp_penalty - shallow"}
THREE = {"metric": "train_loss", "contrast": "shallow - penalized"}
HALVES = {"low": "(-inf, 0]", "high": "(0, inf)"}


def test_holm_s_reference_values():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02), abs=1e-15)
    assert holm([]) == () and holm([0.2]) == (0.2,)
    assert holm([1.0, 1.0, 0.5]) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize(("ours", "theirs"), [(holm, "holm"), (benjamini_hochberg, "fdr_bh")])
def test_agreement_with_statsmodels_on_random_p(ours, theirs):
    from statsmodels.stats.multitest import multipletests

    rng = np.random.default_rng(8)
    for _ in range(20):  # statsmodels collects garbage at every call, of the whole test session
        p = rng.uniform(0, rng.choice([1e-6, 0.05, 1.0]), rng.integers(1, 30))
        p[rng.integers(0, len(p), len(p) // 4)] = p[0]  # ties
        np.testing.assert_allclose(ours([float(one) for one in p]), multipletests(p, method=theirs)[1], rtol=1e-12)


def shown(rule, **values):
    h = make_hypothesis(
        {"one": ONE, "two": TWO, "three": THREE},
        {name: (name, HALVES) for name in ("one", "two", "three")},
        combine=rule,
        exploratory={
            "a": ONE,
            "b": TWO,
            "c": {**THREE, "seeds": "median"},
            "d": {"metric": "train_loss", "arm": "shallow"},
            "e": THREE,
        },
    )
    return decide(h, make_measurements(values["values"]))


def data():
    rng = np.random.default_rng(2)
    accuracy, loss = rng.normal(0.3, 0.01, 5), rng.normal(2, 0.1, 5)
    return {
        ("bp_penalty", "test_accuracy"): list(accuracy + rng.normal(0.1, 0.01, 5)),
        ("shallow", "test_accuracy"): list(accuracy),
        ("bp_penalty", "train_loss"): list(loss + rng.normal(0.5, 0.15, 5)),
        ("shallow", "train_loss"): list(loss),
        ("penalized", "train_loss"): list(loss + rng.normal(0, 0.3, 5)),
    }


def test_any_says_by_holm_which_decisions_hold():
    from statsmodels.stats.multitest import multipletests

    holds = {"one": ["high"], "two": ["high"], "three": ["high"]}
    d = shown({"rule": "any", "holds": holds, "outcome": "yes", "otherwise": "no"}, values=data())
    p = [next(atom.p for atom in decision.atoms if atom.outcome == "low") for decision in d.decisions]
    adjusted = multipletests(p, alpha=0.05, method="holm")
    assert list(adjusted[0]) == [True, True, False]  # the data are made so
    assert d.outcome == "yes" and d.p == pytest.approx(min(adjusted[1]))
    assert (
        f"one ({format_p_equals(adjusted[1][0])}) and two ({format_p_equals(adjusted[1][1])}), p after Holm"
        in d.combination
    )
    assert "and three (" not in d.combination


def test_exploratory_contrasts_of_means_have_an_adjusted_p_and_nothing_else_has():
    from statsmodels.stats.multitest import multipletests

    values = data()
    d = shown({"rule": "any", "holds": {"one": ["high"]}, "outcome": "yes", "otherwise": "no"}, values=values)
    assert list(d.exploratory_p) == ["a", "b", "e"]
    differences = {
        "a": np.subtract(values["bp_penalty", "test_accuracy"], values["shallow", "test_accuracy"]),
        "b": np.subtract(values["bp_penalty", "train_loss"], values["shallow", "train_loss"]),
        "e": np.subtract(values["shallow", "train_loss"], values["penalized", "train_loss"]),
    }
    raw = [stats.ttest_1samp(x, 0).pvalue for x in differences.values()]
    adjusted = multipletests(raw, method="fdr_bh")[1]
    for (one, corrected), expected, after in zip(d.exploratory_p.values(), raw, adjusted, strict=True):
        assert one == pytest.approx(expected, rel=1e-6) and corrected == pytest.approx(after, rel=1e-6)


def test_a_degenerate_exploratory_contrast_has_no_p():
    values = data() | {("bp_penalty", "train_loss"): [2.0] * 5, ("shallow", "train_loss"): [1.0] * 5}
    d = shown({"rule": "any", "holds": {"one": ["high"]}, "outcome": "yes", "otherwise": "no"}, values=values)
    assert list(d.exploratory_p) == ["a", "e"]
