"""Looks, from the file to the verdict: seeds train look by look, every look is in the ledger, and nothing twice.

Runs are made in this process, but for the one that is killed.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from harness import ledger
from harness.errors import DeviationRefused
from harness.pipeline.pilot import run_pilot
from harness.pipeline.project import Settings
from harness.pipeline.reverdict import find_other_looks, judge_again
from harness.pipeline.session import Report, Reporter, Session
from harness.records import Measurements
from harness.spec import load
from tests.e2e.projects import Project, make_project, run_file

LOOKS = "stopping: {kind: looks, at: [2, 4, 6]}"
ANYTIME = "stopping: {kind: anytime}"


@dataclass
class Watched:
    """What a run told while it was under way."""

    said: list[str] = field(default_factory=list)
    trained: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Cohort → its replicas, of how many cohorts."""

    def reporter(self) -> Reporter:
        return Reporter(say=self.said.append, progress=self.note)

    def note(self, at: Any) -> None:
        self.trained[at.cohort] = (at.replicas, at.cohorts)
        assert at.steps_done <= at.steps_total


def run(project: Project) -> tuple[Report, Watched]:
    watched = Watched()
    return run_file(project.root / "hypotheses/tiny.yaml", watched.reporter()), watched


def looking(root: Path, stopping: str) -> Project:
    """The margin is many standard deviations above 0; the guard's sign test can't be passed with fewer than 4 seeds."""
    project = make_project(root)
    project.edit("epochs: 8", "epochs: 2")
    project.edit("exploratory:\n", "exploratory:\n  gain: {metric: test_accuracy, contrast: bp - dfa, unit: pp}\n")
    project.edit("seeds: {count: 6}", f"seeds: {{count: 6}}\n{stopping}")
    alpha = 0.3 if stopping == LOOKS else 0.49
    project.edit("above: 1.0e-9", f"above: 1.0e-9, alpha: {alpha}")
    if stopping == ANYTIME:
        project.edit("criterion: {name: t}", "criterion: {name: t_sequence}")
    return project


def only_registered(project: Project, root: Path) -> Project:
    """The project as it was before its run, with the same registration and so the same seeds."""
    shutil.copytree(project.root, root)
    shutil.rmtree(root / "verdicts/tiny")
    for path in (root / "verdicts/ledger/events").glob("*.json"):
        if json.loads(path.read_text())["type"] != "registered":
            path.chmod(0o644)
            path.unlink()
    return Project(root)


def looks_of(project: Project) -> list[dict[str, Any]]:
    return sorted((event["body"] for event in project.events("look")), key=lambda body: body["seeds"])


@pytest.fixture(scope="module", params=[LOOKS, ANYTIME], ids=["looks", "anytime"])
def stopped(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Watched, Any]:
    project = looking(tmp_path_factory.mktemp("stopped") / "project", request.param)
    report, watched = run(project)
    return project, watched, report


def test_a_run_stops_at_the_look_that_decides(stopped: tuple[Project, Watched, Any]) -> None:
    project, watched, report = stopped
    assert report.decision.outcome == "better"
    looks = looks_of(project)
    judged = len(looks)
    numbers = [2, 4, 6] if judged == 2 else [2, 3, 4, 5, 6]
    assert [look["seeds"] for look in looks] == numbers[:judged]
    assert [look["outcome"] for look in looks] == [None] * (judged - 1) + ["better"]
    seeds = looks[-1]["seeds"]
    (folder,) = project.runs()
    results = Measurements.model_validate_json((folder / "results.json").read_text())
    (started,) = project.events("run_started")
    assert len(started["body"]["seeds"]) == 6 and list(results.seeds) == started["body"]["seeds"][:seeds]
    assert [(r.arm, r.seed_index) for r in results.replicas] == [
        (arm, seed) for arm in ("bp", "dfa", "shallow") for seed in range(seeds)
    ]
    for look in looks:  # each names the results that it judged, which the final ones still hold
        assert look["results"] == hashlib.sha256(results.take_first(look["seeds"]).to_json().encode()).hexdigest()
    trained = [replicas for replicas, _ in watched.trained.values()]
    assert sum(trained) == 3 * seeds, "every replica once"
    assert {cohorts for _, cohorts in watched.trained.values()} == {2 * len(numbers)}
    assert watched.said[-1].startswith(f"look {judged} of {len(numbers)}, {seeds} seeds: better")
    assert not (folder / "work").exists()


def test_the_verdict_names_the_looks(stopped: tuple[Project, Watched, Any]) -> None:
    project, _, report = stopped
    (folder,) = project.runs()
    text, stored = (folder / "verdict.md").read_text(), json.loads((folder / "verdict.json").read_text())
    looks = stored["decision"]["looks"]
    assert [look["seeds"] for look in looks] == [look["seeds"] for look in looks_of(project)]
    for number, look in enumerate(looks, 1):
        said = look["outcome"] if number == len(looks) else "not decided: on to the next"
        assert f"| {number} | {look['seeds']} | {said} |" in text
    if report.hypothesis.stopping.kind == "looks":
        assert "plans 3 looks, after 2, 4, 6 seeds" in text and "did not train the other 2" in text
        planned = project.harness("plan", "hypotheses/tiny.yaml", "--device", "cpu")
        assert "looks after 2, 4 and 6 seeds: the first that decides" in planned.stdout
    assert report.decision.warnings == ()
    raw, adjusted = stored["decision"]["exploratory_p"]["gain"]
    (row,) = [line for line in text.splitlines() if line.startswith("| test accuracy, BP − DFA")]
    *_, shown, after, end = (cell.strip() for cell in row.split("|"))
    assert raw == adjusted and shown == after != "–" and end == "", "one contrast: nothing to adjust"
    (row,) = [line for line in text.splitlines() if line.startswith("| cosine of credit")]
    assert row.endswith("| – | – |")


