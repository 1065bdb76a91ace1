"""What git and honest tools do to a trail on its way to another clone: named for what it is, with what repairs it.

Every printed command is given to a real shell, and the next audit is clean.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.ledger import Ledger, carried
from harness.ledger.audit import AuditFinding, AuditReport, TrustedInputs
from harness.pipeline.audit import AuditRequest, audit_trail
from tests.attacks.repositories import commit, git, plain_git
from tests.attacks.trails import sorts
from tests.e2e import commands

FINE = {
    "amended", "stray", "replicated", "nothing-kept", "not-asked", "not-rerun", "code-not-compared",
    "uncommitted", "weights-absent",
}  # fmt: skip
FINE |= {"other-version", "not-searched"}
FINE |= {"choosable", "not-repeated"}

__all__ = ["plain_git"]  # a fixture for every test here


def checked(folder: Path) -> AuditReport:
    return audit_trail(folder / "verdicts", folder / "hypotheses", AuditRequest(TrustedInputs()))


def against(report: AuditReport) -> list[AuditFinding]:
    return [finding for finding in report.findings if finding.code not in FINE]


def only(report: AuditReport) -> AuditFinding:
    found = against(report)
    assert len(found) == 1, "\n".join(f"{one.code}: {one.what} ({one.where}) → {one.remedy}" for one in found)
    return found[0]


def obey(command: str, folder: Path) -> str:
    """Give the printed command to a shell, from a folder that has nothing to do with it; what it says on stderr."""
    with commands.offer(folder.parent / "bin") as program:
        done = subprocess.run(
            ["sh", "-ec", command],
            check=True,
            capture_output=True,
            text=True,
            cwd=folder.parent,
            env=os.environ | {"PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}"},
        )
    return done.stderr


def commits(told: str) -> str:
    """The command that an audit gives for what git finds changed after a repair."""
    return told.split("commit them: ")[1].split("\n")[0]


def old(project: Path) -> Path:
    """The trail as earlier versions left it: without the files for git."""
    for name in carried.BESIDE:
        (project / "verdicts" / name).unlink(missing_ok=True)
    return project


@pytest.fixture
def repository(project: Path) -> Path:
    """The good project under git, with nothing that protects its trail."""
    old(project)
    for folder in project.glob("verdicts/*/*/w*s"):
        shutil.rmtree(folder)
    git(project, "init", "-q", "-b", "main")
    git(project, "config", "uploadpack.allowFilter", "true")
    commit(project, "first")
    return project


def texts(project: Path) -> list[Path]:
    trail = project / "verdicts"
    return [path for path in trail.rglob("*") if path.is_file() and path.suffix in ("", ".json", ".md", ".svg")]


def test_a_new_trail_tells_git_to_keep_it_and_an_old_one_is_clean_without(repository: Path, tmp_path: Path) -> None:
    assert against(checked(repository)) == []
    carried.prepare(repository / "verdicts")
    (repository / "verdicts" / ".gitignore").write_text("mine\n")
    carried.prepare(repository / "verdicts")
    assert (repository / "verdicts" / ".gitignore").read_text() == "mine\n"  # what is there stays
    (repository / "verdicts" / ".gitignore").write_text(carried.IGNORED)
    commit(repository)
    git(tmp_path, "-c", "core.autocrlf=true", "clone", "-q", "--config", "core.autocrlf=true", str(repository), "clone")
    report = checked(tmp_path / "clone")
    assert against(report) == [] and not any("/.git" in finding.where for finding in report.findings)


def test_autocrlf_is_one_finding_and_its_command_repairs_it(repository: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", "--config", "core.autocrlf=true", str(repository), "clone")
    clone = tmp_path / "clone"
    report = checked(clone)
    finding = only(report)
    assert (finding.code, finding.severity, report.exit_code) == ("line-ends", "tampered", 3)
    assert "autocrlf" in finding.what and int(finding.what.split()[0]) > 5
    assert not any(line.status == "PASS" for line in report.trail)
    assert not any(line.status == "PASS" for subject in report.hypotheses for line in subject.lines)
    obey(finding.remedy, clone)
    assert against(checked(clone)) == []
    assert (clone / "verdicts" / ".gitattributes").read_text() == carried.ATTRIBUTES


@pytest.mark.parametrize("committed", [False, True])
@pytest.mark.parametrize("how", ["end-of-file", "trailing blanks", "crlf"])
def test_a_fixer_is_no_forger(repository: Path, how: str, committed: bool) -> None:
    files = [path for path in texts(repository) if path.suffix in ("", ".json")]
    for path in files:
        data = path.read_bytes()
        path.chmod(0o644)
        if how == "end-of-file":
            path.write_bytes(data.rstrip(b"\n") + b"\n")
        elif how == "crlf":
            path.write_bytes(data.replace(b"\n", b"\r\n"))
        else:
            path.write_bytes(data.replace(b"\n", b"  \n") + b" ")
    if committed:
        commit(repository, "fixed by a hook")
    finding = only(checked(repository))
    assert finding.code == "line-ends"
    told = obey(finding.remedy, repository)
    assert against(checked(repository)) == []
    obey(commits(told), repository)  # what git status shows now
    assert git(repository, "status", "--porcelain") == ""
    assert against(checked(repository)) == []


@pytest.mark.parametrize("under_git", [False, True])
def test_a_fixer_before_the_first_commit_is_undone(project: Path, under_git: bool) -> None:
    """No copy is left anywhere: what was written follows from its digest alone."""
    written = {path: path.read_bytes() for path in texts(old(project)) if path.name != ".lock"}
    for path, data in written.items():
        path.chmod(0o644)
        path.write_bytes(data.rstrip(b"\n") + b"\n")
    if under_git:
        git(project, "init", "-q")
    finding = next(finding for finding in against(checked(project)) if finding.code == "line-ends")
    told = obey(f"{finding.remedy} || true", project)  # without a history the audit itself ends with 5
    assert {path: path.read_bytes() for path in written} == written
    assert "line-ends" not in sorts(checked(project))
    if under_git:
        obey(commits(told), project)
        git(project, "add", "-A")
        git(project, "commit", "-q", "-m", "the rest")
        assert against(checked(project)) == []


def test_only_what_was_changed_by_a_fixer_is_written_back(repository: Path) -> None:
    files = [path for path in texts(repository) if path.name == "verdict.json"]
    for path in files:
        path.write_bytes(path.read_bytes().rstrip(b"\n") + b"\r\n")
    files[0].write_bytes(files[0].read_bytes().replace(b"e", b"3", 1))
    forged = files[0].read_bytes()
    finding = next(finding for finding in checked(repository).findings if finding.code == "line-ends")
    obey(f"{finding.remedy} || true", repository)
    assert files[0].read_bytes() == forged
    assert git(repository, "status", "--porcelain", "--", "*.json").split() == [
        "M",
        str(files[0].relative_to(repository)),
    ]


def test_attributes_of_ones_own_are_kept_and_overruled(repository: Path, tmp_path: Path) -> None:
    (repository / "verdicts" / ".gitattributes").write_text("* text=auto eol=crlf\n")
    commit(repository, "own attributes")
    git(tmp_path, "clone", "-q", str(repository), "clone")
    clone = tmp_path / "clone"
    finding = only(checked(clone))
    assert finding.code == "line-ends"
    obey(finding.remedy, clone)
    assert (clone / "verdicts" / ".gitattributes").read_text() == "* text=auto eol=crlf\n** -text\n"
    assert against(checked(clone)) == []


def test_blanks_that_a_fixer_took_away_are_known_from_gits_copy(project: Path) -> None:
    old(project)
    ledger = Ledger(project / "verdicts")
    (event, *_) = [event for event in ledger.events() if event.type == "registered"]
    raw = ledger.read_object(event.body["raw"]) + b"# a comment that ends in blanks   \n"
    started = next(event for event in ledger.events() if event.type == "run_started")
    kept = ledger.append("run_started", {**started.body, "raw": ledger.store_object(raw)})
    ledger.append("run_failed", {"run": kept.digest, "reason": "for a test"})
    git(project, "init", "-q")
    commit(project)
    assert "line-ends" not in sorts(checked(project))
    path = project / "verdicts/objects/sha256" / kept.body["raw"]
    path.chmod(0o644)
    path.write_bytes(raw.replace(b"   \n", b"\n"))
    (finding,) = [finding for finding in checked(project).findings if finding.code == "line-ends"]
    obey(f"{finding.remedy} || true", project)  # the run that the test made up ends the audit with 3
    assert path.read_bytes() == raw
    assert "line-ends" not in sorts(checked(project))


def test_blanks_that_were_taken_away_in_a_commit_are_known_from_an_older_one(repository: Path) -> None:
    ledger = Ledger(repository / "verdicts")
    started = next(event for event in ledger.events() if event.type == "run_started")
    raw = ledger.read_object(started.body["raw"]) + b"# a comment that ends in blanks   \n"
    kept = ledger.append("run_started", {**started.body, "raw": ledger.store_object(raw)})
    ledger.append("run_failed", {"run": kept.digest, "reason": "for a test"})
    commit(repository)
    path = ledger.object_path(kept.body["raw"])
    path.chmod(0o644)
    path.write_bytes(raw.replace(b"   \n", b"\n"))
    commit(repository, "fixed by a hook")
    (finding,) = [finding for finding in checked(repository).findings if finding.code == "line-ends"]
    obey(f"{finding.remedy} || true", repository)
    assert path.read_bytes() == raw


def test_a_forged_file_is_still_tampered_with_and_named(repository: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", "--config", "core.autocrlf=true", str(repository), "clone")
    page = next((tmp_path / "clone" / "verdicts").glob("*/[!p]*/verdict.md"))
    page.write_bytes(page.read_bytes().replace(b"e", b"3", 1))
    found = sorts(checked(tmp_path / "clone"))
    assert {"line-ends", "artefact-bytes", "changed"} <= found


def test_line_ends_that_git_took_away_when_it_was_committed(project: Path, tmp_path: Path) -> None:
    """A file that was registered with CRLF: its writer's folder is right, and what everybody else gets is not."""
    old(project)
    ledger = Ledger(project / "verdicts")
    started = next(event for event in ledger.events() if event.type == "run_started")
    raw = ledger.read_object(started.body["raw"]).replace(b"\n", b"\r\n")
    kept = ledger.append("run_started", {**started.body, "raw": ledger.store_object(raw)})
    ledger.append("run_failed", {"run": kept.digest, "reason": "for a test"})
    git(project, "init", "-q", "-b", "main")
    git(project, "config", "core.autocrlf", "input")
    commit(project)
    (here,) = [finding for finding in checked(project).findings if finding.code == "history-ends"]
    git(tmp_path, "clone", "-q", str(project), "clone")
    (there,) = [finding for finding in checked(tmp_path / "clone").findings if finding.code == "line-ends"]
    assert "--restore" in there.remedy
    obey(here.remedy, project)
    assert git(project, "status", "--porcelain") == ""
    git(tmp_path / "clone", "pull", "-q")
    for folder in (project, tmp_path / "clone"):
        assert not {"line-ends", "history-ends"} & sorts(checked(folder))


