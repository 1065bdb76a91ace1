"""Whole files: those that must load, and those that must be refused with the findings that they announce."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from harness.errors import Finding, InvalidHypothesis
from harness.spec import CHECKS, load, load_folder

ROOT = Path(__file__).parents[3]
VALID = sorted(path for path in (ROOT / "tests/corpus/valid").glob("*.yaml") if path.name != "claims.yaml")
INVALID = sorted(path for path in (ROOT / "tests/corpus/invalid").glob("*.yaml") if path.name != "claims.yaml")
ODD = sorted(path for path in (ROOT / "tests/corpus/odd").glob("*.yaml") if path.name != "claims.yaml")
TOGETHER = sorted((ROOT / "tests/corpus/together").iterdir())
EXPECTED = re.compile(r"# expect: (\d+):(\d+): (.+)")


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_valid_file_loads(path: Path) -> None:
    loaded = load(path)
    assert loaded.raw == path.read_bytes()
    assert loaded.claims_raw == path.with_name("claims.yaml").read_bytes()
    assert loaded.path == path
    assert all(arm.setup.epochs >= 1 for arm in loaded.hypothesis.arms.values())


def announced(path: Path) -> list[tuple[int, int, str]]:
    """What a file's first lines say that will be found in it."""
    found = []
    for line in path.read_bytes().decode("utf-8-sig", "replace").splitlines():
        match = EXPECTED.fullmatch(line)
        if match is None:
            break
        found.append((int(match[1]), int(match[2]), match[3]))
    return found


def found_in(findings: Iterable[Finding], path: Path) -> list[tuple[int, int, str]]:
    return [(f.line, f.column, f.kind + f.message) for f in findings if f.file == str(path)]


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_invalid_file_is_refused_where_it_says(path: Path) -> None:
    expected = announced(path)
    findings = load_folder([path]).findings
    assert found_in(findings, path) == expected
    assert all(finding.rule in CHECKS for finding in findings)
    with pytest.raises(InvalidHypothesis) as refused:
        load(path)
    assert found_in(refused.value.findings, path) == [e for e in expected if not e[2].startswith("warning: ")]


@pytest.mark.parametrize("path", ODD, ids=lambda path: path.stem)
def test_an_odd_file_loads_with_the_warnings_that_it_announces(path: Path) -> None:
    assert found_in(load(path).warnings, path) == announced(path) != []


@pytest.mark.parametrize("folder", TOGETHER, ids=lambda folder: folder.name)
def test_files_are_checked_against_one_another(folder: Path) -> None:
    findings = load_folder([folder]).findings
    for path in folder.glob("*.yaml"):
        place = [(line, column, text.replace("HERE", str(folder))) for line, column, text in announced(path)]
        assert found_in(findings, path) == place
    assert findings


def test_there_are_enough_invalid_files() -> None:
    assert len(INVALID) >= 120


def test_the_findings_quote_their_line_and_say_what_to_do() -> None:
    with pytest.raises(InvalidHypothesis) as refused:
        load(ROOT / "tests/corpus/invalid/unknown_key.yaml")
    text = str(refused.value)
    assert "unknown_key.yaml:22:5: unknown key 'penality', did you mean 'penalty'?" in text
    assert (
        "\n        penality: {name: residual_branch, strength: 0.01}\n        ^\n    → keys known here: label," in text
    )


def test_the_project_s_own_hypotheses_are_valid() -> None:
    report = load_folder([ROOT / "hypotheses"])
    assert report.findings == ()
    assert {"mode2-direction", "bp-penalty-control"} <= {loaded.hypothesis.id for loaded in report.loaded}


def test_the_first_protocol_is_complete() -> None:
    hypothesis = load(ROOT / "hypotheses/mode2_direction.yaml").hypothesis
    setup = hypothesis.setup
    assert (setup.epochs, setup.batch_size, setup.precision) == (100, 128, "float32")
    assert setup.save == ("weights", "feedback")
    assert (hypothesis.guards["healthy_reference"].above, hypothesis.seeds.number) == (1e-7, 10)
    assert list(hypothesis.arms) == ["vanilla", "penalized", "bp_penalty"]
    assert hypothesis.arms["vanilla"].penalty is None
    assert {arm.penalty.strength for arm in hypothesis.arms.values() if arm.penalty is not None} == {0.01}
    bands = hypothesis.decisions["direction"].bands
    for value, name in (
        (0.0, "confirmed"),
        (-0.05, "partial"),
        (0.19, "partial"),
        (-0.2, "rejected"),
        (0.9, "rejected"),
    ):
        assert [band for band, intervals in bands.items() if intervals.contains(value)] == [name]


def test_the_second_protocol_is_complete() -> None:
    hypothesis = load(ROOT / "hypotheses/bp_penalty_control.yaml").hypothesis
    assert (hypothesis.setup.epochs, hypothesis.setup.evaluation.every_epochs) == (30, 5)
    assert hypothesis.arms["shallow"].freeze == hypothesis.arms["bp_shallow"].freeze == ("blocks",)
    assert hypothesis.estimands["margin"].contrast == {"bp_penalty": 1, "shallow": -1}
    assert hypothesis.estimands["margin"].unit == "pp"
    bands = hypothesis.decisions["margin"].bands
    for value, name in ((4.9, "artifact"), (5, "partial"), (25, "partial"), (25.1, "real")):
        assert [band for band, intervals in bands.items() if intervals.contains(value)] == [name]
