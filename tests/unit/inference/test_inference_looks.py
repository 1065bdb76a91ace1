"""Stopping rules: which look decides, at what level, and what a decision never depends on."""

from __future__ import annotations

import pytest

from harness import inference
from harness.errors import HarnessError
from harness.inference import needs_more_seeds
from harness.inference.outcome import judge
from harness.wording import format_p_equals
from tests.unit.inference.inference_records import (
    COSINE,
    DIRECTION,
    REFERENCE,
    cosines,
    decide,
    direction,
    make_hypothesis,
    make_measurements,
    margin,
    margins,
)

LOOKS = {"kind": "looks", "at": [5, 10]}
CLEAR = [31.2, 28.9, 33.5, 30.1, 29.4]  # real, p = .0023 after 5 seeds
OPEN = [26, 31, 24, 29, 27]  # partial or real
LATER = [30.2, 31.3, 29.8, 30.9, 31.1]


def looks(**more):
    return margin(count=10, stopping=LOOKS, **more)


def anytime(at=None, count=10):
    estimand = {"metric": "test_accuracy", "contrast": "bp_penalty - shallow", "unit": "pp"}
    h = make_hypothesis({"m": estimand}, {"m": ("m", {"less": "(-inf, 25]", "more": "(25, inf)"})}, count=count)
    plain = h.model_dump(mode="json")
    plain["decisions"]["m"]["criterion"] = {"name": "t_sequence"}
    plain["stopping"] = {"kind": "anytime", "at": at}
    return type(h).model_validate(plain)


def test_the_numbers_of_seeds_at_which_is_judged():
    assert margin(count=10).looks == (10,)
    assert looks().looks == (5, 10)
    assert anytime(count=5).looks == (2, 3, 4, 5)
    assert anytime([5, 10]).looks == (5, 10)
    assert anytime(count=1).looks == (1,)


def test_the_first_look_that_decides_ends_the_run():
    h = looks()
    d = decide(h, margins(CLEAR))
    assert d.outcome == "real" and not needs_more_seeds(h, d)
    assert [(look.seeds, look.outcome) for look in d.looks] == [(5, "real")]
    assert d.summary.endswith("Look 1 of 2, each at α/2.") and d.warnings == ()


def test_a_look_that_does_not_decide_asks_for_the_next_seeds():
    h = looks()
    first = decide(h, margins(OPEN))
    assert first.outcome == "inconclusive" and needs_more_seeds(h, first)
    second = decide(h, margins(OPEN + LATER))
    assert [(look.seeds, look.outcome) for look in second.looks] == [(5, "inconclusive"), (10, "real")]
    assert second.looks[0] == first.looks[0] and not needs_more_seeds(h, second)
    undecided = decide(h, margins([*OPEN, 24, 25, 26, 23, 25.5]))
    assert undecided.outcome == "inconclusive" and not needs_more_seeds(h, undecided)


def test_a_fixed_number_of_seeds_takes_no_looks():
    h = margin(count=5)
    d = decide(h, margins(OPEN))
    assert d.looks == () and d.outcome == "inconclusive" and not needs_more_seeds(h, d)


def test_planned_looks_divide_alpha_and_multiply_p():
    fixed = decide(margin(count=5), margins(CLEAR))
    look = decide(looks(), margins(CLEAR))
    assert look.decisions[0].alpha == fixed.decisions[0].alpha / 2
    assert look.decisions[0].interval_level == pytest.approx(0.95)
    assert look.decisions[0].p == fixed.decisions[0].p
    assert look.p == look.looks[0].p == pytest.approx(2 * fixed.p)
    assert f"{format_p_equals(look.p)} over two looks" in look.summary  # the headline says the p that counts
    # between p and 2p: enough for one judgement, not for one of two
    for level, outcome in ((1.5 * fixed.p, "inconclusive"), (2.5 * fixed.p, "real")):
        h = make_hypothesis(
            {"margin": {"metric": "test_accuracy", "contrast": "bp_penalty - shallow", "unit": "pp"}},
            {"margin": ("margin", {"artifact": "(-inf, 5)", "partial": "[5, 25]", "real": "(25, inf)"}, level)},
            count=10,
            stopping=LOOKS,
        )
        assert decide(h, margins(CLEAR)).outcome == outcome
        assert judge(h, margins(CLEAR)).outcome == "real"


