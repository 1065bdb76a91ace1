"""A tuned run exported and replicated: both know its search, and not only the first candidates."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from harness.domain.tuning import name_candidate
from harness.ledger import Ledger, find_judged
from harness.pipeline.replicate import compare_rerun
from harness.pipeline.run_files import read_registered, read_run
from harness.records import Measurements, ReplicaResult
from tests.e2e.projects import Project
from tests.questions.asked import ask

PATH = "setup.optimizer.lr"


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return ask("drawn_rates", tmp_path_factory).project


@pytest.fixture
def copy(tuned: Project, tmp_path: Path) -> Project:
    return Project(shutil.copytree(tuned.root, tmp_path / "project"))


def find_choice(project: Project) -> dict[str, dict[str, float]]:
    (event,) = project.events("tuned")
    chosen: dict[str, dict[str, float]] = event["body"]["chosen"]
    return chosen


def test_a_statement_has_the_search_and_its_choice(copy: Project) -> None:
    ran = copy.harness("export", "drawn-rates", "--as", "in-toto", "--out", "statement.json")
    assert ran.returncode == 0, ran.stderr
    told = json.loads((copy.root / "statement.json").read_text())["predicate"]["search"]
    (file,) = copy.root.glob("verdicts/*/*/search.json")
    assert told["chosen"] == find_choice(copy)
    assert told["results"] == {"sha256": hashlib.sha256(file.read_bytes()).hexdigest()}


def test_a_crate_has_the_search_and_its_choice(copy: Project, tmp_path: Path) -> None:
    pytest.importorskip("rocrate", reason="needs the extra crate")
    ran = copy.harness("export", "drawn-rates", "--as", "ro-crate", "--out", str(tmp_path / "crate"))
    assert ran.returncode == 0, ran.stderr
    graph = json.loads((tmp_path / "crate/ro-crate-metadata.json").read_text())["@graph"]
    entities = {entity["@id"]: entity for entity in graph}
    (search,) = (entity for name, entity in entities.items() if name.endswith("/search.json"))
    assert "every candidate" in search["description"]
    (run,) = (entity for name, entity in entities.items() if name.startswith("#run-"))
    for arm, values in find_choice(copy).items():
        assert {"@id": f"#chosen-{arm}-{PATH}"} in run["object"]
        about = entities[f"#chosen-{arm}-{PATH}"]
        assert (about["@type"], about["value"]) == ("PropertyValue", values[PATH])
        assert PATH in about["name"] and arm in about["name"]


def worsen_choice(search: Measurements, arm: str, chosen: int) -> Measurements:
    """The search with another last value of one candidate at every seed, further away than any spread of shares."""

    def worsen(replica: ReplicaResult) -> ReplicaResult:
        if replica.arm != name_candidate(arm, chosen):
            return replica
        series = replica.metrics["validation_accuracy"]
        values = {"value": (*series.values["value"][:-1], (-10.0,))}
        other = series.model_copy(update={"values": values})
        return replica.model_copy(update={"metrics": {**replica.metrics, "validation_accuracy": other}})

    return search.model_copy(update={"replicas": tuple(map(worsen, search.replicas))})


def test_a_replication_enters_the_search_that_it_trained(copy: Project) -> None:
    (file,) = copy.root.glob("verdicts/*/*/search.json")
    first = copy.harness("replicate", "drawn-rates", "--device", "cpu")
    assert "the same results to the bit" in first.stdout + first.stderr, first.stderr
    (event,) = copy.events("replicated")
    assert event["body"]["search"] == hashlib.sha256(file.read_bytes()).hexdigest()


def test_another_search_is_no_replication_though_the_results_are_the_same(copy: Project) -> None:
    trail = Ledger(copy.root / "verdicts")
    run = read_run(trail, "drawn-rates")
    assert run.search is not None and run.searched is not None
    other = worsen_choice(run.searched, "bp", run.search.arms["bp"].chosen)
    registered = read_registered(trail, find_judged(trail, "drawn-rates"))
    first, again = (run.measurements, run.searched), (run.measurements, other)
    agreement, differences, _ = compare_rerun(registered, first, again, same=False)
    assert agreement == "none"
    assert differences[0].startswith("the search chose setup.optimizer.lr ") and "for bp, it was" in differences[0]
    assert differences[1].startswith("bp with setup.optimizer.lr ") and "the mean moved" in differences[1]

    # An event that calls the same a replication to the bit does not follow from what it left.
    assert copy.harness("replicate", "drawn-rates", "--device", "cpu").returncode == 0
    (event,) = copy.events("replicated")
    data = other.to_json().encode()
    trail.store_object(data)
    trail.append("replicated", event["body"] | {"search": hashlib.sha256(data).hexdigest()})
    audited = copy.harness("audit", "--recompute")
    assert "what a rerun reported does not follow from its results" in audited.stdout + audited.stderr
