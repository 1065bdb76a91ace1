"""Runs that were made elsewhere, from the registration to the audit: nothing of them looks like a run by harness."""

from __future__ import annotations

import csv
import html
import io
import json
import os
import shutil
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from harness.errors import Interrupted
from harness.pipeline.link import link_runs
from harness.pipeline.session import Reporter, Session
from tests.e2e.programs import (
    ProgramProject,
    copy_project,
    make_linked_project,
    make_program_project,
    register_toy,
    tell_runs,
)
from tests.e2e.projects import REPOSITORY
from tests.once import made_once
from tests.unit.programs.told import Row

pytestmark = pytest.mark.skipif(os.name == "nt", reason="programs run on Linux and macOS")
FILE = "hypotheses/toy.yaml"
OUTSIDE = "trained outside harness"


@pytest.fixture(scope="session")
def linked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose runs were linked and judged, all of it committed. Copy it before changing it."""
    return made_once(tmp_path_factory, "linked-program", make_linked_project)


@pytest.fixture(scope="session")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that waits for runs. Copy it before changing it."""
    return made_once(tmp_path_factory, "registered-program", register_toy)


@pytest.fixture
def project(linked: Path, tmp_path: Path) -> ProgramProject:
    return copy_project(linked, tmp_path)


@pytest.fixture
def waiting(registered: Path, tmp_path: Path) -> ProgramProject:
    return copy_project(registered, tmp_path)


def write_runs(project: ProgramProject, rows: list[Row], name: str = "runs.json") -> str:
    """Write what is told beside the project, all of which is code, and return how the command line names it."""
    (project.root.parent / name).write_text(json.dumps({"runs": rows}))
    return f"../{name}"


def list_files(project: ProgramProject) -> set[Path]:
    """Return what the trail holds, but for its locks."""
    found = (project.root / "verdicts").rglob("*")
    return {path for path in found if path.is_file() and path.name != ".lock"}


def test_linked_runs_are_judged_as_the_program_s_own_and_say_everywhere_what_they_are(project: ProgramProject) -> None:
    (event,) = project.events("run_started")
    results = json.loads((project.folder / "results.json").read_text())
    values = {arm: [one for one in results["replicas"] if one["arm"] == arm] for arm in ("strong", "weak")}
    means = {arm: fmean(row["value"][0][0] for one in of for row in _list_values(one)) for arm, of in values.items()}
    verdict = json.loads((project.folder / "verdict.json").read_text())
    (decision,) = verdict["decision"]["decisions"]
    assert decision["estimand"]["mean"] == pytest.approx(100 * (means["strong"] - means["weak"]))
    assert results["seeds"] == event["body"]["seeds"]
    (deviation,) = event["body"]["deviations"]
    assert deviation.startswith(f"{OUTSIDE}, and told by runs.json")
    page = (project.folder / "verdict.md").read_text()
    assert "> **Trained outside harness**: 6 runs that were told afterwards" in page
    assert "1 more was rejected" in page
    assert "extra of runs.json, Strong: its seed 7 is not registered" in page
    assert "**What this leaves unproven**: that a run used the seed that it names" in page
    assert "Measured by the program itself" not in page
    assert f"harness replicate {verdict['run']}" in page
    listed = project.harness("list")
    assert f"worse (deviates: {OUTSIDE})" in listed.stdout
    shown = project.harness("show", "toy")
    assert "Trained outside harness" in shown.stdout
    audited = project.harness("audit", "--recompute")
    assert audited.returncode == 0, audited.stdout
    passing = [line for line in audited.stdout.splitlines() if line.strip().startswith("PASS")]
    for step in ("3 ", "5 "):
        (line,) = [line for line in passing if line.split("PASS")[1].strip().startswith(step)]
        assert f"({OUTSIDE}: " in line
    assert f"worse (deviates: {OUTSIDE})" in audited.stdout


def _list_values(replica: dict[str, Any]) -> list[dict[str, Any]]:
    return [series["values"] for series in replica["metrics"].values()]


def test_site_badge_and_paper_say_so_too(project: ProgramProject, tmp_path: Path) -> None:
    made = project.harness("site", str(tmp_path / "site"))
    assert made.returncode == 0, made.stderr
    for name in ("index.html", "h/toy.html"):
        assert f"deviates: {OUTSIDE}" in (tmp_path / "site" / name).read_text()
    badge = project.harness("badge", str(tmp_path / "badge.svg"), "--summary", str(tmp_path / "summary.md"))
    assert badge.returncode == 0, badge.stderr
    assert f"1 verdict (1 {OUTSIDE})" in (tmp_path / "badge.svg").read_text()
    assert f"(deviates: {OUTSIDE})" in html.unescape((tmp_path / "summary.md").read_text())
    paper = project.harness("paper", "toy", "--out", str(tmp_path / "paper"))
    assert paper.returncode == 0, paper.stderr
    text = "".join(path.read_text() for path in (tmp_path / "paper").rglob("*.tex"))
    assert "trained outside harness and told afterwards: nobody here saw them" in " ".join(text.split())


