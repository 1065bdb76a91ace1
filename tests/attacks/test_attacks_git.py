"""Two real clones: what honest merges leave is clean, and what a rewritten history hides is found."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import pytest

from harness.ledger import Ledger
from harness.ledger.audit import AuditReport, TrustedInputs
from harness.pipeline.audit import AuditRequest, audit_trail
from tests.attacks.repositories import commit, git, plain_git
from tests.attacks.sweeps import promised
from tests.attacks.trails import Trail, sorts

FINE = {
    "amended", "stray", "replicated", "nothing-kept", "not-asked", "not-rerun", "code-not-compared",
    "uncommitted", "events-elsewhere",
}  # fmt: skip
FINE |= {"choosable", "not-repeated"}
FINE |= {"weights-absent"}

__all__ = ["plain_git"]  # a fixture for every test here


def checked(folder: Path, known_head: str | None = None) -> AuditReport:
    asked = AuditRequest(TrustedInputs(known_head))
    return audit_trail(folder / "verdicts", folder / "hypotheses", asked)


def assert_clean(report: AuditReport) -> None:
    assert sorts(report) <= FINE, [finding for finding in report.findings if finding.code not in FINE]
    assert report.exit_code == 0
    (history,) = [line for line in report.trail if line.step == 2]
    assert history.status == "PASS"


@pytest.fixture
def repository(project: Path) -> Path:
    """The good project under git, as its own .gitignore has it."""
    shutil.copy(Path(__file__).parents[2] / ".gitignore", project / ".gitignore")
    shutil.copy(Path(__file__).parents[2] / ".gitattributes", project / ".gitattributes")
    git(project, "init", "-q", "-b", "main")
    commit(project, "first")
    return project


@pytest.fixture
def clones(repository: Path, tmp_path: Path) -> tuple[Path, Path]:
    for name in ("left", "right"):
        git(tmp_path, "clone", "-q", str(repository), name)
    return tmp_path / "left", tmp_path / "right"


def attempt(folder: Path, hypothesis: str, reason: str) -> str:
    """A real attempt's events: started like the one before, and closed."""
    ledger = Ledger(folder / "verdicts")
    (body, *_) = [e.body for e in ledger.events() if e.type == "run_started" and e.body["hypothesis"] == hypothesis]
    started = ledger.append("run_started", body, actor=folder.name)
    ledger.append("run_failed", {"run": started.digest, "reason": reason}, actor=folder.name)
    commit(folder, reason)
    return started.digest


def test_a_committed_trail_is_clean(repository: Path) -> None:
    assert_clean(checked(repository))


@pytest.mark.parametrize("order", list(itertools.permutations(["left", "right", "both"])))
def test_honest_clones_merge_in_every_order(clones: tuple[Path, Path], order: tuple[str, ...]) -> None:
    left, right = clones
    for step in order:
        if step != "right":
            attempt(left, "first", f"left {step}")
        if step != "left":
            attempt(right, "second", f"right {step}")
        if step == "both":
            git(left, "pull", "-q", "--no-rebase", str(right), "main")
            assert_clean(checked(left))
    git(right, "pull", "-q", "--no-rebase", str(left), "main")
    git(left, "pull", "-q", "--no-rebase", str(right), "main")
    for clone in clones:
        report = checked(clone)
        assert_clean(report)
        counts = {subject.hypothesis: subject.attempts["failed"] for subject in report.hypotheses}
        assert counts == {"first": 2, "second": 2}
    joined = Ledger(left / "verdicts").append("pilot", {"hypothesis": "first", "settings": {}})
    commit(left)
    report = checked(left)
    assert_clean(report)
    assert report.head == joined.digest


def test_rebase_and_squash_keep_every_event(clones: tuple[Path, Path]) -> None:
    left, right = clones
    attempt(left, "first", "left")
    attempt(right, "second", "right")
    attempt(right, "second", "right again")
    git(right, "pull", "-q", "--rebase", str(left), "main")
    assert_clean(checked(right))
    git(left, "fetch", "-q", str(right), "main:other")
    git(left, "merge", "-q", "--squash", "other")
    commit(left, "squashed")
    git(left, "branch", "-q", "-D", "other")
    report = checked(left)
    assert_clean(report)
    assert {subject.hypothesis: subject.attempts["failed"] for subject in report.hypotheses} == {
        "first": 1,
        "second": 2,
    }


def test_a_merge_that_throws_the_other_side_away_is_found(clones: tuple[Path, Path]) -> None:
    left, right = clones
    attempt(left, "first", "left")
    bad = attempt(right, "first", "came out badly")
    git(left, "pull", "-q", "--no-rebase", "-s", "ours", str(right), "main")
    report = checked(left)
    assert report.exit_code == 3 and "removed" in sorts(report)
    assert any(bad in finding.where for finding in report.findings if finding.code == "removed")


