"""Which rule is better when each has the best of some learning rates that are drawn from the same range?"""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

import pytest

from tests.questions.asked import Answer, ask
from tests.questions.last_values import last_values

LOW, HIGH, TRIALS = 1e-4, 1e-1, 4
PATH = "setup.optimizer.lr"


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> Answer:
    return ask("drawn_rates", tmp_path_factory)


@pytest.fixture(scope="module")
def search(answer: Answer) -> dict[str, Any]:
    (file,) = answer.project.root.glob("verdicts/*/*/search.json")
    found: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return found


def draw_rates(seeds: list[int]) -> list[float]:
    """The rates by the words of the decision, from SHA-256 alone."""
    rates = []
    for trial in range(TRIALS):
        told = b"harness/tuning/draw-v1\0" + b"".join(seed.to_bytes(8, "big") for seed in seeds)
        bits = int.from_bytes(
            hashlib.sha256(told + PATH.encode() + b"\0" + trial.to_bytes(8, "big")).digest()[:8], "big"
        )
        rates.append(float(f"{10 ** (math.log10(LOW) + (bits >> 11) / 2**53 * math.log10(HIGH / LOW)):.4g}"))
    return rates


def test_the_best_of_the_drawn_rates_decides(answer: Answer, search: dict[str, Any]) -> None:
    rates = draw_rates(search["seeds"])
    for arm in ("bp", "dfa"):
        told = answer.verdict["decision"]["search"]["arms"][arm]
        assert [one["values"] for one in told["candidates"]] == [{PATH: rate} for rate in rates]
        means = last_values(search, [f"{arm}_{number}" for number in range(1, 5)], "validation_accuracy").mean(axis=0)
        best = max(range(TRIALS), key=lambda one: (round(float(means[one]), 12), -rates[one]))  # of equals the smaller
        assert told["chosen"] == best
    right = last_values(answer.results, ("bp", "dfa"), "test_accuracy")
    assert answer.values("gap") == pytest.approx((100 * (right[:, 0] - right[:, 1])).tolist())


def test_the_page_and_the_plan_say_from_what_was_drawn(answer: Answer) -> None:
    told = "setup.optimizer.lr log-uniformly from 0.0001 to 0.1"
    section = answer.page.split("## How the settings were chosen")[1].split("## Seeds")[0]
    assert section.count(f"The tuning seeds drew the candidates from these ranges: {told}.") == 2
    planned = answer.project.harness("plan", "hypotheses/drawn_rates.yaml").stdout
    assert f"search for each of bp, dfa: 4 candidates × 3 seeds, drawn when the seeds are fixed: {told}" in planned


def test_it_is_judged_and_repeated_with_draws_of_its_own(answer: Answer) -> None:
    again = answer.project.harness("reverdict", "drawn-rates")
    assert "the same to the byte" in again.stdout + again.stderr, again.stderr
    repeated = answer.project.harness("replicate", "drawn-rates", "--fresh", "0123456789abcdef")
    assert "with seeds from the nonce" in repeated.stdout, repeated.stderr
    (event,) = answer.project.events("repeated")  # whatever other seeds, and rates that follow from them, come to
    kept = json.loads((answer.project.root / "verdicts/objects/sha256" / event["body"]["results"]).read_text("utf-8"))
    assert len(kept["seeds"]) == 6 and not {*kept["seeds"]} & {*answer.results["seeds"]}
    assert {replica["arm"] for replica in kept["replicas"]} == {"bp", "dfa"}


def test_a_figure_shows_every_candidate_and_names_its_axes(answer: Answer) -> None:
    (figure,) = answer.project.root.glob("verdicts/*/*/figures/search-of-settings.svg")
    assert figure.read_bytes().startswith(b"<?xml")
    told = "every candidate of the search, over setup.optimizer.lr on a log axis"
    section = answer.page.split("## How the settings were chosen")[1].split("## Seeds")[0]
    assert told in section
    assert "(figures/search-of-settings.svg)" in section
