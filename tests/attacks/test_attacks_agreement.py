"""Two attempts that trained the same and came to different results: one of them is not what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness import inference, verdict
from harness.ledger import Ledger
from harness.ledger.audit import AuditReport
from harness.pipeline.audit import AuditRequest, audit_trail
from harness.pipeline.judge import render_verdict
from harness.pipeline.run_files import read_registered
from harness.records import Measurements, Provenance
from tests.attacks.corpus import better, only, rewrite_json
from tests.attacks.trails import Trail, audited, sha, sorts
from tests.e2e.projects import run_file


@pytest.fixture
def twice(project: Path) -> Trail:
    """The good trail with a second attempt at its second hypothesis, as harness made it."""
    run_file(project / "hypotheses" / "second.yaml")
    return Trail.read(project / "verdicts")


def forge(trail: Trail, scratch: Path) -> None:
    """Write the last attempt's results anew, have harness judge them, and rebuild the ledger so that all fits."""
    run = trail.find("run_started", "second", 1)[0]
    folder = trail.folder(run)
    rewrite_json(trail, f"{folder}/results.json", better)
    trail.write(scratch)
    started = Ledger(scratch).index().start(run)
    assert started is not None
    measurements = Measurements.model_validate_json(trail.files[f"{folder}/results.json"])
    provenance = Provenance.model_validate_json(trail.files[f"{folder}/env.json"])
    registered = read_registered(Ledger(scratch), started)
    decision = verdict.word_decision(registered.hypothesis, inference.decide(registered.hypothesis, measurements))
    for name, data in render_verdict(registered, measurements, decision, provenance).items():
        trail.files[f"{folder}/{name}"] = data

    def fit(_digest: str, event: dict[str, Any]) -> dict[str, Any]:
        if event["body"].get("run") == run:
            for name in event["body"].get("files", {}):
                event["body"]["files"][name] = sha(trail.files[f"{folder}/{name}"])
            if event["type"] == "run_finished":
                event["body"]["results"] = sha(trail.files[f"{folder}/results.json"])
        return event

    trail.rebuild(fit)


def steps(report: AuditReport) -> dict[int, str]:
    (subject,) = [subject for subject in report.hypotheses if subject.hypothesis == "second"]
    return {line.step: line.status for line in subject.lines}


def test_a_better_attempt_beside_an_honest_one_is_found(twice: Trail, tmp_path: Path) -> None:
    """All digests fit, the page follows from the results: only the attempt before it tells."""
    assert not {"attempts-disagree", "attempts-differ"} & sorts(audited(twice))
    forge(twice, tmp_path / "scratch")
    twice.write(tmp_path / "forged")
    report = audit_trail(tmp_path / "forged", Path("none"), AuditRequest(recompute=True))
    assert steps(report) == {3: "FAIL", 4: "PASS", 5: "PASS", 6: "PASS", 8: "NOT CHECKED", 9: "NOT CHECKED"}
    assert "attempts-disagree" in sorts(report) and report.exit_code == 4


def test_another_package_beside_other_results_is_told(twice: Trail, tmp_path: Path) -> None:
    forge(twice, tmp_path / "scratch")
    run, _ = twice.find("run_started", "second", 1)

    def other(body: dict[str, Any]) -> None:
        body["environment"]["packages"]["numpy"] = "1.0"

    twice.rebuild(only(run, other))
    told = [finding for finding in audited(twice).findings if finding.code == "attempts-differ"]
    assert len(told) == 1 and "its packages changed: numpy" in told[0].what