@pytest.mark.parametrize(
    "how", ["removed", "changed", "removed and committed", "removed in a merge", "changed and back"]
)
def test_what_history_had_is_missed(repository: Path, how: str) -> None:
    digest = attempt(repository, "first", "came out badly")
    events = repository / "verdicts" / "ledger" / "events"
    last = Ledger(repository / "verdicts").heads()[0]
    for name in (digest, last):
        path = events / f"{name}.json"
        path.chmod(0o644)
        data = path.read_bytes()
        if how.startswith("changed"):
            path.write_bytes(data.replace(b"Z", b"X") + b" ")
        elif how == "removed in a merge":
            git(repository, "checkout", "-q", "-B", "side", "HEAD~1")
            (repository / f"{name}.txt").write_text("side")
            commit(repository, "side")
            git(repository, "checkout", "-q", "main")
            git(repository, "merge", "-q", "--no-ff", "--no-commit", "side")
            path.unlink()
        else:
            path.unlink()
        if how not in ("removed", "changed"):
            commit(repository, "tidied up")
        if how == "changed and back":
            path.write_bytes(data)
            commit(repository, "and back")
    report = checked(repository)
    if how == "changed and back":
        assert report.exit_code == 0 and "other-version" in sorts(report)
    else:
        assert report.exit_code == 3
        assert {"removed", "changed"} & sorts(report)


def test_an_artefact_that_was_removed_is_tampered_with(repository: Path) -> None:
    (page,) = (repository / "verdicts" / "second").glob("*/verdict.md")
    page.unlink()
    report = checked(repository)
    assert {"removed", "artefact-missing"} <= sorts(report) and report.exit_code == 3


def test_every_file_that_is_flipped_is_found_even_where_no_event_names_it(repository: Path) -> None:
    """A pilot's files are named by no event, but history has them."""
    trail = Trail.read(repository / "verdicts")
    pilots = sorted(path for path in set(trail.files) - set(promised(trail)) if "/weights/" not in path)
    assert pilots
    for path in pilots:
        file = repository / "verdicts" / path
        good = file.read_bytes()
        file.write_bytes(good[:-2] + bytes([good[-2] ^ 1]) + good[-1:])
        report = checked(repository)
        assert any(finding.where == str(file) for finding in report.findings if finding.severity == "tampered")
        file.write_bytes(good)


@pytest.mark.parametrize("how", ["branch", "reset", "rebase"])
def test_attempts_that_only_another_commit_holds_are_told(repository: Path, how: str) -> None:
    """Left on a branch, which may be work in progress, or thrown away, which the reflog still knows."""
    if how == "branch":
        git(repository, "checkout", "-q", "-b", "side")
    attempt(repository, "first", "came out badly")
    if how == "branch":
        git(repository, "checkout", "-q", "main")
    elif how == "reset":
        git(repository, "reset", "-q", "--hard", "HEAD~1")
    else:
        (repository / "note.txt").write_text("note")
        commit(repository, "kept")
        git(repository, "rebase", "-q", "--onto", "HEAD~2", "HEAD~1", "main")
    report = checked(repository)
    sort, code = ("attempts-elsewhere", 5) if how == "branch" else ("removed", 3)
    assert sort in sorts(report) and report.exit_code == code


def test_work_on_something_else_in_another_branch_is_a_note(repository: Path) -> None:
    git(repository, "checkout", "-q", "-b", "side")
    Ledger(repository / "verdicts").append("pilot", {"hypothesis": "third", "settings": {}})
    commit(repository)
    git(repository, "checkout", "-q", "main")
    report = checked(repository)
    assert "events-elsewhere" in sorts(report)
    assert_clean(report)


def test_history_rewritten_in_a_fresh_clone_is_found_by_the_kept_head_alone(repository: Path, tmp_path: Path) -> None:
    attempt(repository, "first", "came out badly")
    head = Ledger(repository / "verdicts").heads()[0]
    git(repository, "reset", "-q", "--hard", "HEAD~1")
    git(tmp_path, "clone", "-q", "--no-local", str(repository), "fresh")
    report = checked(tmp_path / "fresh")
    assert_clean(report)
    assert [line.status for line in report.trail if line.step == 7] == ["NOT CHECKED"]
    assert checked(tmp_path / "fresh", head).exit_code == 3


def test_a_shallow_clone_and_no_clone_are_incomplete(repository: Path, tmp_path: Path) -> None:
    attempt(repository, "first", "once more")
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{repository}", "shallow")
    shallow = checked(tmp_path / "shallow")
    assert "shallow" in sorts(shallow) and shallow.exit_code == 5
    shutil.rmtree(repository / ".git")
    assert checked(repository).exit_code == 5
    git(repository, "init", "-q")
    (repository / "other.txt").write_text("other")
    git(repository, "add", "other.txt")
    git(repository, "commit", "-q", "-m", "without the trail")
    assert "no-history" in sorts(checked(repository))


@pytest.mark.parametrize("setting", ["diff.relative=true", "log.showSignature=true", "diff.renames=copies"])
def test_the_configuration_of_a_repository_has_no_say(repository: Path, setting: str) -> None:
    attempt(repository, "first", "came out badly")
    (repository / "verdicts/ledger/events" / f"{Ledger(repository / 'verdicts').heads()[0]}.json").unlink()
    commit(repository)
    git(repository, "config", *setting.split("="))
    git(repository, "config", "gpg.program", "false")
    git(repository, "replace", "HEAD~1", "HEAD~2")
    assert "removed" in sorts(checked(repository))


def test_step_two_is_needed(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it nothing else sees that the last events were taken away with all that they name."""
    attempt(repository, "first", "came out badly")
    ledger = Ledger(repository / "verdicts")
    for event in ledger.events()[-2:]:
        path = ledger.folder / f"{event.digest}.json"
        path.chmod(0o644)
        path.unlink()
    assert checked(repository).exit_code == 3
    monkeypatch.setattr("harness.ledger.audit.history.check", lambda _: ())
    assert checked(repository).exit_code == 0
