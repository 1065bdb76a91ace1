"""Trails with runs that were made elsewhere: whatever makes them look like more, or otherwise, is found."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.ledger import Ledger
from harness.pipeline.reverdict import find_other_readings
from harness.pipeline.run_files import read_run
from tests.attacks.trails import Trail, audited, find_codes, sha, sorts
from tests.e2e.programs import ProgramProject, copy_project, make_linked_project
from tests.once import made_once

pytestmark = pytest.mark.skipif(os.name == "nt", reason="programs run on Linux and macOS")
LINKED = {"link-untold", "link-otherwise", "link-unchecked", "link-known", "linked", "seeds-by-word"}


@pytest.fixture(scope="session")
def linked_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose runs were linked and judged, all of it committed."""
    return made_once(tmp_path_factory, "linked-program", make_linked_project)


@pytest.fixture
def project(linked_program: Path, tmp_path: Path) -> ProgramProject:
    return copy_project(linked_program, tmp_path)


@pytest.fixture
def trail(linked_program: Path) -> Trail:
    return Trail.read(linked_program / "verdicts")


def change_start(edit: Callable[[dict[str, Any]], None]) -> Callable[[str, dict[str, Any]], dict[str, Any]]:
    def change(_: str, event: dict[str, Any]) -> dict[str, Any]:
        if event["type"] == "run_started":
            edit(event["body"])
        return event

    return change


def test_a_good_trail_says_what_nobody_saw_and_nothing_else(project: ProgramProject) -> None:
    assert LINKED & find_codes(project.root) == {"linked", "seeds-by-word"}


def test_a_run_that_does_not_say_that_it_was_made_elsewhere_is_found(trail: Trail) -> None:
    trail.rebuild(change_start(lambda body: body.update(deviations=[])))
    assert "link-untold" in sorts(audited(trail))


def test_a_run_that_leaves_out_its_exports_is_found_by_its_page(trail: Trail) -> None:
    """Its numbers would look as if harness had run the program."""
    trail.rebuild(change_start(lambda body: (body.pop("linked"), body.update(deviations=[]))))
    found = sorts(audited(trail))
    assert {"link-otherwise", "page-otherwise"} <= found


@pytest.mark.parametrize("leave_out", [True, False])
def test_a_page_that_tells_of_other_exports_or_none_is_found(trail: Trail, *, leave_out: bool) -> None:
    digest, event = trail.find("verdict")
    run = trail.folder(event["body"]["run"])
    page = json.loads(trail.files[f"{run}/env.json"])
    if leave_out:
        del page["linked"]
    else:
        page["linked"]["exports"][0]["sha256"] = "0" * 64
    changed = (json.dumps(page, sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode()
    trail.files[f"{run}/env.json"] = changed
    del trail.files[trail.path(digest)]
    event["body"]["files"]["env.json"] = sha(changed)
    trail.put(event)
    assert "link-otherwise" in sorts(audited(trail))


def test_an_export_that_is_gone_is_missed(trail: Trail) -> None:
    _, event = trail.find("run_started")
    (export,) = event["body"]["linked"]["exports"]
    del trail.files[f"objects/sha256/{export['sha256']}"]
    assert "object-missing" in sorts(audited(trail))


def test_other_code_that_passes_for_the_registered_is_found(project: ProgramProject) -> None:
    (project.root / "toy.py").write_text("print()\n")
    project.commit()
    other = project.git("rev-parse", "HEAD").strip()
    trail = Trail.read(project.root / "verdicts")
    trail.rebuild(change_start(lambda body: body["linked"].update(commits={other: ""})))
    shutil.rmtree(project.root / "verdicts")
    trail.write(project.root / "verdicts")
    assert "link-otherwise" in find_codes(project.root)
    shutil.rmtree(project.root / ".git")
    assert "link-unchecked" in find_codes(project.root)


def test_results_and_accounts_that_are_not_those_of_the_exports_are_found(project: ProgramProject) -> None:
    """A better number, a rejected run that counts, a missing one that nobody named: all follow from the exports."""
    stored = read_run(Ledger(project.root / "verdicts"), "toy")
    assert find_other_readings(stored) == []
    first, *rest = stored.measurements.replicas
    ((key, series),) = first.metrics.items()
    better = first.model_copy(update={"metrics": {key: series.model_copy(update={"values": {"value": ((0.99,),)}})}})
    measured = stored.measurements.model_copy(update={"replicas": (better, *rest)})
    assert find_other_readings(replace(stored, measurements=measured)) == [
        "results.json: the replicas of runs made elsewhere"
    ]
    told = stored.provenance.linked
    assert told is not None
    hidden = told.model_copy(update={"runs": tuple(run for run in told.runs if run.fate == "counted")})
    assert hidden != told
    provenance = stored.provenance.model_copy(update={"linked": hidden})
    assert find_other_readings(replace(stored, provenance=provenance)) == [
        "env.json: the account of runs made elsewhere"
    ]
    (stored.folder / "raw.json").write_text("{}")
    assert find_other_readings(stored) == ["raw.json: it is not what the exports tell"]
