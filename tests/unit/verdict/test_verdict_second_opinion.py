"""What a verdict says beside its decision, and the form in which stored verdicts are written again."""

from __future__ import annotations

import json
import re

import pytest

from harness.records import Decision, EffectSize
from harness.verdict import VERSION, Form, render
from tests.unit.verdict import verdict_samples as samples

REAL = (31.2, 28.9, 33.5, 30.1, 29.4)
EFFECT = EffectSize(value=12.9, interval95=(5.15, 23.4), correction=0.798)
POSTERIOR = {"artifact": 2e-6, "partial": 0.0023, "real": 0.9977}


def judged(**changes):
    return samples.margin(REAL, **{"posterior": POSTERIOR, "effect_size": EFFECT, **changes})


def page(*args, **more) -> str:
    return render(*args, Form(figures=False, **more))["verdict.md"].decode()


def test_the_second_opinion_says_that_it_decides_nothing():
    text = page(*judged())
    assert "**A second opinion, which decides nothing.**" in text
    assert "| artifact | (−inf, 5) | < 0.1% | yes |" in text
    assert "| partial | \\[5, 25\\] | 0.2% | yes |" in text
    assert "| real | (25, inf) | 99.8% | no |" in text
    assert "with one degree of freedom less than seeds" in text
    assert "A second opinion" not in page(*judged(posterior=None))


def test_effect_size_and_pairing_in_words():
    text = page(*judged())
    assert "(Hedges' g for paired differences): 12.9, 95% interval 5.2 to 23.4." in text
    assert "correlate by 0.412 over seeds, so taking differences seed by seed removes spread" in text
    assert "Standardised effect" not in page(*judged(effect_size=None))


def test_every_null_is_in_words():
    text = page(*judged())
    assert "| (−inf, 5) | artifact | below 5 |" in text
    assert "| \\[5, 25\\] | partial | between 5 and 25 |" in text
    assert "| (25, inf) | real | above 25 |" in text
    text = page(*samples.decided())
    assert "| \\[0.2, inf) | rejected | at least 0.2 |" in text and "| rejected | at most −0.2 |" in text


def test_a_verdict_of_the_first_form_is_written_as_it_was():
    args = judged()
    now, before = (json.loads(render(*args, Form(figures=False, version=v))["verdict.json"]) for v in (VERSION, 1))
    assert (now["v"], before["v"]) == (VERSION, 1)
    assert now["decision"].pop("looks") == [] and now["decision"].pop("exploratory_p") == {}
    part = now["decision"]["decisions"][0]
    assert part.pop("posterior") == POSTERIOR and part.pop("effect_size")["value"] == 12.9
    assert now["provenance"].pop("amendments") == [] and now["provenance"].pop("words") is None
    reasons = now["decision"].pop("reason"), now["decision"].pop("combined"), now["decision"].pop("notices")
    assert reasons == (None, None, [])  # a sample, that nothing decided
    assert before == now | {"v": 1}


def test_a_stored_decision_of_the_first_form_can_be_read():
    before = json.loads(render(*judged(), Form(figures=False, version=1))["verdict.json"])["decision"]
    part = Decision.model_validate_json(json.dumps(before)).decisions[0]
    assert part.posterior is None and part.effect_size is None


def test_the_page_is_the_same_without_its_figures():
    args = judged()
    drawn, bare = render(*args), render(*args, Form(figures=False))
    assert set(bare) == {"verdict.json", "verdict.md"}
    assert bare.items() <= drawn.items() and "figures/margin.svg" in drawn


@pytest.mark.parametrize(
    ("value", "text"), [(0, "< 0.1%"), (1e-9, "< 0.1%"), (0.5, "50.0%"), (1 - 1e-9, "> 99.9%"), (1, "> 99.9%")]
)
def test_a_chance_never_rounds_to_certainty(value, text):
    from harness.verdict.text import format_chance

    assert format_chance(value) == text


def test_negative_numbers_have_a_minus_sign_on_every_page_since_form_3():
    for sample in (judged(), samples.decided()):
        text = page(*sample)
        assert re.search(r"−(\d|inf)", text) and not re.search(r"(?<![\w.)\]:-])-(?=\.?\d|inf)", text)
        assert "−" not in page(*sample, version=2).replace(" − ", "")


def test_a_chance_on_a_page_of_an_earlier_form_is_written_as_it_was():
    nothing = judged(posterior={"artifact": 0.0, "partial": 0.0, "real": 1.0})
    assert "| 0.0% |" in page(*nothing, version=2) and "| 100.0% |" in page(*nothing, version=2)
    assert "| < 0.1% |" in page(*nothing) and "| > 99.9% |" in page(*nothing)


def test_a_figure_has_the_minus_sign_of_its_page():
    name = "figures/direction.svg"
    today, earlier = (
        " ".join(re.findall(r"<!-- (.+?) -->", render(*samples.decided(), Form(version=version))[name].decode()))
        for version in (VERSION, 2)
    )
    assert "−0.05" in today and not re.search(r"-\d", today)
    assert "-0.05" in earlier and "−" not in earlier
