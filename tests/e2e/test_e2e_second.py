"""A question is registered once: no folder, branch or work tree hides its registration from a second one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.folders import bare_project, bound_by_permissions, git, harness, registrations
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


def reword(root: Path) -> None:
    """Change the file's text, not its meaning: the same bytes, registered in the same second, are the same event."""
    file = root / "hypotheses" / "tiny.yaml"
    file.write_text(file.read_text() + "# asked again\n")


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
    reword(root)
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
    reword(root)
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
    reword(inner.root)
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


@pytest.mark.parametrize("committed", [True, False], ids=["in git", "without git"])
@pytest.mark.parametrize(
    "made",
    [
        {"pyproject.toml": ""},
        {"pyproject.toml": "[tool.ruff]\n"},
        {"pyproject.toml": '[tool.harness]\nverdicts = "../second"\n'},
        {"verdicts/.keep": ""},
        {"verdicts/ledger/.keep": ""},
        {"pyproject.toml": "", "hypotheses/.keep": "", "verdicts/ledger/events/.keep": ""},
    ],
    ids=["empty settings", "other settings", "settings", "trail", "begun trail", "all of a project"],
)
def test_nothing_that_is_put_into_hypotheses_makes_a_project_of_it(
    made: dict[str, str], committed: bool, tmp_path: Path
) -> None:
    root = make_project(tmp_path / "project").root
    if committed:
        (root / "pyproject.toml").write_text("")
        git(root, "init", "-q", "-b", "main")
    assert harness(root, *REGISTER).returncode == 0
    if committed:
        git(root, "add", "-A")
        git(root, "commit", "-q", "-m", "registered")
    for name, text in made.items():
        file = root / "hypotheses" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    for folder in (root, root / "hypotheses"):
        file = os.path.relpath(root / "hypotheses" / "tiny.yaml", folder)
        ran = harness(folder, "register", file)
        assert ran.returncode == 2 and "registered already, by event" in ran.stderr, ran.stderr
        (row,) = json.loads(harness(folder, "list", "--format", "json").stdout)
        assert row["registered"] is not None
        assert json.loads(harness(folder, "audit", "--format", "json").stdout)["events"] == 1
        assert harness(folder, "show", "tiny", "--history").returncode == 0
    assert len(registrations(tmp_path)) == 1 and not (root / "second").exists()


@pytest.mark.parametrize("mark", ["pyproject.toml", "settings", "verdicts", ".git"])
def test_a_folder_that_is_no_project_for_sure_has_no_draw_of_its_own(mark: str, tmp_path: Path) -> None:
    """Files may lie in any folder, and what is put beside them later makes no second question of them."""
    root = make_project(tmp_path / "project").root
    shutil.copytree(root / "hypotheses", root / "study")
    assert harness(root, "register", "study/tiny.yaml").returncode == 0
    if mark == ".git":
        git(root / "study", "init", "-q")
    elif mark == "verdicts":
        (root / "study" / "verdicts").mkdir()
    else:
        (root / "study" / "pyproject.toml").write_text(
            "" if mark == "pyproject.toml" else "[tool.harness]\ndevice = 'cpu'\n"
        )
    ran = harness(root, "register", "study/tiny.yaml")
    assert ran.returncode == 2 and "registered already" in ran.stderr, ran.stderr
    assert len(registrations(root)) == 1


def test_projects_side_by_side_and_inside_one_another_go_on(repository: Project) -> None:
    for name in ("one", "two", "hypotheses/three"):
        inner = make_project(repository.root / "packages" / name)
        (inner.root / "pyproject.toml").write_text("")
        ran = harness(inner.root, *REGISTER)
        assert ran.returncode == 0, ran.stderr
        (row,) = json.loads(harness(inner.root, "list", "--format", "json").stdout)
        assert row["registered"] is not None and (inner.root / "verdicts" / "ledger").is_dir()


def commit_and_remove(root: Path) -> None:
    assert harness(root, *REGISTER).returncode == 0
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "registered")
    git(root, "rm", "-r", "-q", "trail")
    git(root, "commit", "-q", "-m", "removed")


