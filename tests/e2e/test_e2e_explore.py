"""Results that existed before a registration: read, marked wherever they are shown, and declared by who comes later."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from harness import api, spec
from harness.errors import DeviationRefused, HarnessError, Interrupted, UsageError
from harness.ledger import Ledger
from harness.ledger.audit.findings import CODES
from harness.pipeline.claims import read_claims
from harness.pipeline.explore import explore_results
from harness.pipeline.link import link_runs
from harness.pipeline.register import amend_registration, register_hypothesis
from harness.pipeline.session import Reporter, Session
from harness.wording import WATERMARK
from tests.attacks.test_attacks_linked import change_start
from tests.attacks.trails import Trail, audited, sorts
from tests.e2e.programs import (
    OLD,
    UNDECLARED,
    ProgramProject,
    copy_project,
    make_explored_project,
    make_program_project,
    register_toy,
    tell_old_runs,
    tell_runs,
)
from tests.e2e.projects import REPOSITORY
from tests.once import made_once
from tests.unit.programs.told import Row, list_rows, write_table
from tests.unit.programs.toys import GOOD

pytestmark = pytest.mark.skipif(os.name == "nt", reason="programs run on Linux and macOS")
FILE = "hypotheses/toy.yaml"
CODE = {"command": ["python3", "toy.py", "{alpha}"], "lock": "uv.lock", "timeout": "1 min"}
COLUMNS = {"run": "run", "seed": "seed"}


@pytest.fixture(scope="session")
def explored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with an exploration, all of it committed. Copy it before changing it."""
    return made_once(tmp_path_factory, "explored-program", make_explored_project)


@pytest.fixture
def project(explored: Path, tmp_path: Path) -> ProgramProject:
    return copy_project(explored, tmp_path)


@pytest.fixture
def fresh(tmp_path: Path) -> ProgramProject:
    return make_program_project(tmp_path / "project")


def explore(project: ProgramProject, *rows: Row, incomplete: bool = False) -> tuple[list[str], dict[str, object]]:
    """Explore runs in this process; return what was said, and the event's body."""
    path = project.root.parent / "runs.json"
    path.write_text(json.dumps({"runs": rows}))
    said: list[str] = []
    session = Session.open(project.root / FILE, reporter=Reporter(say=said.append))
    explore_results(project.root / FILE, [path], None, session, incomplete=incomplete)
    return said, project.events("explored")[-1]["body"]


def change(project: ProgramProject, name: str = "toy", **changes: object) -> Path:
    """Write the toy's file with other keys, and return its path."""
    told = yaml.safe_load((project.root / FILE).read_text()) | changes
    path = project.root / f"hypotheses/{name}.yaml"
    path.write_text(yaml.safe_dump(told, sort_keys=False))
    project.commit()
    return path


def declare(project: ProgramProject, level: str = "analysed") -> dict[str, str]:
    (one,) = api.list_explorations(project=project.root)
    return {"level": level, "what": f"Four old runs each (explored {one.name})."}


def find_findings(path: Path) -> list[tuple[str, str]]:
    return [(one.severity, one.message) for one in api.check(path) if one.rule == "prior-data"]


