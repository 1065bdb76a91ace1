"""Judging of what a program measured: ties by chance, failures, and the policies for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import inference
from harness.records import Hypothesis, Measurements, ReplicaResult, Series
from harness.records.measurements import digest_measured
from tests.unit.programs.toys import make

VALUES = {"strong": (0.5, 0.6, 0.5), "weak": (0.8, 0.9, 0.85)}


def measure(hypothesis: Hypothesis, values: dict[str, tuple[float | None, ...]] = VALUES) -> Measurements:  # type: ignore[assignment]
    """Return measurements of values by arm and seed; None stands for a replica that failed."""
    (metric,) = next(iter(hypothesis.arms.values())).setup.evaluation.measured
    replicas = []
    for arm, own in values.items():
        for index, value in enumerate(own):
            known = {"arm": arm, "seed_index": index, "seed": index}
            if value is None:
                lost = {"status": "failed", "failure": "it ended with exit code 3", "metrics": {}}
                replicas.append(ReplicaResult(**known, **lost, weights_sha256=digest_measured({})))
                continue
            metrics = {metric.key: Series(epochs=(1,), values={"value": ((value,),)})}
            told = {"status": "finished", "metrics": metrics, "raw": "a" * 64}
            replicas.append(ReplicaResult(**known, **told, weights_sha256=digest_measured(metrics)))
    seeds = tuple(range(len(values["strong"])))
    return Measurements(
        hypothesis="toy",
        registration="",
        seeds=seeds,
        epochs={"strong": 1, "weak": 1},
        data={},
        replicas=tuple(replicas),
    )


@pytest.fixture
def hypothesis(tmp_path: Path) -> Hypothesis:
    return make(tmp_path).hypothesis


def test_equal_values_of_some_seeds_are_chance_and_of_all_a_seed_that_was_not_applied(hypothesis: Hypothesis) -> None:
    assert inference.decide(hypothesis, measure(hypothesis)).outcome == "worse"
    same = measure(hypothesis, VALUES | {"strong": (0.5, 0.5, 0.5)})
    decision = inference.decide(hypothesis, same)
    assert (decision.outcome, decision.reason.kind) == ("invalid", "seed_not_applied")  # type: ignore[union-attr]


def test_equal_digests_of_weights_show_it_of_two_seeds(hypothesis: Hypothesis) -> None:
    measured = measure(hypothesis)
    first, *rest = (one.model_copy(update={"weights_sha256": f"{i:064x}"}) for i, one in enumerate(measured.replicas))
    same = rest[0].model_copy(update={"weights_sha256": first.weights_sha256})
    told = measured.model_copy(update={"replicas": (first, same, *rest[1:])})
    assert inference.decide(hypothesis, told).reason.kind == "seed_not_applied"  # type: ignore[union-attr]


@pytest.mark.parametrize("diverged", ["invalid", "exclude"])
def test_no_policy_for_divergence_drops_a_seed_that_failed(tmp_path: Path, diverged: str) -> None:
    hypothesis = make(tmp_path, exclusions={"diverged": diverged}).hypothesis
    lost = measure(hypothesis, VALUES | {"weak": (0.8, None, 0.85)})
    decision = inference.decide(hypothesis, lost)
    assert (decision.outcome, decision.reason.kind) == ("invalid", "failed")  # type: ignore[union-attr]
    assert decision.reason.seeds == {"weak": 1}  # type: ignore[union-attr]


def test_the_normal_form_tells_programs_and_parameters_apart(tmp_path: Path) -> None:
    from harness.domain.normal_form import encode_normal_form

    forms = {
        name: encode_normal_form(make(tmp_path / name, **told).hypothesis)  # type: ignore[arg-type]
        for name, told in {
            "same": {},
            "again": {"title": "Other words"},
            "parameter": {"arms": {
                "strong": {"label": "Strong", "parameters": {"alpha": 0.75}},
                "weak": {"label": "Weak", "parameters": {"alpha": 0.25}},
            }},
            "command": {"program": {"command": ["python3", "other.py", "{alpha}"]}},
            "slower": {"program": {"timeout": "2 min"}},
            "bounds": {"metrics": {"test_accuracy": {"bounds": [0, 0.9]}}},
        }.items()
    }  # fmt: skip
    assert forms["same"] == forms["again"] == forms["slower"]
    assert len({forms[name] for name in ("same", "parameter", "command", "bounds")}) == 4
