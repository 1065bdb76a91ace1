"""Searches that are not what their run would have made, with all digests to fit: what chose was trained otherwise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.attacks.corpus import forged_file, without
from tests.attacks.trails import Trail, audited, sorts
from tests.e2e.projects import run_file

FILE = Path(__file__).parents[1] / "questions" / "q10_tuned_rates.yaml"
NAME = "q10-tuned-rates"


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Trail:
    """A trail whose one run searched for the settings of its arms. Copy it before changing it."""
    root = tmp_path_factory.mktemp("tuned") / "project"
    (root / "hypotheses").mkdir(parents=True)
    (root / "hypotheses" / FILE.name).write_text(FILE.read_text("utf-8"), "utf-8")
    run_file(root / "hypotheses" / FILE.name)
    return Trail.read(root / "verdicts")


def other_data(value: Any) -> None:
    for record in value["data"].values():
        record |= {"fingerprint": "ab" * 32, "canonical": False}


def other_seeds(value: Any) -> None:
    """Those of a search that came out better, for instance."""
    value["seeds"] = [seed + 1 for seed in value["seeds"]]
    for replica in value["replicas"]:
        replica["seed"] += 1


def other_seed_of_one_candidate(value: Any) -> None:
    value["replicas"][0]["seed"] += 1


def candidate_measured_twice(value: Any) -> None:
    value["replicas"].insert(0, dict(value["replicas"][0]))


def candidate_left_out(value: Any) -> None:
    """One that would have been chosen, for instance."""
    left = value["replicas"][0]["arm"]
    value["replicas"] = [replica for replica in value["replicas"] if replica["arm"] != left]


def seed_left_out(value: Any) -> None:
    """The last, at which the wanted candidate came out worse."""
    value["seeds"].pop()
    value["replicas"] = [one for one in value["replicas"] if one["seed_index"] < len(value["seeds"])]


def search_of_another(value: Any) -> None:
    value["registration"] = "0" * 64


@pytest.mark.parametrize(
    ("change", "finds"),
    [
        (other_data, "results-data"),
        (other_seeds, "results-seeds"),
        (other_seed_of_one_candidate, "results-seeds"),
        (candidate_measured_twice, "results-incomplete"),
        (candidate_left_out, "results-incomplete"),
        (seed_left_out, "results-incomplete"),
        (search_of_another, "results-of-another"),
    ],
)
def test_a_search_that_was_trained_otherwise_is_found(
    searched: Trail, change: Callable[[Any], None], finds: str
) -> None:
    assert not {"results-data", "results-seeds", "results-incomplete", "results-of-another"} & sorts(audited(searched))
    trail = searched.copy()
    forged_file(trail, "search.json", change, NAME)
    report = audited(trail)
    assert finds in sorts(report) and report.exit_code == 3, report.findings


def test_a_run_that_keeps_its_search_to_itself_is_found(searched: Trail) -> None:
    """As if its arms had been set by hand, of a registration that says how they are tuned."""

    def edit(_: str, event: dict[str, Any]) -> dict[str, Any]:
        if event["type"] == "verdict":
            del event["body"]["files"]["search.json"]
        return event

    assert "tuned" not in sorts(audited(searched))
    trail = searched.copy()
    chosen, _ = trail.find("tuned", NAME)
    trail.rebuild(without(chosen))
    trail.rebuild(edit)
    assert "tuned" in sorts(audited(trail))