def test_it_is_shown_everywhere_as_what_it_is_and_moves_nothing(project: ProgramProject, tmp_path: Path) -> None:
    (event,) = project.events()
    assert (event["type"], event["body"]["would_be"], event["body"]["seeds"]) == ("explored", "worse", len(OLD))
    assert event["body"]["counted"] == 2 * len(OLD)
    shown = project.harness("show", "toy")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.startswith("# NOT PRE-REGISTERED: EXPLORATORY: ")
    assert shown.stdout.rstrip().rsplit("\n\n", 1)[1].startswith("*NOT PRE-REGISTERED: EXPLORATORY.")
    assert "these results **would be worse**" in shown.stdout
    assert "outcome is" not in shown.stdout
    assert "tried of explored-program-in-the-making-old.json is rejected: it has the parameters of no" in shown.stdout
    told = json.loads(project.harness("show", "toy", "--format", "json").stdout)
    assert (told["mark"], told["outcome"], told["would_be"]) == (WATERMARK, None, "worse")
    (row,) = json.loads(project.harness("list", "--format", "json").stdout)
    assert (row["explored"], row["attempts"], row["outcome"], row["registered"]) == (1, [], None, None)
    assert f"earlier results: {WATERMARK}" in " ".join(project.harness("list").stdout.split())
    made = project.harness("site", str(tmp_path / "site"))
    assert made.returncode == 0, made.stderr
    index = (tmp_path / "site/index.html").read_text()
    assert WATERMARK in index and "0 registered hypotheses, and 1 not registered" in index
    page = (tmp_path / "site/h/toy.html").read_text()
    assert "NOT PRE-REGISTERED: EXPLORATORY" in page
    assert f'<h1 dir="auto">{row["title"]}</h1>' in page and row["title"] in index
    assert "None was started." in page and "It is not registered." in page
    assert "what is registered" not in page
    history = project.harness("show", "toy", "--history").stdout
    assert f"earlier results were explored, {WATERMARK}: 8 runs" in history
    audited = project.harness("audit", "--recompute")
    assert audited.returncode == 0, audited.stdout
    assert "toy: 0 started" in audited.stdout


def test_neither_claims_nor_families_nor_verdicts_know_of_it(project: ProgramProject) -> None:
    trail = Ledger(project.root / "verdicts")
    table = read_claims(project.root / "hypotheses/claims.yaml", trail)
    assert table.moves == ()
    assert {name: now.status for name, now in table.standings.items()} == {"harmless": "untested"}
    assert "harmless" in project.harness("claims").stdout
    families = json.loads(project.harness("list", "--family", "--format", "json").stdout)
    assert [(one["members"], one["not_registered"]) for one in families] in ([], [([], ["toy"])])
    assert api.list_verdicts(project=project.root) == ()
    with pytest.raises(UsageError, match="there is no verdict on 'toy'"):
        api.open_verdict("toy", project=project.root)
    badge = project.harness("badge", str(project.root.parent / "badge.svg"))
    assert badge.returncode == 0, badge.stderr
    text = (project.root.parent / "badge.svg").read_text()
    assert "worse" not in text
    assert "1 verdict" not in text
    assert not list(project.root.parent.rglob("it-ran"))  # no command ran
    assert not list(project.root.parent.glob("*-cache/programs"))


def test_who_registers_the_question_declares_it(project: ProgramProject) -> None:
    file = project.root / FILE
    ((severity, message),) = find_findings(file)
    assert severity == "error"
    assert message.startswith(UNDECLARED)
    (one,) = api.list_explorations(project=project.root)
    with pytest.raises(UsageError, match=UNDECLARED) as refused:
        register_hypothesis(file, Session.open(file))
    assert refused.value.where == f"{file}:9"
    assert refused.value.remedy == (
        f"set level: analysed, and name them under prior_data_seen.what: explored {one.name}"
    )
    ran = project.harness("run", FILE, "--yes")
    assert ran.returncode == 2
    assert UNDECLARED in ran.stderr
    for seen in (declare(project, "summaries_seen"), {"level": "analysed", "what": "Old runs."},
                 {"level": "analysed", "what": f"explored {one.name[:8]}"}):  # fmt: skip
        assert find_findings(change(project, prior_data_seen=seen))
    assert [event["type"] for event in project.events()] == ["explored"]
    file = change(project, prior_data_seen=declare(project))
    assert find_findings(file) == []
    register_hypothesis(file, Session.open(file))
    assert {event["type"] for event in project.events()} == {"explored", "registered"}
    path = change(project, prior_data_seen={"level": "none"})
    with pytest.raises(UsageError, match=UNDECLARED):  # nor is it taken back
        amend_registration(path, Session.open(path), "Forget it.")
    assert [severity for severity, _ in find_findings(path)] == ["warning"]


