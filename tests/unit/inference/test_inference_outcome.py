"""The whole outcome: edge cases, guards, pilots, several decisions."""

from __future__ import annotations

import pytest

from harness.errors import HarnessError
from harness.inference.guards import sign_p
from tests.unit.inference.inference_records import (
    COSINE,
    DIRECTION,
    MARGIN,
    MARGIN_PP,
    REFERENCE,
    cosines,
    decide,
    direction,
    make_hypothesis,
    make_measurements,
    margin,
    margins,
)

GOOD = [0.012, -0.008, 0.021, 0.004, -0.015]
HEALTHY = {"estimand": "reference", "above": 1e-7, "otherwise": "The BP gradient is at the floor."}


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_seeds_give_a_point_estimate_only(n):
    d = decide(direction(count=1), cosines([0.01] * n, n=n))
    if n == 0:
        d = decide(direction(exclusions={"diverged": "exclude"}), cosines([None]))
    decision = d.decisions[0]
    assert d.outcome == decision.outcome == "inconclusive" and decision.status == "too_few"
    assert decision.estimand.mean == (0.01 if n else None) and decision.estimand.n == n
    assert decision.p is None and decision.interval is None and decision.estimand.interval95 is None
    assert decision.atoms == () and decision.alive == ("confirmed", "partial", "rejected")


def test_two_seeds_are_tested_with_a_warning():
    d = decide(direction(count=2), cosines([0.010, 0.011]))
    assert d.outcome == "confirmed" and any("2 seeds" in warning for warning in d.warnings)
    assert not any("2 seeds" in warning for warning in decide(direction(), cosines(GOOD)).warnings)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("values", [[0.01] * 5, [0.0] * 5, [0.1, 0.1, 0.1 + 1e-16, 0.1, 0.1]])
def test_zero_spread_is_degenerate_and_never_tested(values):
    d = decide(direction(), cosines(values))
    assert d.outcome == "inconclusive" and d.decisions[0].status == "degenerate"
    assert d.decisions[0].p is None and d.decisions[0].estimand.interval95 is None
    assert "same value" in d.summary


def test_a_spread_below_the_resolution_of_the_test_split_is_degenerate():
    step = 100 / 360  # digits has 360 test images
    fine = [30, 30 + 0.2 * step, 30, 30 - 0.2 * step, 30]
    coarse = [30, 30 + step, 30, 30 - step, 30]
    assert decide(margin(), margins(fine)).decisions[0].status == "degenerate"
    assert decide(margin(), margins(coarse)).decisions[0].status == "tested"


def test_arms_that_are_the_same_up_to_rounding_are_degenerate():
    a = [2.1, 2.3, 2.2, 2.5, 2.4]
    b = [v * (1 + 2e-16 * i) for i, v in enumerate(a)]
    h = make_hypothesis(
        {"e": {"metric": "train_loss", "contrast": "penalized - shallow"}},
        {"d": ("e", {"less": "(-inf, 0)", "same": "[0, 0]", "more": "(0, inf)"})},
    )
    measured = make_measurements({("penalized", "train_loss"): a, ("shallow", "train_loss"): b})
    assert decide(h, measured).decisions[0].status == "degenerate"


def test_equal_weights_of_two_seeds_mean_that_the_seed_was_not_applied():
    d = decide(direction(), cosines(GOOD, same_weights=("penalized",)))
    assert d.outcome == "invalid" and d.decisions[0].status == "seed_not_applied"
    assert "seed was not applied" in d.summary
    other = make_measurements(
        {("penalized", "credit_cosine"): GOOD, ("shallow", "credit_cosine"): GOOD}, same_weights=("shallow",)
    )
    other = decide(direction(), other)
    assert other.outcome == "confirmed" and any("identical weights" in warning for warning in other.warnings)


def guarded(reference, guard=HEALTHY, estimand=REFERENCE, n=5, values=None, **more):
    h = make_hypothesis(
        {"direction": COSINE, "reference": estimand},
        {"direction": ("direction", DIRECTION)},
        guards={"healthy_reference": guard},
        count=n,
        **more,
    )
    cosine = values or (GOOD * 3)[:n]
    return decide(
        h, make_measurements({("penalized", "credit_cosine"): cosine, ("penalized", "gradient_norm"): reference})
    )


