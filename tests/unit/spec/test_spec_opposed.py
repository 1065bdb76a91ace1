"""Two files that ask the same must not let one result mean opposite things, whichever way round each is written."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness.spec import load_folder

FOLDER = Path(__file__).parents[2] / "corpus/together/opposite_meanings"
PLAIN, MIRRORED = "contrast: penalized - vanilla, unit: pp", "contrast: vanilla - penalized, unit: pp"
THREE, OPPOSITE = "2 * penalized - vanilla - reference", "vanilla / 2 + reference / 2 - penalized"
RATIO, INVERSE = "ratio: penalized / vanilla", "ratio: vanilla / penalized"
UP, DOWN = ('helps: "(0, inf)"', 'harms: "(-inf, 0]"'), ('helps: "(-inf, 0)"', 'harms: "[0, inf)"')
OVER, UNDER = ('helps: "(2, inf)"', 'harms: "(0, 2]"'), ('helps: "(0, 0.5)"', 'harms: "[0.5, inf)"')
SUPPORTS = "helps: {says: It helps., supports: [two-failure-modes]}"
WALKS_BACK = "helps: {says: It helps., walks_back: [two-failure-modes]}"


def find(folder: Path, *files: tuple[str, tuple[str, str], str]) -> list[str]:
    """What is found of contradictions among files with these comparisons, bands and implications."""
    text = (FOLDER / "a.yaml").read_text("utf-8")
    shutil.copy(FOLDER / "claims.yaml", folder)
    for number, (comparison, bands, implication) in enumerate(files):
        changed = text.replace("id: base", f"id: file-{number}").replace(PLAIN, comparison)
        changed = changed.replace(UP[0], bands[0]).replace(UP[1], bands[1]).replace(SUPPORTS, implication)
        (folder / f"file_{number}.yaml").write_text(changed, "utf-8")
    report = load_folder([folder])
    assert len(report.loaded) == 2, report.findings
    return [
        found.message for found in report.findings if found.rule == "contradictions" and "opposite" in found.message
    ]


@pytest.mark.parametrize(
    ("one", "other", "bands", "turned"),
    [
        (PLAIN, MIRRORED, UP, DOWN),
        (f"contrast: {THREE}, unit: pp", f"contrast: {OPPOSITE}, unit: pp", UP, DOWN),
        (RATIO, INVERSE, OVER, UNDER),
    ],
)
def test_what_is_written_the_other_way_round_is_compared_as_it_is_meant(
    tmp_path: Path, one: str, other: str, bands: tuple[str, str], turned: tuple[str, str]
) -> None:
    (tmp_path / "same").mkdir()
    assert find(tmp_path / "same", (one, bands, SUPPORTS), (other, turned, SUPPORTS)) == []
    (tmp_path / "opposed").mkdir()
    (told,) = find(tmp_path / "opposed", (one, bands, SUPPORTS), (other, turned, WALKS_BACK))
    assert "'helps' walks back 'two-failure-modes'" in told


def test_bands_that_only_look_alike_contradict_nothing(tmp_path: Path) -> None:
    assert find(tmp_path, (PLAIN, UP, SUPPORTS), (MIRRORED, UP, WALKS_BACK)) == []


def test_the_overlap_is_told_in_the_terms_of_the_file_it_is_told_of(tmp_path: Path) -> None:
    (told,) = find(tmp_path, (PLAIN, UP, SUPPORTS), (MIRRORED, DOWN, WALKS_BACK))
    assert told.endswith("both are true below 0")
