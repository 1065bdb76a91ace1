"""Several hypotheses that train together: one cohort, several verdicts, each with evidence that is whole by itself."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.ledger import Ledger
from harness.ledger.bodies import RunFinishedBody
from harness.pipeline.project import Settings
from harness.pipeline.run import run_hypothesis
from harness.pipeline.session import Reporter, Session
from harness.pipeline.several import run_several
from harness.training import Progress
from tests.e2e.projects import TINY, Project, make_project
from tests.once import made_once

NAMES = ("tiny", "other", "wide")
"""The first two have programs in common; the third has none with them."""
SMALL = (
    TINY.replace("epochs: 8", "epochs: 4")
    .replace("count: 6", "count: 5")
    .replace("  save: [weights]\n", "  precision: float64\n")
)
TOGETHER = ("run", "--together", "hypotheses", "--device", "cpu")


def text(name: str) -> str:
    return SMALL.replace("id: tiny", f"id: {name}").replace("width: 16", "width: 8" if name == "wide" else "width: 16")


@pytest.fixture(scope="session")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Three registered hypotheses, whose copies all have the same seeds."""

    def make(root: Path) -> None:
        project = make_project(root / "project", SMALL)
        for name in NAMES[1:]:
            (project.root / "hypotheses" / f"{name}.yaml").write_text(text(name))
        for name in NAMES:
            assert project.harness("register", f"hypotheses/{name}.yaml").returncode == 0

    return Project(made_once(tmp_path_factory, "together-registered", make) / "project")


