"""docs/authoring.md, command by command and file by file; the hook and the workflow that it names."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.e2e import commands
from tests.e2e.projects import REPOSITORY, Project

PAGE = (REPOSITORY / "docs/authoring.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"(?:<!-- (?P<note>[^>]*?) -->\n\n)?```(?P<kind>\w+)\n(?P<body>.*?)```", re.DOTALL)


def has_verb(project: Project, verb: str) -> bool:
    return project.harness(verb, "--help").returncode == 0


STARTS = ("", "### Does an effect replicate on another network?", "### How much of an arm's growth happens")
"""Headings at which a part of the page begins that needs nothing of those before it."""
ASKED = (
    ("penalty-cost", "dose-response", "layer-norm-interaction", "norm-ratio"),
    ("replicates-wide", "collapse-delayed", "credit-over-depth", "equal-ground"),
    ("random-labels", "deep-over-tasks", "fresh-feedback", "going-on", "tuned-rates", "weights-meet"),
)
"""What each part asks."""


def take_part(part: int) -> str:
    """The page from one start to the next, without what is for CI."""
    places = [*(PAGE.index(heading) for heading in STARTS), len(PAGE)]
    text = PAGE[places[part] : places[part + 1]]
    apart, _, after = text.partition("## The same in CI")
    return apart + after[after.find("## Questions of the field") :] if after else text


def test_every_block_of_the_page_is_in_one_part() -> None:
    for_ci = PAGE[PAGE.index("## The same in CI") : PAGE.index("## Questions of the field")]
    parts = [block[0] for part in range(len(STARTS)) for block in BLOCK.finditer(take_part(part))]
    assert parts == [block[0] for block in BLOCK.finditer(PAGE) if block[0] not in for_ci]


@pytest.mark.parametrize("part", range(len(STARTS)))
def test_the_page_leads_from_an_idea_to_a_verdict(part: int, tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    project.root.mkdir()
    shutil.copytree(REPOSITORY / "schema", project.root / "schema")
    subprocess.run(["git", "init", "-q", str(project.root)], check=True)
    given = []
    for block in BLOCK.finditer(take_part(part)):
        note, kind, body = block["note"] or "", block["kind"], block["body"]
        if kind == "yaml":
            name, _, rest = note.removeprefix("file: ").partition(", run of ")
            path = project.root / name
            assert note.startswith("file: "), "every file on the page has a name"
            if rest:  # a run's name is not known before it was started
                earlier, _, written = rest.partition(" for ")
                (page_of_run,) = (project.root / "verdicts" / earlier).glob("*/verdict.md")
                assert written in body
                body = body.replace(written, page_of_run.parent.name)
            path.parent.mkdir(exist_ok=True)
            path.write_text(body, encoding="utf-8")
            continue
        if found := re.fullmatch(r"replace: (\S+) by (\S+) in (\S+)", note):
            path = project.root / found[3]
            text = path.read_text(encoding="utf-8")
            assert found[1] in text
            path.write_text(text.replace(found[1], found[2]), encoding="utf-8")
        if note.startswith("needs: ") and not has_verb(project, note.removeprefix("needs: ")):
            continue
        said = ""
        for line in body.splitlines():
            if line.startswith("$ "):
                ran = project.harness(*shlex.split(line)[2:])
                expected = int(note.removeprefix("exits: ")) if note.startswith("exits: ") else 0
                assert ran.returncode == expected, f"{line}: {ran.stdout}{ran.stderr}"
                said = ran.stdout + ran.stderr
                given.append(shlex.split(line)[2])
            else:
                assert line in said, f"the page shows {line!r}, the program said {said!r}"
    assert part or {"doctor", "new", "check", "explain", "plan", "run", "show"} <= set(given)
    listed = project.harness("list").stdout
    assert all(f"\n{name} " in listed for name in ASKED[part])
    assert ("(measured again 2 times)" in listed) == ("measure" in given) == (part == 2)


def test_the_file_that_new_writes_is_the_one_that_the_page_goes_on_with(tmp_path: Path) -> None:
    """The page's file has the parts of the one that its first command writes."""
    project = Project(tmp_path)
    command = next(line for line in PAGE.splitlines() if line.startswith("$ harness new"))
    assert project.harness(*shlex.split(command)[2:]).returncode == 0
    written = yaml.safe_load((tmp_path / "hypotheses/penalty_cost.yaml").read_text(encoding="utf-8"))
    shown = yaml.safe_load(next(b["body"] for b in BLOCK.finditer(PAGE) if "penalty_cost" in (b["note"] or "")))
    assert shown.keys() <= written.keys()
    for part in ("id", "title", "question"):
        assert shown[part] == written[part]


@pytest.mark.parametrize(
    "hook", yaml.safe_load((REPOSITORY / ".pre-commit-hooks.yaml").read_text()), ids=lambda h: h["id"]
)
def test_the_hook_s_entry_runs(hook: dict[str, str], project: Project) -> None:
    assert {"id", "name", "entry", "language", "files"} <= hook.keys()
    assert re.search(hook["files"], "hypotheses/tiny.yaml")
    program, *arguments = shlex.split(hook["entry"])
    assert program == "harness"
    project.edit("contrast: bp - shallow", "contrast: bp - shalow")
    assert project.harness(*arguments).returncode == 2


