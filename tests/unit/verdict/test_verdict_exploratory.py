"""Exploratory rows show the summary over seeds that the file asks for, with its interval or why there is none."""

from __future__ import annotations

from harness import inference
from harness.verdict import render, word_decision
from tests.unit.verdict import verdict_samples as samples


def write(**summaries: str) -> str:
    """A page whose exploratory estimands have these summaries over seeds, by name."""
    loss = {"metric": "train_loss", "arm": "penalized"}
    hypothesis = samples.hypothesis(exploratory={name: {**loss, "seeds": kind} for name, kind in summaries.items()})
    registered = samples.registered(hypothesis)
    measurements = samples.measurements(registered)
    decision = word_decision(hypothesis, inference.decide(hypothesis, measurements))
    page = render(registered, measurements, decision, samples.provenance(), samples.moves(hypothesis))["verdict.md"]
    return page.decode().split("## Exploratory results")[1].split("## What was measured")[0]


def test_a_table_of_means_is_as_it_was() -> None:
    told = write(x="mean")
    assert "| What | Mean over seeds | 95% interval (t) | n |" in told
    assert "median" not in told and "The interval is" not in told


def test_a_median_is_shown_as_one_and_its_interval_or_the_lack_of_it_is_explained() -> None:
    told = write(x="median", y="mean")
    (row,) = (line for line in told.splitlines() if line.startswith("| ") and "median over seeds" in line)
    assert "| median " in row
    assert "| Over seeds (the mean, where nothing else is said) |" in told
    assert "sign test" in told or ("no interval, because that of this summary takes" in told and "6 seeds" in told)


def test_each_kind_of_summary_is_named_in_its_row() -> None:
    told = write(x="pseudomedian", y="iqm")
    assert "| pseudomedian " in told and "| interquartile mean " in told
