"""What is said of a prediction before any seed is trained, for criteria that have no exact chance."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.criteria.wilcoxon import Wilcoxon
from harness.domain.partition import split_line
from harness.inference import bound_prediction_chance, find_point_prediction, power
from harness.inference.chances import Simulated
from harness.plugins.registry import find_members
from tests.unit.inference.inference_records import ACCURACY, MARGIN_PP, make_hypothesis, spread

BANDS = {"mid": "(-2, 2)", "low": "(-inf, -2]", "high": "[2, inf)"}
POINT = {"point": "[5, 5]", "low": "(-inf, 5)", "high": "(5, inf)"}
SIDES = {"high": "(0.3, inf)", "low": "(-inf, 0.3]"}
CRITERIA = {
    "t": {},
    "sign_flip": {},
    "bca": {},
    "bounded": {},
    "t_sequence": {},
    "median": {"seeds": "median"},
    "wilcoxon": {"seeds": "pseudomedian"},
    "welch": {"pairing": "unpaired"},
}


def asking(criterion, bands=BANDS, estimand=MARGIN_PP, **more):
    h = make_hypothesis({"m": {**estimand, **CRITERIA[criterion]}}, {"m": ("m", bands)}, **{"count": 40, **more})
    plain = h.model_dump(mode="json")
    plain["decisions"]["m"]["criterion"] = {"name": criterion}
    return type(h).model_validate(plain)


@pytest.mark.parametrize("stopping", ["fixed", "looks"])
@pytest.mark.parametrize("criterion", CRITERIA)
def test_too_few_seeds_are_foreseen_for_every_criterion_and_enough_are_not(criterion, stopping):
    rule = {"kind": "looks", "at": [30, 40]} if stopping == "looks" else {"kind": "fixed"}
    h = asking(criterion, stopping=rule)
    found = [bound_prediction_chance(h, {"m": spread(sd)}) for sd in (30.0, 0.5)]
    if criterion == "bounded":  # too few whatever the sd: ±2 of −100 to 100
        assert all(chance < 0.2 for _, chance in found)
        return
    assert found[0][1] < 0.3 and found[1][1] > 0.99
    assert found == [bound_prediction_chance(h, {"m": spread(sd)}) for sd in (30.0, 0.5)]


class Counted(np.random.Generator):
    """Adds up how many numbers are drawn."""

    drawn = 0

    def standard_normal(self, size=None, *args, **more):
        Counted.drawn += math.prod(np.atleast_1d(size))
        return super().standard_normal(size, *args, **more)

    def chisquare(self, df, size=None):
        Counted.drawn += math.prod(np.atleast_1d(size))
        return super().chisquare(df, size)


@pytest.mark.parametrize("stopping", ["fixed", "looks"])
@pytest.mark.parametrize("criterion", CRITERIA)
def test_what_makes_it_quick(criterion, stopping, monkeypatch):
    """No p of a single run is computed, formulas are asked at few places, and little is simulated."""
    counts = dict.fromkeys(("p_greater", "p_less", "p_by_look", "type_two"), 0)
    kind = find_members("criteria")[criterion]
    for method in counts:
        real = getattr(kind, method)

        def counted(self, *args, method=method, real=real, **more):
            counts[method] += 1
            return real(self, *args, **more)

        monkeypatch.setattr(kind, method, counted)
    monkeypatch.setattr(Counted, "drawn", 0)
    monkeypatch.setattr(np.random, "default_rng", lambda seed: Counted(np.random.PCG64(seed)))
    rule = {"kind": "looks", "at": [30, 40]} if stopping == "looks" else {"kind": "fixed"}
    assert bound_prediction_chance(asking(criterion, stopping=rule), {"m": spread(0.5)}) is not None
    assert counts["p_greater"] == counts["p_less"] == 0
    if criterion == "bounded":  # both sides, at nine places and, because none will do, at one between
        assert counts["p_by_look"] == 22 and Counted.drawn == 22 * 200 * 40
    elif criterion in ("t", "t_sequence") and stopping == "looks":  # a mean and a spread, by look
        assert counts["type_two"] == 0 and Counted.drawn == 2 * 2 * 10_000
    else:  # 41 places, at most two looks, two cuts
        assert counts["p_by_look"] == Counted.drawn == 0 and counts["type_two"] <= 41 * 2 * 2
        assert (counts["type_two"] > 0) is (criterion not in ("t", "t_sequence"))


def test_a_narrow_place_between_two_bounded_tests_is_found():
    """Twelve seeds do for some thousandth of the band, where no ninth of it lies."""
    bands = {"mid": "(0.1, 0.4)", "low": "[0, 0.1]", "high": "[0.4, 1]"}
    for sd in (0.001, 0.01):
        assert bound_prediction_chance(asking("bounded", bands, ACCURACY, count=12), {"m": spread(sd)})[1] > 0.9
    assert bound_prediction_chance(asking("bounded", bands, ACCURACY, count=10), {"m": spread(0.001)})[1] < 0.1


def test_anytime_valid_stopping_is_foreseen():
    h = asking("t_sequence", stopping={"kind": "anytime"})
    assert bound_prediction_chance(h, {"m": spread(30.0)})[1] < 0.05
    assert bound_prediction_chance(h, {"m": spread(0.5)})[1] > 0.99


def test_a_bound_is_not_below_the_simulated_chance():
    h = asking("wilcoxon")
    criterion, atoms = Wilcoxon(name="wilcoxon"), split_line(h.decisions["m"].bands)
    for sd in (3.0, 4.5, 6.0):
        simulated = Simulated(criterion, atoms, 0.05)([frozenset(["mid"])], np.zeros(1), sd, 40)[0, 0]
        assert bound_prediction_chance(h, {"m": spread(sd)})[1] >= simulated - 0.05


def test_a_single_value_is_never_shown():
    assert (
        find_point_prediction(asking("t", POINT)) == "m" == find_point_prediction(asking("sign_flip", POINT, count=3))
    )
    assert find_point_prediction(asking("t")) is None
    assert find_point_prediction(asking("t", POINT, prediction={"outcome": "low", "why": "w"})) is None


def test_power_of_a_bounded_criterion_knows_the_bounds():
    part = power(asking("bounded", SIDES, ACCURACY, count=20), {"m": spread(0.02)}, [0.6]).decisions[0]
    assert part.greatest == 1.0
    assert {row.effect: row.chances[1] for row in part.prediction}[0.6] == 1.0
