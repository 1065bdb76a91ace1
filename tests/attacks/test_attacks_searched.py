"""Attempts that came out badly, hidden where git still has them: under other names of folders, behind refs that are
gone, in other repositories. What honest work leaves in the same places is no tampering."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.ledger import Ledger
from harness.ledger.audit import AuditReport
from harness.pipeline.audit import audit_trail
from harness.pipeline.project import Settings
from tests.attacks.repositories import commit, git, plain_git
from tests.attacks.trails import Trail, sorts
from tests.e2e import commands

__all__ = ["plain_git"]  # a fixture for every test here


def checked(folder: Path, verdicts: str = "verdicts") -> AuditReport:
    return audit_trail(folder / verdicts, folder / "hypotheses", settings=Settings())


def steps(report: AuditReport) -> dict[int, str]:
    return {line.step: line.status for line in report.trail}


@pytest.fixture
def repository(project: Path) -> Path:
    """The good project under git."""
    shutil.copy(Path(__file__).parents[2] / ".gitignore", project / ".gitignore")
    git(project, "init", "-q", "-b", "main")
    commit(project, "first")
    assert checked(project).exit_code == 0
    return project


def attempt(folder: Path, verdicts: str = "verdicts") -> list[Path]:
    """Enter a real attempt's events: started like the one before, and closed; return their files.

    Both are in the first form of such events, which the versions of harness before this one read as well.
    """
    trail = Trail.read(folder / verdicts)
    started = trail.append("run_started", trail.find("run_started", "first")[1]["body"])
    failed = trail.append("run_failed", {"run": started, "reason": "came out badly"})
    files = [folder / verdicts / trail.path(digest) for digest in (started, failed)]
    for file in files:
        file.write_bytes(trail.files[file.relative_to(folder / verdicts).as_posix()])
    return files


def drop(files: list[Path]) -> None:
    for file in files:
        file.unlink()


def forget(folder: Path) -> None:
    """Nothing of git's reaches what was thrown away; its objects are still there."""
    git(folder, "reflog", "expire", "--expire=now", "--all")


def under_another_name(repository: Path) -> None:
    """The trail had another name when the attempt was committed."""
    (repository / "verdicts").rename(repository / "trail")
    bad = attempt(repository, "trail")
    commit(repository, "more")
    drop(bad)
    (repository / "trail").rename(repository / "verdicts")
    commit(repository, "tidied up")


def under_a_bare_name(repository: Path) -> None:
    """The event was committed in a folder of its own, and never in the trail."""
    (repository / "attic").mkdir()
    for file in attempt(repository):
        file.rename(repository / "attic" / file.name)
    commit(repository, "put away")
    git(repository, "rm", "-rq", "attic")
    commit(repository, "tidied up")


def by_a_reset(repository: Path) -> None:
    attempt(repository)
    commit(repository, "came out badly")
    git(repository, "reset", "-q", "--hard", "HEAD~1")


def by_an_amended_commit(repository: Path) -> None:
    bad = attempt(repository)
    commit(repository, "came out badly")
    drop(bad)
    git(repository, "add", "-A", ".")
    git(repository, "commit", "-q", "--amend", "--allow-empty", "-m", "nothing")


def behind_an_expired_reflog(repository: Path) -> None:
    by_a_reset(repository)
    forget(repository)


def on_a_branch_that_was_deleted(repository: Path) -> None:
    git(repository, "checkout", "-q", "-b", "side")
    attempt(repository)
    commit(repository, "came out badly")
    git(repository, "checkout", "-q", "main")
    git(repository, "branch", "-q", "-D", "side")
    forget(repository)


def staged_and_never_committed(repository: Path) -> None:
    bad = attempt(repository)
    git(repository, "add", "-A", ".")
    git(repository, "reset", "-q")
    drop(bad)


def still_in_the_index(repository: Path) -> None:
    bad = attempt(repository)
    git(repository, "add", "-A", ".")
    drop(bad)


def behind_a_graft(repository: Path) -> None:
    under_another_name(repository)
    (repository / ".git" / "info" / "grafts").write_text(git(repository, "rev-parse", "HEAD") + "\n")


def behind_a_replaced_commit(repository: Path) -> None:
    under_another_name(repository)
    tree = git(repository, "rev-parse", "HEAD^{tree}")
    git(repository, "replace", "HEAD", git(repository, "commit-tree", tree, "-m", "the only one"))
    git(repository, "pack-refs", "--all")