def test_a_clone_of_converted_commits_repairs_itself(project: Path, tmp_path: Path) -> None:
    old(project)
    ledger = Ledger(project / "verdicts")
    started = next(event for event in ledger.events() if event.type == "run_started")
    raw = ledger.read_object(started.body["raw"]).replace(b"\n", b"\r\n")
    kept = ledger.append("run_started", {**started.body, "raw": ledger.store_object(raw)})
    ledger.append("run_failed", {"run": kept.digest, "reason": "for a test"})
    git(project, "init", "-q", "-b", "main")
    git(project, "config", "core.autocrlf", "input")
    commit(project)
    git(tmp_path, "clone", "-q", str(project), "clone")
    clone = tmp_path / "clone"
    (there,) = [finding for finding in checked(clone).findings if finding.code == "line-ends"]
    told = obey(f"{there.remedy} || true", clone)
    assert (clone / "verdicts/objects/sha256" / kept.body["raw"]).read_bytes() == raw
    obey(commits(told), clone)
    assert git(clone, "status", "--porcelain") == ""
    assert not {"line-ends", "history-ends"} & sorts(checked(clone))


def test_what_is_gone_comes_back_by_its_command(repository: Path) -> None:
    ledger = Ledger(repository / "verdicts")
    (ledger.folder / f"{ledger.events()[2].digest}.json").unlink()
    (repository / "verdicts" / "note.md").write_text("a stray file")
    commit(repository, "one event less")
    (finding,) = [finding for finding in checked(repository).findings if finding.code == "removed"]
    obey(finding.remedy, repository)
    assert against(checked(repository)) == []