def test_another_name_is_no_other_question_and_another_question_is_free(project: ProgramProject) -> None:
    arms = {
        "mild": {"label": "Mild", "parameters": {"alpha": 0.25}},
        "harsh": {"label": "H", "parameters": {"alpha": 0.5}},
    }
    renamed = {"margin": {"metric": "test_accuracy", "contrast": "harsh - mild", "unit": "pp"}}
    same = change(project, "other", id="other", title="Under another name", arms=arms, estimands=renamed)
    ((_, message),) = find_findings(same)
    assert "of toy" in message
    with pytest.raises(UsageError, match=UNDECLARED):
        register_hypothesis(same, Session.open(same))
    arms["harsh"]["parameters"] = {"beta": 3}
    arms["mild"]["parameters"] = {"beta": 4}
    program = {"command": ["python3", "other.py", "{beta}"], "lock": "uv.lock", "timeout": "1 min"}
    metrics = {"loss": {"bounds": [0, 9]}}
    renamed["margin"] |= {"metric": "loss", "unit": ""}
    other = change(project, "third", id="third", arms=arms, estimands=renamed, program=program, metrics=metrics)
    assert find_findings(other) == []


def test_the_same_exploration_is_entered_once_and_another_is_another(project: ProgramProject) -> None:
    (before,) = project.events()
    rows = tell_old_runs()
    path = project.root.parent / "explored-program-in-the-making-old.json"
    path.write_text(json.dumps({"runs": rows}))
    again = api.explore(project.root / FILE, path)
    assert project.events() == [before]
    assert (again.would_be, again.seeds, again.files) == ("worse", len(OLD), (path.name,))
    assert again.report == api.list_explorations(project=project.root)[0].report
    file = change(project, prior_data_seen=declare(project))  # which makes no other file of it
    assert api.explore(file, path).name == again.name
    assert project.events() == [before]
    change(project, prior_data_seen={"level": "none"})
    rows[0]["metrics"] = {"test_accuracy": 0.5}
    explore(project, *rows)
    assert len(project.events()) == 2
    ((_, message),) = find_findings(project.root / FILE)
    assert message.count("of this file") == 2
    assert find_findings(change(project, prior_data_seen={"level": "analysed", "what": f"explored {again.name}"}))


def copy_question(project: ProgramProject, name: str = "copy", **changes: object) -> Path:
    """Write the toy's question under another id, with other keys."""
    told = yaml.safe_load((project.root / FILE).read_text()) | {"id": name, **changes}
    path = project.root / f"hypotheses/{name}.yaml"
    path.write_text(yaml.safe_dump(told, sort_keys=False))
    return path


def test_runs_by_drawn_seeds_are_linked_before_anybody_reads_them(tmp_path: Path) -> None:
    """Under another id they would be judged in passing, before it is known whether they are entered at all."""
    project = register_toy(tmp_path / "project", program={"code": {"git": ["toy.py"]}})
    rows = tell_runs(project)
    runs = tmp_path / "runs.json"
    runs.write_text(json.dumps({"runs": rows[:1] + tell_old_runs()}))
    with pytest.raises(UsageError, match="1 seed that toy draws, which is registered and not judged") as refused:
        api.explore(copy_question(project), runs, incomplete=True)
    remedy = "judge toy first, by its own file: harness run FILE, or harness link FILE EXPORTS"
    assert (refused.value.remedy or "").startswith(remedy)
    assert [event["type"] for event in project.events()] == ["registered"]
    waiting = {**rows[0], "parameters": {"alpha": 0.9}}  # a tracker tells of all runs, and this one is not read
    runs.write_text(json.dumps({"runs": [waiting, *tell_old_runs()]}))
    other = copy_question(project, "other")
    assert api.explore(other, runs).would_be == "worse"
    runs.write_text(json.dumps({"runs": rows}))
    session = Session.open(project.root / FILE)
    assert link_runs(project.root / FILE, [runs], None, session, incomplete=False).decision.outcome == "worse"
    assert api.explore(copy_question(project), runs).would_be == "worse"  # by now it is nothing new
    assert "explored" not in " ".join(project.events("run_started")[0]["body"]["deviations"])