def test_they_are_judged_again_and_the_program_is_run_to_compare(project: ProgramProject) -> None:
    judged = project.harness("reverdict", "toy")
    assert "the same to the byte" in judged.stderr + judged.stdout, judged.stderr
    again = project.harness("replicate", "toy", "--yes")
    assert again.returncode == 0, again.stderr
    assert "the run was made outside harness" in again.stdout  # and so no bits are expected
    assert "outcome worse" in again.stdout


def test_the_runs_to_make_are_listed_and_filled_in_they_count(waiting: ProgramProject) -> None:
    before = list_files(waiting)
    wanted = waiting.harness("link", FILE)
    assert wanted.returncode == 0, wanted.stderr
    assert list_files(waiting) == before
    rows = list(csv.DictReader(io.StringIO(wanted.stdout)))
    told = tell_runs(waiting)
    assert [(row["arm"], int(row["seed"])) for row in rows] == [(one["run"].split("-")[0], one["seed"]) for one in told]
    for row, one in zip(rows, told, strict=True):
        row |= {"started": one["started"], "metrics.test_accuracy": one["metrics"]["test_accuracy"]}
    with (waiting.root / "done.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)
    linked = waiting.harness("link", FILE, "done.csv", "--form", "runs_csv")
    assert linked.returncode == 0, linked.stderr
    assert f"toy: worse (as predicted; {OUTSIDE})" in linked.stdout
    assert "of 6 runs nobody says which code it ran" in (waiting.folder / "verdict.md").read_text()


def test_gaps_are_refused_with_their_list_and_count_as_failed_if_somebody_says_so(waiting: ProgramProject) -> None:
    rows = tell_runs(waiting)
    rows[1]["started"] = "2020-01-01T00:00:00Z"
    name = write_runs(waiting, rows[:-1])
    before = list_files(waiting)
    refused = waiting.harness("link", FILE, name)
    assert refused.returncode == 2
    assert "run strong-1 of runs.json is rejected: it began before the registration" in refused.stderr
    assert "2 registered seeds would have no value:" in refused.stderr
    assert "weak, seed 2: no run of it was linked" in refused.stderr
    assert "--incomplete" in refused.stderr
    assert list_files(waiting) == before
    entered = waiting.harness("link", FILE, name, "--incomplete")
    assert entered.returncode == 0, entered.stderr
    assert "toy: invalid" in entered.stdout
    page = (waiting.folder / "verdict.md").read_text()
    assert "weak, seed 2: no run of it was linked" in page
    waiting.commit()
    audited = waiting.harness("audit", "--recompute")
    assert audited.returncode == 0, audited.stdout


def test_other_code_is_named(waiting: ProgramProject) -> None:
    (waiting.root / "helper.py").write_text("")
    waiting.commit()
    other = waiting.git("rev-parse", "HEAD").strip()
    rows = tell_runs(waiting)
    rows[0]["commit"], rows[1]["commit"] = other, "0" * 40
    refused = waiting.harness("link", FILE, write_runs(waiting, rows))
    assert refused.returncode == 2
    assert f"it ran other code, of commit {other[:12]}: helper.py" in refused.stderr
    assert "git here has no commit 000000000000" in refused.stderr


def test_after_an_amendment_only_later_runs_count_and_it_is_a_deviation(waiting: ProgramProject) -> None:
    early = tell_runs(waiting)
    text = (waiting.root / FILE).read_text()
    (waiting.root / FILE).write_text(text.replace("alpha: 0.1", "alpha: 0.05"))
    amended = waiting.harness("amend", FILE, "--reason", "Stricter.")
    assert amended.returncode == 0, amended.stderr
    for row in early:
        row["started"] = "2026-01-01T00:00:00Z"
    assert waiting.harness("link", FILE, write_runs(waiting, early)).returncode == 2
    (event,) = waiting.events("amended")
    for row in early:
        row["started"] = event["claimed_time"]
    linked = waiting.harness("link", FILE, write_runs(waiting, early))
    assert linked.returncode == 0, linked.stderr
    (started,) = waiting.events("run_started")
    assert any("amended before any run: Stricter." in line for line in started["body"]["deviations"])
    waiting.commit()
    audited = waiting.harness("audit", "--recompute")
    assert audited.returncode == 0, audited.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.json"], "none.json: can't be read: No such file"),
        (["odd.txt"], "an export that is no .json file must be given its form"),
        (["odd.txt", "--form", "wandb_csb"], "no export has the form 'wandb_csb', did you mean 'wandb_csv'?"),
        (["odd.txt", "--form", "wandb_csv"], "no export of runs: it has no row below its header"),
        (["good.json", "copy.json"], "copy.json: the same export is given twice"),
        (["empty.json"], "no export of runs: it tells of no run"),
    ],
)
def test_what_can_t_be_read_is_refused_in_one_message(
    waiting: ProgramProject, arguments: list[str], message: str
) -> None:
    (waiting.root / "good.json").write_text(json.dumps({"runs": tell_runs(waiting)}))
    shutil.copy(waiting.root / "good.json", waiting.root / "copy.json")
    (waiting.root / "odd.txt").write_text("Name,State\n")
    (waiting.root / "empty.json").write_text('{"runs": []}')
    before = list_files(waiting)
    refused = waiting.harness("link", FILE, *arguments)
    assert refused.returncode == 2
    assert message in refused.stderr
    assert "\n  → " in refused.stderr
    assert list_files(waiting) == before


