"""What comes after ``check``, without training: whatever it accepts, no later stage may fail on."""

from __future__ import annotations

import math
import random

from harness import claims, inference, ledger, plan
from harness.domain.measured import is_defined
from harness.metrics import Metric
from harness.records import Arm, Estimand, Hypothesis, Measurements
from harness.records.claims import Consequences
from harness.rules import RuleTensors
from harness.spec import Loaded

JUDGED = 400
"""Replicas up to which numbers are made up and judged; more are only planned."""
CARD = 80 * 2**30


def go_on(loaded: Loaded, rng: random.Random) -> None:
    """Plan, estimate, build what programs are made of, judge made-up measurements, and move claims."""
    hypothesis = loaded.hypothesis
    seeds = hypothesis.seeds.list or tuple(range(hypothesis.seeds.number))
    ledger.write_canonical(hypothesis)
    if (own := hypothesis.built_in) is not None:
        _plan(own, seeds)
    if hypothesis.program is not None:
        planned = plan.expand_replicas(hypothesis, seeds)
        assert sum(len(cohort.replicas) for cohort in planned.cohorts) == len(seeds) * len(hypothesis.programmed)
    if len(seeds) * len(hypothesis.arms) <= JUDGED:
        decision = inference.decide(hypothesis, made_up(hypothesis, seeds, rng))
        assert decision.outcome in hypothesis.outcomes
        implication = hypothesis.implications[decision.outcome]
        assert isinstance(claims.find_consequences(loaded.claims, implication), Consequences)


def _plan(hypothesis: Hypothesis, seeds: tuple[int, ...]) -> None:
    planned = plan.expand(hypothesis, seeds, plan.Limits(memory_bytes=CARD))
    assert sum(len(cohort.replicas) for cohort in planned.cohorts) == len(seeds) * len(hypothesis.arms)
    for device in ("cpu", "cuda"):
        estimate = plan.estimate(planned, device)
        assert estimate.steps > 0
        assert math.isfinite(estimate.seconds)
    for arm in hypothesis.arms.values():
        _program(arm)


def _program(arm: Arm) -> None:
    """What the engine asks of the plug-ins before the first step."""
    setup = arm.setup
    specs = setup.model.parameters(setup.dataset.features, setup.classes)
    groups = set(setup.model.groups())
    assert {spec.group for spec in specs} <= groups
    assert setup.model.expand_groups(arm.freeze) < groups
    RuleTensors.of(arm.rule, setup.model, setup.dataset.features, setup.classes)
    assert set(arm.rule.clip_norms(setup.model)) <= groups
    assert setup.evaluated_epochs[-1] == setup.epochs


def made_up(hypothesis: Hypothesis, seeds: tuple[int, ...], rng: random.Random) -> Measurements:
    """Measurements of the form that the engine gives, with random numbers inside each metric's bounds."""
    asked = (*hypothesis.estimands.values(), *hypothesis.exploratory.values())
    replicas = [
        {
            "arm": name,
            "seed_index": index,
            "seed": seed,
            "status": "finished",
            "weights_sha256": f"{rng.getrandbits(256):064x}",
            "metrics": {
                metric.key: _series(metric, arm, asked, rng)
                for metric in arm.setup.evaluation.measured
                if is_defined(metric, arm.rule, arm.setup)
            },
        }
        for name, arm in hypothesis.arms.items()
        for index, seed in enumerate(seeds)
    ]
    return Measurements.model_validate(
        {
            "hypothesis": hypothesis.id,
            "registration": "",
            "seeds": seeds,
            "epochs": {name: arm.setup.epochs for name, arm in hypothesis.arms.items()},
            "data": {},
            "replicas": replicas,
        }
    )


def _series(metric: Metric, arm: Arm, asked: tuple[Estimand, ...], rng: random.Random) -> dict[str, object]:
    low, high = (max(-10.0, metric.bounds[0]), min(10.0, metric.bounds[1]))
    named = {estimand.epoch for estimand in asked if estimand.epoch is not None}
    epochs = sorted({1, arm.setup.epochs, *(named & set(arm.setup.evaluated_epochs))})
    columns = arm.setup.model.depth + 1 if metric.layered else 1
    summaries = ("mean", "std", "median") if metric.per_sample else ("value",)
    values = {
        summary: [[rng.uniform(0 if summary == "std" else low, high) for _ in range(columns)] for _ in epochs]
        for summary in summaries
    }
    return {"epochs": epochs, "values": values}
