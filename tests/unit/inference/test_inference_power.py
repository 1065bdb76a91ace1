from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy import stats

from harness.criteria.t import T
from harness.domain.partition import split_line
from harness.inference import Truth, bound_prediction_chance, power
from harness.inference.chances import ExactT
from harness.inference.prediction import find_level, find_requirements
from harness.inference.regions import find_regions
from harness.inference.seeds import compute_sd_limits
from harness.plugins.registry import find_members
from harness.records import PowerReport
from tests.unit.inference.inference_records import (
    COSINE,
    DIRECTION,
    MARGIN,
    MARGIN_PP,
    REFERENCE,
    direction,
    make_hypothesis,
    margin,
    spread,
)

TWO = {"a": ("margin", MARGIN), "b": ("direction", DIRECTION)}
ESTIMANDS = {"margin": MARGIN_PP, "direction": COSINE}
HOLDS = {"holds": {"a": ["real"], "b": ["confirmed"]}, "outcome": "yes", "otherwise": "no"}


def both(combine, predicted):
    return make_hypothesis(ESTIMANDS, TWO, count=10, combine=combine, prediction={"outcome": predicted, "why": "w"})


@pytest.mark.parametrize(
    ("combine", "predicted", "bands", "one"),
    [
        ({"rule": "all", **HOLDS}, "yes", {"a": {"real"}, "b": {"confirmed"}}, False),
        ({"rule": "all", **HOLDS}, "no", {"a": {"artifact", "partial"}, "b": {"partial", "rejected"}}, True),
        ({"rule": "any", **HOLDS}, "yes", {"a": {"real"}, "b": {"confirmed"}}, True),
        ({"rule": "any", **HOLDS}, "no", {"a": {"artifact", "partial"}, "b": {"partial", "rejected"}}, False),
        ({"rule": "any", **HOLDS}, "inconclusive", {}, False),
    ],
)
def test_what_a_combination_asks_of_each_decision(combine, predicted, bands, one):
    h = both(combine, predicted)
    found = find_requirements(h)
    assert (dict(found.bands), found.one) == (bands, one)
    assert find_level(h, "a") == pytest.approx(0.025 if one else 0.05)


TABLE = {
    "rule": "table",
    "table": [
        {"when": {"a": "real", "b": "confirmed"}, "outcome": "yes"},
        {"when": {"b": "rejected"}, "outcome": "no"},
        {"when": {}, "outcome": "mixed"},
    ],
}


@pytest.mark.parametrize(
    ("predicted", "bands"),
    [("yes", {"a": {"real"}, "b": {"confirmed"}}), ("no", {"b": {"rejected"}}), ("mixed", {})],
)
def test_what_a_table_asks_of_each_decision(predicted, bands):
    h = both(TABLE, predicted)
    assert dict(find_requirements(h).bands) == bands
    assert find_level(h, "b") == 0.025


def test_planned_looks_share_the_level():
    assert find_level(direction(count=10, stopping={"kind": "looks", "at": [5, 10]}), "direction") == 0.025


def test_an_earlier_look_can_decide_too_so_no_chance_at_the_last_one_is_a_bound():
    h = direction(count=10, stopping={"kind": "looks", "at": [5, 10]})
    assert bound_prediction_chance(h, {"direction": spread(0.03)})[1] > 0.95
    assert bound_prediction_chance(h, {"direction": spread(0.09)})[1] < 0.2
    report = power(h, {"direction": spread(0.03)})
    assert report.notes[1:] == ("Planned looks share α.",)
    (part,) = report.decisions
    assert part.looks == part.numbers == (5, 10) and part.draws == 10_000
    assert part.by_number[1][0] < part.by_number[1][1] == part.prediction[0].chances[1]
    assert (
        len(part.seeds_trained) == len(part.landmarks) and 5 <= min(part.seeds_trained) < max(part.seeds_trained) <= 10
    )
    assert part.seeds_trained[part.landmarks.index(0.0)] == pytest.approx(10 - 5 * part.by_number[1][0], abs=0.1)
    assert part.prediction[0].seeds == (5, 10, None)  # the look by which it is 80%, for each sd


def test_with_several_decisions_only_the_last_look_is_told_and_that_is_said():
    h = both({"rule": "all", **HOLDS}, "yes").model_copy(
        update={"stopping": direction(count=10, stopping={"kind": "looks", "at": [5, 10]}).stopping}
    )
    report = power(h, {"a": spread(1.0), "b": spread(0.03)})
    assert all(part.looks == () and part.seeds_trained == () for part in report.decisions)
    assert "an earlier look can end the run is not counted in" in report.notes[2]


def test_of_many_looks_some_are_shown():
    h = direction(count=40, stopping={"kind": "anytime"})
    plain = h.model_dump(mode="json")
    plain["decisions"]["direction"]["criterion"] = {"name": "t_sequence"}
    (part,) = power(type(h).model_validate(plain), {"direction": spread(0.03)}).decisions
    assert len(part.looks) == 39 and len(part.numbers) == 8
    assert (part.numbers[0], part.numbers[-1]) == (2, 40) and set(part.numbers) < set(part.looks)


