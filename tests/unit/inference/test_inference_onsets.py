"""Onsets: ordered values that lie between two evaluations or never come, and tests that never depend on where."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness import inference
from harness.criteria.median import Median
from harness.criteria.wilcoxon import Wilcoxon
from harness.domain.partition import split_line
from harness.inference.atoms import run_atom_tests
from harness.inference.estimands import evaluate
from harness.inference.guards import judge_guard
from harness.inference.onsets import FAR, find_onset
from harness.inference.readings import Cell
from harness.records import Estimand, EstimandResult, Flaw, Guard
from harness.records.readings import Onset
from tests.unit.inference.inference_records import decide, make_hypothesis, make_measurements, spec_of

EPOCHS = (1, 5, 10)
LATE = {"early": "(-inf, 4.5]", "late": "(4.5, inf)"}
DELAY = {"sooner": "(-inf, -0.5)", "alike": "[-0.5, 0.5]", "later": "(0.5, inf)"}
LOSS = {"metric": "train_loss", "onset": {"below": 1.0}, "seeds": "median"}
ONE_ARM = Estimand.model_validate(LOSS | {"arm": "penalized"})
TWO_ARMS = Estimand.model_validate(LOSS | {"contrast": "penalized - shallow"})
CURVES = {"at once": (0.5, 0.4, 0.3), "at 5": (2.0, 0.5, 0.3), "at 10": (2.0, 1.5, 0.9), "never": (3.0, 2.0, 1.0)}
"""What a training loss may do until it falls below 1: the last curve only touches it."""


def measured(**curves):
    """``curves``: arm → names of curves, one per seed."""
    values = {(arm, "train_loss"): [0.0] * len(names) for arm, names in curves.items()}
    made = make_measurements(values, epochs=EPOCHS)
    replicas = []
    for result in made.replicas:
        curve = CURVES[curves[result.arm][result.seed_index]]
        series = result.metrics["train_loss"].model_copy(update={"values": {"value": tuple((v,) for v in curve)}})
        replicas.append(result.model_copy(update={"metrics": {"train_loss": series}}))
    return made.model_copy(update={"replicas": tuple(replicas)})


def about(estimand, bands, *, criterion="median", count=5, **more):
    hypothesis = make_hypothesis({"e": estimand}, {"e": ("e", bands)}, count=count, **more)
    spec = hypothesis.decisions["e"]
    named = {"median": Median(name="median"), "wilcoxon": Wilcoxon(name="wilcoxon")}[criterion]
    return hypothesis.model_copy(update={"decisions": {"e": spec.model_copy(update={"criterion": named})}})


def cells(*values):
    return [Cell(None, Flaw(problem="gone")) if v is None else Cell(v, None) for v in values]


@pytest.mark.parametrize(
    ("onset", "curve", "expected"),
    [
        ({"below": 1}, (0.5, 2, 2, 2), (1, 1, 1)),
        ({"below": 1}, (2, 0.5, 2, 2), (5, 2, 5)),
        ({"below": 1}, (2, 1, 1, 0.5), (15, 11, 15)),
        ({"below": 1}, (2, 1, 1, 1), (math.inf, 16, math.inf)),
        ({"below": 1, "evaluations": 2}, (0.5, 2, 0.5, 0.5), (10, 6, 10)),
        ({"below": 1, "evaluations": 2}, (2, 2, 2, 2), (math.inf, 16, math.inf)),
        ({"below": 1, "evaluations": 2}, (2, 2, 2, 0.5), (math.inf, 11, math.inf)),  # the onset may be in 11 to 15
        ({"below": 1, "evaluations": 3}, (2, 2, 0.5, 0.5), (math.inf, 6, math.inf)),
        ({"below": 1, "evaluations": 5}, (0.5, 0.5, 0.5, 0.5), (math.inf, 1, math.inf)),
        ({"below": 1, "evaluations": 4}, (0.5, 0.5, 0.5, 0.5), (1, 1, 1)),
        ({"above": 1}, (1, 1.5, 1, 1), (5, 2, 5)),
    ],
    ids=str,
)
def test_an_onset_by_hand(onset, curve, expected):
    found = find_onset(Onset.model_validate(onset), (1, 5, 10, 15), cells(*curve))
    assert (found.value, found.lower, found.upper) == expected
    assert found.flaw is None


def test_what_may_have_been_the_onset_is_not_skipped():
    onset = Onset(below=1, evaluations=2)
    assert find_onset(onset, (1, 5, 10, 15), cells(2, None, 0.5, 0.5)).flaw is not None
    assert find_onset(onset, (1, 5, 10, 15), cells(0.5, 0.5, None, None)).value == 1


def result_of(estimand, measurements, bands=LATE, **more):
    record = Estimand.model_validate(LOSS | estimand)
    return evaluate("e", record, about(record, bands, **more), measurements)


def test_one_arm():
    sample = result_of({"arm": "penalized"}, measured(penalized=["at 10", "at once", "never", "at 5", "never"]))
    seeds = [(seed.value, seed.between) for seed in sample.result.values]
    never = (math.inf, (11, math.inf))
    assert seeds == [(10, (6, 10)), (1, None), never, (5, (2, 5)), never]
    assert sample.result.median == 10
    assert sample.result.between == (6, 10)
    assert (sample.result.mean, sample.result.sd, sample.result.interval90) == (None, None, None)
    assert sample.result.unit == "epochs"
    assert sample.result.title == "first epoch with training loss below 1, Penalized DFA, median over seeds"
    assert sample.x.max() == FAR and sample.data.tolist() == [6, 1, 11, 2, 11]


def test_a_median_among_those_that_never_come_is_never():
    result = result_of({"arm": "penalized"}, measured(penalized=["at 10", "never", "never", "never"])).result
    assert result.median == math.inf and result.between == (11, math.inf)


@pytest.mark.parametrize("curves", [
    ["at 10", "at once", "never", "at 5", "never", "at 5", "at 10"],
    ["never", "never", "never", "at 5", "at once"],
    ["at 10", "at 10", "never"],
])  # fmt: skip
def test_the_median_is_that_of_kaplan_and_meier(curves):
    """All replicas are followed for as long, so that nothing is lost: SciPy's curve crosses one half at the median."""
    found = result_of({"arm": "penalized"}, measured(penalized=curves), count=len(curves)).result.median
    epochs = {"at once": 1, "at 5": 5, "at 10": 10}
    known = [epochs[name] for name in curves if name != "never"]
    survival = stats.ecdf(stats.CensoredData(uncensored=known, right=[10] * curves.count("never"))).sf
    crossed = survival.quantiles[survival.probabilities <= 0.5]
    assert found == (crossed[0] if len(crossed) else math.inf)


