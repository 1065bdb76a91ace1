"""What git answers, and that the reasons why it does not are told apart."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.ledger.environment import describe_environment
from harness.ledger.git import REDIRECTING, ask, find_actor
from harness.ledger.git import find_repository as find

Git = Callable[..., bytes]


def state(prepare: str, folder: Path, tmp_path: Path, git: Git, monkeypatch: pytest.MonkeyPatch) -> str:
    """Bring a repository with a commit into a state of which git has no commit to tell."""
    if prepare == "no repository":
        folder = tmp_path / "plain"
        folder.mkdir()
    elif prepare == "no commit yet":
        folder = tmp_path / "unborn"
        git(tmp_path, "init", "-q", "unborn")
    elif prepare == "no git":
        monkeypatch.setenv("PATH", str(tmp_path))
    elif prepare == "another owner":
        monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # git's own switch
    elif prepare == "a git that hangs":
        slow = tmp_path / "bin" / "git"
        slow.parent.mkdir()
        slow.write_text("#!/bin/sh\nexec sleep 60\n")
        slow.chmod(0o755)
        monkeypatch.setenv("PATH", str(slow.parent), prepend=":")
        monkeypatch.setattr("harness.ledger.git.SECONDS", 0.2)
    elif prepare == "a repository that is gone":
        folder = tmp_path / "worktree"
        folder.mkdir()
        (folder / ".git").write_text("gitdir: /nowhere/at/all\n")
    where = find(folder)
    assert where.commit is None and where.problem and where.remedy
    assert "safe.directory" not in where.remedy
    found = describe_environment(folder)
    assert (found.commit, found.no_commit) == (None, where.state)
    return f"{where.state}: {where.problem}"


@pytest.mark.parametrize(
    ("prepare", "expected"),
    [
        ("no git", "no git: there is no git on this machine"),
        ("no repository", "no repository: "),
        ("no commit yet", "no commit yet: the git repository has no commit yet"),
        ("another owner", "git says no: git says no: detected dubious ownership"),
        ("a git that hangs", "git says no: git says no: no answer within"),
        ("a repository that is gone", "git says no: git says no: not a git repository: /nowhere/at/all"),
    ],
)
def test_no_commit_has_its_reason(
    repository: Path, tmp_path: Path, git: Git, monkeypatch: pytest.MonkeyPatch, prepare: str, expected: str
) -> None:
    assert state(prepare, repository, tmp_path, git, monkeypatch).startswith(expected)


def test_a_commit_needs_no_reason_and_older_events_keep_their_form(repository: Path, git: Git) -> None:
    found = describe_environment(repository)
    assert found.commit == git(repository, "rev-parse", "HEAD").decode().strip()
    assert found.no_commit is None and "no_commit" not in found.model_dump(mode="json")


def test_a_folder_outside_the_projects_repository_is_none_without_one(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    assert find(tmp_path / "elsewhere", repository).state == "outside the repository"
    assert find(tmp_path / "elsewhere", tmp_path / "elsewhere").state == "no repository"
    (repository / "linked").symlink_to(tmp_path / "elsewhere")
    assert find(repository / "linked", repository).state == "outside the repository"
    assert find(repository / ".git").state == "outside the repository"


def test_a_folder_that_is_not_there_yet_counts_where_it_would_be(repository: Path) -> None:
    where = find(repository / "sub" / "trail")
    assert (where.state, where.prefix) == ("answers", "sub/trail/")


def test_no_variable_of_a_surrounding_git_leads_elsewhere(
    repository: Path, tmp_path: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "init", "-q", "other")
    git(tmp_path / "other", "config", "user.name", "Somebody Else")
    before = describe_environment(repository)
    local = subprocess.run(["git", "rev-parse", "--local-env-vars"], capture_output=True, text=True, check=True)
    assert set(local.stdout.split()) - {"GIT_CONFIG_COUNT"} <= set(REDIRECTING)
    for name in ("GIT_DIR", "GIT_COMMON_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "other" / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path / "other"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    monkeypatch.setenv("GIT_LITERAL_PATHSPECS", "1")
    assert describe_environment(repository) == before
    assert find_actor(repository) == "Ada Example"


def test_git_fetches_nothing(repository: Path, tmp_path: Path, git: Git) -> None:
    git(repository, "config", "uploadpack.allowFilter", "true")
    git(tmp_path, "clone", "-q", "--no-checkout", "--filter=blob:none", f"file://{repository}", "partial")
    clone = tmp_path / "partial"
    assert ask(clone, "cat-file", "blob", "HEAD:code.py").out is None
    assert git(clone, "cat-file", "blob", "HEAD:code.py") == b"x = 1\n"  # which fetches it
