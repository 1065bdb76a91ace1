"""A question is registered once: no folder, branch or work tree hides its registration from a second one."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.folders import bare_project, git, harness, registrations
from tests.e2e.projects import Project, make_project

REGISTER = ("register", "hypotheses/tiny.yaml")


@pytest.fixture
def bare(tmp_path: Path) -> Project:
    return bare_project(tmp_path / "project")


@pytest.fixture
def repository(bare: Project) -> Project:
    git(bare.root, "init", "-q", "-b", "main")
    git(bare.root, "add", "-A")
    git(bare.root, "commit", "-q", "-m", "the project")
    return bare


def obey(stderr: str) -> None:
    """Give the remedy's command to a shell, from a folder that has nothing to do with it."""
    command = stderr.split("→ ")[1].split(": ", 1)[1].strip()
    subprocess.run(["sh", "-ec", command], check=True, cwd="/", capture_output=True)


@pytest.mark.parametrize(
    "place",
    [".cache/t", ".venv/t", "sub/mine", "sub/a/mine", "a/b/c/d/e/f/g/h/i/j/mine", "data/digits/mine", ".tox"],
)
def test_a_place_where_nobody_would_look_is_refused(place: str, bare: Project) -> None:
    (bare.root / "sub").mkdir()
    (bare.root / "sub" / "pyproject.toml").write_text("")
    (bare.root / ".venv").mkdir()
    (bare.root / ".venv" / "pyvenv.cfg").write_text("")
    for given, variables in ((["--verdicts", place], {}), ([], {"HARNESS_VERDICTS": place})):
        ran = harness(bare.root, *REGISTER, *given, **variables)
        assert ran.returncode == 2 and "would not find this trail" in ran.stderr, ran.stderr
    assert registrations(bare.root) == []
    assert harness(bare.root, *REGISTER).returncode == 0


@pytest.mark.parametrize("place", [".hidden/t", "a/b/c/d/e/f/g/h/mine", "data/mine", "data"])
def test_every_other_place_in_the_project_is_found(place: str, bare: Project) -> None:
    assert harness(bare.root, *REGISTER, "--verdicts", place).returncode == 0
    ran = harness(bare.root, *REGISTER)
    assert ran.returncode == 2 and "another trail of this project" in ran.stderr, ran.stderr
    assert len(registrations(bare.root)) == 1


@pytest.mark.parametrize("data", ["sub", "."])
def test_no_data_folder_hides_a_trail(data: str, bare: Project) -> None:
    assert harness(bare.root, *REGISTER, "--verdicts", "sub/deep/mine").returncode == 0
    ran = harness(bare.root, *REGISTER, HARNESS_DATA=data)
    assert ran.returncode == 2 and "another trail of this project" in ran.stderr, ran.stderr


def test_a_trail_outside_is_told_as_what_it_is(bare: Project, tmp_path: Path) -> None:
    ran = harness(bare.root, *REGISTER, "--verdicts", "../out")
    assert ran.returncode == 0 and ran.stderr.count("lies outside the project") == 1
    shutil.rmtree(tmp_path / "out")
    (bare.root / "pyproject.toml").write_text('[tool.harness]\nverdicts = "../out"\n')
    ran = harness(bare.root, *REGISTER)
    assert ran.returncode == 0 and "outside the project" not in ran.stderr  # whoever registers again looks there


def test_a_project_that_is_made_around_a_trail_is_none_until_it_asks_something_and_then_told(bare: Project) -> None:
    assert harness(bare.root, *REGISTER, "--verdicts", "sub/mine").returncode == 0
    (bare.root / "sub" / "pyproject.toml").write_text("")
    ran = harness(bare.root, *REGISTER)
    assert ran.returncode == 2 and "another trail of this project" in ran.stderr, ran.stderr
    (bare.root / "sub" / "hypotheses").mkdir()
    ran = harness(bare.root, *REGISTER)
    assert "another project of this repository registered the same id" in ran.stderr
    assert str(bare.root / "sub") in ran.stderr


def test_a_branch_that_registered_it_is_named_and_merged(repository: Project) -> None:
    root = repository.root
    git(root, "switch", "-q", "-c", "trying/it")
    assert harness(root, *REGISTER).returncode == 0
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "registered")
    git(root, "switch", "-q", "main")
    assert registrations(root) == []
    ran = harness(root, *REGISTER)
    assert ran.returncode == 2 and "another branch, trying/it, holds its registration" in ran.stderr, ran.stderr
    obey(ran.stderr)
    assert len(registrations(root)) == 1
    assert "registered already, by event" in harness(root, *REGISTER).stderr


@pytest.mark.parametrize("undone", ["reset", "removed"])
def test_a_registration_that_was_taken_back_is_still_one(repository: Project, undone: str) -> None:
    root = repository.root
    assert harness(root, *REGISTER).returncode == 0
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "registered")
    if undone == "reset":
        git(root, "reset", "-q", "--hard", "HEAD~1")
    else:
        git(root, "rm", "-r", "-q", "trail")
        git(root, "commit", "-q", "-m", "removed")
    ran = harness(root, *REGISTER)
    assert ran.returncode == 2 and "registered already" in ran.stderr, ran.stderr
    assert ("no branch has any more" if undone == "reset" else "an earlier commit of this branch") in ran.stderr
    obey(ran.stderr)
    assert len(registrations(root)) == 1


