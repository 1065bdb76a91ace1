"""The list of released templates is whole, and tells a page that nobody published from one that a release made."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from pathlib import Path

import pytest

from harness.domain.templates import RELEASES, VERSION, default_templates, describe_unknown, read_texts

ROOT = Path(__file__).parents[3]
OWN = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in read_texts(default_templates()).items()}
LISTED = {(one.name, one.sha256): one.form for release in RELEASES.values() for one in release}
CHANGES = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
TAGS = subprocess.run(
    ["git", "tag", "--list", "v[0-9]*"], cwd=ROOT, capture_output=True, text=True, check=False
).stdout.split()


def lacking(templates: dict[str, str]) -> list[str]:
    """The lines that the list lacks, to be copied into it."""
    return [f'Template("{name}", "{sha}", {VERSION}),' for name, sha in templates.items() if (name, sha) not in LISTED]


def test_a_release_lists_its_templates() -> None:
    """A changelog without unreleased changes is that of a release, whose templates have to be listed by then."""
    before, _, after = CHANGES.partition("## [Unreleased]")
    unreleased = after.split("\n## [")[0].strip()
    released = re.findall(r"^## \[([0-9.]+)\]", before + after, re.MULTILINE)
    assert set(RELEASES) - {"0.1.0"} <= set(released), "a release is listed that the changelog does not have"
    if not unreleased:
        assert lacking(OWN) == [], f"list them in harness/domain/templates.py, under {released[0]}"


@pytest.mark.parametrize("tag", TAGS or ["HEAD"])
def test_the_templates_of_every_tagged_release_are_known(tag: str) -> None:
    if TAGS == []:
        pytest.skip("no release is tagged in this clone")
    names = subprocess.run(
        ["git", "ls-tree", "-r", "--name-only", tag, "templates"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    texts = {
        name.removeprefix("templates/"): subprocess.run(
            ["git", "show", f"{tag}:{name}"], cwd=ROOT, capture_output=True, check=True
        ).stdout
        for name in names
        if name.endswith(".j2")
    }
    assert lacking({name: hashlib.sha256(text).hexdigest() for name, text in texts.items()}) == [], tag


def test_the_stored_verdicts_pages_are_those_of_listed_templates() -> None:
    events = {path.stem: json.loads(path.read_text()) for path in (ROOT / "verdicts/ledger/events").glob("*.json")}
    starts = {run: event["body"] for run, event in events.items() if event["type"] == "run_started"}
    assert starts
    for run, body in starts.items():
        folder = ROOT / "verdicts" / body["hypothesis"] / run[:12]
        form = json.loads((folder / "verdict.json").read_text(encoding="utf-8"))["v"]
        assert describe_unknown(body["pins"]["templates"], form) is None, folder
    listed = {sha for _, sha in LISTED}
    assert {sha for body in starts.values() for sha in body["pins"]["templates"].values()} <= listed


def test_this_versions_own_templates_are_known_and_no_others() -> None:
    assert describe_unknown(OWN) is None and describe_unknown(OWN, VERSION) is None
    other = OWN | {"verdict.md.j2": "0" * 64}
    assert "verdict.md.j2" in str(describe_unknown(other))
    assert "part.j2" in str(describe_unknown(OWN | {"part.j2": OWN["verdict.md.j2"]}))
    assert describe_unknown({}) is not None


@pytest.mark.parametrize("form", [1, VERSION - 1, VERSION + 1, True, float(VERSION), str(VERSION), ""])
def test_a_form_that_no_release_wrote_with_the_template_is_unknown(form: object) -> None:
    """An earlier form leaves out fields that this template's release wrote, and so hides what they say."""
    assert describe_unknown(OWN, form) is not None


def test_an_attempt_that_began_with_an_earlier_template_has_a_page_of_that_one_and_a_later_form() -> None:
    before = {"verdict.md.j2": RELEASES["0.1.0"][0].sha256}
    assert [describe_unknown(before, form) for form in range(1, VERSION + 1)] == [None] * VERSION
