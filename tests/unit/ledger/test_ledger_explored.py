"""Replicas that somebody had explored before: found by seed, parameters, and the values of metrics of the same name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.ledger import Ledger, describe_read_before, find_read_before, write_canonical
from harness.ledger.prior_data_bodies import ExploredBody
from harness.pipeline.explore import judge_told
from harness.records import Hypothesis, ReplicaResult
from harness.records.linked import Export
from harness.spec import load
from tests.unit.programs.told import Row, list_rows, make_told
from tests.unit.programs.toys import write_hypothesis

SEEDS = (1, 2, 3)
ROWS = list_rows(SEEDS, "")


def ask(folder: Path, metric: str = "test_accuracy", **changes: Any) -> Hypothesis:
    """Write the toy's question about metrics, of which it compares the first, and return it."""
    estimand = {"metric": metric, "contrast": "strong - weak"}
    asked = {"metrics": {metric: {"bounds": [0, 100]}}, "estimands": {"margin": estimand}, **changes}
    asked["program"] = {"command": ["python3", "toy.py", "{alpha}"], "lock": "none", "timeout": "1 min"}
    folder.mkdir(parents=True, exist_ok=True)
    return load(write_hypothesis(folder, **asked)).hypothesis


def judge(hypothesis: Hypothesis, rows: Sequence[Row]) -> tuple[tuple[ReplicaResult, ...], bytes]:
    export = Export(name="runs.json", form="runs_json", sha256="a" * 64)
    reading = judge_told(hypothesis, (export,), [[make_told(row) for row in rows]])
    return reading.accounted.replicas, reading.results


def count_known(folder: Path, own: Hypothesis, rows: Sequence[Row], theirs: Hypothesis, read: Sequence[Row]) -> int:
    """Enter an exploration of ``read`` and count the replicas of ``rows`` that it knew, by two other files."""
    trail = Ledger(folder / "verdicts")
    kept = trail.store_object(b"{}")
    body = ExploredBody(
        hypothesis=theirs.id,
        raw=kept,
        canonical=trail.store_object(write_canonical(theirs)),
        claims=kept,
        exports=(Export(name="old.json", form="runs_json", sha256="b" * 64),),
        seeds=len(SEEDS),
        counted=len(read),
        would_be="worse",
        results=trail.store_object(judge(theirs, read)[1]),
        report=kept,
        code=kept,
    )
    trail.record(body)
    link = (Export(name="new.json", form="runs_json", sha256="c" * 64),)
    found = find_read_before(trail.index(), trail.read_object, own, link, judge(own, rows)[0])
    assert not any(one.same_file for one in found)
    assert len(describe_read_before(found)) == len(found)
    return sum(one.replicas for one in found)


def measure(rows: Sequence[Row], **metrics: Any) -> list[Row]:
    """Return rows with metrics: a value for all of them, or a list of values, one each."""
    told = {name: one if isinstance(one, list) else [one] * len(rows) for name, one in metrics.items()}
    return [row | {"metrics": {name: of[n] for name, of in told.items()}} for n, row in enumerate(rows)]


def test_the_same_runs_are_known_whatever_their_metric_is_called_here(tmp_path: Path) -> None:
    """The name that counts is the export's, and neither bounds nor the form of a parameter hides it."""
    arms = {
        "mild": {"label": "Mild", "parameters": {"alpha": "0.25"}},
        "harsh": {"label": "Harsh", "parameters": {"alpha": "0.5"}},
    }
    estimands = {"margin": {"metric": "score", "contrast": "harsh - mild"}}
    results = {"form": "json", "file": "metrics.json", "names": {"score": "test_accuracy"}}
    changes = {"arms": arms, "estimands": estimands, "results": results, "metrics": {"score": {"bounds": [0, 50]}}}
    theirs = ask(tmp_path / "theirs", "score", id="other", **changes)
    own = ask(tmp_path / "own")
    assert count_known(tmp_path / "same", own, ROWS, theirs, ROWS) == len(ROWS)
    assert count_known(tmp_path / "fewer", own, ROWS, theirs, [*ROWS[1:3], *ROWS[4:]]) == len(ROWS) - 2
    again = list_rows((4, *SEEDS), "")
    assert count_known(tmp_path / "more", own, again, theirs, ROWS) == len(ROWS)


VARIED = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
UNLIKE = [0.7, 0.2, 0.8, 0.9, 0.75, 0.85]
"""Other values, of which one coincides."""


@pytest.mark.parametrize(
    ("own", "theirs", "known"),
    [
        ({"accuracy": VARIED}, {"accuracy": VARIED}, 6),
        ({"epochs_run": 10}, {"n_epochs": 10}, 0),  # the same number, of other things
        ({"epochs": 10}, {"epochs": 10}, 0),  # the same of all runs
        ({"epochs": [10, 9, 10, 11, 10, 8]}, {"epochs": 10}, 0),
        ({"accuracy": VARIED, "epochs": 10}, {"accuracy": UNLIKE, "epochs": 10}, 1),
        ({"accuracy": VARIED, "loss": UNLIKE}, {"accuracy": VARIED, "loss": VARIED}, 1),  # all that both know agree
        ({"accuracy": VARIED, "loss": UNLIKE}, {"accuracy": VARIED}, 6),
        ({"accuracy": VARIED}, {"error": VARIED}, 0),
    ],
)
def test_metrics_that_both_know_by_name_agree_and_one_of_them_tells(
    tmp_path: Path, own: dict[str, Any], theirs: dict[str, Any], known: int
) -> None:
    sides = []
    for name, told in (("own", own), ("theirs", theirs)):
        metrics = {metric: {"bounds": [0, 100]} for metric in told}
        first = next(iter(told))
        sides += [ask(tmp_path / name, first, id=name, metrics=metrics), measure(ROWS, **told)]
    assert count_known(tmp_path, *sides) == known


def test_other_parameters_or_seeds_are_other_runs(tmp_path: Path) -> None:
    own, arms = ask(tmp_path / "own"), {"strong": {"label": "S", "parameters": {"alpha": 0.75}}}
    arms["weak"] = {"label": "W", "parameters": {"alpha": 0.25}}
    theirs = ask(tmp_path / "theirs", id="other", arms=arms)
    read = [row | {"parameters": {"alpha": 0.75}} for row in ROWS[:3]] + ROWS[3:]
    assert count_known(tmp_path / "parameters", own, ROWS, theirs, read) == 3
    later = [row | {"seed": row["seed"] + 1} for row in ROWS]
    assert count_known(tmp_path / "seeds", own, ROWS, own, later) == 0


def test_a_single_run_that_was_explored_is_known(tmp_path: Path) -> None:
    """Whoever explores one after the other has no value that varies."""
    own = ask(tmp_path / "own")
    assert count_known(tmp_path, own, ROWS, own, ROWS[:1]) == 1