def test_a_shallow_clone_is_completed_by_its_command(repository: Path, tmp_path: Path) -> None:
    commit(repository, "second")
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{repository}", "clone")
    finding = only(checked(tmp_path / "clone"))
    assert finding.code == "shallow"
    obey(finding.remedy.split(", then")[0], tmp_path / "clone")
    assert against(checked(tmp_path / "clone")) == []


def test_a_sparse_checkout_is_incomplete_and_not_tampered_with(repository: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", "--filter=blob:none", "--sparse", f"file://{repository}", "clone")
    clone = tmp_path / "clone"
    for added in ("verdicts/objects", "verdicts/ledger"):
        git(clone, "sparse-checkout", "add", added)
        report = checked(clone)
        finding = only(report)
        assert (finding.code, report.exit_code) == ("left-out", 5) and "sparse checkout" in finding.what
        lines = [line for subject in report.hypotheses for line in subject.lines]
        assert not any(line.status == "PASS" for line in (*report.trail, *lines))
    obey(finding.remedy, clone)
    assert against(checked(clone)) == []


@pytest.mark.parametrize("which", ["first", "last"])
def test_a_skip_worktree_mark_is_found_and_taken_off(repository: Path, which: str) -> None:
    """The last event, too, which no other names as its parent."""
    ledger = Ledger(repository / "verdicts")
    event = ledger.folder / f"{ledger.events()[0 if which == 'first' else -1].digest}.json"
    git(repository, "update-index", "--skip-worktree", str(event.relative_to(repository)))
    event.unlink()
    finding = only(checked(repository))
    assert finding.code == "left-out"
    obey(finding.remedy, repository)
    assert against(checked(repository)) == []


def test_a_partial_clone_without_its_history_says_so(repository: Path, tmp_path: Path) -> None:
    (repository / "other.txt").write_text("other")
    commit(repository, "second")
    git(tmp_path, "clone", "-q", "--filter=tree:0", f"file://{repository}", "clone")
    report = checked(tmp_path / "clone")
    finding = only(report)
    assert (finding.code, report.exit_code) == ("partial", 5)
    obey(finding.remedy.split(", then")[0], tmp_path / "clone")
    assert against(checked(tmp_path / "clone")) == []


@pytest.mark.parametrize("pattern", ["verdicts/", "/verdicts", "*.json", "ver*", "[a-z]*"])
@pytest.mark.parametrize("where", [".gitignore", ".git/info/exclude"])
def test_an_ignored_trail_is_named_and_taken_in(project: Path, pattern: str, where: str) -> None:
    if pattern == "*.json":
        old(project)  # a new trail takes its own files in
    git(project, "init", "-q")
    (project / where).write_text(f"# first\n{pattern}\n")
    (project / "pyproject.toml").write_text("")
    git(project, "add", "-f", "pyproject.toml")
    git(project, "commit", "-q", "-m", "first")
    for _ in range(5):
        found = [finding for finding in checked(project).findings if finding.code == "ignored"]
        if not found:
            break
        assert f"line 2 of {project / where}: {pattern}" in found[0].what
        obey(found[0].remedy, project)
    git(project, "commit", "-q", "-m", "second")
    assert against(checked(project)) == []
    assert pattern == "*.json" or not git(
        project, "ls-files", "*.lock", "verdicts/*/*/work/*", "verdicts/*/*/weights/*"
    )


def test_ignored_deeper_down(tmp_path: Path, project: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    git(top, "init", "-q")
    (top / ".gitignore").write_text("out/\n")
    (top / "out").mkdir()
    (top / "out" / "large.bin").write_text("large")
    shutil.copytree(project, top / "out" / "deep" / "project")
    commit(top)
    finding = next(finding for finding in checked(top / "out/deep/project").findings if finding.code == "ignored")
    obey(finding.remedy, top)
    git(top, "commit", "-q", "-m", "second")
    assert against(checked(top / "out/deep/project")) == []
    assert "large.bin" not in git(top, "ls-files")


def test_five_reasons_for_no_history_are_five(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[str, AuditFinding] = {}

    def note(trail: Path = project / "verdicts") -> None:
        finding = only(audit_trail(trail, project / "hypotheses"))
        told[finding.code] = finding

    note()
    git(project, "init", "-q")
    note()
    commit(project)
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # git's own switch: the repository of somebody else
    note()
    monkeypatch.delenv("GIT_TEST_ASSUME_DIFFERENT_OWNER")
    shutil.move(project / "verdicts", tmp_path / "elsewhere")
    note(tmp_path / "elsewhere")
    monkeypatch.setenv("PATH", str(tmp_path))
    note(tmp_path / "elsewhere")
    assert set(told) == {"no-repository", "no-commit", "git-refuses", "outside-repository", "no-git"}
    assert len({finding.what for finding in told.values()} | {finding.remedy for finding in told.values()}) == 10
    assert "dubious ownership" in told["git-refuses"].what
    assert not any(word in finding.remedy for finding in told.values() for word in ("safe.directory", "chown", "--no"))
    assert all(finding.severity == "missing" for finding in told.values())


def test_the_variables_of_a_surrounding_hook_lead_nowhere(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    git(tmp_path, "init", "-q", "other")
    commit(other, "of another project")
    before = checked(repository).findings
    hook = {
        "GIT_DIR": str(other / ".git"), "GIT_WORK_TREE": str(other), "GIT_INDEX_FILE": str(other / ".git/index"),
        "GIT_PREFIX": "sub/", "GIT_OBJECT_DIRECTORY": str(other / ".git/objects"), "GIT_NAMESPACE": "other",
        "GIT_CEILING_DIRECTORIES": os.fspath(tmp_path / "project"), "GIT_LITERAL_PATHSPECS": "1",
        "GIT_COMMON_DIR": str(other / ".git"), "GIT_CONFIG_PARAMETERS": "'core.bare'='true'",
    }  # fmt: skip
    for name, value in hook.items():
        monkeypatch.setenv(name, value)
    assert checked(repository).findings == before
