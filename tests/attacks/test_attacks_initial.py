"""Runs that start from stored weights: which they started from is told by their event, and held against the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.attacks.trails import Trail, audited, sorts
from tests.e2e.projects import TINY, make_project, run_file
from tests.once import made_once


@pytest.fixture(scope="session")
def started_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, and another that starts from its weights."""

    def make(folder: Path) -> None:
        project = make_project(folder)
        run_file(project.root / "hypotheses/tiny.yaml")
        (run,) = project.runs()
        text = TINY.replace("id: tiny", "id: onward").replace("epochs: 8", "epochs: 2")
        text = text.replace(", supports: [depth-helps]", "").replace(", walks_back: [depth-helps]", "")
        start = f'init_from: {{run: "{run.name}", arm: dfa}}'
        text = text.replace("{label: BP, rule: {name: bp}", f"{{label: BP, rule: {{name: bp}}, {start}")
        (project.root / "hypotheses/onward.yaml").write_text(text)
        run_file(project.root / "hypotheses/onward.yaml")

    return made_once(tmp_path_factory, "started-project", make)


@pytest.fixture
def started(started_project: Path) -> Trail:
    return Trail.read(started_project / "verdicts")


def test_a_run_that_names_the_weights_it_started_from_passes(started: Trail) -> None:
    report = audited(started)
    assert not {"initial-otherwise", "initial-unchecked"} & sorts(report)


@pytest.mark.parametrize("change", ["other", "none"])
def test_weights_that_are_not_those_of_the_run_are_found(started: Trail, change: str) -> None:
    def edit(_: str, event: dict[str, Any]) -> dict[str, Any]:
        if event["body"].get("hypothesis") == "onward" and "data" in event["body"]:
            data = {name: digest for name, digest in event["body"]["data"].items() if "weights" not in name}
            named = {name: "ab" * 32 for name in event["body"]["data"] if "weights" in name}
            event["body"]["data"] = data | (named if change == "other" else {})
        return event

    started.rebuild(edit)
    report = audited(started)
    assert "initial-otherwise" in sorts(report) and report.exit_code == 3


def test_a_deviation_in_weights_must_be_named(started: Trail) -> None:
    def edit(_: str, event: dict[str, Any]) -> dict[str, Any]:
        if event["type"] == "registered" and event["body"]["hypothesis"] == "onward":
            event["body"]["data"] = {
                name: "ab" * 32 if "weights" in name else digest for name, digest in event["body"]["data"].items()
            }
        return event

    started.rebuild(edit)
    assert "deviation-unnamed" in sorts(audited(started))


def test_a_run_whose_source_is_not_here_is_not_checked(started: Trail) -> None:
    source, _ = started.find("run_started", "tiny")
    del started.files[f"{started.folder(source)}/env.json"]
    assert "initial-unchecked" in sorts(audited(started))
