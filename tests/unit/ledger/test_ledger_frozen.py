"""A program's code as git has it: pinned whole, refused where it differs, and read back to the byte."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from harness.errors import Tampered, UsageError
from harness.ledger import (
    compare_commit,
    find_missing,
    list_other_code,
    list_program_differences,
    pin_program,
    read_frozen,
)
from harness.programs import pack, unpack
from harness.records.program import Program


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    command = ["git", "-C", str(folder), *who, "-c", "protocol.file.allow=always", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def program(*paths: str, **more: object) -> Program:
    told = {"command": ("./run.sh",), "lock": "none", "timeout": "1 h", "code": {"git": paths or (".",)}}
    return Program.model_validate(told | more)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project in a folder of a repository, with code that an archive or a checkout would change."""
    root = tmp_path / "repository" / "study"
    for name in ("src/lib", "hypotheses", "verdicts"):
        (root / name).mkdir(parents=True)
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    (root / "src/lib/code.py").write_bytes(b"one = 1\r\n$Format:%H$\n")
    (root / "src/left_out.py").write_text("two = 2\n")
    (root / "src/link").symlink_to("lib/code.py")
    (root / "src/.gitattributes").write_text("left_out.py export-ignore\n*.py export-subst eol=lf\n")
    (root / "hypotheses/h.yaml").write_text("x\n")
    (root / "verdicts/v.json").write_text("x\n")
    (tmp_path / "repository/outside.txt").write_text("x\n")
    git(tmp_path / "repository", "init", "--quiet")
    commit(root)
    return root


def commit(root: Path) -> None:
    git(root, "add", "--all", ":/")
    git(root, "commit", "--quiet", "--message", "x")


def test_the_whole_project_is_pinned_but_for_the_trail_and_the_hypotheses(project: Path) -> None:
    pins = pin_program(program(), project, project / "verdicts")
    assert set(pins.trees) == {"run.sh", "src"}
    files = read_frozen(pins, project)
    assert set(files) == {"run.sh", "src/lib/code.py", "src/left_out.py", "src/link", "src/.gitattributes"}
    assert files["run.sh"] == (0o100755, b"#!/bin/sh\n")
    assert files["src/link"] == (0o120000, b"lib/code.py")
    assert b"$Format:%H$" in files["src/lib/code.py"][1]
    assert list(find_missing(pins, project)) == []


def test_named_paths_are_pinned_and_nothing_else_counts(project: Path) -> None:
    before = pin_program(program("src/lib", "run.sh"), project, project / "verdicts")
    assert set(before.trees) == {"src/lib", "run.sh"}
    assert set(read_frozen(before, project)) == {"src/lib/code.py", "run.sh"}
    (project / "src/left_out.py").write_text("changed\n")
    (project / "new.txt").write_text("new\n")
    assert pin_program(program("src/lib", "run.sh"), project, project / "verdicts") == before
    commit(project)
    after = pin_program(program("src/lib", "run.sh"), project, project / "verdicts")
    assert after.commit != before.commit
    assert list_program_differences(before, after) == ()


def test_a_mode_is_part_of_what_is_pinned(project: Path) -> None:
    before = pin_program(program("run.sh"), project, project / "verdicts")
    (project / "run.sh").chmod(0o644)
    commit(project)
    after = pin_program(program("run.sh"), project, project / "verdicts")
    assert len(list_program_differences(before, after)) == 1


@pytest.mark.parametrize("ignored", [True, False])
def test_changed_and_new_files_are_refused_with_their_list(project: Path, ignored: bool) -> None:
    if ignored:
        (project / ".gitignore").write_text("*.pyc\n")
        commit(project)
    (project / "src/lib/new.pyc").write_text("x")
    (project / "hypotheses/h.yaml").write_text("changed\n")
    (project / "verdicts/new.json").write_text("x\n")
    if ignored:
        pin_program(program(), project, project / "verdicts")
        return
    (project / "src/left_out.py").unlink()
    with pytest.raises(UsageError) as refused:
        pin_program(program(), project, project / "verdicts")
    assert "2 files of the program's code are not committed" in refused.value.message
    assert "changed: study/src/left_out.py" in refused.value.message
    assert "new: study/src/lib/new.pyc" in refused.value.message