@pytest.mark.parametrize("how", ["orphan", "head that leads nowhere", "graft", "replaced"])
def test_git_is_asked_whatever_head_and_its_history_are_made_to_look_like(how: str, repository: Project) -> None:
    root = repository.root
    commit_and_remove(root)
    if how == "orphan":
        git(root, "switch", "-q", "--orphan", "fresh")
        git(root, "restore", "--source", "main", "--", ".")
    elif how == "head that leads nowhere":
        (root / ".git" / "HEAD").write_text("ref: refs/heads/none\n")
    else:
        git(root, "reflog", "expire", "--expire=now", "--all")
        head, first = git(root, "rev-parse", "HEAD").strip(), git(root, "rev-parse", "HEAD~2").strip()
        if how == "graft":
            (root / ".git" / "info").mkdir(exist_ok=True)
            (root / ".git" / "info" / "grafts").write_text(f"{head} {first}\n")
        else:
            git(root, "replace", "--graft", head, first)
    ran = harness(root, *REGISTER)
    assert ran.returncode == 2 and "registered already" in ran.stderr, ran.stderr
    obey(ran.stderr)
    assert len(registrations(root)) == 1


def remarks(root: Path, **variables: str) -> str:
    """Register, and return what is said of what was not looked at."""
    ran = harness(root, *REGISTER, **variables)
    assert ran.returncode == 0, ran.stderr
    return "\n".join(line for line in ran.stderr.splitlines() if "not looked at" in line)


def test_a_repository_that_cannot_be_asked_is_told(repository: Project, tmp_path: Path) -> None:
    path = tmp_path / "bin"
    path.mkdir()
    said = remarks(repository.root, PATH=str(path))
    assert said.count(f"{repository.root / '.git'} is there, but there is no git on this machine") == 1


def test_no_git_is_not_missed_where_there_is_no_repository(bare: Project, tmp_path: Path) -> None:
    assert remarks(bare.root, PATH=str(tmp_path)) == ""


def test_a_repository_without_a_head_is_told(repository: Project) -> None:
    (repository.root / ".git" / "HEAD").unlink()
    assert f"{repository.root / '.git'} is there, but" in remarks(repository.root)


def test_a_damaged_branch_is_told(repository: Project) -> None:
    (repository.root / ".git" / "refs" / "heads" / "broken").write_text("5" * 40 + "\n")
    assert "whether another branch holds a registration of this id (bad object" in remarks(repository.root)


def test_a_foreign_repository_is_told(repository: Project) -> None:
    """git says so itself, as to whoever does not own the folder."""
    said = remarks(repository.root, GIT_TEST_ASSUME_DIFFERENT_OWNER="1")
    assert "whether git holds a registration of this id" in said and "dubious ownership" in said


def test_a_git_that_does_not_answer_is_told(repository: Project, tmp_path: Path) -> None:
    """It is there and ends at once, as one whose disk or network is gone."""
    (tmp_path / "bin").mkdir()
    broken = tmp_path / "bin" / "git"
    broken.write_text("#!/bin/sh\necho 'fatal: the disk is gone' >&2; exit 128\n")
    broken.chmod(0o755)
    assert "git says no: the disk is gone" in remarks(repository.root, PATH=f"{broken.parent}:/usr/bin:/bin")


def test_a_shallow_clone_says_what_it_lacks_and_how_to_get_it(repository: Project, tmp_path: Path) -> None:
    commit_and_remove(repository.root)
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{repository.root}", str(clone))
    ran = harness(clone, "plan", "hypotheses/tiny.yaml")
    (line,) = [line for line in (ran.stdout + ran.stderr).splitlines() if "this shallow clone lacks" in line]
    subprocess.run(["sh", "-ec", line[line.index("git -C") :]], check=True, cwd="/", capture_output=True)
    ran = harness(clone, *REGISTER)
    assert ran.returncode == 2 and "registered already" in ran.stderr, ran.stderr


