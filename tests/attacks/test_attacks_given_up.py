"""A researcher who looks at an attempt under way, and closes it or goes on as it pleases: the ledger tells."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import Interrupted
from harness.ledger import Ledger, list_attempts, read_timeline
from harness.pipeline.audit import audit_trail
from harness.pipeline.project import Settings
from harness.pipeline.register import close_attempt
from harness.pipeline.run import run_hypothesis
from harness.pipeline.session import Reporter, Session
from tests.attacks.good import write_files
from tests.attacks.trails import Trail, audited, sha, sorts


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with an attempt that was stopped after its first values were measured. Copy it before changing it."""
    root = tmp_path_factory.mktemp("stopped") / "project"
    write_files(root)
    first = root / "hypotheses" / "first.yaml"
    text = first.read_text().replace("epochs: 2\n", "epochs: 4\n").replace("every_epochs: 2", "every_epochs: 1")
    first.write_text(text)
    seen: list[int] = []
    reporter = Reporter(progress=lambda at: seen.append(at.epoch), stop=lambda: bool(seen) and max(seen) >= 2)
    session = replace(_session(root), reporter=reporter)
    with pytest.raises(Interrupted):
        run_hypothesis(first, session)
    return root


@pytest.fixture
def project(stopped: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(stopped, tmp_path / "project"))


def _session(root: Path) -> Session:
    return Session.open(root / "hypotheses", Settings(device="cpu", verdicts=root / "verdicts", data=root / "data"))


def _report(root: Path) -> dict[str, str]:
    report = audit_trail(root / "verdicts", root / "hypotheses")
    return {finding.code: finding.what for finding in report.findings}


def test_who_closes_after_reading_values_is_told_on(project: Path) -> None:
    trail = Ledger(project / "verdicts")
    (run,) = trail.index().starts("first")
    body = close_attempt(run.name, trail, "It was started by mistake.").body
    assert body.progress is not None and body.progress.readable and body.progress.replicas == 6
    assert body.progress.trained + body.progress.under_way > 0
    (entry,) = list_attempts(trail, "first")
    assert "measured values could be read" in (entry.reason or "")  # as list, show and every later page have it
    assert any("could be read" in detail for moment in read_timeline(trail, "first") for detail in moment.details)
    assert "could be read" in _report(project)["given-up-late"]
    run_hypothesis(project / "hypotheses" / "first.yaml", _session(project))
    pages = [path.read_text() for path in (project / "verdicts" / "first").glob("*/verdict.md")]
    assert len(pages) == 1 and "measured values could be read" in pages[0]
    assert not {"attempts-hidden", "page-otherwise"} & {*_report(project)}


def test_who_starts_anew_after_reading_values_is_told_on(project: Path) -> None:
    session = _session(project)
    anew = replace(session, settings=replace(session.settings, resume=False))
    run_hypothesis(project / "hypotheses" / "first.yaml", anew)
    assert "could be read" in _report(project)["given-up-late"]


def test_who_closes_before_any_value_is_not(good_trail: Trail) -> None:
    _, event = good_trail.find("run_aborted")
    assert event["body"]["progress"]["readable"] is False
    assert "given-up-late" not in sorts(audited(good_trail))


def test_that_a_run_was_resumed_is_an_event_whatever_its_working_files_say(project: Path) -> None:
    (starts,) = (project / "verdicts").glob("first/*/work/starts")
    starts.write_text("")  # the only place that told of it
    run_hypothesis(project / "hypotheses" / "first.yaml", _session(project))
    trail = Trail.read(project / "verdicts")
    _, event = trail.find("run_resumed", "first")
    assert event["body"]["progress"]["readable"] is True
    assert "resumed 1 time" in _report(project)["resumed"]
    (page,) = (project / "verdicts" / "first").glob("*/verdict.md")
    assert "resumed" in page.read_text()
    # a page that tells of one session
    digest, verdict = trail.find("verdict", "first")
    path = f"{trail.folder(verdict['body']['run'])}/env.json"
    env = json.loads(trail.files[path]) | {"resumed": 0}
    trail.files[path] = (json.dumps(env, sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode()
    files = verdict["body"]["files"] | {"env.json": sha(trail.files[path])}
    del trail.files[trail.path(digest)]
    trail.put(verdict | {"body": verdict["body"] | {"files": files}})
    assert "page-otherwise" in sorts(audited(trail))
