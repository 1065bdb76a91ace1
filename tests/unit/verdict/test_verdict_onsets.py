"""Onsets on the page: never is a word, figures have room for it, and JSON stays strict."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from harness import inference
from harness.records import Hypothesis, Measurements
from harness.verdict import render, word_decision
from harness.wording import append_unit, format_together, write_possible, write_span
from tests.unit.verdict import verdict_samples as samples

HALVES = {"early": "(-inf, 42.5]", "late": "(42.5, inf)"}
DELAYS = {"sooner": "(-inf, -0.5]", "later": "(-0.5, inf)"}
IMPLICATIONS = {name: {"says": "So."} for name in ("early", "late", "sooner", "later", "inconclusive", "invalid")}


def about(estimand: dict[str, Any], bands: dict[str, str]) -> Hypothesis:
    full = {"metric": "train_loss", "seeds": "median"} | estimand
    return samples.hypothesis(
        estimands={"begins": full},
        guards={},
        decisions={"begins": {"estimand": "begins", "criterion": {"name": "median"}, "bands": bands}},
        prediction={"outcome": next(iter(bands)), "why": "It should."},
        implications={name: IMPLICATIONS[name] for name in (*bands, "inconclusive", "invalid")},
        exploratory={"again": full},
    )


def never_in(measurements: Measurements, arm: str, seeds: range) -> Measurements:
    """The same with losses of some seeds that stay above 2.3."""
    replicas = []
    for replica in measurements.replicas:
        if replica.arm == arm and replica.seed_index in seeds:
            series = replica.metrics["train_loss"]
            flat = series.model_copy(update={"values": {"value": tuple((2.35,) for _ in series.epochs)}})
            replica = replica.model_copy(update={"metrics": replica.metrics | {"train_loss": flat}})
        replicas.append(replica)
    return measurements.model_copy(update={"replicas": tuple(replicas)})


def written(hypothesis: Hypothesis, lost: dict[str, range]) -> dict[str, bytes]:
    registered = samples.registered(hypothesis)
    measurements = samples.measurements(registered)
    for arm, seeds in lost.items():
        measurements = never_in(measurements, arm, seeds)
    decision = word_decision(hypothesis, inference.decide(hypothesis, measurements))
    return render(registered, measurements, decision, samples.provenance(), samples.moves(hypothesis))


ONE = {"arm": "penalized", "onset": {"below": 2.0}}
TWO = {"contrast": "penalized - bp_penalty", "onset": {"below": 1.9, "evaluations": 2}}


@pytest.mark.parametrize(
    ("estimand", "bands", "lost"),
    [
        (ONE, HALVES, {}),
        (ONE, HALVES, {"penalized": range(3)}),
        (ONE, HALVES, {"penalized": range(10)}),
        (TWO, DELAYS, {}),
        (TWO, DELAYS, {"penalized": range(6)}),
        (TWO, DELAYS, {"bp_penalty": range(6)}),
        (TWO, DELAYS, {"bp_penalty": range(4), "penalized": range(3, 7)}),
        (TWO, DELAYS, {"bp_penalty": range(10), "penalized": range(10)}),
    ],
    ids=str,
)
def test_every_mixture_of_epochs_and_never_is_written_and_drawn(estimand, bands, lost):
    files = written(about(estimand, bands), lost)

    def refuse(name: str) -> None:
        raise AssertionError(name)

    json.loads(files["verdict.json"], parse_constant=refuse)
    page = files["verdict.md"].decode()
    told = page.replace("(-inf", "").replace("inf)", "").replace("−inf", "")  # of bands and parts of the line
    assert not re.search(r"\binf\b|\bnan\b|infinity", told)
    if lost == {"bp_penalty": range(10), "penalized": range(10)}:
        assert "figures/begins.svg" not in files  # there is nothing to draw
        return
    figure = files["figures/begins.svg"].decode()
    assert "<svg" in figure and "nan" not in figure and "inf" not in figure.replace("info", "")


def test_never_is_told_in_the_table_the_estimate_and_the_warnings():
    page = written(about(ONE, HALVES), {"penalized": range(7)})["verdict.md"].decode()
    assert len(re.findall(r"\| never \(\d+ or more\) \|", page)) == 7
    assert re.search(r"The median over 10 seeds is \*\*never \(\d+ or more, by the evaluations\)\*\*", page)
    assert re.search(r"By the evaluations it may be \d+ epochs or more\.", page)
    assert "begins: at 7 of 10 seeds an arm never comes to it in its training" in page
    assert "at 3 of 10 seeds it is only known between which evaluations the onset lies" in page
    assert re.search(r"\| \d+ \(\d+ to \d+\) \|", page)
    assert "| first epoch with training loss below 2, Penalized DFA, median over seeds | median never" in page


def test_a_contrast_says_which_arm_never_comes_to_it():
    lost = {"bp_penalty": range(4), "penalized": range(3, 7)}
    page = written(about(TWO, DELAYS), lost)["verdict.md"].decode()
    assert len(re.findall(r"\| first arm never \(\d+ or more\) \|", page)) == 3
    assert len(re.findall(r"\| second arm never \(−?\d+ or less\) \|", page)) == 3
    assert page.count("| both never |") == 1
    assert "at 1 of 10 seeds neither arm ever comes to it" in page
    assert "![10 seeds, estimate" in page


def test_epochs_are_written_whole_and_never_has_no_unit():
    assert format_together([30.0, 27.5, float("inf")], (), ("", "never")) == ["30", "27.5", "never"]
    assert append_unit("never", "epochs") == "never"
    assert append_unit("1", "epochs") == "1 epoch" and append_unit("2", "epochs") == "2 epochs"
    assert write_span("5", "30", "epochs") == "5 to 30 epochs"
    assert write_span("5", "never", "epochs") == "5 epochs to never"
    assert write_possible(26, 30, "epochs") == "26 to 30 epochs"
    assert write_possible(7, float("inf"), "epochs") == "7 epochs or more"
    assert write_possible(float("-inf"), -7, "") == "-7 or less"
    assert write_possible(float("-inf"), float("inf"), "epochs") == "anything"