def test_hypotheses_whose_runs_nobody_can_tell_of_are_refused(tmp_path: Path) -> None:
    project = make_program_project(tmp_path / "project")
    refused = project.harness("link", FILE)
    assert refused.returncode == 2
    assert "it is not registered, so no run can be one of it" in refused.stderr
    assert not (project.root / "verdicts").exists()
    (mixed,) = (REPOSITORY / "examples/protocol-2/hypotheses").glob("*.yaml")
    shutil.copy(mixed, project.root / "hypotheses")
    refused = project.harness("link", f"hypotheses/{mixed.name}")
    assert refused.returncode == 2
    assert "only runs of a program can be made elsewhere" in refused.stderr
    drawn = register_toy(tmp_path / "drawn", seeds={"count": 3, "beacon": {"name": "drand"}})
    refused = drawn.harness("link", FILE)
    assert refused.returncode == 2
    assert "its seeds are not drawn yet, so no run can have used them" in refused.stderr
    looks = register_toy(tmp_path / "looks", stopping={"kind": "looks", "at": [3, 6]}, seeds={"count": 6})
    refused = looks.harness("link", FILE)
    assert refused.returncode == 2
    assert "its seeds are judged in looks" in refused.stderr
    space = {"strong": {"parameters.alpha": [0.5, 0.75]}, "weak": {"parameters.alpha": [0.25, 0.125]}}
    arms = {"strong": {"label": "Strong"}, "weak": {"label": "Weak"}}
    metrics = {"test_accuracy": {"bounds": [0, 1]}, "validation": {"better": "higher"}}
    tuning = {"select": "validation", "space": space}
    refused = register_toy(tmp_path / "tuned", arms=arms, metrics=metrics, tuning=tuning).harness("link", FILE)
    assert refused.returncode == 2
    assert "its settings are chosen by a search that harness runs" in refused.stderr


def test_what_was_interrupted_goes_on_and_nothing_else_takes_its_place(waiting: ProgramProject) -> None:
    """Whoever stops it after its attempt is in the ledger gives the same command again."""
    rows = tell_runs(waiting)
    path, file = waiting.root / write_runs(waiting, rows), waiting.root / FILE

    def stop() -> None:
        if waiting.events("run_started"):
            raise Interrupted("stopped")

    session = Session.open(file, reporter=Reporter(heed=stop))
    with pytest.raises(Interrupted):
        link_runs(file, [path], None, session, incomplete=False)
    (started,) = waiting.events("run_started")
    assert waiting.events("verdict") == []
    other = waiting.harness("link", FILE, write_runs(waiting, [*rows, {**rows[0], "seed": 99}], "other.json"))
    assert other.returncode == 2
    assert "is open" in other.stderr
    assert "harness close" in other.stderr
    ran = waiting.harness("run", FILE, "--yes")
    assert ran.returncode == 2
    assert "its runs made elsewhere changed" in ran.stderr
    again = waiting.harness("link", FILE, "../runs.json")
    assert again.returncode == 0, again.stderr
    assert "resuming attempt" in again.stderr
    assert waiting.events("run_started") == [started]
    assert len(waiting.events("verdict")) == 1


def test_a_run_by_harness_stays_what_it_is_beside_linked_ones(project: ProgramProject) -> None:
    """Both are attempts, listed as such, and the last verdict is the one that is shown."""
    ran = project.harness("run", FILE, "--yes")
    assert ran.returncode == 0, ran.stderr
    assert OUTSIDE not in project.harness("list").stdout
    project.commit()
    audited = project.harness("audit", "--recompute")
    assert audited.returncode == 0, audited.stdout
    assert audited.stdout.count(f"deviates: {OUTSIDE}") == 1
