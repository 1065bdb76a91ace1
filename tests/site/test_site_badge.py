"""The badge: XML whatever a trail holds, and green only if the audit of that moment passed."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import yaml

from tests.e2e.projects import REPOSITORY, Project, make_project
from tests.e2e.test_e2e_authoring import take
from tests.site.hostile import SCRIPT

GREEN = "#116329"


def test_a_hostile_trail_gets_a_badge_of_plain_words(hostile: Project, tmp_path: Path) -> None:
    shutil.copytree(hostile.root, tmp_path / "project")
    project = Project(tmp_path / "project")
    done = project.harness("badge", "badge.svg", "--summary", "summary.md")
    audit = project.harness("audit")
    assert done.returncode == audit.returncode
    text = (project.root / "badge.svg").read_text()
    root = ElementTree.fromstring(text)
    assert {one.tag.rpartition("}")[2] for one in root.iter()} == {"svg", "title", "rect", "g", "text"}
    told = " ".join("".join(root.itertext()).split())
    assert re.search(r"2 verdicts, \d{4}-\d\d-\d\d$", told), told
    assert (GREEN in text) == (audit.returncode == 0)
    summary = (project.root / "summary.md").read_text()
    assert "tiny" in summary
    assert set(re.findall(r"<(\w+)", summary)) == {"h2", "p", "table", "tr", "th", "td"}
    assert SCRIPT not in summary
    (path,) = project.root.glob("verdicts/other/*/verdict.json")
    path.chmod(0o644)
    path.write_text(path.read_text() + " ")
    done = project.harness("badge", "badge.svg")
    assert done.returncode == 3
    text = (project.root / "badge.svg").read_text()
    assert "tampered" in text
    assert GREEN not in text


def test_a_badge_says_passed_only_with_what_was_not_checked(tmp_path: Path) -> None:
    done = Project(REPOSITORY).harness("badge", str(tmp_path / "badge.svg"))
    text = (tmp_path / "badge.svg").read_text()
    assert (GREEN in text) == (done.returncode == 0)
    assert "not checked" in text
    empty = make_project(tmp_path / "empty")
    done = empty.harness("badge", "badge.svg")
    assert done.returncode != 0
    assert GREEN not in (empty.root / "badge.svg").read_text()


def test_the_workflow_builds_the_site_with_a_badge_and_tells_the_verdicts(hostile: Project, tmp_path: Path) -> None:
    """The steps' own shell texts. A trail that was changed fails, and what is published then says so."""
    shutil.copytree(hostile.root, tmp_path / "project")
    project = Project(tmp_path / "project")
    workflow = yaml.safe_load((REPOSITORY / ".github/workflows/hypotheses.yml").read_text())
    steps = workflow["jobs"]["hypotheses"]["steps"]
    site, badge = (one["run"] for one in steps if "RUNNER_TEMP" in one.get("run", ""))
    uploads = [one for one in steps if "upload" in one.get("uses", "")]
    assert {one["with"]["path"] for one in uploads} == {"${{ runner.temp }}/verdicts"}

    def publish(name: str) -> tuple[int, Path]:
        """Take both steps; the second always passes, or nothing would be uploaded."""
        folder = tmp_path / name
        folder.mkdir()
        told = {"RUNNER_TEMP": str(folder), "GITHUB_STEP_SUMMARY": str(folder / "summary.md")}
        told["GITHUB_OUTPUT"] = str(folder / "outputs")
        code = take(site, project, **told).returncode
        assert take(badge, project, **told).returncode == 0
        return code, folder

    code, folder = publish("before")
    assert code == 0
    assert {"index.html", "claims.html", "badge.svg", "site.css"} <= {one.name for one in folder.glob("verdicts/*")}
    assert "<td>tiny</td>" in (folder / "summary.md").read_text()
    assert (folder / "outputs").read_text() == "made=true\n"
    published = [one["if"] for one in (*uploads, workflow["jobs"]["pages"]) if "inputs.pages" in one["if"]]
    assert len(published) == 2 and all("outputs.made == 'true'" in condition for condition in published)
    claims = project.root / "hypotheses/claims.yaml"
    before = claims.read_bytes()
    claims.write_text("claims: 1\n")
    code, folder = publish("without")
    assert code == 2 and not (folder / "outputs").exists(), "without pages, nothing takes the site's place"
    claims.write_bytes(before)
    (event,) = [
        one for one in project.root.glob("verdicts/ledger/events/*") if b'"type":"walk_back"' in one.read_bytes()
    ]
    event.chmod(0o644)
    event.write_bytes(event.read_bytes() + b" ")
    code, folder = publish("after")
    assert code == 3
    badge_now = (folder / "verdicts/badge.svg").read_text()
    assert "tampered" in badge_now and GREEN not in badge_now
    told = (folder / "summary.md").read_text()
    assert "tampered: the trail is not what was written" in told and "No verdict can be shown" in told
