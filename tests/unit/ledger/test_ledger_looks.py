"""Looks as events: each once, whatever was killed, and never a second opinion."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from harness.errors import HarnessError
from harness.ledger import Event, Ledger, OpenAttempt, StartedRun, list_looks, record_look
from harness.ledger.bodies import RunStartedBody
from harness.records import Measurements

MEASURED = Measurements(hypothesis="small", registration="r", seeds=(1, 2), epochs={}, data={}, replicas=())
RESULTS = MEASURED.to_json().encode()


@pytest.fixture
def attempt(tmp_path: Path) -> OpenAttempt:
    event = Event(type="run_started", parents=(), claimed_time="2026-01-02T03:04:05Z", actor="A", body={})
    return OpenAttempt(StartedRun(event, RunStartedBody.model_construct()), tmp_path, 0)


def test_a_look_is_entered_once_and_read_back(ledger: Ledger, attempt: OpenAttempt) -> None:
    def enter(**changes: Any) -> None:
        record_look(ledger, attempt, **({"seeds": 2, "outcome": None, "p": 0.25, "results": RESULTS} | changes))

    enter()
    enter()  # as a start does that goes on after one that was killed
    enter(seeds=4, outcome="yes", p=1.0)  # in the file as 1
    enter(seeds=4, outcome="yes", p=1.0)
    found = list_looks(ledger, attempt.run.digest)
    assert [(look.seeds, look.outcome, look.p) for look in found] == [(2, None, 0.25), (4, "yes", 1.0)]
    assert found[0].results == hashlib.sha256(RESULTS).hexdigest()
    assert len(ledger.events()) == 2 and list_looks(ledger, "0" * 64) == ()


@pytest.mark.parametrize(
    "change",
    [{"outcome": "no"}, {"p": 0.02}, {"results": MEASURED.model_copy(update={"seeds": (1, 3)}).to_json().encode()}],
)
def test_a_look_that_comes_out_otherwise_is_refused(
    ledger: Ledger, attempt: OpenAttempt, change: dict[str, Any]
) -> None:
    body: dict[str, Any] = {"seeds": 2, "outcome": "yes", "p": 0.01, "results": RESULTS}
    record_look(ledger, attempt, **body)
    with pytest.raises(HarnessError, match="the look at 2 seeds came out otherwise"):
        record_look(ledger, attempt, **(body | change))
    assert len(ledger.events()) == 1
