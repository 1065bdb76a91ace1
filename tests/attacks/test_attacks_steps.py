"""Every step is needed: without it, an attack of the corpus is no longer found."""

from __future__ import annotations

import pytest
from corpus import CORPUS
from trails import Trail, audited, sorts

from harness.ledger.audit import SORTS


@pytest.mark.parametrize("step", [1, 3, 4, 5, 7])
def test_without_a_step_its_attacks_are_missed(step: int, good_trail: Trail) -> None:
    missed, shown = [], []
    for attack in CORPUS.values():
        if attack.recompute or SORTS[attack.finds].step != step:
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
        "attempts._references", "attempts._registrations", "attempts._amendments", "attempts._late", "attempts._start",
        "attempts._end", "attempts._verdict", "attempts.near_duplicates", "artefacts._objects", "artefacts._artefacts",
        "artefacts._weights", "artefacts._strays", "seeds._run", "seeds._results", "anchors._anchor",
    ],
)  # fmt: skip
def test_without_a_part_of_a_step_an_attack_is_missed(
    check: str, good_trail: Trail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"harness.ledger.audit.{check}", lambda *_, **__: None if "_anchor" in check else ())
    missed = []
    step = {"attempts": 3, "artefacts": 4, "seeds": 5, "anchors": 7}[check.split(".")[0]]
    for attack in CORPUS.values():
        if SORTS[attack.finds].step == step and not missed:
            trail = good_trail.copy()
            attack.spoil(trail)
            if attack.finds not in sorts(audited(trail)):
                missed.append(attack.name)
    assert missed, f"{check} could be removed and no test would fail"