@pytest.fixture(scope="session")
def judged(registered: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """All three, run together."""

    def make(root: Path) -> None:
        project = copy(registered, root)
        ran = project.harness(*TOGETHER)
        assert ran.returncode == 0, ran.stderr
        (root / "said").write_text(ran.stderr)

    return Project(made_once(tmp_path_factory, "together-judged", make) / "project")


def copy(project: Project, root: Path) -> Project:
    shutil.copytree(project.root, root / "project", dirs_exist_ok=True)
    return Project(root / "project")


def results(project: Project, name: str) -> bytes:
    (path,) = project.root.glob(f"verdicts/{name}/*/results.json")
    return path.read_bytes()


def start_of(project: Project, name: str) -> dict[str, Any]:
    (start,) = [event["body"] for event in project.events("run_started") if event["body"]["hypothesis"] == name]
    return dict(start)


def run_of(project: Project, name: str) -> str:
    (folder,) = [path.name for path in (project.root / "verdicts" / name).iterdir() if path.is_dir()]
    return folder


def leave_killed(project: Project) -> Project:
    """Kill a run of all three while the first shared cohort trains."""
    process = project.start_until("cohort 1", *TOGETHER, "--checkpoint-every", "0")
    process.kill()
    process.wait()
    assert len(project.events("run_started")) >= 2 and not project.events("verdict")
    return project


def leave_first_started(project: Project) -> Project:
    """Leave a run as if it had been killed between two events: the attempt at the first is the ledger's last event."""
    leave_killed(project)
    for path in (project.root / "verdicts/ledger/events").glob("*.json"):
        event = json.loads(path.read_text())
        if event["type"] == "run_started" and event["body"]["hypothesis"] in ("tiny", "wide"):
            path.unlink()
            shutil.rmtree(project.root / "verdicts" / event["body"]["hypothesis"])
    return project


def test_a_shared_cohort_trains_once_and_every_attempt_is_entered_before_it(judged: Project) -> None:
    said = (judged.root.parent / "said").read_text()
    assert "tiny trains together with other" in said and "other trains together with tiny" in said
    assert "wide trains alone: it shares no program with another file" in said
    assert said.count("other/bp, tiny/bp, other/dfa, tiny/dfa: 20 replicas") == 1
    company = start_of(judged, "tiny")["together"]
    assert company == start_of(judged, "other")["together"] and "together" not in start_of(judged, "wide")
    registrations = {event["body"]["hypothesis"]: event for event in judged.events("registered")}
    assert [one["hypothesis"] for one in company] == ["other", "tiny"]
    for one in company:
        assert one["canonical"] == registrations[one["hypothesis"]]["body"]["canonical"]
        assert one["seeds"] == start_of(judged, one["hypothesis"])["seeds"]
    index = Ledger(judged.root / "verdicts").index()
    starts = [start.digest for start in index.starts() if start.body.together]
    ends = [entry.digest for entry in index.entries(RunFinishedBody) if entry.body.run in starts]
    assert len(starts) == len(ends) == 2 and all(index.before(start, end) for start in starts for end in ends)


def test_results_are_those_of_separate_runs(registered: Project, judged: Project, tmp_path: Path) -> None:
    apart = copy(registered, tmp_path)
    ran = apart.harness("run", "hypotheses", "--device", "cpu")
    assert ran.returncode == 0, ran.stderr
    assert results(apart, "wide") == results(judged, "wide")
    for name in ("tiny", "other"):
        assert start_of(apart, name)["plan"] != start_of(judged, name)["plan"]
        one, two = (json.loads(results(project, name)) for project in (apart, judged))
        assert one["seeds"] == two["seeds"]
        first, second = ({(r["arm"], r["seed_index"]): r for r in found["replicas"]} for found in (one, two))
        assert first.keys() == second.keys() and len(first) == 15
        for key, replica in first.items():
            assert replica["seed"] == second[key]["seed"]
            assert replica["metrics"].keys() == second[key]["metrics"].keys()
            for metric, series in replica["metrics"].items():
                for summary, values in series["values"].items():
                    there = second[key]["metrics"][metric]["values"][summary]
                    np.testing.assert_allclose(np.array(values), np.array(there), rtol=1e-6, atol=1e-6, err_msg=metric)
    for name in NAMES:
        (page,) = judged.root.glob(f"verdicts/{name}/*/verdict.md")
        assert ("Trained in cohorts with" in page.read_text()) == (name != "wide")


def test_each_run_is_checked_by_itself_whatever_became_of_the_others_file(judged: Project, tmp_path: Path) -> None:
    project = copy(judged, tmp_path)
    audited = project.harness("audit", "--recompute", "--rerun", run_of(project, "other"), "--device", "cpu")
    assert " FAIL " not in audited.stdout, audited.stdout
    for step in (3, 4, 5, 6):
        assert audited.stdout.count(f"  PASS        {step} ") == 3, audited.stdout
    assert audited.stdout.count("  PASS        8 ") == 1, audited.stdout
    project.edit("epochs: 4", "epochs: 5", "other.yaml")
    (project.root / "hypotheses" / "wide.yaml").unlink()
    for name in NAMES:
        assert project.harness("reverdict", name).returncode == 0
        assert project.harness("show", name).returncode == 0
        again = project.harness("replicate", name, "--device", "cpu")
        assert again.returncode == 0 and "the same results to the bit" in again.stdout, again.stderr


def test_killed_it_goes_on_to_the_same_bytes(registered: Project, judged: Project, tmp_path: Path) -> None:
    project = leave_killed(copy(registered, tmp_path))
    ran = project.harness(*TOGETHER)
    assert ran.returncode == 0, ran.stderr
    assert "resuming attempt" in ran.stderr and "3 judged" in ran.stderr
    for name in NAMES:
        assert results(project, name) == results(judged, name)
    assert len(project.events("run_started")) == 3


def test_what_was_trained_for_all_is_not_trained_again(registered: Project, judged: Project, tmp_path: Path) -> None:
    """The command ends after the first verdict; the second hypothesis then goes on alone."""
    project = copy(registered, tmp_path)
    settings = Settings(device="cpu", together=True)
    going = run_several([project.root / "hypotheses"], settings, Reporter())
    assert next(going).hypothesis == "other"
    going.close()
    assert len(project.events("verdict")) == 1
    trained: list[Progress] = []
    file = project.root / "hypotheses" / "tiny.yaml"
    report = run_hypothesis(
        file, Session.open(file, replace(settings, together=False), Reporter(progress=trained.append))
    )
    assert report.hypothesis.id == "tiny" and not trained
    assert results(project, "tiny") == results(judged, "tiny")


def test_one_of_them_goes_on_alone_when_another_is_closed(registered: Project, judged: Project, tmp_path: Path) -> None:
    project = leave_killed(copy(registered, tmp_path))
    closed = project.harness("close", run_of(project, "other"), "--reason", "not wanted any more")
    assert closed.returncode == 0, closed.stderr
    shown = project.harness("plan", "hypotheses/tiny.yaml", "--device", "cpu")
    assert "other/bp, tiny/bp, other/dfa, tiny/dfa" in shown.stdout
    ran = project.harness("run", "hypotheses/tiny.yaml", "--device", "cpu")
    assert ran.returncode == 0 and "resuming attempt" in ran.stderr, ran.stderr
    assert results(project, "tiny") == results(judged, "tiny")
    assert project.harness("replicate", "tiny", "--device", "cpu").returncode == 0
    anew = project.harness("run", "hypotheses/other.yaml", "--device", "cpu")
    assert anew.returncode == 0, anew.stderr
    starts = Ledger(project.root / "verdicts").index().starts("other")
    assert [bool(start.body.together) for start in starts] == [True, False]
    audited = project.harness("audit", "--recompute")
    assert " FAIL " not in audited.stdout, audited.stdout


def test_nothing_of_a_hypothesis_trains_before_its_attempt_is_entered(
    registered: Project, judged: Project, tmp_path: Path
) -> None:
    project = leave_first_started(copy(registered, tmp_path))
    ran = project.harness("run", "hypotheses/other.yaml", "--device", "cpu")
    assert ran.returncode == 2, ran.stderr
    assert "trains together with tiny" in ran.stderr and "harness run --together" in ran.stderr
    assert not project.events("run_finished")
    both = project.harness(*TOGETHER)
    assert both.returncode == 0, both.stderr
    for name in NAMES:
        assert results(project, name) == results(judged, name)


def test_what_was_trained_otherwise_is_not_handed_over(
    registered: Project, judged: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second attempt starts only later, on a processor that calculates otherwise than the first one says."""
    project = leave_first_started(copy(registered, tmp_path))
    monkeypatch.setenv("MKL_CBWR", "COMPATIBLE")
    both = project.harness(*TOGETHER)
    assert both.returncode == 2 and "its MKL_CBWR changed" in both.stderr, both.stderr
    assert "MKL_CBWR" in start_of(project, "tiny")["arithmetic"]
    assert not list(project.root.glob("verdicts/other/*/work/*.json"))
    monkeypatch.delenv("MKL_CBWR")
    ran = project.harness("run", "hypotheses/other.yaml", "--device", "cpu")
    assert ran.returncode == 0 and "cohort 1" in ran.stderr, ran.stderr
    assert results(project, "other") == results(judged, "other")


def test_who_goes_on_alone_is_told_why(registered: Project, tmp_path: Path) -> None:
    project = copy(registered, tmp_path)
    process = project.start_until("cohort 1", "run", "hypotheses/tiny.yaml", "--device", "cpu")
    process.kill()
    process.wait()
    ran = project.harness(*TOGETHER)
    assert "tiny trains alone: an attempt is open, and goes on as it was started" in ran.stderr, ran.stderr
    assert (
        "other trains alone: it shares no program with another file, or sharing would make no fewer cohorts"
        in ran.stderr
    )
    assert ran.returncode == 0 and not start_of(project, "tiny").get("together")


def test_a_plan_of_a_set_says_what_is_shared_and_what_not(registered: Project, tmp_path: Path) -> None:
    project = copy(registered, tmp_path)
    (project.root / "hypotheses" / "looking.yaml").write_text(
        text("looking").replace("seeds: {count: 5}", "seeds: {count: 8}\nstopping: {kind: looks, at: [7, 8]}")
    )
    shown = project.harness("plan", "hypotheses", "--device", "cpu")
    assert shown.returncode == 0, shown.stderr
    assert "together in harness run --together: other, tiny\n" in shown.stdout
    assert "looking trains alone: its stopping rule decides how many seeds train" in shown.stdout
    assert "wide trains alone: it shares no program with another file" in shown.stdout
    told = json.loads(project.harness("plan", "hypotheses", "--device", "cpu", "--format", "json").stdout)["together"]
    assert [cohort["replicas"] for cohort in told["shared_cohorts"]] == [20, 10]
    assert told["sharing"]["cohorts"] == told["separate"]["cohorts"] - 2
    assert told["sharing"]["steps"] < told["separate"]["steps"]
    assert told["sharing"]["memory_bytes"] > told["separate"]["memory_bytes"]


def test_where_it_would_change_nothing_it_is_refused(registered: Project, tmp_path: Path) -> None:
    project = copy(registered, tmp_path)
    for more in (["hypotheses/tiny.yaml"], ["hypotheses", "--pilot"]):
        ran = project.harness("run", "--together", *more, "--device", "cpu")
        assert ran.returncode == 2 and "--together" in ran.stderr, ran.stderr
    assert not project.events("run_started")