GUARD = {"healthy": {"estimand": "reference", "above": 1e-7, "otherwise": "At the floor."}}


def guarded(**more):
    return make_hypothesis(
        {"direction": COSINE, "reference": REFERENCE},
        {"direction": ("direction", DIRECTION)},
        guards=GUARD,
        count=10,
        **more,
    )


def test_guards_nothing_is_known_of_are_named():
    report = power(guarded(), {"direction": spread(0.03)})
    assert report.guards == () and "needs every guard verified" in report.notes[1]
    assert "not taken into account for healthy" in report.notes[2]
    assert power(direction(count=10), {"direction": spread(0.03)}).notes[1:] == ()


def test_chances_of_a_guard_are_those_of_its_test():
    """Exact sign test of 10 seeds: 9 must hold, at .05 (p = .0107) and at .05/3."""
    truth = Truth(2e-7, 1e-7, "assumed")  # one sd above: a seed holds with Φ(1)
    report = power(guarded(), {"direction": spread(0.03)}, (), {"healthy": truth})
    (guard,) = report.guards
    p = float(stats.norm.cdf(1))
    assert guard.verified == pytest.approx(stats.binom.sf(8, 10, p), abs=1e-6)
    assert guard.violated == pytest.approx(stats.binom.sf(8, 10, 1 - p), abs=1e-6)
    chance = report.decisions[0].prediction[0].chances[1]
    assert report.together == pytest.approx((max(0, chance + guard.verified - 1), min(chance, guard.verified)))
    looks = guarded(stopping={"kind": "looks", "at": [6, 8, 10]})  # .05/3
    (guard,) = power(looks, {"direction": spread(0.03)}, (), {"healthy": truth}).guards
    assert guard.alpha == pytest.approx(0.05 / 3)
    assert guard.verified == pytest.approx(stats.binom.sf(8, 10, p), abs=1e-6)
    below = {"healthy": {"estimand": "reference", "below": 1e-7, "otherwise": "Too large."}}
    turned = make_hypothesis(
        {"direction": COSINE, "reference": REFERENCE}, {"direction": ("direction", DIRECTION)}, guards=below, count=10
    )
    (other,) = power(turned, {"direction": spread(0.03)}, (), {"healthy": truth}).guards
    assert (other.verified, other.violated) == pytest.approx((guard.violated, guard.verified), abs=1e-6)


def test_a_guard_about_a_mean_is_tested_with_t():
    reference = {**REFERENCE, "seeds": "mean"}
    h = make_hypothesis(
        {"direction": COSINE, "reference": reference}, {"direction": ("direction", DIRECTION)}, guards=GUARD, count=10
    )
    (guard,) = power(h, {"direction": spread(0.03)}, (), {"healthy": Truth(1.8e-7, 1e-7, "assumed")}).guards
    assert guard.verified == pytest.approx(0.754425, abs=1e-6)  # δ = .8, n = 10, one-sided .05
    assert guard.violated < 1e-3


def test_one_decision_with_a_bounded_prediction():
    """The justification in hypotheses/mode2_direction.yaml: sd .03, 10 seeds, above .99 if the mean is 0."""
    report = power(direction(count=10), {"direction": spread(0.03)})
    part = report.decisions[0]
    assert part.predicted == ("confirmed",)
    row = part.prediction[0]
    assert (row.effect, row.where) == (0.0, "where the chance is greatest")
    assert row.chances[1] == pytest.approx(0.992894, abs=1e-6) and row.seeds[1] == 6
    assert part.greatest == row.chances[1]
    ((low, high),) = part.within
    assert low == pytest.approx(-high, rel=1e-4) and high == pytest.approx(0.0201, abs=1e-4)
    assert report.together == (row.chances[1], row.chances[1])
    assert part.by_number[1][part.numbers.index(10)] == row.chances[1]


def test_one_decision_with_a_prediction_without_end():
    """The justification in hypotheses/bp_penalty_control.yaml: sd 1, 10 seeds, 1 pp from a boundary: .8, 2 pp: .99."""
    h = margin(count=10, prediction={"outcome": "real", "why": "w"})
    part = power(h, {"margin": spread(1.0)}, [18.0]).decisions[0]
    by_effect = {row.effect: row for row in part.prediction}
    assert by_effect[26.0].chances[1] == pytest.approx(0.80, abs=0.005) and by_effect[26.0].seeds[1] == 10
    assert by_effect[27.0].chances[1] > 0.99
    assert by_effect[18.0].where == "as asked" and by_effect[18.0].seeds == (None, None, None)
    (within,) = part.within
    assert within[1] is None and within[0] == pytest.approx(26, abs=0.02)


def test_seeds_for_80_percent_are_those_of_the_power_formula():
    h = margin(count=10, prediction={"outcome": "real", "why": "w"})
    for row in power(h, {"margin": spread(1.0)}).decisions[0].prediction:
        for sd, n in zip((0.5, 1.0, 2.0), row.seeds, strict=True):
            t = T(name="t")
            # excluding [5, 25] takes α/2; "artifact" is far away
            missed = [t.type_two(row.effect - 25, sd, size, 0.025) for size in (n - 1, n)]
            assert 1 - missed[1] >= 0.8 > 1 - missed[0]