def test_two_arms():
    first = ["at 10", "never", "at 5", "never", "at once"]
    second = ["at 5", "at 10", "never", "never", "at once"]
    sample = result_of({"contrast": "penalized - shallow"}, measured(penalized=first, shallow=second), DELAY)
    assert [seed.value for seed in sample.result.values] == [5, math.inf, -math.inf, 0, 0]
    expected = [(1, 8), (1, math.inf), (-math.inf, -6), (-math.inf, math.inf), None]
    assert [seed.between for seed in sample.result.values] == expected
    assert sample.result.median == 0 and sample.result.never == ("second arm never", "first arm never")
    assert sample.result.between == (0, 8)


def test_two_that_never_come_speak_for_no_band():
    made = measured(penalized=["never"] * 8, shallow=["never"] * 8)
    hypothesis = about(TWO_ARMS, DELAY, count=8)
    decision = decide(hypothesis, made)
    assert decision.outcome == "inconclusive"
    assert [test.p for test in decision.decisions[0].atoms] == [1.0, 1.0, 1.0]
    assert any("8 of 8 seeds neither arm ever comes to it" in warning for warning in decision.warnings)


def test_all_seeds_alike_are_tested():
    """Onsets on a grid are often equal, which no exact test of ordered values minds."""
    decision = inference.decide(about(ONE_ARM, LATE), measured(penalized=["at 10"] * 5))
    assert decision.outcome == "late" and decision.p == pytest.approx(0.5**5)
    decision = inference.decide(about(ONE_ARM, LATE), measured(penalized=["at 5"] * 5))
    assert decision.outcome == "inconclusive"  # 2 to 5, which may lie on either side of 4.5


def test_the_records_are_strict_json_and_read_back():
    sample = result_of(
        {"contrast": "penalized - shallow"}, measured(penalized=["never", "at 5"], shallow=["at 5", "never"]), DELAY
    )

    def refuse(name):
        raise AssertionError(name)

    text = sample.result.to_json()
    plain = json.loads(text, parse_constant=refuse)
    assert [seed["value"] for seed in plain["values"]] == ["inf", "-inf"]
    assert EstimandResult.model_validate_json(text).values == sample.result.values


def test_a_value_that_is_not_infinite_stays_as_it_was_written():
    result = EstimandResult(
        name="e", title="e", unit="", values=(), n=1, mean=1, median=1, sd=None, interval90=None, interval95=None
    )
    assert not {"between", "never", "pseudomedian"} & json.loads(result.to_json()).keys()


