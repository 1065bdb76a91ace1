"""Stored weights, measured again: an event says what on which, and is not believed where the run says otherwise."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.pipeline.measure import measure_run
from harness.pipeline.project import Settings
from harness.pipeline.session import Session
from tests.attacks.trails import Trail, audited, sorts
from tests.e2e.projects import make_project, run_file
from tests.once import made_once

FRESH = "credit_cosine:feedback=fresh"


@pytest.fixture(scope="session")
def measured_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose stored weights were measured again."""

    def make(folder: Path) -> None:
        file = make_project(folder).root / "hypotheses/tiny.yaml"
        run_file(file)
        measure_run("tiny", [FRESH], Session.open(file, Settings(device="cpu")))

    return made_once(tmp_path_factory, "measured-project", make)


@pytest.fixture
def measured(measured_project: Path) -> Trail:
    return Trail.read(measured_project / "verdicts")


def change_results(trail: Trail, edit: Callable[[dict[str, Any]], object]) -> Trail:
    """The same trail with other results of the measurement, as somebody who recomputes all digests would leave it."""
    digest, event = trail.find("measured")
    results = json.loads(trail.kept(event["body"]["results"]))
    edit(results)
    del trail.files[trail.path(digest)]
    event["body"]["results"] = trail.keep(json.dumps(results).encode())
    trail.put(event)
    return trail


def test_what_was_measured_is_told_and_the_trail_is_good(measured: Trail) -> None:
    report = audited(measured)
    assert "measured" in sorts(report) and not {"measured-otherwise", "measured-unchecked"} & sorts(report)
    lines = [line.status for subject in report.hypotheses for line in subject.lines if line.step == 4]
    assert lines == ["PASS"]


@pytest.mark.parametrize(
    "edit",
    [
        lambda results: results["replicas"][0].update(weights_sha256="ab" * 32),
        lambda results: results["replicas"][0].update(seed=7),
        lambda results: results.update(registration="ab" * 32),
        lambda results: results["replicas"][0]["metrics"].update(hidden_norm={"epochs": [8], "values": {}}),
        lambda results: results["replicas"][0]["metrics"][FRESH].update(epochs=[4]),
        lambda results: results["epochs"].update(dfa=4),
        lambda results: results["data"]["digits"].update(fingerprint="ab" * 32),
        lambda results: results["replicas"][0].update(arm="bp"),
    ],
    ids=["weights", "seed", "registration", "metric", "epoch of values", "epoch", "data", "arm"],
)
def test_results_that_are_not_of_the_run_are_found(measured: Trail, edit: Callable[[dict[str, Any]], object]) -> None:
    report = audited(change_results(measured, edit))
    assert "measured-otherwise" in sorts(report) and report.exit_code == 3


@pytest.mark.parametrize(
    "change",
    [
        {"weights": {"dfa/0.safetensors": "ab" * 32}},
        {"weights": {"dfa/99.safetensors": "ab" * 32}},
        {"metrics": ["hidden_norm"]},
        {"epochs": {"dfa": 8}},
        {"data": {}},
    ],
    ids=["weights", "a file", "metric", "an arm less", "data"],
)
def test_an_event_that_says_otherwise_is_found(measured: Trail, change: dict[str, Any]) -> None:
    digest, event = measured.find("measured")
    del measured.files[measured.path(digest)]
    measured.put(event | {"body": event["body"] | change})
    assert "measured-otherwise" in sorts(audited(measured))


def test_a_measurement_from_before_the_verdict_is_none(measured: Trail) -> None:
    finished, _ = measured.find("run_finished")
    digest, event = measured.find("measured")
    del measured.files[measured.path(digest)]
    measured.put(event | {"parents": [finished]})
    assert "measured-otherwise" in sorts(audited(measured))


def test_results_that_are_missing_or_none_leave_it_unchecked(measured: Trail) -> None:
    _, event = measured.find("measured")
    del measured.files[f"objects/sha256/{event['body']['results']}"]
    assert {"measured-unchecked", "object-missing"} <= sorts(audited(measured))


def test_the_run_and_its_standing_stay_as_they_were(measured_project: Path, tmp_path: Path) -> None:
    """Without the event, nothing but the event and its object is another."""
    from harness.ledger import Ledger
    from harness.pipeline.claims import list_moves
    from harness.pipeline.reverdict import judge_again

    copy = tmp_path / "copy"
    shutil.copytree(measured_project / "verdicts", copy)
    trail = Ledger(copy)
    again = judge_again("tiny", trail)
    assert not again.differing and list_moves(trail) == list_moves(Ledger(measured_project / "verdicts"))
    assert len(list_moves(trail)) == 1