def test_another_work_tree_is_looked_at_before_anything_is_committed(repository: Project, tmp_path: Path) -> None:
    git(repository.root, "worktree", "add", "-q", "-b", "beside", str(tmp_path / "beside"))
    git(repository.root, "worktree", "add", "-q", "-b", "inside", str(repository.root / "trees" / "inside"))
    assert harness(tmp_path / "beside", *REGISTER).returncode == 0
    for folder in (repository.root, repository.root / "trees" / "inside"):
        ran = harness(folder, *REGISTER)
        assert ran.returncode == 2 and "another work tree of this repository" in ran.stderr, ran.stderr
        assert str(tmp_path / "beside" / "trail") in ran.stderr
    assert len(registrations(tmp_path)) == 1


def test_a_project_that_is_added_inside_a_repository_is_told(repository: Project) -> None:
    root = repository.root
    assert harness(root, *REGISTER).returncode == 0
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "registered")
    inner = make_project(root / "course" / "student")
    (inner.root / "pyproject.toml").write_text("")
    ran = harness(inner.root, *REGISTER)
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.count("another project of this repository registered the same id") == 1
    assert str(root / "trail") in ran.stderr


def audited(folder: Path, *arguments: str) -> tuple[int, list[dict[str, str]]]:
    """Exit code of an audit, and what it found of other trails."""
    ran = harness(folder, "audit", "--format", "json", *arguments)
    found = json.loads(ran.stdout)["findings"]
    return ran.returncode, [one for one in found if one["sort"].startswith("registered-")]


def test_an_audit_names_another_trail_that_holds_the_same_question(repository: Project, tmp_path: Path) -> None:
    """Two draws, of which each trail by itself looks as if it were the only one."""
    root = repository.root
    assert harness(root, *REGISTER).returncode == 0
    assert audited(root)[1] == []
    (root / "trail").rename(tmp_path / "kept")
    assert harness(root, *REGISTER, "--verdicts", "another").returncode == 0
    (tmp_path / "kept").rename(root / "trail")
    for here, there in ((), "another"), (("--verdicts", "another"), "trail"):
        code, (found,) = audited(root, *here)
        assert code == 5 and found["sort"] == "registered-elsewhere" and found["kind"] == "missing"
        assert found["hypothesis"] == "tiny" and found["where"] == str(root / there)
    said = harness(root, "audit")
    assert "NOT CHECKED 3" in said.stdout and "another trail of this project" in said.stdout
    told = harness(root, "doctor").stdout
    assert f"tiny is registered in another trail of this project, too: {root / 'another'}" in told
    copied = shutil.copytree(root / "trail", root / "a copy")
    assert [one["where"] for one in audited(root)[1]] == [str(root / "another")], copied  # a copy is no second draw


@pytest.mark.parametrize("place", ["work tree", "branch"])
def test_an_audit_looks_where_git_has_other_trails(repository: Project, place: str, tmp_path: Path) -> None:
    root = repository.root
    beside = tmp_path / "beside"
    git(root, "worktree", "add", "-q", "-b", "beside", str(beside))
    assert harness(beside, *REGISTER, "--verdicts", "another").returncode == 0
    git(root, "worktree", "lock", str(beside))
    beside.rename(tmp_path / "away")  # as if on another machine
    assert harness(root, *REGISTER).returncode == 0
    (tmp_path / "away").rename(beside)
    where = beside / "another"
    if place != "work tree":
        git(beside, "add", "-A")
        git(beside, "commit", "-q", "-m", "registered")
        shutil.rmtree(beside)
        git(root, "worktree", "unlock", str(beside))
        git(root, "worktree", "prune")
        where = root / "another"
    code, (found,) = audited(root)
    assert code == 5 and found["where"] == str(where)
    assert ("another work tree" in found["what"]) == (place == "work tree")


def test_an_audit_tells_another_project_that_asks_the_same_and_holds_nothing_against_it(repository: Project) -> None:
    root = repository.root
    inner = make_project(root / "course" / "student")
    (inner.root / "pyproject.toml").write_text("")
    assert harness(inner.root, *REGISTER).returncode == 0
    assert harness(root, *REGISTER).returncode == 0
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "registered")
    for folder, other in ((root, inner.root / "verdicts"), (inner.root, root / "trail")):
        code, (found,) = audited(folder)
        assert found["sort"] == "registered-by-another" and found["where"] == str(other)
        assert code == 0, found


def test_a_plan_says_that_the_registration_will_be_refused(bare: Project) -> None:
    assert harness(bare.root, *REGISTER, "--verdicts", "another").returncode == 0
    planned = harness(bare.root, "plan", "hypotheses/tiny.yaml")
    ran = harness(bare.root, "run", "hypotheses/tiny.yaml")
    assert planned.returncode == ran.returncode == 2
    assert "registered already in another trail of this project" in planned.stderr and "trail: trail" in planned.stdout
    assert planned.stderr == ran.stderr