def test_it_is_judged_again_to_the_same_bytes(stopped: tuple[Project, Watched, Any]) -> None:
    project, _, report = stopped
    again = judge_again("tiny", ledger.Ledger(project.root / "verdicts"))
    assert again.outcome == "better"
    assert not (again.differing or again.rounded or again.redrawn)
    (folder,) = project.runs()
    results = Measurements.model_validate_json((folder / "results.json").read_text())
    (verdict,) = project.events("verdict")
    entered = ledger.list_looks(ledger.Ledger(project.root / "verdicts"), verdict["body"]["run"])
    assert find_other_looks(entered, report.hypothesis, results, report.decision) == []
    moved = [entered[0].model_copy(update={"outcome": "better"}), *entered[1:]]
    assert find_other_looks(moved, report.hypothesis, results, report.decision) == ["ledger: the look at 2 seeds"]
    assert find_other_looks(entered[1:], report.hypothesis, results, report.decision) == ["ledger: the look at 2 seeds"]
    more = [*entered, entered[-1].model_copy(update={"seeds": 6})]
    assert find_other_looks(more, report.hypothesis, results, report.decision) == ["ledger: the look at 6 seeds"]


@pytest.mark.parametrize("stopped", [LOOKS], indirect=True, ids=["looks"])
def test_killed_between_two_looks_it_resumes_to_the_same_bytes(
    stopped: tuple[Project, Watched, Any], tmp_path: Path
) -> None:
    project, _, _ = stopped
    again = only_registered(project, tmp_path / "again")
    process = again.start_until("look 1", "run", "hypotheses/tiny.yaml", "--device", "cpu")
    process.kill()
    process.communicate()
    assert looks_of(again)[0]["outcome"] is None
    report, watched = run(again)
    assert any(line.startswith("resuming attempt") for line in watched.said)
    seeds = looks_of(project)[-1]["seeds"]
    assert sum(replicas for replicas, _ in watched.trained.values()) <= 3 * (seeds - 2), "nothing is trained again"
    (expected,), (resumed,) = project.runs(), again.runs()
    assert (resumed / "results.json").read_bytes() == (expected / "results.json").read_bytes()
    strip = [{key: value for key, value in look.items() if key != "run"} for look in looks_of(again)]
    assert strip == [{key: value for key, value in look.items() if key != "run"} for look in looks_of(project)]
    assert len(again.events("run_started")) == 1
    assert report.decision.looks[-1].outcome == "better"


@pytest.mark.parametrize("stopped", [LOOKS], indirect=True, ids=["looks"])
@pytest.mark.parametrize("count", [8, 5])
def test_seeds_outside_the_rule_are_refused(stopped: tuple[Project, Watched, Any], tmp_path: Path, count: int) -> None:
    project, _, _ = stopped
    copy = Project(tmp_path / "copy")
    shutil.copytree(project.root, copy.root)
    copy.edit("seeds: {count: 6}", f"seeds: {{count: {count}}}")
    copy.edit("at: [2, 4, 6]", f"at: [2, 4, {count}]")
    with pytest.raises(DeviationRefused) as refused:
        run(copy)
    said = str(refused.value)
    doing = "adding" if count > 6 else "dropping"
    assert "tiny was registered with 6 seeds on" in said and f"the file now asks for {count}" in said
    assert f"{doing} seeds outside the declared stopping rule is refused" in said
    assert "go back to 6 seeds" in said and "a fresh registration under a new id" in said
    assert len(copy.events("run_started")) == 1


@pytest.mark.parametrize("stopped", [LOOKS], indirect=True, ids=["looks"])
def test_another_rule_after_the_registration_is_refused(stopped: tuple[Project, Watched, Any], tmp_path: Path) -> None:
    project, _, _ = stopped
    copy = Project(tmp_path / "copy")
    shutil.copytree(project.root, copy.root)
    copy.edit("at: [2, 4, 6]", "at: [3, 6]")
    with pytest.raises(DeviationRefused, match=r"stopping\.at"):
        run(copy)


def test_a_pilot_of_a_hypothesis_with_looks(tmp_path: Path) -> None:
    project = looking(tmp_path / "project", LOOKS)
    path = project.root / "hypotheses/tiny.yaml"
    report = run_pilot(path, Session.open(path, Settings(device="cpu")), seeds=3, epochs=1)
    assert report.decision.summary == "Pilot: no outcome." and report.decision.looks == ()
    assert len(json.loads((report.folder / "results.json").read_text())["seeds"]) == 3
    assert not project.events("look") and "never an outcome" in (report.folder / "verdict.md").read_text()
    assert load(path).hypothesis.looks == (2, 4, 6)