def test_events_that_a_partial_clone_lacks_are_told(repository: Project, tmp_path: Path) -> None:
    git(repository.root, "config", "uploadpack.allowFilter", "true")
    commit_and_remove(repository.root)
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", "--filter=blob:none", f"file://{repository.root}", str(clone))
    assert "1 event of other branches not in this clone: not looked at" in remarks(clone)


def test_a_project_with_too_many_files_says_so(bare: Project) -> None:
    for folder in range(21):
        many = bare.root / "many" / str(folder)
        many.mkdir(parents=True)
        (many / "0").touch()
        for number in range(1, 10_000):  # links are made faster than files
            os.link(f"{many}/0", f"{many}/{number}")
    ran = harness(bare.root, *REGISTER)
    assert ran.returncode == 0 and "too many files to look for other trails" in ran.stderr, ran.stderr


def test_the_trail_that_another_work_trees_settings_name_is_looked_at(repository: Project, tmp_path: Path) -> None:
    other = tmp_path / "another\nline"
    git(repository.root, "worktree", "add", "-q", "-b", "beside", str(other))
    (other / "pyproject.toml").write_text('[tool.harness]\nverdicts = "../shared/trail"\n')
    assert harness(other, *REGISTER).returncode == 0
    assert registrations(tmp_path)[0].parents[2] == tmp_path / "shared" / "trail"
    ran = harness(repository.root, *REGISTER)
    assert ran.returncode == 2 and "another work tree of this repository" in ran.stderr, ran.stderr


def test_a_name_with_a_line_end_hides_nothing_from_git(bare: Project, tmp_path: Path) -> None:
    root = tmp_path / "two\nlines"
    bare.root.rename(root)
    git(root, "init", "-q", "-b", "main")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "the project")
    commit_and_remove(root)
    ran = harness(root, *REGISTER)
    assert ran.returncode == 2 and "registered already" in ran.stderr, ran.stderr


def test_two_registrations_at_a_time_are_one_after_the_other(repository: Project, tmp_path: Path) -> None:
    """A slow git keeps both looking until each would have found nothing."""
    (tmp_path / "bin").mkdir()
    slow = tmp_path / "bin" / "git"
    slow.write_text(f'#!/bin/sh\ncase "$*" in *--all*) sleep 2;; esac\nexec {shutil.which("git")} "$@"\n')
    slow.chmod(0o755)
    path = f"{slow.parent}:{os.environ['PATH']}"
    with ThreadPoolExecutor() as pool:
        given = (REGISTER, (*REGISTER, "--verdicts", "a"))
        both = [pool.submit(harness, repository.root, *arguments, PATH=path) for arguments in given]
        codes = [one.result().returncode for one in both]
    assert sorted(codes) == [0, 2]
    assert len(registrations(repository.root)) == 1


def test_of_two_draws_only_the_first_is_run(bare: Project, tmp_path: Path) -> None:
    root = bare.root
    assert harness(root, *REGISTER, "--verdicts", "../first").returncode == 0
    reword(root)
    assert harness(root, *REGISTER).returncode == 0
    (tmp_path / "first").rename(root / "first")
    times = {path.parents[2].name: json.loads(path.read_text())["claimed_time"] for path in registrations(root)}
    digests = {path.parents[2].name: path.stem for path in registrations(root)}
    early, late = sorted(times, key=lambda name: (times[name], digests[name]))
    ran = harness(root, "run", "hypotheses/tiny.yaml", "--verdicts", late)
    assert ran.returncode == 2 and "is later: the first counts" in ran.stderr and str(root / early) in ran.stderr
    ran = harness(root, "run", "hypotheses/tiny.yaml", "--verdicts", early)
    assert ran.returncode == 0 and "is earlier and counts" in ran.stderr, ran.stderr


@pytest.fixture
def closing() -> Iterator[Callable[[Path], None]]:
    """Closes a file or folder to everybody until the test is over."""
    closed = []

    def close(path: Path) -> None:
        closed.append((path, path.stat().st_mode))
        path.chmod(0)

    yield close
    for path, mode in closed:
        path.chmod(mode)