def test_what_can_t_be_pinned_is_refused(project: Path, tmp_path: Path) -> None:
    trail = project / "verdicts"
    for told, why in (
        (program("nowhere"), "git has no nowhere in commit"),
        (program("src", folder="elsewhere"), "is to run in elsewhere, of which nothing is among the code"),
        (program(lock="uv.lock"), "uv.lock can't be read"),
        (program(inputs={"x": {"path": "run.sh", "sha256": "0" * 64}}), "is not the file that the hypothesis names"),
        (program(inputs={"x": {"path": "nowhere", "sha256": "0" * 64}}), "nowhere can't be read"),
    ):
        with pytest.raises(UsageError, match=why):
            pin_program(told, project, trail)
    bare = tmp_path / "bare"
    bare.mkdir()
    with pytest.raises(UsageError, match=r"pinned by git, and .* is in no git repository"):
        pin_program(program(), bare, bare / "verdicts")
    git(project, "submodule", "--quiet", "add", str(tmp_path / "repository"), "src/sub")
    commit(project)
    with pytest.raises(UsageError, match="src/sub is a submodule"):
        pin_program(program(), project, trail)
    with pytest.raises(UsageError, match="src/sub is a submodule"):
        pin_program(program("src"), project, trail)


def test_an_object_that_is_gone_or_another_is_told(project: Path) -> None:
    pins = pin_program(program(), project, project / "verdicts")
    top = project.parent
    blob = git(project, "rev-parse", "HEAD:study/src/left_out.py").strip()
    (top / ".git/objects" / blob[:2] / blob[2:]).chmod(0o644)
    (top / ".git/objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(Tampered, match=r"git does not have a file of the program's code: src/left_out\.py"):
        read_frozen(pins, project)
    other = pins.model_copy(update={"trees": {"src": "0" * 40}})
    assert list(find_missing(other, project)) == ["src"]
    with pytest.raises(Tampered, match="git does not have the program's code: src"):
        read_frozen(other, project)


def test_a_replaced_object_is_not_taken_for_the_pinned_one(project: Path) -> None:
    """Neither of a file nor of a folder: git replace shows other content under a name."""
    pins = pin_program(program(), project, project / "verdicts")
    before = read_frozen(pins, project)
    (project / "src/left_out.py").write_text("three = 3\n")
    git(project, "add", "--all")
    blob, tree = (git(project, "rev-parse", f"HEAD:study/src{name}").strip() for name in ("/left_out.py", ""))
    other = git(project, "write-tree", "--prefix=study/src").strip()
    git(project, "replace", blob, git(project, "rev-parse", f"{other}:left_out.py").strip())
    assert read_frozen(pins, project) == before
    git(project, "replace", tree, other)
    assert read_frozen(pins, project) == before


def test_a_commit_s_code_is_compared_with_what_was_pinned(project: Path) -> None:
    trail = project / "verdicts"
    pins, first = pin_program(program(), project, trail), git(project, "rev-parse", "HEAD").strip()
    (trail / "more.json").write_text("x\n")
    commit(project)
    second = git(project, "rev-parse", "HEAD").strip()
    (project / "run.sh").chmod(0o644)
    (project / "new.py").write_text("")
    commit(project)
    third = git(project, "rev-parse", "HEAD").strip()

    def compare(told: str, *paths: str) -> str | None:
        kept = pins if not paths else pins.model_copy(update={"trees": {"src": pins.trees["src"]}})
        return compare_commit(told, paths or (".",), kept, project, trail)

    assert (compare(first), compare(first[:8]), compare(second)) == ("", "", "")  # the trail is no code
    assert compare(third) == f"it ran other code, of commit {third[:12]}: new.py, run.sh"
    assert compare(third, "src") == ""
    assert compare("0" * 40) is None
    assert compare("--help") == "it names the code --help, which is no git commit"
    assert compare(pins.trees["src"]) is None  # a tree, and no commit
    git(project, "rm", "-r", "--quiet", "src")
    commit(project)
    gone = git(project, "rev-parse", "HEAD").strip()
    assert compare(gone, "src") == f"it ran other code, of commit {gone[:12]}: src"


def test_code_that_travelled_is_known_without_git(project: Path) -> None:
    pins = pin_program(program("run.sh", "src"), project, project / "verdicts")
    files = unpack(pack(read_frozen(pins, project)))
    assert files == read_frozen(pins, project)
    assert list_other_code(pins, files) == ()
    deep = {**files, "src/lib/code.py": (0o100644, b"one = 2\n")}
    assert list_other_code(pins, deep) == ("src",)
    assert list_other_code(pins, {**files, "run.sh": (0o100644, files["run.sh"][1])}) == ("run.sh",)
    assert list_other_code(pins, {**files, "src/link": (0o100644, files["src/link"][1])}) == ("src",)
    assert list_other_code(pins, {**files, "more.py": (0o100644, b"")}) == ("more.py",)
    assert list_other_code(pins, {"run.sh": files["run.sh"]}) == ("src",)
    assert list_other_code(pins, {}) == ("run.sh", "src")
    with pytest.raises((ValueError, EOFError)):
        unpack(pack(files)[:150])
