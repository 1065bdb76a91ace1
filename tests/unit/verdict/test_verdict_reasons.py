"""Reasons as data stand in verdict.json since form 3, and in none that was stored before."""

from __future__ import annotations

import json

import pytest

from harness.records import Notice, Reason
from harness.verdict import Form, render
from tests.unit.verdict.verdict_samples import decided


@pytest.mark.parametrize(("form", "there"), [(1, False), (2, False), (3, True)])
def test_a_verdict_of_an_earlier_form_has_no_reasons(form: int, there: bool) -> None:
    registered, measurements, decision, provenance, moves = decided()
    reasons = {
        "reason": Reason(kind="decisions", measured=10),
        "notices": (Notice(kind="two_seeds", about="margin", count=2),),
    }
    decision = decision.model_copy(update=reasons)
    files = render(registered, measurements, decision, provenance, moves, Form(version=form, figures=False))
    stored = json.loads(files["verdict.json"])["decision"]
    assert all((name in stored) is there for name in ("reason", "combined", "notices"))
    if there:
        assert stored["reason"] == {"kind": "decisions", "seeds": {}, "measured": 10}
        assert stored["notices"] == [{"kind": "two_seeds", "about": "margin", "count": 2, "seeds": []}]