def test_an_anytime_valid_criterion_spends_its_alpha_whole():
    h = anytime([5, 10])
    d = decide(h, margins([40.2, 38.9, 43.5, 40.1, 39.4]))
    assert d.outcome == "more" and d.decisions[0].alpha == 0.05
    assert d.p == d.decisions[0].p and "at most 10 seeds" in d.summary


def test_guards_divide_their_alpha_in_both_rules():
    def guarded(kind, n, criterion="t"):
        h = make_hypothesis(
            {"direction": COSINE, "reference": REFERENCE},
            {"direction": ("direction", DIRECTION)},
            guards={"healthy": {"estimand": "reference", "above": 1e-7, "otherwise": "At the floor."}},
            count=12,
            stopping={"kind": kind, "at": [6, 12]},
        )
        plain = h.model_dump(mode="json")
        plain["decisions"]["direction"]["criterion"]["name"] = criterion
        values = {("penalized", "credit_cosine"): [0.012, -0.008, 0.021, 0.004, -0.015, 0.01] * 2}
        values |= {("penalized", "gradient_norm"): [1e-4] * 5 + [1e-9] + [1e-4] * 6}
        return decide(type(h).model_validate(plain), make_measurements(values).take_first(n))

    # 5 of 6: p = 7/64; all but one of 12: 13/4096. Both at .05/2.
    for kind, criterion in (("looks", "t"), ("anytime", "t_sequence")):
        first, second = guarded(kind, 6, criterion), guarded(kind, 12, criterion)
        assert first.guards[0].alpha == 0.025 and first.guards[0].status == "unverified"
        assert first.outcome == "inconclusive" and first.p is None
        assert second.guards[0].status == "verified" and second.outcome == "confirmed"


def test_what_more_seeds_cannot_mend_ends_the_run():
    h = direction(count=10, stopping=LOOKS)
    lost = decide(h, cosines([0.01, -0.01, 0.02, 0.0, -0.015], diverged={("penalized", 3): 2}))
    assert lost.outcome == "invalid" and not needs_more_seeds(h, lost) and lost.looks[0].p is None


def test_seeds_after_the_deciding_look_change_nothing_and_are_told():
    h = looks()
    stopped, longer = decide(h, margins(CLEAR)), decide(h, margins(CLEAR + [0.0] * 5))
    assert any("5 do not count" in warning for warning in longer.warnings)
    assert longer.model_copy(update={"warnings": (), "notices": ()}) == stopped
    short = decide(h, margins([*OPEN, 31, 32]))  # between two looks: only the first is due
    assert short.looks[-1].seeds == 5 and needs_more_seeds(h, short)


def test_fewer_seeds_than_the_first_look_are_not_judged():
    with pytest.raises(HarnessError, match="the first look is at 5"):
        decide(looks(), margins(CLEAR[:4]))


def test_a_pilot_takes_no_look():
    d = decide(looks(), margins(CLEAR[:2], pilot=True))
    assert d.looks == () and d.outcome == "inconclusive" and d.summary == "Pilot: no outcome."


def test_the_first_seeds_of_measurements_are_those_of_a_shorter_run():
    whole, part = margins(CLEAR + LATER), margins(CLEAR)
    assert whole.take_first(5).to_json() == part.to_json()
    assert whole.take_first(10) == whole


@pytest.mark.parametrize("values", [CLEAR + LATER, OPEN + LATER, [24.9, 25.1] * 5, [26.0] * 10])
def test_what_is_said_of_an_earlier_look_is_what_would_have_been_judged_then(values):
    """Looks on the way are judged without what describes them."""
    for h, parts in ((looks(), 2), (anytime(), 1), (anytime([5, 10]), 1)):
        decision = inference.decide(h, margins(values))
        shares = {"parts": parts, "guard_parts": len(h.looks)}
        full = [judge(h, margins(values).take_first(look.seeds), **shares) for look in decision.looks]
        assert [(look.outcome, look.p) for look in decision.looks] == [(each.outcome, each.p) for each in full]
        assert decision.decisions == full[-1].decisions
