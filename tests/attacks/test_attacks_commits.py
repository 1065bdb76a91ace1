"""A run in a clean clone of harness, by other code than the clone's commit holds, which it names."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.ledger.code import digest_package
from tests.attacks.good import CLAIMS, FILE
from tests.attacks.repositories import commit, git, plain_git  # noqa: F401 (a fixture)
from tests.attacks.trails import Trail, audited
from tests.e2e import commands

SOURCE = Path(__file__).parents[2]


def harness(folder: Path, code: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "PYTHONPATH": str(code),
        "PYTHONSAFEPATH": "1",
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "200",
    }
    return commands.run(arguments, folder, environment)


def copy_code(target: Path) -> Path:
    for part in ("harness", "templates"):
        shutil.copytree(SOURCE / part, target / part)  # with its bytecode
    return target


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A repository with the code of harness and a hypothesis, all of it committed."""
    root = copy_code(tmp_path / "clone")
    (root / "hypotheses").mkdir()
    (root / "hypotheses/claims.yaml").write_text(CLAIMS)
    text = FILE.format(id="one", title="One", lr="3.0e-3", width=4, epochs=1, batch=256, cut="-90", moves="")
    (root / "hypotheses/one.yaml").write_text(text.replace("says: It helps., }", "says: It helps.}"))
    (root / ".gitignore").write_text("__pycache__\n")
    git(root, "init", "--quiet")
    commit(root)
    return root


@pytest.fixture
def altered(tmp_path: Path) -> Path:
    """A copy of the code elsewhere that trains otherwise."""
    root = copy_code(tmp_path / "altered")
    with (root / "harness/training/loop.py").open("a") as text:
        text.write("# another loop\n")
    return root


def run(clone: Path, code: Path) -> str:
    done = harness(clone, code, "run", "hypotheses/one.yaml", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    return done.stderr


def audit(clone: Path) -> subprocess.CompletedProcess[str]:
    """Audit with the clone's own code, once its trail is committed."""
    commit(clone)
    return harness(clone, clone, "audit", "--recompute")


def read_page(clone: Path) -> str:
    (page,) = clone.glob("verdicts/one/*/verdict.md")
    return page.read_text()


def test_code_of_a_commit_is_digested_as_a_run_digests_it(clone: Path) -> None:
    from harness.ledger.committed import read_committed

    head = git(clone, "rev-parse", "HEAD")
    held = read_committed(clone, head)
    here = digest_package(clone / "harness")
    assert not held.problem and held.is_that_of(here.digest, here.kinds)
    assert not held.is_that_of("0" * 64, here.kinds) and not held.is_that_of(here.digest, {})
    no_commit, elsewhere = "is not a commit", "not in the repository here"
    for nonsense, said in (("HEAD", no_commit), ("--all", no_commit), ("1" * 40, elsewhere)):
        assert said in read_committed(clone, nonsense).problem
    assert "at hand" in read_committed(clone.parent, head).problem


def test_a_run_by_the_code_of_its_commit_is_held_against_it(clone: Path) -> None:
    assert "is not that of commit" not in run(clone, clone)
    assert ", the code in that commit |" in read_page(clone)
    audited = audit(clone)
    assert audited.returncode == 0 and "commit" not in audited.stderr, audited.stderr
    shutil.rmtree(clone / ".git")
    audited = harness(clone, clone, "audit")
    assert "is not compared with a commit: commit " in audited.stderr  # said, where it can't be seen


def test_a_trail_that_names_any_number_of_commits_keeps_no_audit_busy(
    good_trail: Trail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.ledger.audit.commits.MOST_LOOKED_UP", 2)
    trail = good_trail.copy()
    started = trail.find("run_started", "second")[1]["body"]
    for number in range(4):
        environment = started["environment"] | {"commit": f"{number}" * 40, "dirty": False}
        trail.append("run_started", started | {"environment": environment})
    told = [finding.what for finding in audited(trail).findings if finding.code == "code-not-compared"]
    assert len([what for what in told if " is not in the repository here" in what or " not at hand" in what]) == 2
    assert len([what for what in told if "the trail names more than 2 commits" in what]) == 1


def test_other_code_that_calls_itself_the_commits_is_found(clone: Path, altered: Path) -> None:
    """It was registered and run by altered code that says it is the commit's, so that nothing deviates."""
    path = altered / "harness/ledger/environment.py"
    path.write_text(path.read_text().replace("held.is_that_of(code.digest, code.kinds)", "True"))
    assert "deviates" not in run(clone, altered)
    audited = audit(clone)
    assert audited.returncode == 4, audited.stdout + audited.stderr
    assert "was made by other code than commit " in audited.stderr
    assert "FAIL        3 " in audited.stdout and "PASS        6 " in audited.stdout


def test_other_code_that_runs_in_a_clean_clone_is_told(clone: Path, altered: Path) -> None:
    head = git(clone, "rev-parse", "HEAD")[:12]
    assert f"the code that runs is not that of commit {head}, and its verdict will say so" in run(clone, altered)
    assert ", **which is not the code in that commit** |" in read_page(clone)
    audited = audit(clone)
    assert audited.returncode == 0, audited.stdout + audited.stderr
    assert f"by its own account, it was made by other code than commit {head} holds" in audited.stderr
