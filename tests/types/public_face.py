"""A type test of ``harness.api``: mypy checks this file, and nothing runs it.

What must be a wrong use carries an ignore for its error: where it is none, the ignore is unused and mypy says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import assert_type

from harness import api
from harness.errors import Finding
from harness.pipeline.tidy import MeasuredValue, SeedEstimate, TriedValue
from harness.records import BandDecision, Decision, DecisionPower, EstimandResult, Hypothesis, PowerReport


def use_a_file(path: Path) -> None:
    file = api.load(path)
    assert_type(file, api.HypothesisFile)
    assert_type(api.load("hypotheses/x.yaml").hypothesis, Hypothesis)
    assert_type(file.check(), api.CheckReport)
    assert_type(list(api.check(path, "hypotheses", against="main")), list[Finding])
    assert_type(file.plan(device="cpu").seconds, float)
    assert_type(file.power(sd={"margin": 1.5}, effects=[0.5]).decisions, tuple[DecisionPower, ...])
    assert_type(api.power(path, sd=1.5).report, PowerReport)
    assert_type(file.run(say=print), api.Verdict)
    assert_type(api.run(path, device="cpu", yes=True), api.Verdict)


def use_a_verdict(verdict: api.Verdict) -> None:
    assert_type(verdict.outcome, str)
    assert_type(verdict.as_predicted, bool)
    assert_type(verdict.record, Decision)
    assert_type(verdict.decisions, Mapping[str, api.DecisionView])
    assert_type(verdict.decisions["margin"].record, BandDecision)
    assert_type(verdict.decisions["margin"].interval, tuple[float, float] | None)
    assert_type(verdict.estimates, Mapping[str, EstimandResult])
    assert_type(verdict.measurements(), api.Table[MeasuredValue])
    assert_type(verdict.estimands(), api.Table[SeedEstimate])
    assert_type(verdict.search(), api.Table[TriedValue])
    assert_type(verdict.measurements()[0].layer, int | None)
    assert_type(verdict.measurements()[:2], Sequence[MeasuredValue])
    assert_type(api.list_verdicts(project="."), Sequence[str])
    assert_type(api.explore("x.yaml", "runs.json", incomplete=True).would_be, str)
    assert_type(api.list_explorations(project="."), Sequence[api.Exploration])


def misuse(verdict: api.Verdict) -> None:
    api.load(3)  # type: ignore[arg-type]
    api.run("x.yaml", "cpu")  # type: ignore[call-arg]
    api.power("x.yaml", sd="1.5")  # type: ignore[arg-type]
    verdict.outcome = "better"  # type: ignore[misc]
    print(verdict.measurements()[0].loss)  # type: ignore[attr-defined]
