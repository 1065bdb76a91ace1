"""Trails with earlier results that were explored: whatever makes them look otherwise, or hides them, is found."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness import ledger, spec
from harness.ledger import Ledger
from harness.ledger.audit.evidence import OBJECTS
from harness.pipeline.audit import AuditRequest, audit_trail
from harness.pipeline.program import pin
from harness.pipeline.session import Session
from tests.attacks.trails import Trail, audited, find_codes, sorts
from tests.e2e.programs import ProgramProject, copy_project, make_explored_project
from tests.once import made_once

pytestmark = pytest.mark.skipif(os.name == "nt", reason="programs run on Linux and macOS")
EXPLORED = {
    "explored",
    "explored-otherwise",
    "explored-unchecked",
    "explored-differs",
    "explored-rewritten",
    "undeclared",
}
FILE = "hypotheses/toy.yaml"
STRIDE = 61
"""Distance of the bytes that are flipped, one at a time; it is prime to the lengths of what repeats in these files."""


@pytest.fixture(scope="session")
def explored_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with an exploration, all of it committed."""
    return made_once(tmp_path_factory, "explored-program", make_explored_project)


@pytest.fixture
def project(explored_program: Path, tmp_path: Path) -> ProgramProject:
    return copy_project(explored_program, tmp_path)


@pytest.fixture
def trail(explored_program: Path) -> Trail:
    return Trail.read(explored_program / "verdicts")


def change_body(trail: Trail, edit: Callable[[dict[str, Any]], None]) -> Trail:
    def change(_: str, event: dict[str, Any]) -> dict[str, Any]:
        edit(event["body"])
        return event

    trail.rebuild(change)
    return trail


def recomputed(trail: Trail, folder: Path) -> set[str]:
    trail.write(folder / "verdicts")
    return sorts(audit_trail(folder / "verdicts", Path("no hypotheses"), AuditRequest(recompute=True)))


def test_a_good_trail_says_that_it_is_exploratory_and_nothing_else(project: ProgramProject) -> None:
    assert EXPLORED & find_codes(project.root) == {"explored"}


def test_every_flipped_byte_is_noticed(trail: Trail) -> None:
    assert audited(trail).exit_code == 0
    for path, data in trail.files.items():
        for place in range(0, len(data), STRIDE):
            spoilt = trail.copy()
            spoilt.files[path] = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
            assert audited(spoilt).exit_code == 3, (path, place)


def test_each_file_that_an_exploration_is_made_from_is_missed(trail: Trail) -> None:
    _, event = trail.find("explored")
    body = event["body"]
    kept = [body[name] for name in ("raw", "canonical", "claims", "results", "report")]
    read = {body[name] for name in ("canonical", "results", "report")}
    for digest in (*kept, *(file["sha256"] for file in body["exports"])):
        spoilt = trail.copy()
        del spoilt.files[f"{OBJECTS}{digest}"]
        report = audited(spoilt)
        assert "object-missing" in sorts(report)
        assert ("explored-unchecked" in sorts(report)) == (digest in read)
        assert report.exit_code == 5


@pytest.mark.parametrize(
    ("edit", "code"),
    [
        (lambda body: body.update(would_be="splendid"), "explored-otherwise"),
        (lambda body: body.update(seeds=40), "explored-otherwise"),
        (lambda body: body.update(hypothesis="another"), "explored-otherwise"),
    ],
)
def test_an_event_that_says_otherwise_than_what_it_keeps_is_found(
    trail: Trail, edit: Callable[[dict[str, Any]], None], code: str
) -> None:
    report = audited(change_body(trail, edit))
    assert code in sorts(report)
    assert report.exit_code == 3


def test_results_that_pass_for_those_of_a_registration_are_found(trail: Trail) -> None:
    def pretend(body: dict[str, Any]) -> None:
        whole = trail.kept(body["results"])
        body["results"] = trail.keep(whole.replace(b'"registration": ""', b'"registration": "' + b"a" * 64 + b'"'))
        assert trail.kept(body["results"]) != whole

    assert "explored-otherwise" in sorts(audited(change_body(trail, pretend)))


def test_what_does_not_follow_from_its_files_is_found_by_recomputing(trail: Trail, tmp_path: Path) -> None:
    """Another outcome, more runs, better results, a report without its watermark, and a file that means otherwise."""

    def lie(body: dict[str, Any]) -> None:
        body["report"] = trail.keep(b"# It works\n")

    def improve(body: dict[str, Any]) -> None:
        body["results"] = trail.keep(trail.kept(body["results"]).replace(b"0.8", b"0.9"))

    def mean(body: dict[str, Any]) -> None:
        body["canonical"] = trail.keep(trail.kept(body["canonical"]).replace(b'"alpha":0.5', b'"alpha":0.7'))

    edits: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
        "outcome": (lambda body: body.update(would_be="better"), "explored-differs"),
        "runs": (lambda body: body.update(counted=9), "explored-differs"),
        "report": (lie, "explored-differs"),
        "results": (improve, "explored-differs"),
        "meaning": (mean, "text-differs"),
        "form": (lambda body: body["exports"][0].update(form="wandb_csv"), "not-recomputed"),
    }
    good = trail.files
    assert not {"explored-differs", "text-differs"} & recomputed(trail, tmp_path / "good")
    for name, (edit, code) in edits.items():
        trail.files = dict(good)
        assert "explored-otherwise" not in sorts(audited(change_body(trail, edit))), name
        assert code in recomputed(trail, tmp_path / name), name


def test_a_report_by_other_code_is_taken_as_it_is_and_that_is_said(trail: Trail, tmp_path: Path) -> None:
    def rewrite(body: dict[str, Any]) -> None:
        body.update(code="0" * 64, report=trail.keep(b"# Not pre-registered, in other words\n"))

    found = recomputed(change_body(trail, rewrite), tmp_path)
    assert {"explored-differs", "explored-rewritten"} & found == {"explored-rewritten"}


@pytest.mark.parametrize("name", ["toy", "other"])
def test_a_registration_that_does_not_declare_it_is_found(project: ProgramProject, name: str) -> None:
    """By whoever leaves out the check, for the same file or under another name; declared, nothing is found."""
    file = project.root / FILE
    file.write_text(file.read_text().replace("id: toy", f"id: {name}"))
    project.commit()
    session, trail = Session.open(file), Ledger(project.root / "verdicts")
    loaded = spec.load(file)
    ledger.register(trail, loaded.raw, loaded.claims_raw, loaded.hypothesis, pin(loaded.hypothesis, session), {})
    report = audit_trail(project.root / "verdicts", project.root / "hypotheses")
    assert "undeclared" in sorts(report)
    assert report.exit_code == 4


def test_an_exploration_that_is_not_before_a_registration_is_no_prior_data_to_it(project: ProgramProject) -> None:
    """Another branch registered the question, and nobody can tell that its author had seen this one."""
    trail = Trail.read(project.root / "verdicts")
    explored, _ = trail.find("explored")
    file = project.root / FILE
    loaded, session = spec.load(file), Session.open(file)
    pins = pin(loaded.hypothesis, session)
    elsewhere = Ledger(project.root / "elsewhere")
    ledger.register(elsewhere, loaded.raw, loaded.claims_raw, loaded.hypothesis, pins, {})
    trail.files |= Trail.read(project.root / "elsewhere").files
    assert len(trail.heads()) == 2
    assert explored in trail.heads()
    assert EXPLORED & sorts(audited(trail)) == {"explored"}