def test_linked_runs_that_were_explored_before_say_so(tmp_path: Path) -> None:
    """Seeds that a file lists may be those of anything, so that values tell."""
    project = register_toy(tmp_path / "project", seeds={"list": [3, 5, 7]}, program={"code": {"git": ["toy.py"]}})
    rows = list_rows((3, 5, 7), project.events("registered")[0]["claimed_time"])
    runs = tmp_path / "runs.json"
    runs.write_text(json.dumps({"runs": [row for row in rows if row["seed"] != 7]}))
    explored = api.explore(copy_question(project), runs)
    runs.write_text(json.dumps({"runs": rows}))
    session = Session.open(project.root / FILE)
    linked = link_runs(project.root / FILE, [runs], None, session, incomplete=False)
    told = "4 replicas of it had been explored before they were linked, by seed and values (explored "
    (event,) = project.events("run_started")
    assert [line for line in event["body"]["deviations"] if line.startswith(f"{told}{explored.name}, ")]
    assert explored.name in (linked.folder / "verdict.md").read_text()
    project.commit()
    trail = Trail.read(project.root / "verdicts")
    assert find_notes(trail) == [f"explored {explored.name}; the run's page says so"]
    trail.rebuild(change_start(lambda body: body.update(deviations=body["deviations"][:1])))
    assert [note.rsplit("; ")[1] for note in find_notes(trail)] == ["the run's page does not say so"]
    assert "undeclared" not in sorts(audited(trail))  # whoever had an older version could not say it


def find_notes(trail: Trail) -> list[str]:
    """Return what an audit notes of explorations of linked runs, and check that it does no more than note it."""
    found = [one for one in audited(trail).findings if one.code == "link-known"]
    assert {CODES[one.code].severity for one in found} <= {"note"}
    return [one.what.rsplit(": ", 1)[1] for one in found]


def test_explorations_that_the_registration_names_are_not_told_again(fresh: ProgramProject) -> None:
    """It says what had been seen before it; what was looked at since is told."""
    rows = list_rows((3, 5, 7), "")
    change(fresh, seeds={"list": [3, 5, 7]}, program=CODE | {"code": {"git": ["toy.py"]}})
    explore(fresh, *rows)
    file = change(fresh, prior_data_seen=declare(fresh))
    register_hypothesis(file, Session.open(file))
    runs = fresh.root.parent / "since.json"
    rows = list_rows((3, 5, 7), fresh.events("registered")[0]["claimed_time"])
    runs.write_text(json.dumps({"runs": rows}))
    link_runs(file, [runs], None, Session.open(file), incomplete=False)
    assert "explored" not in " ".join(fresh.events("run_started")[0]["body"]["deviations"])
    assert find_notes(Trail.read(fresh.root / "verdicts")) == []


def test_a_file_that_was_explored_by_another_column_says_so(tmp_path: Path) -> None:
    """Its runs were read, whatever was asked of them."""
    project = register_toy(tmp_path / "project", seeds={"list": [3, 5, 7]}, program={"code": {"git": ["toy.py"]}})
    rows = list_rows((3, 5, 7), project.events("registered")[0]["claimed_time"])
    rows = [row | {"metrics": row["metrics"] | {"error": 1 - row["metrics"]["test_accuracy"]}} for row in rows]
    runs = tmp_path / "runs.json"
    runs.write_text(json.dumps({"runs": rows}))
    told = yaml.safe_load((project.root / FILE).read_text())
    file = copy_question(
        project,
        metrics={"error": told["metrics"]["test_accuracy"]},
        estimands=json.loads(json.dumps(told["estimands"]).replace("test_accuracy", "error")),
    )
    explored = api.explore(file, runs)
    link_runs(project.root / FILE, [runs], None, Session.open(project.root / FILE), incomplete=False)
    (event,) = project.events("run_started")
    (line,) = [line for line in event["body"]["deviations"] if "explored" in line]
    assert line.startswith(f"the same file had been explored before it was linked (explored {explored.name}, ")
    assert find_notes(Trail.read(project.root / "verdicts")) == [f"explored {explored.name}; the run's page says so"]


