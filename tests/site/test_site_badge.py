"""The badge: XML whatever a trail holds, and green only if the audit of that moment passed."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

from tests.e2e.projects import REPOSITORY, Project, make_project
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