def test_a_diverged_seed_has_no_onset():
    made = measured(penalized=["at 5"] * 6)
    replicas = (made.replicas[0].model_copy(update={"status": "diverged", "diverged_epoch": 8}), *made.replicas[1:])
    made = made.model_copy(update={"replicas": replicas})
    sample = result_of({"arm": "penalized"}, made, exclusions={"diverged": "exclude"})
    assert sample.result.n == 5 and sample.result.values[0].note == "Penalized DFA: diverged in epoch 8"
    assert inference.decide(about(ONE_ARM, LATE, count=6), made).outcome == "invalid"


@pytest.mark.parametrize(
    ("curves", "guard", "status"),
    [
        (["at 10"] * 6, {"above": 5}, "verified"),
        (["at 5"] * 6, {"above": 5}, "violated"),
        (["at 5"] * 6, {"above": 3}, "unverified"),
        (["never"] * 6, {"above": 10}, "verified"),
        (["at once"] * 6, {"below": 1}, "violated"),
        (["at once"] * 6, {"below": 2}, "verified"),
    ],
    ids=str,
)
def test_guards_count_what_is_certain(curves, guard, status):
    sample = result_of({"arm": "penalized"}, measured(penalized=curves))
    guard = Guard.model_validate({"estimand": "e", "otherwise": "No."} | guard)
    assert judge_guard("g", guard, sample, ONE_ARM).status == status


@st.composite
def censored(draw: st.DrawFn):
    """Seeds' least and greatest differences, and some values between them that may be the true ones."""
    n = draw(st.integers(5, 12))
    low, high, true = [], [], []
    for _ in range(n):
        middle = draw(st.integers(-40, 40))
        low.append(-FAR if draw(st.integers(0, 5)) == 0 else middle - draw(st.integers(0, 8)))
        high.append(FAR if draw(st.integers(0, 5)) == 0 else middle + draw(st.integers(0, 8)))
        true.append(float(draw(st.integers(int(max(low[-1], -60)), int(min(high[-1], 60))))))
    return np.array(low, float), np.array(high, float), np.array(true)


@given(censored(), st.sampled_from([Median(name="median"), Wilcoxon(name="wilcoxon")]), st.integers(-10, 10))
def test_no_possible_value_gives_a_larger_p_than_the_reported_one(data, criterion, cut):
    low, high, true = data
    bands = {"below": f"(-inf, {cut - 5})", "between": f"[{cut - 5}, {cut + 5}]", "above": f"({cut + 5}, inf)"}
    atoms = split_line(spec_of(bands, criterion=criterion).bands)
    reported = run_atom_tests(atoms, low, criterion, 0.05, high)
    if not np.ptp(true):
        true = true + np.linspace(0, 1e-6, len(true))
    known = run_atom_tests(atoms, true, criterion, 0.05)
    for ours, theirs in zip(reported, known, strict=True):
        assert ours.p >= theirs.p - 1e-12


def test_the_sign_test_is_scipys():
    made = measured(penalized=["at 10", "never", "at 10", "at 5", "never", "at 10", "never"])
    decision = inference.decide(about(ONE_ARM, LATE, count=7), made)
    low, high = decision.decisions[0].atoms
    certain = 6  # all but the one between 2 and 5
    assert low.p == pytest.approx(stats.binomtest(certain, 7, 0.5, alternative="greater").pvalue)
    assert high.p == 1.0 or high.p == pytest.approx(stats.binomtest(0, 7, 0.5, alternative="greater").pvalue)


def test_the_interval_of_the_median_is_that_of_order_statistics():
    """With 8 seeds the 2nd to the 7th value cover the median with probability 1 − 2·9/256 = .93, by hand."""
    curves = ["at once", "at once", "at 5", "at 5", "at 5", "at 10", "never", "never"]
    hypothesis = about(ONE_ARM, LATE, count=8)
    part = inference.decide(hypothesis, measured(penalized=curves)).decisions[0]
    assert part.interval_level == pytest.approx(0.9)
    assert stats.binom.cdf(1, 8, 0.5) == pytest.approx(9 / 256) and 9 / 256 <= 0.05 < stats.binom.cdf(2, 8, 0.5)
    assert part.interval == (1, math.inf)  # the 2nd least and the 7th greatest possible
    shorter = [*curves[:6], "at 10", "at 10"]
    assert inference.decide(hypothesis, measured(penalized=shorter)).decisions[0].interval == (1, 10)


