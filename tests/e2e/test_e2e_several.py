"""Several hypotheses with one command: all are checked and registered before the first trains; one by one they end."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.e2e.projects import TINY, Project, make_project

SMALL = TINY.replace("epochs: 8", "epochs: 1").replace("count: 6", "count: 5").replace("  save: [weights]\n", "")
SMALL = SMALL.replace("every_epochs: 2, ", "")
REGISTERED = r"registered (\S+) as"


def named(name: str, text: str = SMALL) -> str:
    return text.replace("id: tiny", f"id: {name}")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = make_project(tmp_path / "project", SMALL)
    for name in ("small", "other"):
        (made.root / "hypotheses" / f"{name}.yaml").write_text(named(name))
    return made


def starts(project: Project) -> list[str]:
    return [event["body"]["hypothesis"] for event in project.events("run_started")]


def test_a_folder_is_run_and_what_has_a_verdict_is_left_alone(project: Project) -> None:
    first = project.harness("run", "hypotheses/small.yaml", "--device", "cpu")
    assert first.returncode == 0
    both = project.harness("run", "hypotheses", "--device", "cpu")
    assert both.returncode == 0, both.stderr
    said = both.stderr
    assert max(said.index(f"registered {name}") for name in ("other", "tiny")) < said.index("1 of 2 hypotheses: ")
    assert sorted(starts(project)) == ["other", "small", "tiny"]
    assert re.search(r"^small: \w+, run \w{12}, judged before: nothing was run$", both.stdout, re.MULTILINE)
    assert both.stdout.count("verdict.md") == 2
    assert "3 hypotheses: 2 judged, 1 judged before" in said
    assert "ledger head" in said
    again = project.harness("run", "hypotheses", "--device", "cpu")
    assert (again.returncode, len(starts(project))) == (0, 3)
    assert "3 hypotheses: 3 judged before" in again.stderr
    project.edit("epochs: 1", "epochs: 2", "small.yaml")
    changed = project.harness("run", "hypotheses", "--device", "cpu")
    assert changed.returncode == 2 and "small was changed after its registration" in changed.stderr


def test_nothing_is_entered_if_one_file_has_findings(project: Project) -> None:
    for name, old, new in (("small", "epochs: 1", "epoch: 1"), ("other", "count: 5", "count: many")):
        project.edit(old, new, f"{name}.yaml")
    ran = project.harness("run", "hypotheses/tiny.yaml", "hypotheses/small.yaml", "hypotheses/other.yaml")
    assert ran.returncode == 2 and not project.events()
    assert "hypotheses/small.yaml:" in ran.stderr and "hypotheses/other.yaml:" in ran.stderr


def test_two_files_of_one_id_and_one_file_named_twice(project: Project) -> None:
    twice = project.harness(
        "run", "hypotheses/tiny.yaml", "hypotheses/../hypotheses/tiny.yaml", "--pilot", "--device", "cpu"
    )
    assert twice.returncode == 0 and "1 hypothesis: 1 tried out" in twice.stderr, twice.stderr
    (project.root / "hypotheses" / "twin.yaml").write_text(SMALL)
    ran = project.harness("run", "hypotheses")
    assert ran.returncode == 2 and "tiny" in ran.stderr and not project.events("registered")


def test_nothing_trains_if_one_was_changed_after_its_registration(project: Project) -> None:
    assert project.harness("register", "hypotheses/tiny.yaml").returncode == 0
    project.edit("epochs: 1", "epochs: 2", "tiny.yaml")
    ran = project.harness("run", "hypotheses", "--device", "cpu")
    assert ran.returncode == 2 and "was changed after its registration" in ran.stderr
    assert [event["body"]["hypothesis"] for event in project.events("registered")] == ["tiny"]
    assert not starts(project)


def test_one_that_fails_keeps_no_other_from_its_verdict(project: Project) -> None:
    """Its seeds wait for a witness, whom nobody asks here."""
    key = "ada@example.org ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIsE6YYmdDCCHzf3vTJGvGT4YPpvzlkYUgTkaUUXBsrw"
    project.edit("{count: 5}", f'{{count: 5, beacon: {{name: witness, signer: "{key}"}}}}', "other.yaml")
    ran = project.harness("run", "hypotheses", "--device", "cpu")
    assert ran.returncode == 1
    assert "other has no verdict:" in ran.stderr and "3 hypotheses: 2 judged, 1 failed" in ran.stderr
    assert sorted(starts(project)) == ["small", "tiny"]


def test_what_concerns_one_hypothesis_is_refused_beside_several(project: Project) -> None:
    ran = project.harness("run", "hypotheses", "--round", "round.json")
    assert ran.returncode == 2 and "one hypothesis" in ran.stderr and not project.events()
    ran = project.harness("run", "nowhere", "hypotheses")
    assert ran.returncode == 2 and "nowhere" in ran.stderr and not project.events()
    (project.root / "empty").mkdir()
    ran = project.harness("run", "empty")
    assert ran.returncode == 2 and "empty" in ran.stderr