def behind_a_commit_graph(repository: Path) -> None:
    """A graph that git wrote of a history in which the tip had no parent."""
    under_another_name(repository)
    git(repository, "-c", "core.commitGraph=true", "commit-graph", "write", "--reachable", "--changed-paths")
    graph = repository / ".git" / "objects" / "info" / "commit-graph"
    data = bytearray(graph.read_bytes())
    table = bytes(data)
    where = {table[at : at + 4]: int.from_bytes(table[at + 4 : at + 12]) for at in range(8, 8 + 12 * data[6], 12)}
    tip = bytes.fromhex(git(repository, "rev-parse", "HEAD"))
    count = int.from_bytes(data[where[b"OIDF"] + 4 * 255 : where[b"OIDF"] + 4 * 256])
    names = [bytes(data[where[b"OIDL"] + 20 * n : where[b"OIDL"] + 20 * n + 20]) for n in range(count)]
    first = where[b"CDAT"] + 36 * names.index(tip) + 20
    data[first : first + 8] = (0x70000000).to_bytes(4) * 2  # no parents
    graph.chmod(0o644)
    graph.write_bytes(data[:-20] + hashlib.sha1(data[:-20]).digest())
    assert git(repository, "rev-list", "--count", "HEAD") == "1"  # git itself believes it


HIDDEN = (
    under_another_name, under_a_bare_name, by_a_reset, by_an_amended_commit, behind_an_expired_reflog,
    on_a_branch_that_was_deleted, staged_and_never_committed, still_in_the_index, behind_a_graft,
    behind_a_replaced_commit, behind_a_commit_graph,
)  # fmt: skip


@pytest.mark.parametrize("hide", HIDDEN, ids=lambda hide: hide.__name__)
def test_what_git_still_has_of_a_hidden_attempt_is_removed(repository: Path, hide: Callable[[Path], None]) -> None:
    hide(repository)
    report = checked(repository)
    assert "removed" in sorts(report) and report.exit_code == 3, report.findings
    assert steps(report)[2] == "FAIL"


def test_a_removed_event_is_put_back_by_the_command_that_is_named(repository: Path) -> None:
    behind_an_expired_reflog(repository)
    for _ in range(2):
        found = [finding for finding in checked(repository).findings if finding.code == "removed"]
        if found:
            assert found[0].command is not None
            subprocess.run(found[0].command, shell=True, check=True)
    for _ in range(2):
        found = [finding for finding in checked(repository).findings if finding.code == "removed"]
        for finding in found:
            subprocess.run(str(finding.command), shell=True, check=True)
    report = checked(repository)
    assert "removed" not in sorts(report) and report.exit_code == 0


def test_an_attempt_on_another_branch_is_told_by_the_branch_and_merged_by_the_command(repository: Path) -> None:
    """Whoever reads a digest of a commit has to search for its branch, and a reader may take that for nothing."""
    git(repository, "switch", "-q", "-c", "tried-out")
    attempt(repository)
    commit(repository, "came out badly")
    git(repository, "switch", "-q", "main")
    (repository / "note.txt").write_text("note")
    commit(repository, "a note")
    report = checked(repository)
    (found,) = [finding for finding in report.findings if finding.code == "attempts-elsewhere"]
    assert report.exit_code == 5 and found.what.startswith("2 events on first on tried-out, and not on this branch")
    assert "attempts may be missing here" in found.what
    subprocess.run(str(found.command), shell=True, check=True)
    report = checked(repository)
    assert report.exit_code == 0 and steps(report)[2] == "PASS"


def put_in_submodule(repository: Path, tmp_path: Path) -> Path:
    """A submodule that holds what this trail lacks."""
    source = tmp_path / "attempts"
    (source / "kept").mkdir(parents=True)
    for file in attempt(repository):
        file.rename(source / "kept" / file.name)
    git(source, "init", "-q", "-b", "main")
    commit(source, "kept")
    git(repository, "-c", "protocol.file.allow=always", "submodule", "-q", "add", str(source), "attempts")
    commit(repository, "with a submodule")
    return repository / "attempts"


@pytest.mark.parametrize("how", ["there", "emptied", "removed"])
def test_a_submodule_hides_nothing(repository: Path, tmp_path: Path, how: str) -> None:
    module = put_in_submodule(repository, tmp_path)
    if how == "emptied":
        git(module, "rm", "-rq", "kept")
        git(module, "commit", "-q", "-m", "emptied")
        commit(repository, "emptied")
    elif how == "removed":
        git(repository, "rm", "-qf", "attempts")
        commit(repository, "removed")
    report = checked(repository)
    assert "removed" in sorts(report) and report.exit_code == 3, report.findings


def put_around(repository: Path, tmp_path: Path) -> Path:
    """Make the project a submodule of a repository that held what its trail lacks; return it there."""
    outer = tmp_path / "outer"
    outer.mkdir()
    git(outer, "init", "-q", "-b", "main")
    (outer / "kept").mkdir()
    for file in attempt(repository):
        file.rename(outer / "kept" / file.name)
    commit(outer, "kept")
    git(outer, "-c", "protocol.file.allow=always", "submodule", "-q", "add", str(repository), "project")
    git(outer, "rm", "-rq", "kept")
    commit(outer, "tidied up")
    return outer / "project"


