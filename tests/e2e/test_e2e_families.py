"""Families, from the files to ``harness list --family``: Holm over the members' verdicts, and no way to shrink m."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness import ledger, spec, verdict
from harness.cli.app import app
from harness.errors import Tampered
from harness.pipeline.families import Family, read_families
from harness.wording import format_p
from tests.e2e.projects import Project, make_project, run_file


def another(project: Project, name: str, *, register: bool = True) -> None:
    """A member of the family that is not run."""
    path = project.root / f"hypotheses/{name}.yaml"
    path.write_text((project.root / "hypotheses/tiny.yaml").read_text().replace("id: tiny", f"id: {name}"))
    if register:
        loaded = spec.load(path)
        pins = ledger.pin_code(loaded.hypothesis, verdict.default_templates())
        trail = ledger.Ledger(project.root / "verdicts")
        ledger.register(trail, loaded.raw, loaded.claims_raw, loaded.hypothesis, pins)


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """One judged member, two registered ones, one file that is not registered, and one outside the family."""
    project = make_project(tmp_path_factory.mktemp("family") / "project")
    project.edit("epochs: 8", "epochs: 2")
    another(project, "outside")
    project.edit("id: tiny", "id: tiny\nfamily: siblings")
    run_file(project.root / "hypotheses/tiny.yaml")
    another(project, "second")
    another(project, "third")
    another(project, "fourth", register=False)
    return project


def read(project: Project) -> Family:
    (found,) = read_families(
        ledger.Ledger(project.root / "verdicts"), spec.load_folder([project.root / "hypotheses"]).loaded
    )
    return found


def test_every_registered_member_counts_judged_or_not(family: Project) -> None:
    found = read(family)
    assert (found.name, found.alpha, found.unregistered) == ("siblings", 0.05, ("fourth",))
    assert [row.hypothesis for row in found.rows] == ["tiny", "second", "third"]
    judged, *others = found.rows
    (folder,) = family.runs()
    raw = json.loads((folder / "verdict.json").read_text())["decision"]["p"]
    assert judged.verdict is not None and judged.verdict.outcome == "better"
    assert judged.p == judged.verdict.p == raw and judged.adjusted == pytest.approx(3 * raw) and judged.holds
    assert all(row.verdict is None and (row.p, row.adjusted, row.holds) == (1.0, 1.0, False) for row in others)


def test_deleting_a_file_does_not_shrink_the_family(family: Project) -> None:
    before = read(family)
    path = family.root / "hypotheses/third.yaml"
    text = path.read_text()
    path.unlink()
    try:
        assert read(family) == before
        path.write_text(text.replace("family: siblings\n", ""))
        assert read(family) == before
    finally:
        path.write_text(text)


def test_list_family_as_text_and_json(family: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(family.root)
    as_text = CliRunner().invoke(app, ["list", "--family"]).output
    assert "siblings: 3 registered, α = .05 over all, by Holm" in as_text
    assert "not judged: p = 1" in as_text and "fourth declares this family" in as_text
    (found,) = json.loads(CliRunner().invoke(app, ["list", "--family", "--format", "json"]).stdout)
    assert (found["family"], found["not_registered"]) == ("siblings", ["fourth"])
    assert [(row["id"], row["holds"]) for row in found["members"]] == [
        ("tiny", True),
        ("second", False),
        ("third", False),
    ]
    assert found["members"][0]["p_adjusted"] == pytest.approx(3 * found["members"][0]["p"])
    assert format_p(found["members"][0]["p"]) in as_text and format_p(found["members"][0]["p_adjusted"]) in as_text


def test_the_verdict_tells_of_its_family(family: Project) -> None:
    (folder,) = family.runs()
    assert "**One of a family**, `siblings`" in (folder / "verdict.md").read_text()


def test_an_edited_verdict_is_refused(family: Project) -> None:
    (folder,) = family.runs()
    path = folder / "verdict.json"
    before = path.read_bytes()
    path.write_bytes(before.replace(b'"p": ', b'"p": 0', 1))
    try:
        with pytest.raises(Tampered, match="verdict"):
            read(family)
    finally:
        path.write_bytes(before)


def test_nobody_declares_a_family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(make_project(tmp_path / "project").root)
    ran = CliRunner().invoke(app, ["list", "--family"])
    assert ran.exit_code == 0 and "add family: <name>" in ran.output