@pytest.mark.parametrize(
    ("reference", "status", "outcome", "p"),
    [
        ([1e-4] * 5, "verified", "confirmed", 2**-5),
        ([1e-4] * 4, "unverified", "inconclusive", 2**-4),
        ([1e-4, 1e-4, 1e-4, 1e-4, 1e-9], "unverified", "inconclusive", 6 / 32),
        ([1e-9] * 5, "violated", "invalid", 1.0),
        ([1e-7] * 5, "violated", "invalid", 1.0),  # on the threshold is not above it
        ([1e-4] * 9 + [1e-9], "verified", "confirmed", 11 / 1024),
    ],
)
def test_a_median_guard_is_an_exact_sign_test(reference, status, outcome, p):
    d = guarded(reference, n=len(reference))
    assert (d.guards[0].status, d.outcome) == (status, outcome)
    assert d.guards[0].p == pytest.approx(p, rel=1e-12)
    assert d.decisions[0].outcome == "confirmed"  # a guard filters no seed and changes no decision of its own
    assert d.decisions[0].estimand.n == len(reference)
    if status != "verified":
        assert d.p is None and "healthy_reference" in d.summary


def test_a_mean_guard_is_a_t_test():
    mean = {**REFERENCE, "seeds": "mean"}
    below = {"estimand": "reference", "below": 3.0, "otherwise": "o"}
    assert guarded([1.0, 1.1, 0.9, 1.2, 1.0], below, mean).guards[0].status == "verified"
    assert guarded([5.0, 5.1, 4.9, 5.2, 5.0], below, mean).guards[0].status == "violated"
    assert guarded([1.0, 5.1, 0.9, 5.2, 3.0], below, mean).guards[0].status == "unverified"
    constant = guarded([1.0] * 5, below, mean).guards[0]
    assert constant.status == "unverified" and constant.p is None and "not made" in constant.test


def test_a_guard_with_a_diverged_seed_is_invalid_even_if_the_rest_holds():
    d = guarded([1e-4] * 5 + [None], n=6)
    assert d.outcome == "invalid" and d.guards[0].status == "unverified" and d.guards[0].p is None
    assert guarded([1e-4] * 5 + [None], n=6, exclusions={"diverged": "exclude"}).outcome == "confirmed"


def test_sign_p_is_two_to_the_minus_n():
    assert [sign_p(n, n) for n in (3, 4, 5)] == [2**-3, 2**-4, 2**-5]


def test_a_pilot_gives_numbers_and_no_outcome():
    d = decide(direction(count=10), cosines(GOOD, pilot=True))
    assert d.outcome == d.decisions[0].outcome == "inconclusive" and d.summary == "Pilot: no outcome."
    assert d.p is None and d.decisions[0].p == pytest.approx(0.001935, abs=5e-7)
    assert not any("the outcome is" in step for step in d.decisions[0].steps)
    diverged = decide(direction(), cosines(GOOD, pilot=True, diverged={("penalized", 0): 1}))
    assert diverged.outcome == diverged.decisions[0].outcome == "inconclusive"


def test_a_run_short_of_its_registered_seeds_is_warned_about():
    assert any("5 seeds were measured, but 10" in w for w in decide(direction(count=10), cosines(GOOD)).warnings)


def test_a_decision_is_the_same_for_the_same_records():
    h, m = margin(), margins([26, 31, 24, 29, 27])
    assert decide(h, m).to_json() == decide(h, m).to_json()


def test_the_steps_name_estimate_exclusions_block_and_seeds():
    steps = decide(margin(), margins([26, 31, 24, 29, 27])).decisions[0].steps
    assert "estimated at 27.40 pp from 5 seeds" in steps[0] and "90% interval 24.82 to 29.98" in steps[0]
    assert any('in "artifact", (−inf, 5), is excluded' in step for step in steps)
    assert any("boundary at 25 blocks (p = .12, above α = .05)" in step for step in steps)
    assert any("13 seeds in all" in step and "27 if" in step for step in steps)


# Several decisions: a margin and a direction.
REAL = [31.2, 28.9, 33.5, 30.1, 29.4]
OPEN = [26, 31, 24, 29, 27]  # partial or real
LOW = [1.2, 1.9, 0.5, 1.1, 1.4]  # artifact
HOLDS = {"margin": ["real"], "direction": ["confirmed"]}


def both(margin_values, cosine_values, combine, alphas=(0.05, 0.05)):
    h = make_hypothesis(
        {"margin": MARGIN_PP, "direction": COSINE},
        {"margin": ("margin", MARGIN, alphas[0]), "direction": ("direction", DIRECTION, alphas[1])},
        combine=combine,
    )
    first = [0.3 + v / 100 for v in margin_values]
    measured = {
        ("bp_penalty", "test_accuracy"): first,
        ("shallow", "test_accuracy"): [0.3] * 5,
        ("penalized", "credit_cosine"): cosine_values,
    }
    return decide(h, make_measurements(measured))