def take(step: str, project: Project, **variables: str) -> subprocess.CompletedProcess[str]:
    """Give the shell text of a workflow's step to bash, in the project, as the workflow does."""
    with commands.offer(project.root.parent / "bin") as program:
        environment = project.environment(**variables)
        environment["PATH"] = f"{program.parent}{os.pathsep}{environment['PATH']}"
        command = ["bash", "-e", "-c", step]
        return subprocess.run(command, cwd=project.root, env=environment, capture_output=True, text=True)


def test_the_workflow_s_check_runs_and_annotates(project: Project) -> None:
    """The step's own shell text, in a repository with a base commit, with this program in front."""
    workflow = yaml.safe_load((REPOSITORY / ".github/workflows/hypotheses.yml").read_text())
    steps = {step.get("name"): step for step in workflow["jobs"]["hypotheses"]["steps"]}
    check = next(step for name, step in steps.items() if name and name.startswith("Check every"))
    identity = ("-c", "user.name=Somebody", "-c", "user.email=s@example.org")
    for arguments in (("init", "-q"), ("add", "-A"), (*identity, "commit", "-q", "-m", "base")):
        subprocess.run(["git", *arguments], cwd=project.root, check=True)
    base = subprocess.run(["git", "rev-parse", "HEAD"], cwd=project.root, capture_output=True, text=True, check=True)

    def step(base_commit: str) -> subprocess.CompletedProcess[str]:
        return take(check["run"], project, FOLDER="hypotheses", STRICT="", BASE=base_commit)

    for commit in (base.stdout.strip(), "0" * 40):  # a new branch has no commit before
        assert step(commit).returncode == 0
    project.edit("contrast: bp - shallow", "contrast: bp - shalow")
    ran = step(base.stdout.strip())
    assert ran.returncode == 2
    assert ran.stdout.startswith("::error file=hypotheses/tiny.yaml,line=21,")


@pytest.mark.parametrize("trail", ["verdicts", "trail", "études/trail"])
def test_the_workflow_audits_the_project_s_trail(trail: str, project: Project) -> None:
    """The step's own shell text: it waits for the first registration, and misses no trail wherever it is or was."""
    workflow = yaml.safe_load((REPOSITORY / ".github/workflows/hypotheses.yml").read_text())
    audit = next(step for step in workflow["jobs"]["hypotheses"]["steps"] if step.get("name") == "Audit the verdicts")

    def step() -> subprocess.CompletedProcess[str]:
        return take(audit["run"], project)

    def commit() -> None:
        identity = ("-c", "user.name=Somebody", "-c", "user.email=s@example.org")
        for arguments in (("add", "-A"), (*identity, "commit", "-q", "--allow-empty", "-m", "a state")):
            subprocess.run(["git", *arguments], cwd=project.root, check=True)

    shutil.rmtree(project.root / "verdicts", ignore_errors=True)
    if trail != "verdicts":
        (project.root / "pyproject.toml").write_text(f'[tool.harness]\nverdicts = "{trail}"\n', encoding="utf-8")
    subprocess.run(["git", "init", "-q"], cwd=project.root, check=True)
    commit()
    first = step()
    assert first.returncode == 0, first.stderr
    assert f"::notice file={trail}::no event is here: nothing was registered in this trail" in first.stdout
    assert project.harness("register", "hypotheses/tiny.yaml").returncode == 0
    commit()
    assert step().returncode == 0
    (event,) = (project.root / trail / "ledger/events").iterdir()
    written = event.read_bytes()
    event.chmod(0o644)
    event.write_bytes(b"{}")
    assert step().returncode == 3
    event.write_bytes(written)
    assert step().returncode == 0
    shutil.rmtree(project.root / trail)
    for _ in range(2):  # also when it was committed
        gone = step()
        assert gone.returncode == 3
        assert f"::error file={trail}/ledger/events/{event.name}::git's history has this file" in gone.stdout
        commit()


def test_without_a_trail_an_audit_needs_leave(project: Project) -> None:
    shutil.rmtree(project.root / "verdicts", ignore_errors=True)
    subprocess.run(["git", "init", "-q"], cwd=project.root, check=True)
    without = project.harness("audit")
    assert without.returncode == 2 and "--allow-empty accepts" in without.stderr
    typed = project.harness("audit", "--allow-empty", "--verdicts", "verdict")
    assert typed.returncode == 2 and "there is no folder verdict" in typed.stderr
    (project.root / "verdicts").write_text("")
    file = project.harness("audit", "--allow-empty")
    assert file.returncode == 2 and "there is no such folder" in file.stderr


def test_this_repository_calls_its_own_workflow() -> None:
    ci = yaml.safe_load((REPOSITORY / ".github/workflows/ci.yml").read_text())
    assert ci["jobs"]["hypotheses"] == {
        "uses": "./.github/workflows/hypotheses.yml",
        "with": {"install": ".", "locked": True},
    }
    workflow = yaml.safe_load((REPOSITORY / ".github/workflows/hypotheses.yml").read_text())
    assert "install" in workflow[True]["workflow_call"]["inputs"]  # YAML 1.1 reads the key "on" as true
