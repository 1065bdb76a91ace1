"""Parameters of a program that a search chooses: on seeds of its own, before any that decides."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from harness import api
from harness.domain.tuning import find_selector, make_search
from harness.errors import Interrupted
from harness.ledger import Ledger
from harness.ledger.seeding import derive_tuning_seeds
from harness.pipeline.plan import preview_run
from harness.pipeline.project import Settings
from harness.pipeline.replicate import replicate_run
from harness.pipeline.reverdict import find_other_choice, find_other_readings
from harness.pipeline.run import run_hypothesis
from harness.pipeline.run_files import read_run
from harness.pipeline.session import Reporter, Session
from harness.spec import load
from tests.e2e.programs import WIDE, ProgramProject, copy_project, make_program_project
from tests.e2e.projects import REPOSITORY
from tests.once import made_once
from tests.unit.programs.toys import GOOD

pytestmark = pytest.mark.skipif(os.name == "nt", reason="programs run on Linux and macOS")
FILE = "hypotheses/toy.yaml"
SEARCHING = """\
import pathlib
name = pathlib.Path(os.environ["HARNESS_OUT"]).parent.name
if alpha == 1.0 and name.endswith("-1"):
    raise SystemExit(3)
validation = {0.0625: 0.1, 0.125: 0.2, 0.25: 0.3, 0.5: 0.4, 0.75: 0.4, 1.0: 0.9}[alpha]
"""
SCRIPT = GOOD.replace("accuracy =", f"{SEARCHING}accuracy =").replace(
    '"test_accuracy": accuracy', '"test_accuracy": accuracy, "validation": validation'
)
"""Best on the validation data at 1.0, where it fails at the second seed; 0.5 and 0.75 are equally good."""
TUNED = {
    "metrics": {"test_accuracy": {"bounds": [0, 1], "unit": "fraction"}, "validation": {"better": "higher"}},
    "arms": {"strong": {"label": "Strong"}, "weak": {"label": "Weak"}},
    "tuning": {
        "select": "validation",
        "seeds": 2,
        "space": {
            "strong": {"parameters.alpha": [0.75, 1.0, 0.5]},
            "weak": {"parameters.alpha": [0.0625, 0.125, 0.25]},
        },
    },
}


def make_tuned_project(root: Path) -> ProgramProject:
    return make_program_project(root, SCRIPT, program={"deterministic": True}, replication=WIDE, **TUNED)


def run(project: ProgramProject, reporter: Reporter | None = None) -> None:
    """Run the hypothesis in this process."""
    with open_session(project, reporter) as session:
        run_hypothesis(project.root / FILE, session)


@contextmanager
def open_session(project: ProgramProject, reporter: Reporter | None = None) -> Iterator[Session]:
    """Open a session in which programs may run, which is noted beside the project."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_CACHE", project.environment()["HARNESS_CACHE"])
        yield Session.open(project.root / FILE, Settings(yes=True, parallel=2), reporter)


def make_judged(root: Path) -> None:
    project = make_tuned_project(root)
    run(project)
    project.commit()


@pytest.fixture(scope="session")
def judged(tmp_path_factory: pytest.TempPathFactory) -> ProgramProject:
    """A project whose program's parameters were searched and which was judged, all of it committed."""
    return ProgramProject(made_once(tmp_path_factory, "tuned-program", make_judged))


def test_the_best_candidate_decides_and_the_page_says_how_it_was_chosen(judged: ProgramProject) -> None:
    stored = read_run(Ledger(judged.root / "verdicts"), "toy")
    assert stored.search is not None
    assert stored.search.choices == {"strong": {"parameters.alpha": 0.5}, "weak": {"parameters.alpha": 0.25}}
    strong = {one.values["parameters.alpha"]: one for one in stored.search.arms["strong"].candidates}
    assert strong[1.0].measured == (0.9, None)
    assert strong[0.75].mean == strong[0.5].mean
    seeds = stored.measurements.seeds
    assert stored.search.seeds == derive_tuning_seeds(seeds, 2)
    assert not {*seeds} & {*stored.search.seeds}
    (event,) = judged.events("tuned")
    assert event["body"]["chosen"] == stored.search.choices
    page = json.loads((judged.folder / "env.json").read_text())["program"]
    assert page["commands"] == {"strong": ["python3", "toy.py", "0.5"], "weak": ["python3", "toy.py", "0.25"]}
    assert len(page["replicas"]) == 2 * 3 * 2 + 2 * 3
    raw = json.loads((judged.folder / "raw.json").read_text())
    assert len(raw) == len(page["replicas"]) - 1, "all but the one that failed"
    tried = api.open_verdict("toy", project=judged.root).search()
    assert stored.searched is not None
    assert len(tried) == 2 * len(stored.searched.replicas)  # of two metrics
    assert [row.value for row in tried if row.status == "failed"] == [None] * 2
    told = (judged.folder / "verdict.md").read_text()
    assert "Strong.** Chosen of 3 candidates: parameters.alpha 0.5. The next best, parameters.alpha 0.75" in told
    assert "one that failed or diverged at more seeds than another loses to it" in told
    assert "The same metric judges them" not in told
    assert "failed or diverged at 1 seed" in told


