"""Every step is needed: without it, an attack of the corpus is no longer found."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import harness.ledger.audit
from harness.ledger.audit import CODES, AuditFinding
from tests.attacks.corpus import CORPUS
from tests.attacks.trails import Trail, audited, sorts

NONE = ("anchors._check_anchor", "amended._find_untold_change", "amended._find_other_seeds")
"""Checks that return what is wrong; the others yield findings."""


@pytest.mark.parametrize("step", [1, 3, 4, 5, 7])
def test_without_a_step_its_attacks_are_missed(step: int, good_trail: Trail) -> None:
    missed, shown = [], []
    for attack in CORPUS.values():
        if attack.recompute or CODES[attack.finds].step != step:
            continue
        trail = good_trail.copy()
        attack.spoil(trail)
        report = audited(trail, without=step)
        if attack.finds not in sorts(report):
            missed.append(attack.name)
        if report.exit_code == 0:
            shown.append(attack.name)
    assert missed, f"step {step} could be removed and no test would fail"
    assert shown, f"what step {step} finds, other steps find as well"


@pytest.mark.parametrize(
    "check",
    [
        "attempts._check_references",
        "attempts._check_registrations",
        "amended.check",
        "amended._check_late_amendment",
        "attempts._check_start",
        "amended._find_untold_change",
        "amended._find_other_seeds",
        "attempts._check_end",
        "attempts._check_verdict",
        "attempts.find_near_duplicates",
        "artefacts._find_missing_objects",
        "artefacts._check_artefacts",
        "artefacts._check_weights",
        "artefacts._find_strays",
        "seeds._check_run",
        "seeds._check_results",
        "anchors._check_anchor",
    ],
)
def test_without_a_part_of_a_step_an_attack_is_missed(
    check: str, good_trail: Trail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"harness.ledger.audit.{check}", lambda *_, **__: None if check in NONE else ())
    missed = []
    step = {"attempts": 3, "amended": 3, "artefacts": 4, "seeds": 5, "anchors": 7}[check.split(".")[0]]
    for attack in CORPUS.values():
        if CODES[attack.finds].step == step and not missed:
            trail = good_trail.copy()
            attack.spoil(trail)
            if attack.finds not in sorts(audited(trail)):
                missed.append(attack.name)
    assert missed, f"{check} could be removed and no test would fail"


ELSEWHERE = {
    "commits.py",  # test_attacks_commits.py
    "history.py",  # test_attacks_git.py
    "looks.py",  # test_attacks_looks.py
    "searched.py",  # test_attacks_searched.py
    "steps.py",  # a defect of a step
    "seeded.py",  # test_attacks_seeds.py
    "fresh.py",  # test_attacks_fresh.py
    "initial.py",  # test_attacks_initial.py
    "remeasured.py",  # test_attacks_measured.py
    "tuned.py",  # test_e2e_tuning.py, test_attacks_tuned.py
    "programs.py",  # test_attacks_programs.py
    "linked.py",  # test_attacks_linked.py
    "explored.py",  # test_attacks_explored.py
    "company.py",  # test_attacks_together.py
}
SHOWN_ELSEWHERE = (
    "an object that cannot be read",  # on a disk: test_attacks_hostile.py
    "a file that a verdict names cannot be read",
    "AuditFinding('line-ends'",  # needs git, or a disk: test_attacks_carried.py
    "AuditFinding('left-out'",
    "str(other.place)",  # needs another trail: test_e2e_second.py
    "AuditFinding(code, what, where, command=found.remedy)",  # of anchors, takes keys: test_attacks_anchors.py
    "AuditFinding('meaning-unread'",  # needs a plug-in that is not installed any more: test_attacks_plugins.py
    "str(page.resumed)",  # needs a run that was resumed: test_attacks_given_up.py
    "AuditFinding('run-undrawn'",  # takes a beacon: test_attacks_seeds.py
    "AuditFinding(code, what, where, expected, got)",  # of ``_problem``, whose callers are looked at
)


def places() -> Iterator[tuple[str, range]]:
    """Every place in the code of an audit that makes a finding against a trail: its module and lines."""
    for module in sorted(Path(harness.ledger.audit.__file__).parent.glob("*.py")):
        tree = ast.parse(module.read_text())
        notes = {sort for sort, told in CODES.items() if told.severity in ("note", "unchecked")}
        for node in ast.walk(tree):
            made = isinstance(node, ast.Call) and ast.unparse(node.func) in ("AuditFinding", "self._problem")
            if made and module.name not in ELSEWHERE and getattr(node.args[0], "value", None) not in notes:
                text = f"{module.read_text().splitlines()[node.lineno - 2]} {ast.unparse(node)}"
                if not any(known in text for known in SHOWN_ELSEWHERE):
                    yield module.name, range(node.lineno, (node.end_lineno or 0) + 1)


def test_every_place_that_makes_a_finding_is_needed(good_trail: Trail, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it an attack of the corpus would not be found: it makes all findings that this attack must produce."""
    made: dict[int, tuple[str, int]] = {}
    real = AuditFinding.__init__

    def noting(self: AuditFinding, *args: Any, **kwargs: Any) -> None:
        real(self, *args, **kwargs)
        frame = sys._getframe(1)
        if frame.f_code.co_name == "_problem":
            frame = frame.f_back or frame
        made[id(self)] = (Path(frame.f_code.co_filename).name, frame.f_lineno)

    monkeypatch.setattr(AuditFinding, "__init__", noting)
    needed = set()
    for attack in CORPUS.values():
        if not attack.recompute:
            trail = good_trail.copy()
            attack.spoil(trail)
            report = audited(trail)
            found = {made[id(finding)] for finding in report.findings if finding.code == attack.finds}
            needed |= found if len(found) == 1 else set()
    idle = [f"{module}:{lines[0]}" for module, lines in places() if not any((module, n) in needed for n in lines)]
    assert idle == []