def test_chances_are_a_distribution_over_outcomes_and_right_far_from_cuts():
    part = power(direction(count=10), {"direction": spread(0.03)}).decisions[0]
    table = np.array(part.chances)
    assert table.shape == (3, len(part.numbers), len(part.effects), 4)
    assert table.sum(axis=3) == pytest.approx(np.ones(table.shape[:3]), abs=3e-6)
    at = part.curve_effects.index(0.125)
    assert part.curve[at][part.outcomes.index("partial")] > 0.99
    assert set(part.landmarks) <= set(part.curve_effects)
    wrong_at_cut = part.curve[part.curve_effects.index(0.05)][part.outcomes.index("confirmed")]
    assert 0 < wrong_at_cut <= 0.05


def test_the_report_survives_json():
    report = power(direction(count=10), {"direction": spread(0.03)})
    assert PowerReport.model_validate_json(report.to_json()) == report
    assert json.loads(report.to_json())["v"] == 1


def test_several_decisions_are_bounded_together():
    h = both({"rule": "all", **HOLDS}, "yes")
    report = power(h, {"a": spread(1.0), "b": spread(0.03)})
    a, b = (part.prediction[0].chances[1] for part in report.decisions)
    assert report.together == pytest.approx((a + b - 1, min(a, b)))
    assert power(h, {"a": spread(1.0)}).together is None
    assert "b" in power(h, {"a": spread(1.0)}).notes[1]


def test_a_prediction_that_no_decision_makes():
    h = direction(count=10, prediction={"outcome": "inconclusive", "why": "w"})
    report = power(h, {"direction": spread(0.03)})
    assert report.decisions[0].prediction == () and report.together is None
    assert any("asks for no band" in note for note in report.notes)
    assert bound_prediction_chance(h, {"direction": spread(0.03)}) is None


@pytest.mark.parametrize(
    ("sd", "n", "enough"), [(0.03, 10, True), (0.06, 10, False), (0.03, 5, False), (0.03, 1, False)]
)
def test_greatest_chance_of_a_bounded_prediction(sd, n, enough):
    name, chance = bound_prediction_chance(direction(count=n), {"direction": spread(sd)})
    assert name == "direction"
    assert (chance >= 0.8) is enough


def test_greatest_chance_without_end_is_one_however_large_the_spread():
    h = margin(count=3, prediction={"outcome": "real", "why": "w"})
    assert bound_prediction_chance(h, {"margin": spread(1.0)})[1] == pytest.approx(1)
    assert (
        bound_prediction_chance(margin(count=1, prediction={"outcome": "real", "why": "w"}), {"margin": spread(1.0)})[1]
        == 0
    )


def test_regions_join_neighbours():
    from tests.unit.inference.inference_records import spec_of

    atoms = split_line(spec_of(DIRECTION).bands)
    assert find_regions(atoms, frozenset(["partial"])) == [(-0.2, -0.05), (0.05, 0.2)]
    assert find_regions(atoms, frozenset(["partial", "confirmed"])) == [(-0.2, 0.2)]
    assert find_regions(atoms, frozenset(["rejected"])) == [(-math.inf, -0.2), (0.2, math.inf)]
    assert find_regions(atoms, frozenset(DIRECTION)) == [(-math.inf, math.inf)]


def test_a_point_band_is_never_shown():
    from tests.unit.inference.inference_records import spec_of

    atoms = split_line(spec_of({"out": "(-inf, 0) | (0, inf)", "point": "[0, 0]"}).bands)
    chances = ExactT(T(name="t"), atoms, 0.05)(
        [frozenset(["point"]), frozenset(["out"])], np.array([0.0, 3.0]), 1.0, 10
    )
    assert chances[:, 0] == pytest.approx([0, 0])
    assert chances[0, 1] == pytest.approx(0.05, abs=1e-6) and chances[1, 1] > 0.99


def test_limits_of_a_standard_deviation():
    low, high = compute_sd_limits(2.0, 10)
    expected = [2 * (9 / stats.chi2.ppf(p, 9)) ** 0.5 for p in (0.8, 0.2)]
    assert [low, high] == pytest.approx(expected)


@pytest.mark.parametrize("criterion", ["sign_flip", "wilcoxon"])
def test_other_criteria_are_simulated_with_their_own_code(criterion):
    h = direction(count=8)
    spec = h.decisions["direction"]
    other = spec.model_copy(
        update={"criterion": find_members("criteria")[criterion].model_validate({"name": criterion})}
    )
    part = power(h.model_copy(update={"decisions": {"direction": other}}), {"direction": spread(0.02)}).decisions[0]
    exact = power(h, {"direction": spread(0.02)}).decisions[0]
    assert part.draws == 200 and part.numbers == (4, 8, 16)
    assert part.prediction[0].effect == 0.0
    assert part.prediction[0].chances[1] <= exact.prediction[0].chances[1] + 0.05
    assert part.by_number[1][0] == 0  # 4 seeds are too few
    assert part.by_number[0][2] > 0.95