def test_what_is_registered_meanwhile_waits_too(tmp_path: Path) -> None:
    """Another process may enter a registration while runs are read, so that it is asked again under the lock."""
    project = register_toy(tmp_path / "project", program={"code": {"git": ["toy.py"]}})
    runs = tmp_path / "runs.json"
    runs.write_text(json.dumps({"runs": tell_runs(project)}))
    verdicts, aside = project.root / "verdicts", tmp_path / "aside"
    verdicts.rename(aside)

    def enter(_: str) -> None:
        if not verdicts.exists():
            aside.rename(verdicts)

    file = copy_question(project)
    session = Session.open(file, reporter=Reporter(say=enter))
    with pytest.raises(UsageError, match="3 seeds that toy draws"):
        explore_results(file, [runs], None, session, incomplete=False)
    assert [event["type"] for event in project.events()] == ["registered"]


def test_amendments_side_by_side_of_another_question_are_no_obstacle(tmp_path: Path) -> None:
    """Nothing says which of them counts, and they draw the same seeds."""
    project = register_toy(tmp_path / "project", program={"code": {"git": ["toy.py"]}})
    other = copy_question(project)
    rows = tell_runs(project)
    branch = project.root.parent / "branch"
    shutil.copytree(project.root / "verdicts", branch)
    file = change(project, title="One title")
    amend_registration(file, Session.open(file), "One.")
    shutil.move(project.root / "verdicts", tmp_path / "one")
    shutil.copytree(branch, project.root / "verdicts")
    file = change(project, title="Another title")
    amend_registration(file, Session.open(file), "Another.")
    shutil.copytree(tmp_path / "one", project.root / "verdicts", dirs_exist_ok=True)
    runs = tmp_path / "runs.json"
    runs.write_text(json.dumps({"runs": rows}))
    with pytest.raises(DeviationRefused, match="side by side"):
        link_runs(file, [runs], None, Session.open(file), incomplete=False)
    with pytest.raises(UsageError, match="3 seeds that toy draws"):
        api.explore(other, runs)
    runs.write_text(json.dumps({"runs": tell_old_runs()}))
    assert api.explore(other, runs).would_be == "worse"


def test_tables_and_trackers_are_read_as_for_link_and_need_no_times(fresh: ProgramProject) -> None:
    rows = tell_old_runs()
    table = fresh.root.parent / "old.csv"
    table.write_bytes(write_table(rows, COLUMNS, "params.{}", "metrics.{}"))
    told = api.explore(fresh.root / FILE, table, form="runs_csv")
    _, body = explore(fresh, *rows)
    assert told.would_be == body["would_be"]
    first, second = fresh.events("explored")
    assert first["body"]["results"] == second["body"]["results"]


def test_a_seed_has_one_run_or_none(fresh: ProgramProject) -> None:
    rows = tell_old_runs()
    again = {**rows[0], "run": "again", "started": "2025-01-01T00:00:00Z"}
    for told, gap in (
        ([*rows, again], "strong, seed 5: its seed has 2 runs, and none is chosen"),
        (rows[1:], "strong, seed 5: the files tell no run of it"),
        ([{**rows[0], "status": "failed"}, *rows[1:]], "strong, seed 5: its export says that it failed"),
    ):
        with pytest.raises(UsageError, match="1 seed would have no value") as refused:
            explore(fresh, *told)
        assert gap in refused.value.message
        assert "--incomplete" in (refused.value.remedy or "")
    assert not (fresh.root / "verdicts").exists()
    _, body = explore(fresh, *rows[1:], incomplete=True)
    assert (body["would_be"], body["incomplete"], body["counted"]) == ("invalid", True, 2 * len(OLD) - 1)


