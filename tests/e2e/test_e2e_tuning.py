"""A search that is killed after it has chosen, and one that is killed before: both go on to the same bytes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from harness import api
from harness.errors import HarnessError
from harness.ledger import Ledger, OpenAttempt, find_attempt, record_tuned
from harness.ledger.bodies import RunFinishedBody
from harness.pipeline.session import Reporter
from harness.records import Measurements
from tests.e2e.projects import Project, run_file

FILE = Path(__file__).parents[1] / "questions" / "q10_tuned_rates.yaml"
NAME = "hypotheses/q10_tuned_rates.yaml"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    root = tmp_path_factory.mktemp("tuned") / "project"
    (root / "hypotheses").mkdir(parents=True)
    text = FILE.read_text("utf-8").replace(
        "seeds: {count: 6}", "seeds: {count: 6}\nstopping: {kind: looks, at: [3, 6]}"
    )
    (root / NAME).write_text(text, "utf-8")
    run_file(root / NAME)
    return Project(root)


def only_registered(project: Project, root: Path) -> Project:
    """The project as it was before its run, with the same registration and so the same seeds."""
    shutil.copytree(project.root, root)
    shutil.rmtree(root / "verdicts/q10-tuned-rates")
    for path in (root / "verdicts/ledger/events").glob("*.json"):
        if json.loads(path.read_text("utf-8"))["type"] != "registered":
            path.chmod(0o644)
            path.unlink()
    return Project(root)


def find_run(project: Project) -> Path:
    (folder,) = (path.parent for path in project.root.glob("verdicts/q10-tuned-rates/*/verdict.json"))
    return folder


def tuned(project: Project) -> dict[str, Any]:
    (event,) = project.events("tuned")
    return {key: value for key, value in event["body"].items() if key != "run"}


@pytest.mark.parametrize("moment", ["cohort 2/", "chosen for", "look 1"])
def test_killed_at_any_moment_it_goes_on_to_the_same_bytes(finished: Project, tmp_path: Path, moment: str) -> None:
    again = only_registered(finished, tmp_path / "again")
    process = again.start_until(moment, "run", NAME, "--device", "cpu")
    process.kill()
    process.communicate()
    said: list[str] = []
    run_file(again.root / NAME, Reporter(say=said.append))
    assert any(line.startswith("resuming attempt") for line in said)
    expected, resumed = find_run(finished), find_run(again)
    for file in ("search.json", "results.json"):
        assert (resumed / file).read_bytes() == (expected / file).read_bytes()
    assert tuned(again) == tuned(finished)
    assert len(again.events("run_started")) == 1


def test_progress_counts_the_search_and_never_exceeds_the_whole(finished: Project, tmp_path: Path) -> None:
    again = only_registered(finished, tmp_path / "again")
    told: list[tuple[int, int, int]] = []
    run_file(again.root / NAME, Reporter(progress=lambda at: told.append((at.steps_done, at.steps_total, at.cohorts))))
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)
    assert {total for _, total, _ in told} == {told[-1][0]} or told[-1][0] < told[-1][1], "a look may end it before"
    assert len({total for _, total, _ in told}) == 1


def test_a_search_that_comes_out_otherwise_stops_the_attempt(finished: Project, tmp_path: Path) -> None:
    again = only_registered(finished, tmp_path / "again")
    run_file(again.root / NAME)
    trail = Ledger(again.root / "verdicts")
    run = find_attempt(trail, find_run(again).name)
    search = Measurements.model_validate_json((find_run(finished) / "search.json").read_bytes())
    other = search.model_copy(update={"seeds": search.seeds[::-1]})
    with pytest.raises(HarnessError, match="the search came out otherwise"):
        record_tuned(trail, OpenAttempt(run, find_run(again), 1), other, tuned(finished)["chosen"])


def test_the_whole_search_is_exported_and_read_back(finished: Project, tmp_path: Path) -> None:
    import pandas

    verdict = api.open_verdict("q10-tuned-rates", project=finished.root)
    for form in ("csv", "parquet"):
        done = finished.harness("export", "q10-tuned-rates", "--as", form, "--out", str(tmp_path / form))
        assert done.returncode == 0, done.stderr
        named = [Path(line).stem for line in done.stdout.split()]
        assert named == ["measurements", "estimands", "search", "dictionary"]
    read = pandas.read_csv(tmp_path / "csv/search.csv", dtype={"run": str, "value": str})
    read["value"] = read["value"].map(float)
    typed = pandas.read_parquet(tmp_path / "parquet/search.parquet")
    for frame in (read, typed):
        values = frame["value"].astype(object).where(frame["value"].notna(), None).tolist()
        assert values == [row.value for row in verdict.search()]
    stored = json.loads((find_run(finished) / "search.json").read_bytes())["replicas"]
    written = [v for one in stored for s in one["metrics"].values() for e in s["values"].values() for r in e for v in r]
    assert sorted(read["value"].dropna()) == sorted(value for value in written if value is not None)
    ends = read[(read["metric"] == "validation_accuracy") & (read["epoch"] == read["epoch"].max())]
    for arm, tried in ends.groupby("arm"):
        means = tried.groupby("candidate")["value"].mean()
        (chosen,) = set(tried.loc[tried["role"] == "chosen", "candidate"])
        assert means[chosen] == pytest.approx(means.max()) and len(means) == 3
        (settings,) = set(tried.loc[tried["role"] == "chosen", "settings"])
        assert json.loads(settings) == tuned(finished)["chosen"][arm]
    dictionary = pandas.read_csv(tmp_path / "csv/dictionary.csv", keep_default_na=False)
    explained = dictionary[(dictionary["table"] == "search") & (dictionary["value"] == "")]["column"].tolist()
    assert explained == list(read.columns)


@pytest.mark.parametrize("change", [{"search": "0" * 64}, {"chosen": {"bp": {"setup.optimizer.lr": 0.5}}}])
def test_an_audit_names_a_choice_that_was_made_again(finished: Project, tmp_path: Path, change: dict[str, Any]) -> None:
    project = Project(shutil.copytree(finished.root, tmp_path / "project"))
    trail = Ledger(project.root / "verdicts")
    before = trail.index().tuned(find_attempt(trail, find_run(project).name).digest)
    assert before is not None
    assert "FAIL" not in project.harness("audit").stdout
    trail.record(before.body.model_copy(update=change))
    said = project.harness("audit").stderr
    assert "it was chosen again, and otherwise" in said


def test_an_audit_names_a_choice_that_came_after_what_it_decides(finished: Project, tmp_path: Path) -> None:
    trail = Ledger(finished.root / "verdicts")
    run = find_attempt(trail, find_run(finished).name)
    chosen = trail.index().tuned(run.digest)
    assert chosen is not None
    other = only_registered(finished, tmp_path / "other")
    late = Ledger(other.root / "verdicts")
    started = late.record(run.body)
    late.record(RunFinishedBody(run=started.digest, results="0" * 64))
    late.record(chosen.body.model_copy(update={"run": started.digest}))
    assert "it is not before what it decides" in other.harness("audit").stderr
