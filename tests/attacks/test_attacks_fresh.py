"""Repetitions with a reader's nonce: the ninth promise is kept by nobody but somebody else, and by real results."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness import ledger
from harness.errors import UsageError
from harness.ledger.audit import AuditReport
from harness.ledger.rerun_bodies import RepeatedBody
from harness.ledger.seeding import derive_from_nonce
from harness.pipeline.audit import AuditRequest, audit_trail
from harness.pipeline.repeat import repeat_run
from tests.attacks.draws import open_session
from tests.attacks.trails import Trail, sorts
from tests.once import made_once
from tests.ssh import needs_ssh_keygen

pytestmark = needs_ssh_keygen
NONCE = "0123456789abcdef"


def act_as(root: Path, name: str) -> None:
    for command in (["init", "-q"], ["config", "user.name", name]):
        subprocess.run(["git", "-C", str(root), *command], check=True, capture_output=True)


@pytest.fixture(scope="session")
def repeated_project(drawn_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The drawn project, whose run a reader repeated."""

    def make(folder: Path) -> None:
        shutil.copytree(drawn_project, folder)
        act_as(folder, "A reader")
        repeat_run("drawn", NONCE, open_session(folder))

    return made_once(tmp_path_factory, "repeated-project", make)


@pytest.fixture
def repeated(repeated_project: Path) -> Trail:
    return Trail.read(repeated_project / "verdicts")


def line(report: AuditReport) -> str:
    (found,) = [line for subject in report.hypotheses for line in subject.lines if line.step == 9]
    assert found.status != "PASS" or "by the word of whoever repeated it" in found.reason
    return found.status


def test_a_reader_s_repetition_keeps_the_ninth_promise(repeated_project: Path, drawn: Trail) -> None:
    trail = ledger.Ledger(repeated_project / "verdicts")
    (entry,) = trail.index().entries(RepeatedBody)
    (run,) = trail.index().starts()
    body = entry.body
    results = json.loads(trail.read_object(body.results))
    assert tuple(results["seeds"]) == derive_from_nonce(body.form, NONCE, 3)
    assert not set(results["seeds"]) & set(run.body.seeds)
    verdict = trail.index().verdict(run.digest)
    assert verdict is not None and body.outcome == verdict.body.outcome == "worse"  # whatever the means differ by
    before = json.loads((trail.root / run.folder / "results.json").read_text())
    both = [margin(before, index) for index in range(3)] + [margin(results, index) for index in range(3)]
    mean, low, high = body.combined["margin"]
    assert mean == pytest.approx(sum(both) / 6) and low < mean < high
    found = audit_trail(trail.root, Path("none"), AuditRequest(recompute=True))
    assert line(found) == "PASS" and "repeated" in sorts(found) and "repetition-differs" not in sorts(found)
    assert line(audit_trail_of(drawn)) == "NOT CHECKED"


def margin(results: dict[str, Any], index: int) -> float:
    value = {r["arm"]: r["metrics"]["train_loss"] for r in results["replicas"] if r["seed_index"] == index}
    return float(last(value["bp"]) - last(value["frozen"]))


def last(series: Any) -> float:
    """The number of the last evaluated epoch, wherever a series keeps it."""
    while not isinstance(series, float):
        series = list(series.values())[-1] if isinstance(series, dict) else series[-1]
    return series


def audit_trail_of(trail: Trail) -> AuditReport:
    from harness.ledger.audit import Evidence, audit
    from harness.pipeline.audit import list_steps
    from tests.attacks.trails import InMemory

    steps = [step for step in list_steps(Path("none"), AuditRequest()) if step.number in (1, 3, 4, 5, 7, 9)]
    return audit(Evidence(InMemory(trail)), steps)


def test_an_author_s_own_repetition_does_not(drawn_project: Path, tmp_path: Path) -> None:
    root = tmp_path / "own"
    shutil.copytree(drawn_project, root)
    act_as(root, ledger.Ledger(root / "verdicts").index().starts()[0].event.actor)
    repeat_run("drawn", NONCE, open_session(root))
    found = audit_trail(root / "verdicts", Path("none"), AuditRequest())
    assert "repeated-by-author" in sorts(found) and line(found) == "NOT CHECKED"


def test_a_repetition_that_was_made_up_is_found(repeated: Trail) -> None:
    for change, finds in (
        ({"nonce": "0123456789abcdee"}, "repeated-seeds"),
        ({"form": "ab" * 32}, "repeated-seeds"),
        ({"results": repeated.find("repeated")[1]["body"]["form"]}, "repetition-unchecked"),
        ({"results": "ab" * 32}, "repetition-unchecked"),
    ):
        trail = repeated.copy()

        def edit(_: str, event: dict[str, Any], change: dict[str, str] = change) -> dict[str, Any]:
            if event["type"] == "repeated":
                event["body"] |= change
            return event

        trail.rebuild(edit)
        found = audit_trail_of(trail)
        assert finds in sorts(found) and found.exit_code and line(found) != "PASS", change


def test_a_repetition_from_before_the_verdict_is_none(repeated: Trail) -> None:
    finished, _ = repeated.find("run_finished")
    digest, event = repeated.find("repeated")
    del repeated.files[repeated.path(digest)]
    repeated.put(event | {"parents": [finished]})
    assert "repeated-seeds" in sorts(audit_trail_of(repeated))


def test_an_outcome_that_does_not_follow_is_found(repeated: Trail, tmp_path: Path) -> None:
    digest, event = repeated.find("repeated")
    del repeated.files[repeated.path(digest)]
    event["body"] |= {"outcome": "better", "differences": ["it was worse"]}
    repeated.put(event)
    repeated.write(tmp_path / "verdicts")
    found = audit_trail(tmp_path / "verdicts", Path("none"), AuditRequest(recompute=True))
    assert "repetition-differs" in sorts(found) and line(found) == "FAIL"


def test_a_nonce_is_used_once_and_is_not_short(repeated_project: Path) -> None:
    for nonce, match in (
        ("short", "16 to 128"),
        ("with a blank in it", "16 to 128"),
        (NONCE, "with this nonce before"),
    ):
        with pytest.raises(UsageError, match=match):
            repeat_run("drawn", nonce, open_session(repeated_project))