def test_a_project_in_a_submodule_is_searched_in_the_repository_around(repository: Path, tmp_path: Path) -> None:
    report = checked(put_around(repository, tmp_path))
    assert "removed" in sorts(report) and report.exit_code == 3, report.findings


@pytest.mark.parametrize("about", ["first", "something else"])
def test_another_ledger_in_the_tree_is_named(repository: Path, about: str) -> None:
    other = Ledger(repository / "archive" / "old")
    other.append("pilot", {"hypothesis": about.replace(" ", "-"), "settings": {}})
    commit(repository)
    report = checked(repository)
    (found,) = [finding for finding in report.findings if finding.code == "other-ledger"]
    assert "archive/old" in found.where and about.replace(" ", "-") in found.what
    assert report.exit_code == 5 and steps(report)[2] == "NOT CHECKED"


def test_a_ledger_that_was_thrown_away_is_removed(repository: Path) -> None:
    Ledger(repository / "archive" / "old").append("pilot", {"hypothesis": "first", "settings": {}})
    commit(repository, "tried out")
    git(repository, "rm", "-rq", "archive")
    commit(repository, "tidied up")
    assert "removed" in sorts(checked(repository))


def test_the_ledger_of_another_project_and_a_copy_are_notes(repository: Path) -> None:
    (repository / "other" / "hypotheses").mkdir(parents=True)
    (repository / "other" / "pyproject.toml").write_text("")
    (repository / "other" / "hypotheses" / "x.yaml").write_text("")
    Ledger(repository / "other" / "verdicts").append("pilot", {"hypothesis": "x", "settings": {}})
    shutil.copytree(repository / "verdicts", repository / "backup")
    commit(repository)
    report = checked(repository)
    assert report.exit_code == 0, report.findings
    assert len([finding for finding in report.findings if finding.code == "ledger-beside"]) == 2


@pytest.mark.parametrize("how", ["a rebase", "a squash", "an amended message", "a branch that was merged", "gc"])
def test_what_honest_work_leaves_in_git_is_fine(repository: Path, how: str) -> None:
    git(repository, "checkout", "-q", "-b", "side")
    attempt(repository)
    commit(repository, "on a branch")
    git(repository, "checkout", "-q", "main")
    (repository / "note.txt").write_text("note")
    commit(repository, "a note")
    if how == "a squash":
        git(repository, "merge", "-q", "--squash", "side")
        commit(repository, "squashed")
    else:
        git(repository, "rebase", "-q", "main", "side")
        git(repository, "checkout", "-q", "main")
        git(repository, "merge", "-q", "side")
    if how == "an amended message":
        git(repository, "commit", "-q", "--amend", "-m", "other words")
    git(repository, "branch", "-q", "-D", "side")
    if how == "gc":
        forget(repository)
        git(repository, "gc", "-q", "--prune=now")
    report = checked(repository)
    assert report.exit_code == 0 and steps(report)[2] == "PASS", report.findings


def audited(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return commands.run(("audit", *options), folder, os.environ | {"NO_COLOR": "1"})


def test_a_link_is_refused_as_a_trail(repository: Path) -> None:
    """What is called verdicts/ may be another, clean ledger than the one that the pages are in."""
    (repository / "verdicts").rename(repository / "clean")
    (repository / "verdicts").symlink_to("clean")
    commit(repository, "under another name")
    ran = audited(repository)
    assert ran.returncode == 2 and "link" in ran.stderr and "clean" in ran.stderr, ran.stderr
    assert checked(repository).exit_code == 3
    assert audited(repository, "--verdicts", "clean").returncode == 0  # by its own name it is audited


def test_an_audit_says_which_folder_and_which_head_it_is_about(repository: Path) -> None:
    """Settings may name another trail than the one that a reader looks at."""
    head = Ledger(repository / "verdicts").heads()[0]
    ran = audited(repository)
    first = ran.stdout.splitlines()[0]
    assert os.path.realpath(repository / "verdicts") in first and head[:12] in first
    plain = json.loads(audited(repository, "--format", "json").stdout)
    assert plain["folder"] == os.path.realpath(repository / "verdicts") and plain["head"] == head


def test_a_ref_that_git_cannot_follow_hides_no_branch(repository: Path) -> None:
    """Git then lists nothing of any branch, and nobody has looked whether one holds an attempt."""
    git(repository, "switch", "-q", "-c", "bad")
    attempt(repository)
    commit(repository)
    git(repository, "switch", "-q", "main")
    report = checked(repository)
    assert "attempts-elsewhere" in sorts(report) and steps(report)[2] == "NOT CHECKED"
    (repository / ".git" / "refs" / "heads" / "broken").write_text("1" * 40 + "\n")
    report = checked(repository)
    assert {"history-unread", "objects-unread"} <= sorts(report) and report.exit_code == 5
    assert steps(report)[2] == "NOT CHECKED"
