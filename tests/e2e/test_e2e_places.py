"""One trail per project, wherever one stands and by whichever name a file is called."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e import commands
from tests.e2e.folders import SETTINGS, bare_project, git, harness, registrations
from tests.e2e.projects import Project, make_project


@pytest.fixture
def bare(tmp_path: Path) -> Project:
    return bare_project(tmp_path / "project")


def test_a_subfolder_has_the_projects_trail_and_no_second_attempt(bare: Project) -> None:
    first = harness(bare.root, "register", "hypotheses/tiny.yaml")
    assert first.returncode == 0, first.stderr
    again = harness(bare.root / "hypotheses", "run", "tiny.yaml", "--require-registered", "--device", "nonsense")
    assert "nonsense" in again.stderr and again.returncode == 2
    second = harness(bare.root / "hypotheses", "register", "tiny.yaml")
    assert second.returncode == 2 and "registered already" in second.stderr
    assert [path.parents[2].name for path in registrations(bare.root)] == ["trail"]


@pytest.mark.parametrize("place", [".", "hypotheses", "trail/ledger", "sub/deeper"])
def test_names_and_lists_are_found_from_any_subfolder(finished: Project, tmp_path: Path, place: str) -> None:
    root = tmp_path / "moved"
    shutil.copytree(finished.root, root)
    (root / "verdicts").rename(root / "trail")
    (root / "pyproject.toml").write_text(SETTINGS)
    here = root / place
    here.mkdir(parents=True, exist_ok=True)
    listed = harness(here, "list", "--format", "json")
    (row,) = json.loads(listed.stdout)
    assert row["id"] == "tiny" and row["outcome"] is not None
    for command in (["show", "tiny"], ["show", "tiny", "--history"], ["reverdict", "tiny"], ["check"]):
        ran = harness(here, *command)
        assert ran.returncode == 0, (command, ran.stderr)
    claims = json.loads(harness(here, "claims", "--format", "json").stdout)
    assert claims["claims"]["depth-helps"]["status"] != "untested"
    report = json.loads(harness(here, "audit", "--format", "json").stdout)
    assert report["events"] == len(finished.events()) and report["hypotheses"][0]["hypothesis"] == "tiny"
    power = harness(here, "power", str(root / "hypotheses" / "tiny.yaml"), "--sd-from", "tiny")
    assert power.returncode == 0, power.stderr


def test_settings_are_those_of_the_files_project_not_of_the_folder_one_stands_in(bare: Project, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "pyproject.toml").write_text('[tool.harness]\nverdicts = "elsewhere"\ndevice = "cuda:99"\n')
    seen = harness(other, "plan", str(bare.root / "hypotheses/tiny.yaml"), "--format", "json")
    assert seen.returncode == 0, seen.stderr
    plan = json.loads(seen.stdout)
    assert plan["verdicts"] == str(bare.root / "trail")
    assert plan["settings_from"] == {
        "device": "from [tool.harness]",
        "data": "default",
        "verdicts": "from [tool.harness]",
    }


def test_relative_paths_start_where_they_were_written(bare: Project, tmp_path: Path) -> None:
    def trail(*arguments: str, **variables: str) -> str:
        file = str(bare.root / "hypotheses/tiny.yaml")
        ran = harness(bare.root / "hypotheses", "plan", file, "--format", "json", *arguments, **variables)
        assert ran.returncode == 0, ran.stderr
        return str(json.loads(ran.stdout)["verdicts"])

    home = tmp_path / "home"
    home.mkdir()
    assert trail() == "../trail"
    assert trail(HARNESS_VERDICTS="kept") == "../kept"
    assert trail(HARNESS_VERDICTS="~/kept", HOME=str(home)) == str(home / "kept")
    assert trail("--verdicts=~/given", HOME=str(home)) == str(home / "given")
    assert Path(trail("--verdicts", "given")) == Path("given")
    (bare.root / "pyproject.toml").write_text('[tool.harness]\nverdicts = "~/own"\n')
    assert trail(HOME=str(home)) == str(home / "own")
    assert trail(HARNESS_VERDICTS="", HOME=str(home)) == str(home / "own")
    (bare.root / "pyproject.toml").write_text('[tool.harness]\nverdicts = ""\n')
    empty = harness(bare.root, "plan", "hypotheses/tiny.yaml")
    assert empty.returncode == 2 and "empty" in empty.stderr


def test_a_link_leads_to_the_project_of_its_file(bare: Project, tmp_path: Path) -> None:
    desk = make_project(tmp_path / "desk")
    (desk.root / "hypotheses" / "tiny.yaml").unlink()
    (desk.root / "hypotheses" / "claims.yaml").unlink()
    (desk.root / "hypotheses" / "linked.yaml").symlink_to(bare.root / "hypotheses" / "tiny.yaml")
    (tmp_path / "shortcut").symlink_to(bare.root / "hypotheses")
    ran = harness(desk.root, "register", "hypotheses/linked.yaml")
    assert ran.returncode == 0, ran.stderr
    assert [path.parents[2] for path in registrations(tmp_path)] == [bare.root / "trail"]
    again = harness(tmp_path, "register", "shortcut/tiny.yaml")
    assert again.returncode == 2 and "registered already" in again.stderr
    for place, paths in ((desk.root, []), (tmp_path, ["shortcut"]), (bare.root, [])):
        (row,) = json.loads(harness(place, "list", *paths, "--format", "json").stdout)
        assert row["registered"] is not None


def test_a_second_trail_is_refused_wherever_it_would_be(bare: Project) -> None:
    git(bare.root, "init", "-q")
    assert harness(bare.root, "register", "hypotheses/tiny.yaml").returncode == 0
    for arguments in (["--verdicts", "another"], ["--verdicts", "hypotheses/verdicts"]):
        ran = harness(bare.root, "register", "hypotheses/tiny.yaml", *arguments)
        assert ran.returncode == 2 and str(bare.root / "trail") in ran.stderr, ran.stderr
        assert "another trail of this project" in ran.stderr and "--verdicts" in ran.stderr
    (bare.root / "hypotheses" / "verdicts").mkdir()  # which would make it look like a project of its own
    ran = harness(bare.root / "hypotheses", "run", "tiny.yaml", "--device", "cpu", HARNESS_VERDICTS="verdicts")
    assert ran.returncode == 2 and "another trail of this project" in ran.stderr
    assert len(registrations(bare.root)) == 1
    assert not (bare.root / "another").exists()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"HARNESS_VERDICTS": "../outside"}, {}),
        ({"HARNESS_VERDICTS": ".hidden/verdicts"}, {}),
        ({}, {"HARNESS_VERDICTS": "inner/mine"}),
        ({}, {"HARNESS_VERDICTS": "../outside"}),
        ({"HARNESS_VERDICTS": "data/trail"}, {}),
    ],
    ids=["outside, by a setting", "hidden", "below another pyproject.toml", "to the outside", "in the data folder"],
)
def test_no_place_hides_a_registration(first: dict[str, str], second: dict[str, str], tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    (project.root / "inner").mkdir()
    (project.root / "inner" / "pyproject.toml").write_text("")
    setting = first.get("HARNESS_VERDICTS")
    if setting is not None and setting.startswith(".."):
        (project.root / "pyproject.toml").write_text(f'[tool.harness]\nverdicts = "{setting}"\n')
        first, second = {}, {"HARNESS_VERDICTS": "mine"}
    assert harness(project.root, "register", "hypotheses/tiny.yaml", **first).returncode == 0
    ran = harness(project.root, "register", "hypotheses/tiny.yaml", **second)
    assert ran.returncode == 2 and "another trail of this project" in ran.stderr, ran.stderr
    assert len(registrations(tmp_path)) == 1


def test_a_project_inside_a_project_may_ask_the_same(bare: Project) -> None:
    assert harness(bare.root, "register", "hypotheses/tiny.yaml").returncode == 0
    inner = make_project(bare.root / "course" / "student")
    (inner.root / "pyproject.toml").write_text("")
    assert harness(inner.root, "register", "hypotheses/tiny.yaml").returncode == 0


def test_what_head_holds_is_not_registered_again(bare: Project) -> None:
    git(bare.root, "init", "-q")
    assert harness(bare.root, "register", "hypotheses/tiny.yaml").returncode == 0
    git(bare.root, "add", "-A")
    git(bare.root, "commit", "-q", "-m", "first")
    shutil.rmtree(bare.root / "trail")
    ran = harness(bare.root, "register", "hypotheses/tiny.yaml")
    assert ran.returncode == 2 and "HEAD holds its registration" in ran.stderr
    command = ran.stderr.split("get it back: ")[1].strip()
    subprocess.run(["sh", "-ec", command], check=True, cwd="/", capture_output=True)
    assert len(registrations(bare.root)) == 1
    assert "registered already, by event" in harness(bare.root, "register", "hypotheses/tiny.yaml").stderr


def test_a_trail_that_a_sparse_checkout_leaves_out_is_no_empty_one(bare: Project, tmp_path: Path) -> None:
    git(bare.root, "init", "-q")
    assert harness(bare.root, "register", "hypotheses/tiny.yaml").returncode == 0
    git(bare.root, "add", "-A")
    git(bare.root, "commit", "-q", "-m", "first")
    git(tmp_path, "clone", "-q", "--sparse", str(bare.root), "clone")
    clone = tmp_path / "clone"
    git(clone, "sparse-checkout", "add", "hypotheses")
    for command in (["register", "hypotheses/tiny.yaml"], ["list"], ["show", "tiny"], ["audit"]):
        ran = harness(clone, *command)
        assert ran.returncode == 2 and "a sparse checkout leaves out" in ran.stderr, (command, ran.stderr)
    repair = ran.stderr.split("→ ")[1].strip()
    subprocess.run(["sh", "-ec", repair], check=True, cwd="/", capture_output=True)
    (row,) = json.loads(harness(clone, "list", "--format", "json").stdout)
    assert row["registered"] is not None


def test_the_first_registration_tells_git_to_keep_the_trail(bare: Project) -> None:
    git(bare.root, "init", "-q")
    (bare.root / ".gitignore").write_text("*.json\n")
    ran = harness(bare.root, "register", "hypotheses/tiny.yaml")
    assert ran.returncode == 0, ran.stderr
    assert (bare.root / "trail" / ".gitattributes").read_text().splitlines()[-1] == "** -text"
    git(bare.root, "add", "-A")
    kept = git(bare.root, "ls-files", "trail").split()
    assert sum(name.startswith("trail/ledger/events/") for name in kept) == 1
    assert not [name for name in kept if name.endswith(".lock")]


def test_an_ignored_trail_is_told_before_it_is_written(bare: Project) -> None:
    git(bare.root, "init", "-q")
    (bare.root / ".gitignore").write_text("trail/\n")
    ran = harness(bare.root, "register", "hypotheses/tiny.yaml")
    assert ran.returncode == 0 and ran.stderr.count("git ignores new files of this trail") == 1
    found = json.loads(harness(bare.root, "doctor", "--format", "json").stdout)
    assert any("git ignores" in finding["found"] for finding in found if finding["what"] == "trail")


def test_plan_and_doctor_name_the_trail_in_use(bare: Project) -> None:
    for folder in (bare.root, bare.root / "hypotheses"):
        seen = harness(folder, "plan", str(bare.root / "hypotheses/tiny.yaml"))
        near = os.path.relpath(bare.root / "trail", folder)
        assert f"trail: {near} (from [tool.harness])" in seen.stdout.splitlines()
        found = json.loads(harness(folder, "doctor", "--format", "json").stdout)
        (trail,) = [finding for finding in found if finding["what"] == "trail"]
        assert f"{bare.root / 'trail'} (from [tool.harness])" in trail["found"]


def test_changed_line_ends_are_told_by_every_reader(finished: Project, tmp_path: Path) -> None:
    root = tmp_path / "moved"
    shutil.copytree(finished.root, root)
    git(root, "init", "-q")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "first")
    page = next(root.glob("verdicts/tiny/*/verdict.md"))
    event = next((root / "verdicts/ledger/events").glob("*.json"))
    for file, command in ((page, ["show", "tiny"]), (event, ["list"])):
        data = file.read_bytes()
        file.chmod(0o644)
        file.write_bytes(data.replace(b"\n", b"\r\n") if file == page else data + b"\n")
        ran = harness(root, *command)
        assert ran.returncode == 3 and "line ends or trailing blanks" in ran.stderr, ran.stderr
        repair = ran.stderr.split("→ ")[1].strip()
        with commands.offer(tmp_path / "bin") as program:
            given = os.environ | {"PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}"}
            subprocess.run(["sh", "-c", repair], cwd="/", capture_output=True, env=given, check=False)
        assert file.read_bytes() == data
        assert harness(root, *command).returncode == 0


def test_a_new_file_goes_into_the_projects_folder(bare: Project) -> None:
    about = ["--title", "A title", "--question", "Is it?"]
    ran = harness(bare.root / "hypotheses", "new", "another", *about)
    assert ran.returncode == 0, ran.stderr
    assert (bare.root / "hypotheses" / "another.yaml").is_file()


@pytest.mark.parametrize("how", ["submodule", "repository", "link"])
def test_hypotheses_that_lie_elsewhere_have_one_trail_for_all_verbs(
    how: str, finished: Project, tmp_path: Path
) -> None:
    desk = tmp_path / "desk"
    protocols = tmp_path / "protocols"
    shutil.copytree(finished.root / "hypotheses", protocols)
    git(protocols, "init", "-q")
    git(protocols, "add", "-A")
    git(protocols, "commit", "-q", "-m", "protocols")
    desk.mkdir()
    git(desk, "init", "-q")
    if how == "submodule":
        git(desk, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(protocols), "hypotheses")
    elif how == "repository":
        protocols.rename(desk / "hypotheses")
    else:
        (desk / "hypotheses").symlink_to(protocols)
    (desk / "sub").mkdir()
    trail = (protocols if how == "link" else desk) / "verdicts"
    shutil.copytree(finished.root / "verdicts", trail)
    for place in (desk, desk / "sub", *([desk / "hypotheses"] if how != "link" else [])):
        plan = json.loads(harness(place, "plan", str(desk / "hypotheses/tiny.yaml"), "--format", "json").stdout)
        assert os.path.realpath(place / plan["verdicts"]) == str(trail)
        (row,) = json.loads(harness(place, "list", "--format", "json").stdout)
        assert row["id"] == "tiny" and row["outcome"] is not None
        report = json.loads(harness(place, "audit", "--format", "json").stdout)
        assert report["events"] == len(finished.events())
        assert not any(finding["sort"] == "file-missing" for finding in report["findings"])
        claims = json.loads(harness(place, "claims", "--format", "json").stdout)
        assert claims["claims"]["depth-helps"]["status"] != "untested"
        for command in (["show", "tiny"], ["reverdict", "tiny"], ["check"]):
            ran = harness(place, *command)
            assert ran.returncode == 0, (command, ran.stderr)


def test_a_repository_of_its_own_called_hypotheses_is_a_project(tmp_path: Path) -> None:
    project = make_project(tmp_path / "plain")
    (tmp_path / "plain" / "hypotheses").rename(tmp_path / "hypotheses")
    git(tmp_path / "hypotheses", "init", "-q")
    seen = harness(tmp_path / "hypotheses", "plan", "tiny.yaml", "--format", "json")
    assert json.loads(seen.stdout)["verdicts"] == "verdicts", project


READING = (
    ["list"], ["show", "tiny"], ["audit"], ["claims"], ["check"], ["reverdict", "tiny"],
    ["power", "hypotheses/tiny.yaml", "--sd-from", "tiny"], ["close", "0123", "--reason", "none"],
    ["export", "tiny", "--as", "in-toto", "--out", "statement.json"], ["paper", "tiny"],
)  # fmt: skip


@pytest.mark.parametrize("command", READING, ids=[command[0] for command in READING])
def test_a_misspelled_trail_is_refused_by_whoever_reads_it(command: list[str], registered_only: Project) -> None:
    ran = harness(registered_only.root, *command, "--verdicts", "verdict")
    assert ran.returncode == 2 and "--verdicts: there is no folder" in ran.stderr, ran.stderr
    assert "did you mean verdicts?" in ran.stderr
    ran = harness(registered_only.root, *command, HARNESS_VERDICTS="nowhere")
    assert "did you mean" not in ran.stderr
    if command[0] != "check":  # which is given before anything is registered, too
        assert ran.returncode == 2 and "HARNESS_VERDICTS: there is no folder" in ran.stderr, ran.stderr
    if command[0] == "check":
        assert ran.returncode == 0 and "note: HARNESS_VERDICTS: there is no folder" in ran.stderr, ran.stderr


def test_an_audit_of_nothing_finds_nothing_to_be_fine(project: Project) -> None:
    ran = harness(project.root, "audit")
    assert ran.returncode == 5 and "nothing was registered in this trail" in ran.stdout + ran.stderr
    assert "nothing was found" not in ran.stdout and "PASS" not in ran.stdout.split("\n")[1]