def test_it_is_audited_and_run_again_with_its_search(judged: ProgramProject, tmp_path: Path) -> None:
    project = copy_project(judged.root, tmp_path)
    with open_session(project) as session:
        again = replicate_run("toy", session)
    assert (again.expected, again.agreement, again.differences) == ("bits", "bits", ())
    (event,) = project.events("replicated")
    assert event["body"]["search"] == project.events("tuned")[0]["body"]["search"]
    audited = project.harness("audit", "--recompute")
    assert audited.returncode == 0, audited.stdout + audited.stderr


def test_a_search_that_is_not_what_the_program_wrote_is_found(judged: ProgramProject) -> None:
    stored = read_run(Ledger(judged.root / "verdicts"), "toy")
    assert stored.searched is not None
    assert find_other_readings(stored) == find_other_choice(stored) == []
    first, *rest = stored.searched.replicas
    key = next(key for key in first.metrics if "validation" in key)
    better = first.metrics[key].model_copy(update={"values": {"value": ((0.99,),)}})
    other = first.model_copy(update={"metrics": {**first.metrics, key: better}})
    searched = stored.searched.model_copy(update={"replicas": (other, *rest)})
    expected = [f"raw.json: {first.arm}-0 does not say what search.json has"]
    assert find_other_readings(replace(stored, searched=searched)) == expected
    searched = stored.searched.model_copy(update={"replicas": tuple(rest)})
    expected = [f"raw.json: {first.arm}-0 is not a replica of the run"]
    assert find_other_readings(replace(stored, searched=searched)) == expected
    strange = first.model_copy(update={"arm": "stronger"})
    searched = stored.searched.model_copy(update={"replicas": (strange, *rest)})
    found = find_other_readings(replace(stored, searched=searched))
    assert found[0] == "search.json: stronger is neither an arm nor a candidate of the search"


@pytest.mark.parametrize("moment", ["in the search", "after the choice"])
def test_a_run_that_was_stopped_goes_on_and_repeats_nothing(tmp_path: Path, moment: str) -> None:
    ran = tmp_path / "ran"
    project = make_tuned_project(tmp_path / "project")
    script = f"open({str(ran)!r}, 'a').write(os.environ['HARNESS_OUT'].split('/')[-2] + '\\n')\n"
    (project.root / "toy.py").write_text(SCRIPT.replace("alpha, seed", f"{script}alpha, seed", 1))
    project.commit()
    done: list[int] = []
    enough = 3 if moment == "in the search" else 14
    stopping = Reporter(progress=lambda at: done.append(at.steps_done), stop=lambda: max(done, default=0) >= enough)
    with pytest.raises(Interrupted):
        run(project, stopping)
    sealed = {path.stem for path in project.root.glob("verdicts/toy/*/work/*.json")}
    assert len(sealed) >= enough
    assert len(project.events("tuned")) == (moment == "after the choice")
    run(project)
    assert len(project.events("tuned")) == len(project.events("run_started")) == 1
    times = ran.read_text().split()
    assert {name for name in times if times.count(name) > 1} & sealed == set()
    assert len({*times}) == 18
    search = read_run(Ledger(project.root / "verdicts"), "toy").search
    assert search is not None
    assert search.choices == {"strong": {"parameters.alpha": 0.5}, "weak": {"parameters.alpha": 0.25}}


def test_a_plan_shows_what_is_searched_and_what_the_commands_are_given(tmp_path: Path) -> None:
    project = make_tuned_project(tmp_path / "project")
    seen = preview_run(project.root / FILE, Session.open(project.root / FILE, Settings()))
    assert seen.commands["weak"] == "python3 toy.py '{alpha}' with alpha one of 0.0625, 0.125, 0.25"
    assert (
        seen.searched[1]
        == "search for weak: 3 candidates × 2 seeds, listed: parameters.alpha one of 0.0625, 0.125, 0.25"
    )
    assert len(seen.planned.cohorts) == 18


def change_direction(text: str) -> str:
    return text.replace("validation_accuracy: {bounds: [0, 1], better: higher}", "validation_accuracy: {better: lower}")


def change_nothing(text: str) -> str:
    return text


@pytest.mark.parametrize(("change", "same"), [(change_direction, False), (change_nothing, True)])
def test_what_is_meant_by_the_best_is_part_of_a_question(
    tmp_path: Path, change: Callable[[str], str], same: bool
) -> None:
    from harness.domain.normal_form import encode_normal_form

    path = REPOSITORY / "tests/corpus/valid/program_tuned.yaml"
    (tmp_path / "other.yaml").write_text(change(path.read_text()))
    one, other = load(path).hypothesis, load(tmp_path / "other.yaml").hypothesis
    assert (encode_normal_form(one) == encode_normal_form(other)) == same


def test_a_shared_metric_chooses_for_both_kinds_of_arms() -> None:
    hypothesis = load(REPOSITORY / "tests/corpus/valid/program_tuned_beside.yaml").hypothesis
    assert find_selector(hypothesis) == "validation_accuracy"
    searched = make_search(hypothesis, (1, 2))
    assert {name: arm.is_program for name, arm in searched.arms.items()} == {
        "strong_1": True, "strong_2": True, "weak_1": False, "weak_2": False,
    }  # fmt: skip
