from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
from importlib.metadata import version

import pytest

import harness
from harness.ledger import describe_environment


def test_a_clean_repository(repository, git):
    found = describe_environment(repository)
    assert found.commit == git(repository, "rev-parse", "HEAD").decode().strip()
    assert (found.dirty, found.dirty_digest) == (False, None)
    assert found.harness == harness.__version__
    assert found.python == platform.python_version()
    assert found.platform == f"{platform.system()} {platform.machine()}"
    assert found.packages["torch"] == version("torch")
    assert "no-such-package" not in found.packages


def test_changed_code_is_dirty_by_its_own_digest_and_run_folders_do_not_count(repository, git):
    (repository / "verdicts" / "kept.txt").write_text("another\n")
    (repository / "untracked.txt").write_text("new\n")
    assert describe_environment(repository).dirty is False
    (repository / "code.py").write_text("x = 2\n")
    first = describe_environment(repository)
    assert first.dirty is True
    shown = git(repository, "diff", "HEAD", "--binary", "--full-index", "--", ".", ":(exclude)verdicts")
    assert first.dirty_digest == hashlib.sha256(shown).hexdigest()
    git(repository, "add", "code.py")
    assert describe_environment(repository) == first  # staged or not, the files are the same
    (repository / "code.py").write_text("x = 3\n")
    assert describe_environment(repository).dirty_digest != first.dirty_digest


def test_the_users_diff_settings_have_no_say(repository, git):
    (repository / "code.py").write_text("x = 2\n")
    plain = describe_environment(repository)
    for key, value in (
        ("diff.noprefix", "true"),
        ("diff.context", "0"),
        ("color.diff", "always"),
        ("diff.external", "false"),
        ("diff.mnemonicPrefix", "true"),
    ):
        git(repository, "config", key, value)
    assert describe_environment(repository) == plain


def test_from_a_subfolder_the_whole_repository_counts(repository, git):
    project = repository / "sub"
    (project / "verdicts").mkdir(parents=True)
    (project / "verdicts" / "a.txt").write_text("a\n")
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "second")
    (project / "verdicts" / "a.txt").write_text("b\n")
    assert describe_environment(project).dirty is False
    (repository / "code.py").write_text("x = 2\n")
    assert describe_environment(project).dirty is True


@pytest.mark.parametrize("prepare", ["no repository", "no commit", "no git"])
def test_without_a_commit_nothing_is_claimed(tmp_path, git, monkeypatch, prepare):
    folder = tmp_path / "plain"
    folder.mkdir()
    if prepare == "no commit":
        git(folder, "init", "-q")
    if prepare == "no git":
        monkeypatch.setenv("PATH", str(tmp_path))
    found = describe_environment(folder)
    assert (found.commit, found.dirty, found.dirty_digest) == (None, None, None)
    assert found.packages["numpy"] == version("numpy")


def test_a_git_that_hangs_is_given_up(tmp_path, repository, monkeypatch):
    slow = tmp_path / "bin" / "git"
    slow.parent.mkdir()
    slow.write_text("#!/bin/sh\nexec sleep 600\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", str(slow.parent), prepend=":")
    monkeypatch.setattr("harness.ledger.git.SECONDS", 0.2)
    assert describe_environment(repository).commit is None  # and not only after longer than a test may take


def test_it_names_neither_host_nor_folder(repository):
    text = describe_environment(repository).to_json()
    assert str(repository) not in text
    assert f'"{platform.node()}"' not in text
    assert "example.org" not in text


def test_it_imports_nothing_large(repository):
    code = (
        "import sys; from pathlib import Path; from harness.ledger import describe_environment as describe;"
        "describe(Path(sys.argv[1]));"
        "print([m for m in ('torch', 'torchvision', 'scipy', 'sklearn', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(repository)], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_new_file_without_an_end_counts_by_its_size(repository):
    """It is a hole, which takes no room, and minutes to be digested."""
    size = 2**30 + 1
    (repository / "new.py").touch()
    os.truncate(repository / "new.py", size)
    found = describe_environment(repository)
    assert found.dirty_digest == hashlib.sha256(f"{size} bytes  new.py\n".encode()).hexdigest()
