"""The program that carries out attacks on the code before and here: it is whole, and a page has its table."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.attacks.before import ATTACKS, LINES
from tests.attacks.before.__main__ import describe
from tests.attacks.before.codes import COMMIT, REPOSITORY, open_before, open_here
from tests.attacks.repositories import plain_git

__all__ = ["plain_git"]  # a fixture for every test here
NAMED = {attack.name: attack for attack in ATTACKS}
HELD = subprocess.run(["git", "-C", str(REPOSITORY), "cat-file", "-e", COMMIT], capture_output=True).returncode == 0


def test_every_line_has_attacks_and_every_attack_is_in_the_table() -> None:
    assert {attack.line for attack in ATTACKS} == {*LINES} == {*range(1, 10)}
    assert len(NAMED) == len(ATTACKS)
    table = (REPOSITORY / "docs/attacks-before.md").read_text()
    rows = [line.split(" | ")[:2] for line in table.splitlines() if line.startswith(tuple(f"| {n} | " for n in LINES))]
    assert rows == [[f"| {attack.line}", attack.words] for attack in sorted(ATTACKS, key=lambda attack: attack.line)]


def test_an_attack_is_found_by_the_code_here(good_project: Path, tmp_path: Path) -> None:
    """The honest trail that it starts from is audited clean, or the program refuses to go on."""
    here = open_here(tmp_path)
    shutil.copytree(good_project, here.work / "good")
    told = describe(NAMED["in_a_later_commit"], [here], tmp_path)
    assert told == "| 5 | Delete a bad attempt in a later commit | found: *removed* (3) |"


@pytest.mark.skipif(not HELD, reason="the history here does not reach back to the code before")
def test_the_code_before_is_another(tmp_path: Path) -> None:
    told = describe(NAMED["rely_on_words"], [open_before(tmp_path), open_here(tmp_path)], tmp_path)
    before, now = told.split(" | ")[2:]
    assert before.startswith("passes: still said in `docs/authoring.md`") and now == "found: none is left |"