ALL = {"rule": "all", "holds": HOLDS, "outcome": "yes", "otherwise": "no"}
ANY = {"rule": "any", "holds": HOLDS, "outcome": "yes", "otherwise": "no"}
SPREAD = [0.04, 0.07, 0.05, 0.09, 0.06]  # confirmed or partial
WRONG = [0.31, 0.33, 0.29, 0.32, 0.30]  # rejected


@pytest.mark.parametrize(
    ("margin_values", "cosine_values", "every", "some"),
    [
        (REAL, GOOD, "yes", "yes"),
        (OPEN, GOOD, "inconclusive", "yes"),
        (LOW, GOOD, "no", "yes"),
        (LOW, SPREAD, "no", "inconclusive"),
        (LOW, WRONG, "no", "no"),
        (OPEN, SPREAD, "inconclusive", "inconclusive"),
    ],
)
def test_all_and_any(margin_values, cosine_values, every, some):
    assert both(margin_values, cosine_values, ALL).outcome == every
    d = both(margin_values, cosine_values, ANY)
    assert d.outcome == some and d.combination is not None


def test_all_takes_the_largest_p_and_any_pays_for_choosing():
    real, good = both(REAL, GOOD, ALL).decisions
    assert both(REAL, GOOD, ALL).p == max(real.p, good.p)
    assert both(REAL, GOOD, ANY).p == pytest.approx(2 * min(real.p, good.p))


def test_any_does_not_hold_at_an_alpha_that_was_spent_twice():
    p = decide(margin(), margins(REAL)).p
    between = 1.5 * p  # above p, below 2p: decides alone, not as one of two
    assert both(REAL, SPREAD, ANY, (between, 0.05)).decisions[0].outcome == "real"
    assert both(REAL, SPREAD, ANY, (between, 0.05)).outcome == "inconclusive"
    assert both(REAL, SPREAD, ANY, (2.5 * p, 0.05)).outcome == "yes"


TABLE = {
    "rule": "table",
    "table": [
        {"when": {"margin": "artifact"}, "outcome": "nothing"},
        {"when": {"margin": "real", "direction": "confirmed"}, "outcome": "both_modes"},
        {"when": {"direction": "rejected"}, "outcome": "nothing"},
        {"when": {}, "outcome": "mixed"},
    ],
}


@pytest.mark.parametrize(
    ("margin_values", "cosine_values", "outcome"),
    [
        (REAL, GOOD, "both_modes"),
        (LOW, SPREAD, "nothing"),  # whatever the direction is
        (OPEN, WRONG, "nothing"),
        (OPEN, GOOD, "inconclusive"),  # mixed or both_modes
        ([12, 14, 13, 12.5, 13.5], SPREAD, "mixed"),
    ],
)
def test_a_table_gives_the_only_outcome_left(margin_values, cosine_values, outcome):
    d = both(margin_values, cosine_values, TABLE)
    assert d.outcome == outcome
    assert (d.p is None) == (outcome == "inconclusive")
    assert d.p is None or d.p <= 0.05


def test_several_decisions_without_a_rule_are_refused():
    with pytest.raises(HarnessError, match="no rule"):
        both(REAL, GOOD, None)


def test_an_untested_decision_excludes_nothing():
    assert both(REAL, [0.01] * 5, ALL).outcome == "inconclusive"
    assert both(LOW, [0.01] * 5, ALL).outcome == "no"
    assert both(REAL, [0.01] * 5, ANY).outcome == "yes"


def with_criterion(h, name):
    plain = h.model_dump(mode="json")
    plain["decisions"]["direction"]["criterion"] = {"name": name}
    return type(h).model_validate(plain)


def test_a_criterion_without_a_formula_for_seeds_blames_no_boundary():
    """bounded knows no number of seeds that would decide; that is no reason to call the estimate close to a cut."""
    d = decide(with_criterion(direction(count=10), "bounded"), cosines([0.1, 0.12, 0.08, 0.11, 0.09, 0.1] * 2))
    (decision,) = d.decisions
    assert d.outcome == "inconclusive" and decision.status == "tested" and decision.seeds_needed is None
    assert "can't be said for the criterion bounded" in decision.steps[-1]
    close = decide(direction(), cosines([0.04, 0.06, 0.05, 0.03, 0.07]))
    assert "so close to the boundary" in close.decisions[0].steps[-1]


def test_two_seeds_are_a_warning_where_a_t_test_is_made_and_nowhere_else():
    values = cosines([0.01, 0.02])
    for name, warned in (("t", True), ("bounded", False), ("sign_flip", False)):
        said = decide(with_criterion(direction(count=2), name), values).warnings
        assert any("with 2 seeds, a t test" in warning for warning in said) == warned
