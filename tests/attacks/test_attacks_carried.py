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
from harness.ledger.audit import AuditFinding, AuditReport, Kept
from harness.pipeline import Asked, Reporter, Settings, audit_trail
from tests.attacks.repositories import commit, git, plain_git
from tests.attacks.trails import sorts

FINE = {"amended", "stray", "replicated", "nothing-kept", "not-asked", "not-rerun", "uncommitted", "weights-absent"}
FINE |= {"other-version"}

__all__ = ["plain_git"]  # a fixture for every test here


def checked(folder: Path) -> AuditReport:
    return audit_trail(folder / "verdicts", folder / "hypotheses", Asked(Kept()), Settings(), Reporter())


def against(report: AuditReport) -> list[AuditFinding]:
    return [finding for finding in report.findings if finding.sort not in FINE]


def only(report: AuditReport) -> AuditFinding:
    found = against(report)
    assert len(found) == 1, "\n".join(f"{one.sort}: {one.what} ({one.where}) → {one.remedy}" for one in found)
    return found[0]


def obey(command: str, folder: Path) -> None:
    """Give the printed command to a shell, from a folder that has nothing to do with it."""
    subprocess.run(["sh", "-ec", command], check=True, capture_output=True, cwd=folder.parent)


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
    assert (finding.sort, finding.kind, report.exit_code) == ("line-ends", "tampered", 3)
    assert "autocrlf" in finding.what and int(finding.what.split()[0]) > 5
    assert not any(line.status == "PASS" for line in report.trail)
    assert not any(line.status == "PASS" for subject in report.hypotheses for line in subject.lines)
    obey(finding.remedy, clone)
    assert against(checked(clone)) == []
    assert (clone / "verdicts" / ".gitattributes").read_text() == "** -text\n"


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
    assert finding.sort == "line-ends"
    obey(finding.remedy, repository)
    assert against(checked(repository)) == []


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
    (finding,) = [finding for finding in checked(project).findings if finding.sort == "line-ends"]
    obey(finding.remedy, project)
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
    (here,) = [finding for finding in checked(project).findings if finding.sort == "history-ends"]
    git(tmp_path, "clone", "-q", str(project), "clone")
    (there,) = [finding for finding in checked(tmp_path / "clone").findings if finding.sort == "line-ends"]
    assert there.remedy.startswith("no commit has them")
    obey(here.remedy.split("pull: ", 1)[1], project)
    git(tmp_path / "clone", "pull", "-q")
    for folder in (project, tmp_path / "clone"):
        assert not {"line-ends", "history-ends"} & sorts(checked(folder))


def test_a_sparse_checkout_is_incomplete_and_not_tampered_with(repository: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", "--filter=blob:none", "--sparse", f"file://{repository}", "clone")
    clone = tmp_path / "clone"
    for added in ("verdicts/objects", "verdicts/ledger"):
        git(clone, "sparse-checkout", "add", added)
        report = checked(clone)
        finding = only(report)
        assert (finding.sort, report.exit_code) == ("left-out", 5) and "sparse checkout" in finding.what
        lines = [line for subject in report.hypotheses for line in subject.lines]
        assert not any(line.status == "PASS" for line in (*report.trail, *lines))
    obey(finding.remedy, clone)
    assert against(checked(clone)) == []


def test_a_skip_worktree_mark_is_found_and_taken_off(repository: Path) -> None:
    event = next((repository / "verdicts/ledger/events").glob("*.json"))
    git(repository, "update-index", "--skip-worktree", str(event.relative_to(repository)))
    event.unlink()
    finding = only(checked(repository))
    assert finding.sort == "left-out"
    obey(finding.remedy, repository)
    assert against(checked(repository)) == []


def test_a_partial_clone_without_its_history_says_so(repository: Path, tmp_path: Path) -> None:
    (repository / "other.txt").write_text("other")
    commit(repository, "second")
    git(tmp_path, "clone", "-q", "--filter=tree:0", f"file://{repository}", "clone")
    report = checked(tmp_path / "clone")
    finding = only(report)
    assert (finding.sort, report.exit_code) == ("partial", 5)
    obey(finding.remedy.replace("git ", f"git -C {tmp_path / 'clone'} ", 1).split(", then")[0], tmp_path / "clone")
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
        found = [finding for finding in checked(project).findings if finding.sort == "ignored"]
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
    finding = next(finding for finding in checked(top / "out/deep/project").findings if finding.sort == "ignored")
    obey(finding.remedy, top)
    git(top, "commit", "-q", "-m", "second")
    assert against(checked(top / "out/deep/project")) == []
    assert "large.bin" not in git(top, "ls-files")


def test_five_reasons_for_no_history_are_five(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[str, AuditFinding] = {}

    def note() -> None:
        finding = only(checked(project))
        told[finding.sort] = finding

    note()
    git(project, "init", "-q")
    note()
    commit(project)
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # git's own switch: the repository of somebody else
    note()
    monkeypatch.delenv("GIT_TEST_ASSUME_DIFFERENT_OWNER")
    shutil.move(project / "verdicts", tmp_path / "elsewhere")
    (project / "verdicts").symlink_to(tmp_path / "elsewhere")
    note()
    monkeypatch.setenv("PATH", str(tmp_path))
    note()
    assert set(told) == {"no-repository", "no-commit", "git-refuses", "outside-repository", "no-git"}
    assert len({finding.what for finding in told.values()} | {finding.remedy for finding in told.values()}) == 10
    assert "dubious ownership" in told["git-refuses"].what
    assert not any(word in finding.remedy for finding in told.values() for word in ("safe.directory", "chown", "--no"))
    assert all(finding.kind == "missing" for finding in told.values())


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
