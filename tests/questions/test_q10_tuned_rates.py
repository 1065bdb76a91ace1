"""Question 10: which rule is better when each has its own best learning rate, chosen with the same budget?"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.ledger import Ledger
from harness.pipeline.reverdict import find_other_choice
from harness.pipeline.run_files import read_run
from tests.e2e.projects import Project
from tests.questions.asked import Answer, ask
from tests.questions.last_values import last_values

RATES = (1e-3, 3e-3, 1e-2)
ARMS = ("bp", "dfa")


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> Answer:
    return ask("q10_tuned_rates", tmp_path_factory)


def find_folder(answer: Answer) -> Path:
    (folder,) = (path.parent for path in answer.project.root.glob("verdicts/*/*/verdict.json"))
    return folder


def list_events(answer: Answer) -> list[dict[str, Any]]:
    paths = answer.project.root.glob("verdicts/ledger/events/*.json")
    return [json.loads(path.read_text("utf-8")) for path in paths]


def test_each_arm_has_the_rate_with_the_best_mean_on_the_validation_split(answer: Answer) -> None:
    search = json.loads((find_folder(answer) / "search.json").read_text("utf-8"))
    (event,) = (event for event in list_events(answer) if event["type"] == "tuned")
    for arm in ARMS:
        found = last_values(search, [f"{arm}_{number}" for number in (1, 2, 3)], "validation_accuracy")
        means = found.mean(axis=0)
        told = answer.verdict["decision"]["search"]["arms"][arm]
        assert [one["mean"] for one in told["candidates"]] == pytest.approx(means.tolist())
        assert event["body"]["chosen"][arm] == {"setup.optimizer.lr": RATES[told["chosen"]]}
        ranked = [means[told["chosen"]], means[told["runner_up"]]]  # means may be equal
        assert told["chosen"] != told["runner_up"] and ranked == pytest.approx(sorted(means)[:0:-1])


def test_the_gap_is_that_of_the_chosen_arms_at_fresh_seeds(answer: Answer) -> None:
    right = last_values(answer.results, ARMS, "test_accuracy")
    assert answer.values("gap") == pytest.approx((100 * (right[:, 0] - right[:, 1])).tolist())
    search = json.loads((find_folder(answer) / "search.json").read_text("utf-8"))
    assert not {*search["seeds"]} & {*answer.results["seeds"]}
    material = b"harness/seed/tuning-v1\0" + b"".join(seed.to_bytes(8, "big") for seed in answer.results["seeds"])
    digests = [hashlib.sha256(material + index.to_bytes(8, "big")).digest() for index in range(3)]
    assert search["seeds"] == [int.from_bytes(digest[:6], "big") for digest in digests]


def test_the_choice_is_in_the_ledger_before_the_results(answer: Answer) -> None:
    by_type = {event["type"]: event for event in list_events(answer)}
    search = hashlib.sha256((find_folder(answer) / "search.json").read_bytes()).hexdigest()
    assert by_type["tuned"]["body"]["search"] == by_type["verdict"]["body"]["files"]["search.json"] == search
    assert len(by_type["run_finished"]["parents"]) == 1


def test_the_page_shows_the_whole_search(answer: Answer) -> None:
    section = answer.page.split("## How the settings were chosen")[1].split("## Seeds")[0]
    rows = [line for line in section.splitlines() if line.startswith("| 0.0")]
    assert len(rows) == 6
    assert sum("| chosen |" in row for row in rows) == sum("| next best |" in row for row in rows) == 2
    (event,) = (event for event in list_events(answer) if event["type"] == "tuned")
    at_edge = [one for one in event["body"]["chosen"].values() if one["setup.optimizer.lr"] != RATES[1]]
    assert section.count("the edge of the space") == len(at_edge)


def test_it_is_judged_audited_and_trained_again(answer: Answer, tmp_path: Path) -> None:
    project = Project(shutil.copytree(answer.project.root, tmp_path / "project"))
    again = project.harness("reverdict", "q10-tuned-rates")
    assert again.returncode == 0, again.stderr
    assert "the same to the byte" in again.stdout + again.stderr
    trained = project.harness("replicate", "q10-tuned-rates")
    assert "the same results to the bit" in trained.stdout + trained.stderr, trained.stderr
    repeated = project.harness("replicate", "q10-tuned-rates", "--fresh", "0123456789abcdef")
    (repetition,) = project.events("repeated")  # other seeds may give another outcome
    agrees = "it does not agree" if repetition["body"]["differences"] else "it agrees"
    assert agrees in repeated.stdout + repeated.stderr, repeated.stderr
    audited = project.harness("audit", "--recompute")
    assert "FAIL" not in audited.stdout, audited.stdout


def test_a_choice_that_does_not_follow_is_named(answer: Answer) -> None:
    found = read_run(Ledger(answer.project.root / "verdicts"), "q10-tuned-rates")
    assert find_other_choice(found) == []
    assert found.tuned is not None
    other_rate = next(rate for rate in RATES if rate != found.tuned.chosen["bp"]["setup.optimizer.lr"])
    chosen = {**found.tuned.chosen, "bp": {"setup.optimizer.lr": other_rate}}
    other = found.tuned.model_copy(update={"chosen": chosen})
    assert find_other_choice(replace(found, tuned=other)) == ["ledger: the choice of the search"]
    assert find_other_choice(replace(found, tuned=None)) == ["ledger: the choice of the search"]
    assert found.search is not None
    moved = found.search.model_copy(update={"seeds": found.registered.seeds[:3]})
    assert find_other_choice(replace(found, search=moved)) == ["search.json: its seeds"]


def test_power_plan_and_explain_know_it(answer: Answer) -> None:
    file = "hypotheses/q10_tuned_rates.yaml"
    planned = answer.project.harness("plan", file).stdout
    assert "bp_1, bp_2, bp_3" in planned
    assert "bp_better" in answer.project.harness("power", file, "--sd", "5").stdout
    assert "form their grid" in answer.project.harness("explain", "tuning.space").stdout