@pytest.mark.skipif(sys.platform != "linux", reason="it gives up capabilities")
@pytest.mark.parametrize("closed", ["verdicts", "verdicts/ledger/events"])
def test_a_trail_that_may_not_be_read_is_told_as_that_by_every_reader(
    closed: str, project: Project, closing: Callable[[Path], None]
) -> None:
    root = project.root
    assert harness(root, *REGISTER).returncode == 0
    closing(root / closed)
    for command in (["list"], ["plan", "hypotheses/tiny.yaml"], ["show", "tiny"], ["run", "hypotheses/tiny.yaml"]):
        ran = bound_by_permissions(root, *command)
        assert ran.returncode == 1 and "the trail's events can't be read: Permission denied" in ran.stderr, ran.stderr
        assert "internal error" not in ran.stderr and "give the command as a user who may read the trail" in ran.stderr
    audit = bound_by_permissions(root, "audit", "--format", "json")
    found = json.loads(audit.stdout)["findings"]
    (told,) = [finding for finding in found if finding["kind"] not in ("unchecked", "note")]
    assert audit.returncode == 5 and told["sort"] == "unreadable" and told["where"] == closed, found


@pytest.mark.skipif(sys.platform != "linux", reason="it gives up capabilities")
@pytest.mark.parametrize(("closed", "code"), [("events", 2), ("file", 2), ("trail", 0)])
def test_another_trail_that_may_not_be_read_is_no_empty_one(
    closed: str, code: int, project: Project, closing: Callable[[Path], None]
) -> None:
    root = project.root
    assert harness(root, *REGISTER, "--verdicts", "sub/mine").returncode == 0
    events = root / "sub" / "mine" / "ledger" / "events"
    closing({"events": events, "file": next(events.iterdir()), "trail": root / "sub" / "mine"}[closed])
    ran = bound_by_permissions(root, *REGISTER)
    assert ran.returncode == code and "can't be read" in ran.stderr and str(root / "sub" / "mine") in ran.stderr
    assert code == 0 or "nobody can tell what is registered there" in ran.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="it gives up capabilities")
def test_no_remedy_for_a_read_only_trail_is_a_second_one(project: Project) -> None:
    assert harness(project.root, *REGISTER).returncode == 0
    trail = project.root / "verdicts"
    trail.chmod(0o555)
    found = json.loads(bound_by_permissions(project.root, "doctor", "--format", "json").stdout)
    trail.chmod(0o755)
    (told,) = [finding for finding in found if finding["what"] == "trail folder"]
    assert told["state"] == "broken" and "have its owner let you write" in told["remedy"]
    assert not any("--verdicts" in (finding["remedy"] or "") for finding in found), found


def test_a_run_that_is_refused_for_converted_objects_stores_nothing(project: Project) -> None:
    root = project.root
    assert harness(root, *REGISTER).returncode == 0
    claims = json.loads(registrations(root)[0].read_text())["body"]["claims"]  # those of many projects are empty
    for file in [*(root / "verdicts" / "objects").rglob("*"), root / "hypotheses" / "tiny.yaml"]:
        if file.is_file() and file.name != claims:
            file.chmod(0o644)
            file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    before = sorted((root / "verdicts" / "objects").rglob("*"))
    ran = harness(root, "run", "hypotheses/tiny.yaml")
    assert ran.returncode == 3 and "line ends" in ran.stderr, ran.stderr
    assert sorted((root / "verdicts" / "objects").rglob("*")) == before


@pytest.mark.parametrize("option", ["--roots", "--allowed-signers"])
def test_an_audit_says_that_whom_one_trusts_made_no_anchor(option: str, project: Project) -> None:
    assert harness(project.root, *REGISTER).returncode == 0
    (project.root / "trusted").write_text("")
    audit = json.loads(harness(project.root, "audit", option, "trusted", "--format", "json").stdout)
    assert any(one["sort"] == "trust-unused" and option in one["what"] for one in audit["findings"])
    audit = json.loads(harness(project.root, "audit", "--format", "json").stdout)
    assert not any(one["sort"] == "trust-unused" for one in audit["findings"])