def test_signed_ranks_are_scipys_where_the_epochs_are_known():
    """Differences without ties and evaluations at every epoch: the exact test of Wilcoxon."""
    d = np.array([3.0, -1.0, 4.0, 7.0, 2.0, 9.0, -5.0, 6.0])
    criterion = Wilcoxon(name="wilcoxon")
    atoms = split_line(spec_of({"no": "(-inf, 0]", "yes": "(0, inf)"}, criterion=criterion).bands)
    ours = run_atom_tests(atoms, d, criterion, 0.05, d)
    assert ours[0].p == pytest.approx(stats.wilcoxon(d, alternative="greater", method="exact").pvalue)
    assert ours[1].p == pytest.approx(stats.wilcoxon(d, alternative="less", method="exact").pvalue)


def test_signed_ranks_with_never_are_those_of_the_largest_ranks():
    """Never in the second arm alone counts as further below than every epoch, whatever stands in for it."""
    d = np.array([3.0, 1.0, 4.0, 7.0, 2.0, 9.0, 5.0])
    criterion = Wilcoxon(name="wilcoxon")
    for far in (FAR, 100.0):
        assert criterion.p_greater(np.append(d, -far), 0.0) == criterion.p_greater(np.append(d, -10.0), 0.0)
    assert criterion.p_greater(np.append(d, -10.0), 0.0) == pytest.approx(
        stats.wilcoxon(np.append(d, -10.0), alternative="greater", method="exact").pvalue
    )


def test_other_criteria_cannot_apply():
    hypothesis = about(TWO_ARMS, DELAY, count=8)
    made = measured(penalized=["at 10"] * 8, shallow=["at once"] * 8)
    found = {
        one.criterion: one for one in inference.judge_alternatives(hypothesis, made, inference.list_criteria(), ())
    }
    assert found["wilcoxon"].outcome == found["as registered"].outcome == "later"
    for name in ("t", "bca", "sign_flip", "t_sequence", "welch"):
        assert found[name].outcome is None and "onsets have a median and no mean" in found[name].reason


def test_a_repetition_of_onsets_is_compared_by_medians():
    """With few seeds a median may come anywhere; with many it stays among the middle ones."""
    for seeds, told in ((8, 0), (40, 1)):
        hypothesis = about(ONE_ARM, {"early": "(-inf, 0.5]", "late": "(0.5, inf)"}, count=seeds)
        before, again = (inference.decide(hypothesis, measured(penalized=[name] * seeds)) for name in ("at 5", "never"))
        assert inference.list_disagreements(before, before, 0.99) == ()
        found = inference.list_disagreements(before, again, 0.99)
        assert found == ("e: the median moved from 5 to never, out of 2 to 5",) * told


@given(
    st.lists(st.tuples(st.sampled_from([*CURVES]), st.sampled_from([*CURVES])), min_size=6, max_size=9),
    st.sampled_from(["median", "wilcoxon"]),
)
def test_the_arms_the_other_way_round_give_the_mirrored_decision(pairs, criterion):
    first, second = ([pair[side] for pair in pairs] for side in (0, 1))
    made = measured(penalized=first, shallow=second)
    seeds = {"median": "median", "wilcoxon": "pseudomedian"}[criterion]
    mirrored = {"sooner": "(0.5, inf)", "alike": "[-0.5, 0.5]", "later": "(-inf, -0.5)"}
    outcomes = []
    for contrast, bands in (("penalized - shallow", DELAY), ("shallow - penalized", mirrored)):
        estimand = Estimand.model_validate(LOSS | {"contrast": contrast, "seeds": seeds})
        decision = inference.decide(about(estimand, bands, criterion=criterion, count=len(pairs)), made)
        outcomes.append((decision.outcome, decision.p, sorted(test.p for test in decision.decisions[0].atoms)))
    assert outcomes[0] == outcomes[1]


@given(st.lists(st.sampled_from([*CURVES]), min_size=5, max_size=9), st.floats(0.01, 100))
def test_rescaling_the_metric_and_its_threshold_together_changes_no_onset(names, factor):
    made = measured(penalized=names)
    replicas = []
    for result in made.replicas:
        series = result.metrics["train_loss"]
        rows = tuple(tuple(factor * value for value in row) for row in series.values["value"])
        scaled = {"train_loss": series.model_copy(update={"values": {"value": rows}})}
        replicas.append(result.model_copy(update={"metrics": scaled}))
    scaled_up = made.model_copy(update={"replicas": tuple(replicas)})
    plain = result_of({"arm": "penalized"}, made).result
    again = result_of({"arm": "penalized", "onset": {"below": factor}}, scaled_up).result
    assert again.values == plain.values
