"""Trails of programs: whatever was changed in results files, pages, pins, output, or taken from git is found."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.ledger import Ledger
from harness.pipeline.reverdict import find_other_readings
from harness.pipeline.run_files import read_run
from harness.plugins.registry import find_members
from tests.attacks.trails import Trail, audited, find_codes, sha, sorts
from tests.e2e.programs import ProgramProject, copy_project, make_judged_project
from tests.once import made_once

pytestmark = pytest.mark.skipif(os.name == "nt", reason="programs run on Linux and macOS")


@pytest.fixture(scope="session")
def judged_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose program was run and judged, all of it committed."""
    return made_once(tmp_path_factory, "judged-program", make_judged_project)


@pytest.fixture
def project(judged_program: Path, tmp_path: Path) -> ProgramProject:
    return copy_project(judged_program, tmp_path)


@pytest.fixture
def trail(judged_program: Path) -> Trail:
    return Trail.read(judged_program / "verdicts")


def test_a_good_trail_has_no_such_finding(project: ProgramProject) -> None:
    found = find_codes(project.root)
    assert not {"program-missing", "program-otherwise", "program-unchecked", "output-bytes"} & found


def test_code_that_git_no_longer_has_is_missed(project: ProgramProject) -> None:
    blob = project.git("rev-parse", "HEAD:toy.py").strip()
    (project.root / ".git/objects" / blob[:2] / blob[2:]).unlink()
    assert "program-missing" in find_codes(project.root)


def test_without_git_the_code_is_said_not_to_be_looked_for(project: ProgramProject) -> None:
    shutil.rmtree(project.root / ".git")
    assert "program-unchecked" in find_codes(project.root)


def test_changed_output_is_found_and_absent_output_is_no_fault(project: ProgramProject) -> None:
    logs = sorted((project.folder / "logs").iterdir())
    logs[0].unlink()
    assert "output-bytes" not in find_codes(project.root)
    logs[1].write_bytes(b"another\n")
    assert "output-bytes" in find_codes(project.root)


def test_a_page_that_tells_of_another_program_is_found(trail: Trail) -> None:
    digest, event = trail.find("verdict")
    run = trail.folder(event["body"]["run"])
    page = json.loads(trail.files[f"{run}/env.json"])
    page["program"]["pins"]["trees"]["toy.py"] = "0" * 40
    changed = (json.dumps(page, sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode()
    trail.files[f"{run}/env.json"] = changed
    del trail.files[trail.path(digest)]
    event["body"]["files"]["env.json"] = sha(changed)
    trail.put(event)
    assert "program-otherwise" in sorts(audited(trail))


def test_a_run_of_another_program_that_doesn_t_say_so_is_found(trail: Trail) -> None:
    def edit(_: str, event: dict[str, Any]) -> dict[str, Any]:
        if event["type"] == "run_started":
            event["body"]["pins"]["program"]["trees"]["toy.py"] = "0" * 40
        return event

    trail.rebuild(edit)
    assert "deviation-unnamed" in sorts(audited(trail))


def test_results_that_are_not_those_of_the_files_are_found(project: ProgramProject) -> None:
    """Numbers, a failure that was none, a file that is no replica's: each is read again by the same rules."""
    stored = read_run(Ledger(project.root / "verdicts"), "toy")
    assert find_other_readings(stored) == []
    first, *rest = stored.measurements.replicas
    ((key, series),) = first.metrics.items()
    better = series.model_copy(update={"values": {"value": ((0.99,),)}})
    for other in (
        first.model_copy(update={"metrics": {key: better}}),
        first.model_copy(update={"weights_sha256": "0" * 64}),
        first.model_copy(update={"raw": "0" * 64}),
        first.model_copy(update={"status": "failed", "failure": "it was slow", "raw": "0" * 64, "metrics": {}}),
    ):
        measured = stored.measurements.model_copy(update={"replicas": (other, *rest)})
        assert find_other_readings(replace(stored, measurements=measured)) == [
            "raw.json: strong-0 does not say what results.json has"
        ]
    measured = stored.measurements.model_copy(update={"replicas": tuple(rest)})
    assert find_other_readings(replace(stored, measurements=measured)) == [
        "raw.json: strong-0 is not a replica of the run"
    ]


def test_results_files_of_arms_that_harness_trains_are_found(project: ProgramProject) -> None:
    """Neither may results.json name one for such an arm, nor raw.json hold one."""
    stored = read_run(Ledger(project.root / "verdicts"), "toy")
    hypothesis = stored.registered.hypothesis
    strong = hypothesis.arms["strong"].model_copy(update={"rule": find_members("rules")["bp"](name="bp")})
    mixed = hypothesis.model_copy(update={"arms": {**hypothesis.arms, "strong": strong}})
    registered = stored.registered.model_copy(update={"hypothesis": mixed})
    assert find_other_readings(replace(stored, registered=registered)) == [
        *(f"results.json: strong, seed {index}, which harness trained, names a results file" for index in range(3)),
        *(f"raw.json: strong-{index} is not a replica of the run" for index in range(3)),
    ]
