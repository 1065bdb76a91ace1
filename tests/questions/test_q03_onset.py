"""Question 3: the epoch at which the gradient norm falls below a floor, and whether the penalty delays it."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy import stats

from tests.questions.asked import Answer, ask


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> Answer:
    return ask("q03_onset", tmp_path_factory)


def read_onsets(answer: Answer, arm: str) -> np.ndarray:
    """Least possible, seen and greatest possible onset of each seed, [seed, 3]."""
    found = []
    for replica in (one for one in answer.results["replicas"] if one["arm"] == arm):
        series = replica["metrics"]["gradient_norm"]
        epochs = np.array(series["epochs"])
        below = np.array(series["values"]["median"])[:, 2] < 6.0e-4
        twice = np.flatnonzero(below[:-1] & below[1:])
        before = np.concatenate([[0], epochs])
        if len(twice):
            found.append((before[twice[0]] + 1, epochs[twice[0]], epochs[twice[0]]))
        else:  # what is below at the last evaluation may have begun just before it, and be the onset
            found.append((before[-2 if below[-1] else -1] + 1, math.inf, math.inf))
    return np.array(found, dtype=float)


def test_every_onset_is_what_numpy_reads_in_the_results(answer: Answer) -> None:
    plain, penalised = read_onsets(answer, "vanilla"), read_onsets(answer, "penalized")
    assert [float(value) for value in answer.values("collapse")] == plain[:, 1].tolist()
    with np.errstate(invalid="ignore"):
        delays = np.nan_to_num(penalised[:, 1] - plain[:, 1], nan=0.0, posinf=math.inf, neginf=-math.inf)
    assert [float(value) for value in answer.values("delay")] == delays.tolist()
    least, greatest = penalised[:, 0] - plain[:, 2], penalised[:, 2] - plain[:, 0]
    for seed, low, high in zip(answer.estimate("delay")["values"], least, greatest, strict=True):
        assert [float(end) for end in seed.get("between", [seed["value"]] * 2)] == [low, high]


def test_the_decisions_are_scipys_sign_tests_of_what_is_certain(answer: Answer) -> None:
    plain, penalised = read_onsets(answer, "vanilla"), read_onsets(answer, "penalized")
    collapse, delay = answer.verdict["decision"]["decisions"]
    early, later = int((plain[:, 2] < 10.5).sum()), int((penalised[:, 0] - plain[:, 2] > 0.5).sum())
    for count, p in ((early, collapse["atoms"][1]["p"]), (later, delay["atoms"][0]["p"])):
        assert p == pytest.approx(stats.binomtest(count, 8, 0.5, alternative="greater").pvalue)


def test_the_page_says_never_and_the_json_is_strict(answer: Answer) -> None:
    (file,) = answer.project.root.glob("verdicts/*/*/verdict.json")
    json.loads(file.read_text("utf-8"), parse_constant=lambda name: pytest.fail(f"{name} in verdict.json"))
    assert "first epoch with BP gradient norm below 0.0006 at 2 evaluations in a row" in answer.page
    assert " inf " not in answer.page and "infinity" not in answer.page
    first_never = [value for value in answer.values("delay") if value == "inf"]
    assert answer.page.count("| first arm never (") == len(first_never) and (
        not first_never or "never comes to it" in answer.page
    )
    if any("between" in seed for name in ("collapse", "delay") for seed in answer.estimate(name)["values"]):
        assert "it is only known between which evaluations the onset lies" in answer.page


def test_it_is_judged_again_to_the_byte_and_by_other_criteria(answer: Answer) -> None:
    again = answer.project.harness("reverdict", "q03-onset")
    assert again.returncode == 0 and "the same to the byte" in again.stderr
    others = answer.project.harness("reverdict", "q03-onset", "--criterion", "all")
    assert others.returncode == 0 and "onsets have a median and no mean" in " ".join(others.stdout.split())
    audited = answer.project.harness("audit", "--recompute")  # 5: nothing shows that the seeds were not chosen
    assert audited.returncode == 5 and "FAIL" not in audited.stdout


def test_its_power_is_refused_with_the_reason(answer: Answer) -> None:
    ran = answer.project.harness("power", "hypotheses/q03_onset.yaml", "--sd", "3")
    assert ran.returncode == 2
    assert "is about an onset, which has no standard deviation" in ran.stderr
