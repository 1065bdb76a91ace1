from __future__ import annotations

import hashlib

import pytest

from harness.ledger import (
    Ledger,
    describe_environment,
    find_registration,
    list_attempts,
    list_open_attempts,
    name_run,
    pin_code,
    register,
    write_canonical,
)

DIGEST = "d" * 64


@pytest.fixture
def start(ledger, make, templates):
    """Start a run of a hypothesis, registering it first if need be."""

    def begin(name: str = "small") -> str:
        hypothesis = make((("id",), name))
        raw = f"id: {name}\n".encode()
        if find_registration(ledger, name) is None:
            register(ledger, raw, b"claims: {}\n", hypothesis, pin_code(hypothesis, templates))
        registration = find_registration(ledger, name)
        body = {
            "hypothesis": name,
            "registration": registration.digest,
            "raw": hashlib.sha256(raw).hexdigest(),
            "canonical": hashlib.sha256(write_canonical(hypothesis)).hexdigest(),
            "pins": pin_code(hypothesis, templates),
            "plan": DIGEST,
            "seeds": registration.seeds,
            "environment": describe_environment(ledger.root),
            "device": "cpu",
            "command": f"harness run {name}",
        }
        return ledger.append("run_started", body).digest

    return begin


def close(ledger: Ledger, run: str, type_: str, **fields: object) -> None:
    ledger.append(type_, {"run": run, **fields})


def test_every_attempt_is_listed_with_what_became_of_it(ledger, start):
    pilot = ledger.append("pilot", {"hypothesis": "small", "settings": {"epochs": 1}}).digest
    failed, aborted, finished, judged = (start() for _ in range(4))
    elsewhere = start("other")
    still_open = start()
    close(ledger, failed, "run_failed", reason="out of memory")
    close(ledger, aborted, "run_aborted", reason="wrong data folder")
    close(ledger, finished, "run_finished", results=DIGEST)
    close(ledger, judged, "run_finished", results=DIGEST)
    close(ledger, judged, "verdict", outcome="yes", files={"figures/direction.svg": DIGEST})
    rows = [(a.run, a.status, a.outcome, a.reason) for a in list_attempts(ledger, "small")]
    assert rows == [
        (name_run(pilot), "pilot", None, None),
        (name_run(failed), "failed", None, "out of memory"),
        (name_run(aborted), "aborted", None, "wrong data folder"),
        (name_run(finished), "finished", None, None),
        (name_run(judged), "finished", "yes", None),
        (name_run(still_open), "open", None, None),
    ]
    assert all(len(run) == 12 for run, *_ in rows)
    (waiting,) = list_open_attempts(ledger, "small")
    assert waiting.digest == still_open
    assert waiting.body.seeds == find_registration(ledger, "small").seeds
    assert [event.digest for event in list_open_attempts(ledger, "other")] == [elsewhere]
    assert list_attempts(ledger, "never-run") == () == list_open_attempts(ledger, "never-run")


def test_a_closing_event_must_name_the_run_in_full(ledger, start):
    run = start()
    with pytest.raises(ValueError):
        close(ledger, name_run(run), "run_aborted", reason="short")
    assert [event.digest for event in list_open_attempts(ledger, "small")] == [run]


def test_when_two_branches_close_one_run_the_first_in_ledger_order_counts(ledger, start, plant):
    run = start()
    body = {"run": run, "reason": "gave up"}
    plant(ledger, [run], time="2099-01-02T00:00:00Z", type="run_aborted", body=body)
    plant(ledger, [run], time="2099-01-01T00:00:00Z", type="run_finished", body={"run": run, "results": DIGEST})
    (attempt,) = list_attempts(ledger, "small")
    assert attempt.status == "finished"
    assert list_open_attempts(ledger, "small") == ()
