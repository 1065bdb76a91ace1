"""A run that was judged look by look: what was seen in between cannot be hidden or made up afterwards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.pipeline.audit import AuditRequest, audit_trail
from harness.pipeline.project import Settings
from harness.pipeline.replicate import replicate_run
from harness.pipeline.run import run_hypothesis
from harness.pipeline.session import Session
from tests.attacks.corpus import forged_file, only, without
from tests.attacks.good import CLAIMS, FILE
from tests.attacks.trails import Trail, audited, sorts


@pytest.fixture(scope="module")
def looked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose only run decides nothing at its first two looks and ends at its third of eight."""
    root = tmp_path_factory.mktemp("looked")
    (root / "hypotheses").mkdir()
    (root / "hypotheses" / "claims.yaml").write_text(CLAIMS)
    text = FILE.format(
        id="looked", title="Looked", lr="3.0e-3", width=4, epochs=1, batch=256, cut="-80", moves="supports: [it-helps]"
    )
    # Judged after every seed from the second; a sequence of t-tests takes some until it decides, however clear it is.
    text = text.replace("count: 3", "count: 9").replace("name: t}", "name: t_sequence}")
    (root / "hypotheses" / "looked.yaml").write_text(text + "stopping: {kind: anytime}\n")
    settings = Settings(device="cpu", verdicts=root / "verdicts", data=root / "data")
    file = root / "hypotheses" / "looked.yaml"
    run_hypothesis(file, Session.open(file, settings))
    return root


@pytest.fixture
def trail(looked: Path) -> Trail:
    return Trail.read(looked / "verdicts")


def test_the_trail_is_good_and_its_run_can_be_trained_again(looked: Path, trail: Trail) -> None:
    looks = [event["body"] for _, event in trail.events() if event["type"] == "look"]
    assert [(look["seeds"], look["outcome"]) for look in looks] == [(2, None), (3, None), (4, "better")]
    settings = Settings(device="cpu", data=looked / "data")
    report = audit_trail(looked / "verdicts", looked / "hypotheses", AuditRequest(recompute=True))
    assert {line.status for line in report.hypotheses[0].lines} <= {"PASS", "NOT CHECKED"}
    assert report.exit_code == 5  # there is no git history here
    again = replicate_run("looked", Session.open(looked / "hypotheses", settings), record=False)
    assert (again.expected, again.agreement) == ("bits", "bits")


def first_look_removed(trail: Trail) -> None:
    trail.rebuild(without(trail.find("look")[0]))


def last_look_removed(trail: Trail) -> None:
    trail.rebuild(without(trail.find("look", place=2)[0]))


def all_looks_removed(trail: Trail) -> None:
    trail.rebuild(without(*(digest for digest, event in trail.events() if event["type"] == "look")))


def at_another_number(trail: Trail) -> None:
    trail.rebuild(only(trail.find("look")[0], lambda body: body.update(seeds=1)))


def ended_by_the_first(trail: Trail) -> None:
    trail.rebuild(only(trail.find("look")[0], lambda body: body.update(outcome="worse")))


def one_after_the_end(trail: Trail) -> None:
    _, look = trail.find("look", place=2)
    trail.append("look", look["body"] | {"seeds": 5})


def two_beside_each_other(trail: Trail) -> None:
    first, event = trail.find("look")
    second, _ = trail.find("look", place=1)

    def edit(digest: str, found: dict[str, Any]) -> dict[str, Any]:
        return found | {"parents": event["parents"]} if digest == second else found

    trail.rebuild(edit)
    assert first != second


def of_other_results(trail: Trail) -> None:
    trail.rebuild(only(trail.find("look")[0], lambda body: body.update(results="0" * 64)))


def results_changed_with_the_last_look(trail: Trail) -> None:
    """A better number, and every digest of the whole results put right: the first look gives it away."""

    def change(value: Any) -> None:
        value["replicas"][0]["metrics"]["train_loss"]["values"]["value"][-1][0] = 0.5

    forged_file(trail, "results.json", change, "looked")


@pytest.mark.parametrize(
    ("spoil", "finds"),
    [
        (first_look_removed, "looks"),
        (last_look_removed, "looks"),
        (all_looks_removed, "looks"),
        (at_another_number, "looks"),
        (ended_by_the_first, "looks"),
        (one_after_the_end, "looks"),
        (two_beside_each_other, "looks"),
        (of_other_results, "look-results"),
        (results_changed_with_the_last_look, "look-results"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_a_changed_look_is_found(spoil: Callable[[Trail], None], finds: str, trail: Trail) -> None:
    assert audited(trail).exit_code == 0
    spoil(trail)
    report = audited(trail)
    assert finds in sorts(report), sorts(report)
    assert report.exit_code == 3