MIXED = next((REPOSITORY / "examples/protocol-2/hypotheses").glob("*.yaml"))
TUNED = REPOSITORY / "tests/corpus/valid/program_tuned.yaml"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"runs": [{"run": "a", "se', "no export of runs: it is not JSON: cut off, or not written as such"),
        ('{"runs": []}', "no export of runs: it tells of no run"),
        ('{"runs": [{"run": "a", "seed": NaN}]}', "it holds NaN, which is no number in JSON: write null"),
        ('{"runs": [{"run": "a", "seed": 1, "parameters": {"alpha": 7}, "metrics": {}}]}',
         r"no run has a seed and the parameters of an arm: strong \(alpha 0.5\) and weak \(alpha 0.25\)"),
    ],
)  # fmt: skip
def test_what_tells_of_no_runs_is_refused_and_leaves_nothing(fresh: ProgramProject, content: str, message: str) -> None:
    path = fresh.root / "runs.json"
    path.write_text(content)
    with pytest.raises(UsageError, match=message) as refused:
        api.explore(fresh.root / FILE, path)
    assert refused.value.remedy
    assert not (fresh.root / "verdicts").exists()


def name_none(project: ProgramProject) -> None:
    api.explore(project.root / FILE)


def name_twice(project: ProgramProject) -> None:
    path = project.root.parent / "twice.json"
    path.write_text(json.dumps({"runs": tell_old_runs()}))
    api.explore(project.root / FILE, path, path)


def name_mixed(project: ProgramProject) -> None:
    file = project.root / "hypotheses/mixed.yaml"
    file.write_text(MIXED.read_text())
    api.explore(file, file)


def name_tuned(project: ProgramProject) -> None:
    file = project.root / "hypotheses/tuned.yaml"
    file.write_text(TUNED.read_text())
    api.explore(file, file)


def name_registered(project: ProgramProject) -> None:
    file = change(project, prior_data_seen=declare(project))
    register_hypothesis(file, Session.open(file))
    explore(project, *tell_old_runs())


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (name_none, "no file with runs is named"),
        (name_twice, "the same export is given twice"),
        (name_mixed, "only runs of a program can be told by a file"),
        (name_tuned, "its settings are chosen by a search"),
        (name_registered, "it was registered on .*, and an exploration comes before that"),
    ],
)
def test_what_can_t_be_explored_is_refused(
    project: ProgramProject, ask: Callable[[ProgramProject], None], message: str
) -> None:
    with pytest.raises(HarnessError, match=message) as refused:
        ask(project)
    assert refused.value.exit_code == 2
    assert refused.value.remedy
    assert len(project.events("explored")) == 1


def test_what_was_interrupted_is_entered_by_the_same_command(fresh: ProgramProject) -> None:
    """Whoever stops it before its event has objects that no event names, and has seen nothing."""

    def stop() -> None:
        raise Interrupted("stopped")

    path = fresh.root.parent / "runs.json"
    path.write_text(json.dumps({"runs": tell_old_runs()}))
    session = Session.open(fresh.root / FILE, reporter=Reporter(heed=stop))
    with pytest.raises(Interrupted):
        explore_results(fresh.root / FILE, [path], None, session, incomplete=False)
    assert fresh.events() == []
    assert list(fresh.root.glob("verdicts/objects/sha256/*"))
    assert api.explore(fresh.root / FILE, path).would_be == "worse"
    fresh.commit()
    audited = fresh.harness("audit")
    assert audited.returncode == 0, audited.stdout
    assert "no event names" not in audited.stderr


def test_a_verdict_of_the_question_says_that_earlier_results_were_explored(project: ProgramProject) -> None:
    (project.root / "toy.py").write_text(GOOD)
    change(project, prior_data_seen=declare(project))
    ran = project.harness("run", FILE, "--yes")
    assert ran.returncode == 0, ran.stderr
    shown = project.harness("show", "toy").stdout
    assert f"Earlier results were explored, {WATERMARK}" in shown.replace("*", "")
    assert "they had been analysed" in shown
    (one,) = api.list_explorations(project=project.root)
    assert project.harness("show", one.name).stdout.startswith("# NOT PRE-REGISTERED: EXPLORATORY")
    assert spec.load(project.root / FILE).hypothesis.prior_data_seen.level == "analysed"
    project.commit()
    audited = project.harness("audit", "--recompute")
    assert audited.returncode == 0, audited.stdout
