"""Line 5: attempts hidden where git still has them, and other ledgers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.attacks import test_attacks_searched as searched
from tests.attacks.before.codes import Code, Said
from tests.attacks.before.listed import ATTACKS, Attack, attack
from tests.attacks.repositories import commit, git
from tests.attacks.trails import Trail


def in_a_later_commit(project: Path) -> None:
    bad = searched.attempt(project)
    commit(project, "came out badly")
    searched.drop(bad)
    commit(project, "tidied up")


HIDING = {
    in_a_later_commit: "Delete a bad attempt in a later commit",
    searched.under_another_name: "Commit a bad attempt while the trail has another name, then delete it",
    searched.under_a_bare_name: "Commit a bad attempt's events in a folder of their own, then delete it",
    searched.by_a_reset: "Take back the commit of a bad attempt by `git reset --hard`",
    searched.by_an_amended_commit: "Take a bad attempt out of its commit by `git commit --amend`",
    searched.behind_an_expired_reflog: "The reset, and an expired reflog",
    searched.on_a_branch_that_was_deleted: "Delete the branch of a bad attempt",
    searched.staged_and_never_committed: "Stage a bad attempt, then never commit it",
    searched.still_in_the_index: "Delete a bad attempt that is staged",
    searched.behind_a_graft: "Hide the commit with a bad attempt by a graft",
    searched.behind_a_replaced_commit: "Hide it by `git replace`",
    searched.behind_a_commit_graph: "Hide it by a forged commit-graph file",
}


def begin_ledger(folder: Path) -> None:
    trail = Trail({})
    trail.append("pilot", {"hypothesis": "first", "settings": {}})
    trail.write(folder)


def hide(by: Callable[[Path], None], code: Code, folder: Path) -> Said:
    project = code.copy_good(folder)
    by(project)
    return code.audit(project)


for _by, _words in HIDING.items():
    _carry_out = partial(hide, _by)
    _carry_out.__name__ = _by.__name__  # type: ignore[attr-defined]
    ATTACKS.append(Attack(5, _words, _carry_out))


@attack(5, "Put a bad attempt into a submodule, and empty it")
def put_into_a_submodule(code: Code, folder: Path) -> Said:
    project = code.copy_good(folder)
    module = searched.put_in_submodule(project, folder)
    git(module, "rm", "-rq", "kept")
    git(module, "commit", "-q", "-m", "emptied")
    commit(project, "emptied")
    return code.audit(project)


@attack(5, "Put a bad attempt into the repository around a submodule, and delete it there")
def put_into_the_repository_around(code: Code, folder: Path) -> Said:
    project = code.copy_good(folder)
    return code.audit(searched.put_around(project, folder))


@attack(5, "Leave a bad attempt on another live branch, and show this one")
def leave_on_another_branch(code: Code, folder: Path) -> Said:
    project = code.copy_good(folder)
    git(project, "checkout", "-q", "-b", "side")
    searched.attempt(project)
    commit(project, "came out badly")
    git(project, "checkout", "-q", "main")
    return code.audit(project)


@attack(5, "Keep a second ledger in the tree, with the same question, and show the clean one")
def keep_a_second_ledger(code: Code, folder: Path) -> Said:
    project = code.copy_good(folder)
    begin_ledger(project / "archive/old")
    commit(project)
    return code.audit(project)


@attack(5, "Let `verdicts` be a link to another, clean ledger")
def link_the_trail(code: Code, folder: Path) -> Said:
    project = code.copy_good(folder)
    (project / "verdicts").rename(project / "clean")
    (project / "verdicts").symlink_to("clean")
    commit(project)
    return code.audit(project)


@attack(5, "Have settings name another trail than the one a reader looks at")
def name_another_trail(code: Code, folder: Path) -> Said:
    project = code.copy_good(folder)
    (project / "verdicts").rename(project / "clean")
    settings = '[tool.harness]\nverdicts = "clean"\n'
    (project / "pyproject.toml").write_text(settings)
    begin_ledger(project / "verdicts")
    commit(project)
    said = code.audit(project)
    names = str(project / "clean") in code.call(project, "audit").out.splitlines()[0]
    return Said(said.found or names, f"{said.words}{', the folder in its first line' if names else ''}")
