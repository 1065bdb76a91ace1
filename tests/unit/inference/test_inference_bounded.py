"""Chances of a test by betting, whose values' distribution changes with the effect, at several looks and many seeds."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.criteria.bounded import Bounded
from harness.domain.partition import split_line
from harness.inference import bound_prediction_chance, decide, power
from harness.inference.atoms import compute_atom_p
from harness.inference.chances import Simulated
from harness.inference.stops import Sequential
from tests.unit.inference.inference_records import ACCURACY, MARGIN_PP, make_hypothesis, make_measurements, spread

SIDES = {"high": "(0.3, inf)", "low": "(-inf, 0.3]"}
THREE = {"mid": "(0.3, 0.7)", "low": "(-inf, 0.3]", "high": "[0.7, inf)"}
LOW = {"mid": "(0.1, 0.4)", "low": "(-inf, 0.1]", "high": "[0.4, inf)"}
CRITERION = Bounded(name="bounded")


def hypothesis(bands, decisions=1, estimand=ACCURACY, **more):
    names = [f"d{index}" for index in range(decisions)]
    if decisions > 1:
        first = next(iter(bands))
        rule = {"rule": "all", "holds": {name: [first] for name in names}, "outcome": first, "otherwise": "not"}
        more["combine"] = rule
    h = make_hypothesis({"e": estimand}, dict.fromkeys(names, ("e", bands)), **more)
    plain = h.model_dump(mode="json")
    for name in names:
        plain["decisions"][name]["criterion"] = {"name": "bounded"}
    return type(h).model_validate(plain)


def sequential(h):
    (spec,) = h.decisions.values()
    atoms = split_line(spec.bands, (0.0, 1.0))
    return Sequential(spec.criterion, atoms, spec.criterion.alpha / h.stopping.parts, h.looks, (0.0, 1.0))


@pytest.mark.parametrize(
    ("bands", "rule", "truth", "sd"),
    [
        (SIDES, {"kind": "looks", "at": [4, 10, 20]}, 0.5, 0.2),
        (SIDES, {"kind": "anytime"}, 0.45, 0.2),
        (LOW, {"kind": "anytime", "at": [3, 6, 13]}, 0.9, 0.15),  # often moved back onto 1
    ],
)
def test_agreement_with_decide_on_simulated_runs(bands, rule, truth, sd):
    h = hypothesis(bands, count=rule.get("at", [20])[-1], stopping=rule)
    runs = 150
    x = np.clip(np.random.default_rng(11).normal(truth, sd, (runs, h.looks[-1])), 0, 1)
    decisions = [decide(h, make_measurements({("penalized", "test_accuracy"): row})) for row in x.tolist()]
    found = sequential(h)
    assert found.draws == 200
    for n in (3, 6, 10, 20):
        for band in bands:
            share = sum(d.outcome == band and d.looks[-1].seeds <= n for d in decisions) / runs
            expected = found([frozenset([band])], np.array([truth]), sd, n)[0, 0]
            noise = math.sqrt(max(expected * (1 - expected), 0.01) * (1 / runs + 1 / found.draws))
            assert share == pytest.approx(expected, abs=4 * noise)
    seeds = np.array([d.looks[-1].seeds for d in decisions])
    noise = seeds.std() * math.sqrt(1 / runs + 1 / found.draws)
    assert 0 < 4 * noise < 4
    assert found.seeds_trained(np.array([truth]), sd)[0] == pytest.approx(seeds.mean(), abs=4 * noise)


def test_the_rule_itself_run_by_run():
    """The very seeds that are simulated, judged one run after the other."""
    h = hypothesis(LOW, count=8, stopping={"kind": "anytime", "at": [6, 7, 8]})
    found, domain = sequential(h), (0.0, 1.0)
    normal = Simulated(CRITERION, found.atoms, 0.05, domain).seeds(8)
    judge = CRITERION.on(domain)
    ended = np.zeros((3, 3))
    for z in normal:
        for look, n in enumerate((6, 7, 8)):
            x = np.clip(0.9 + 0.2 * z[:n], *domain)
            left = [atom.outcome for atom in found.atoms if np.ptp(x) == 0 or compute_atom_p(atom, x, judge) > 0.05]
            if len(left) == 1:
                ended[look, [atom.outcome for atom in found.atoms].index(left[0])] += 1
                break
    by_look = found.by_look(np.array([0.9]), 0.2)[:, 0]
    assert by_look == pytest.approx(ended.cumsum(axis=0) / 200)
    assert (np.diff(by_look.sum(axis=1), prepend=0) > 0.03).all(), "every look ends some of the runs"


def test_two_seeds_on_the_same_bound_decide_nothing():
    atoms = split_line(hypothesis({"high": "(0.05, inf)", "low": "(-inf, 0.05]"}).decisions["d0"].bands, (0.0, 1.0))
    group, at = [frozenset(["high"])], np.array([1.0])
    looks = Sequential(CRITERION, atoms, 0.05, (2, 3), (0.0, 1.0))
    alone = Simulated(CRITERION, atoms, 0.05, (0.0, 1.0))
    for chances, n, both in ((looks, 2, 1 / 4), (looks, 3, 1 / 8), (alone, 2, 1 / 4), (alone, 3, 1 / 8)):
        assert chances(group, at, 1e-3, n)[0, 0] == pytest.approx(1 - both, abs=0.12)


def test_no_chance_falls_from_look_to_look():
    found = sequential(hypothesis(THREE, count=40, stopping={"kind": "anytime"}))
    by_look = found.by_look(np.linspace(0.0, 1.0, 9), 0.1)
    assert by_look.shape == (39, 9, 3)
    assert (np.diff(by_look, axis=0) >= 0).all() and (by_look.sum(axis=2) <= 1 + 1e-12).all()
    assert by_look[-1].max(axis=1).min() < 0.2 and by_look[-1, [0, 4, 8]].max(axis=1) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("rule", [{"kind": "anytime"}, {"kind": "looks", "at": [8, 16]}])
def test_power_tells_the_chances_by_each_look(rule):
    h = hypothesis(SIDES, count=16, stopping=rule)
    report = power(h, {"d0": spread(0.6)}, [0.6])
    (part,) = report.decisions
    assert part.looks == h.looks and part.draws == 200
    assert not any("is not counted in" in note for note in report.notes)
    assert sum("moved back onto" in note for note in report.notes) == 1
    assert part.by_number[1][0] < part.by_number[1][-1] and sorted(part.by_number[1]) == list(part.by_number[1])
    asked = {row.effect: row for row in part.prediction}[0.6]
    assert asked.chances[0] >= 0.8 and asked.seeds[0] in h.looks
    farthest = dict(zip(part.landmarks, part.seeds_trained, strict=True))
    assert farthest[0.9] < farthest[0.3] <= 16


def test_with_several_decisions_power_still_tells_one_look_and_says_so():
    report = power(
        hypothesis(SIDES, 2, count=16, stopping={"kind": "anytime"}), dict.fromkeys(("d0", "d1"), spread(0.1))
    )
    assert all(part.looks == () for part in report.decisions)
    assert any("is not counted in where several decisions" in note for note in report.notes)


def test_many_seeds_are_simulated_in_fewer_runs_and_the_report_has_their_number():
    h = hypothesis(SIDES, count=400, stopping={"kind": "looks", "at": [200, 400]})
    (part,) = power(h, {"d0": spread(0.02)}).decisions
    assert part.draws == 50 and part.greatest == 1.0
    (alone,) = power(hypothesis(SIDES, count=400), {"d0": spread(0.02)}).decisions
    assert alone.draws == 50


@pytest.mark.parametrize("decisions", [1, 2])
@pytest.mark.parametrize(
    ("n", "rule"),
    [
        (20, {"kind": "fixed"}),
        (20, {"kind": "looks", "at": [10, 20]}),
        (20, {"kind": "anytime"}),
        (400, {"kind": "looks", "at": [200, 400]}),
    ],
)
def test_check_foresees_what_cannot_be_confirmed_and_what_can(n, rule, decisions):
    def chance(bands, sd):
        h = hypothesis(bands, decisions, count=n, stopping=rule)
        return bound_prediction_chance(h, {name: spread(sd) for name in h.decisions})[1]

    narrow = {"mid": "(0.499, 0.501)", "low": "(-inf, 0.499]", "high": "[0.501, inf)"}
    assert chance(narrow, 0.02) < (0.1 if n < 100 else 0.3)
    assert chance(SIDES, 0.05) > 0.99
    wide = {"mid": "(0.2, 0.8)", "low": "(-inf, 0.2]", "high": "[0.8, inf)"}
    assert chance(wide, 0.05) > 0.99


def test_what_check_says_is_no_less_than_the_chance():
    """Also of a run that goes on because another decision is open."""
    h = hypothesis(THREE, count=24, stopping={"kind": "anytime"})
    for sd in (0.1, 0.2, 0.3):
        chances = sequential(h)([frozenset(["mid"])], np.linspace(0.3, 0.7, 9), sd, 24)
        assert 0 <= bound_prediction_chance(h, {"d0": spread(sd)})[1] - chances.max() < 0.15


def test_more_seeds_than_can_be_simulated_quickly_are_left_to_power():
    assert bound_prediction_chance(hypothesis(SIDES, count=1001), {"d0": spread(0.1)}) is None


def test_a_file_in_percentage_points_has_its_own_bounds():
    """±2 of −100 to 100: 40 seeds are far too few, 400 of sd 1 enough at most places."""
    bands = {"mid": "(-2, 2)", "low": "(-inf, -2]", "high": "[2, inf)"}
    rule = {"kind": "looks", "at": [20, 40]}
    assert (
        bound_prediction_chance(hypothesis(bands, estimand=MARGIN_PP, count=40, stopping=rule), {"d0": spread(1.0)})[1]
        < 0.1
    )
    rule = {"kind": "looks", "at": [200, 400]}
    assert (
        bound_prediction_chance(hypothesis(bands, estimand=MARGIN_PP, count=400, stopping=rule), {"d0": spread(1.0)})[1]
        > 0.9
    )
