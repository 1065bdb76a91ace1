"""Metrics measured otherwise than training: with fresh feedback, or on another probe batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.batched import keyed
from harness.batched.specs import Init, TensorSpec
from harness.metrics import Metric, parse_metric
from harness.records import Arm
from harness.training import Run, open_device, train
from harness.training.evaluate import evaluate
from harness.training.program import Program, build_program
from harness.training.results import select_metrics
from tests.oracles.reference_loop import direction
from tests.unit.training.training_inputs import SETUP, arm, cohort, digits, planned

FRESH = {"name": "credit_cosine", "feedback": "fresh"}
PLAIN = ["test_accuracy", "credit_cosine", "credit_norm", "hidden_norm"]
VARIED: list[Any] = [*PLAIN, FRESH, FRESH | {"draw": 3}, {"name": "credit_norm", "feedback": "fresh"}]
SUMMARIES = ("mean", "median", "std")


def measured(metrics: list[Any], **setup: Any) -> dict[str, Any]:
    return setup | {"evaluation": {"probe_samples": 50, "every_epochs": 2, "metrics": metrics}}


def train_one_epoch(arms: dict[str, Arm], seeds: list[int]) -> Program:
    program = build_program(cohort(arms, seeds), digits(), open_device("cpu"))
    program.begin_epoch(0, program.draw(0))
    program.run_epoch()
    return program


def draw_fresh(seed: int, draw: int) -> list[np.ndarray]:
    """The two blocks' feedback, drawn by the key that the documentation names."""
    specs = [TensorSpec(f"feedback_{layer}", (10, 16), Init("normal", 10**-0.5), "") for layer in range(2)]
    return [keyed.tensor(spec, seed, "fresh feedback", draw).astype(np.float32) for spec in specs]


def summarise(samples: np.ndarray) -> dict[str, np.ndarray]:
    return {"mean": samples.mean(1), "median": np.median(samples, 1), "std": samples.std(1, ddof=1)}


def test_fresh_feedback_is_drawn_by_key_and_credit_follows_from_it_as_in_the_oracle() -> None:
    program = train_one_epoch(
        {"a": arm(setup=measured(VARIED)), "b": arm(setup=measured(VARIED), strength=0.1)}, [3, 4]
    )
    values = evaluate(program, select_metrics(program.state.setup))
    x, y = (tensor[0].numpy() for tensor in program.probe)
    for r, replica in enumerate(program.state.cohort.replicas):
        weights = {name: tensor[r].detach().numpy() for name, tensor in program.state.params.items()}
        for draw, key in ((0, "feedback=fresh"), (3, "feedback=fresh,draw=3")):
            expected = direction(weights, draw_fresh(replica.seed, draw), x, y)
            for summary, value in summarise(expected["cosine"]).items():
                np.testing.assert_allclose(values[f"credit_cosine:{key}"][summary][r], value, rtol=1e-9, atol=1e-12)
        norms = summarise(direction(weights, draw_fresh(replica.seed, 0), x, y)["a_norm"])
        np.testing.assert_allclose(values["credit_norm:feedback=fresh"]["mean"][r], norms["mean"], rtol=1e-9)
    own = program.state.rule_groups[0].feedback["feedback_0"][0].numpy()
    assert not np.allclose(own, draw_fresh(3, 0)[0])


def test_metrics_beside_others_have_the_bits_that_they_have_alone(tmp_path: Path) -> None:
    """Variants that are not asked for change nothing, and those that are change no other metric and no weight."""
    found = []
    for folder, metrics in (("alone", PLAIN), ("beside", VARIED)):
        plan = planned(cohort({"dfa": arm(setup=measured(metrics)), "bp": arm("bp", setup=measured(metrics))}, [1, 2]))
        found.append(train(plan, Run({"digits": digits()}, open_device("cpu"), tmp_path / folder)).replicas)
    for one, other in zip(*found, strict=True):
        assert one.weights_sha256 == other.weights_sha256
        assert one.metrics == {name: series for name, series in other.metrics.items() if ":" not in name}
        variants = {name for name in other.metrics if ":" in name}
        assert len(variants) == (3 if one.arm == "dfa" else 0)


def test_a_probe_batch_of_its_own_is_part_of_its_split_without_augmentation() -> None:
    own = {"name": "hidden_norm", "probe_samples": 20, "probe_split": "train"}
    smaller = {"name": "hidden_norm", "probe_samples": 20}
    dataset = {"name": "digits", "augment": ["random_crop"]}
    program = train_one_epoch({"a": arm("bp", setup=measured(["hidden_norm", own, smaller], dataset=dataset))}, [5])
    values = evaluate(program, select_metrics(program.state.setup))
    images = digits()
    for split, pixels in (("train", images.train_images), ("test", images.test_images)):
        order = keyed.permutation(len(pixels), 0, "probe" if split == "test" else "probe/train")
        x = ((pixels[np.sort(order[:20])] / 16.0 - 0.3053) / 0.3760).reshape(20, -1)
        weights = {name: tensor[0].detach().numpy() for name, tensor in program.state.params.items()}
        norms = direction(weights, [np.zeros((10, 16))] * 2, x, np.zeros(20, dtype=np.int64))["h_norm"]
        key = "hidden_norm:" + ("" if split == "test" else "probe_split=train,") + "probe_samples=20"
        np.testing.assert_allclose(values[key]["mean"][0], norms.mean(1), rtol=1e-9)
    larger, part = (set(map(bytes, program.get_probe("test", n)[0][0].numpy())) for n in (None, 20))
    assert part < larger


def test_a_validation_split_can_be_the_probe() -> None:
    setup = measured([{"name": "gradient_norm", "probe_split": "validation"}], validation={"count": 60})
    program = train_one_epoch({"a": arm("bp", setup=setup)}, [5])
    (key,) = evaluate(program, select_metrics(program.state.setup))
    assert key == "gradient_norm:probe_split=validation"
    assert program.validation is not None
    labels = program.get_probe("validation")[1][0]
    assert len(labels) == 50 and set(labels.tolist()) <= set(program.validation.original_labels.tolist())


@pytest.mark.parametrize(
    ("key", "written"),
    [
        ("credit_cosine", {"name": "credit_cosine"}),
        ("credit_cosine:feedback=fresh", FRESH),
        (
            "credit_norm:probe_split=train,probe_samples=64,feedback=fresh,draw=2",
            {"name": "credit_norm", "feedback": "fresh", "draw": 2, "probe_samples": 64, "probe_split": "train"},
        ),
    ],
)
def test_a_key_names_a_metric_with_its_parameters_and_back(key: str, written: dict[str, Any]) -> None:
    metric = parse_metric(key)
    assert metric.key == key and metric.model_dump() == written
    assert type(metric).model_validate(written).key == key


@pytest.mark.parametrize(
    ("key", "error"),
    [
        ("no_metric:feedback=fresh", KeyError),
        ("hidden_norm:feedback=fresh", ValueError),
        ("credit_cosine:draw=1", ValueError),
        ("credit_cosine:feedback", ValueError),
        ("credit_cosine:name=credit_norm", ValueError),
        ("credit_cosine:probe_samples=many", ValueError),
    ],
)
def test_what_is_no_key_is_refused(key: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        parse_metric(key)


def test_defaults_that_are_written_out_mean_the_bare_name() -> None:
    plain = Arm.model_validate({"label": "a", "rule": {"name": "dfa"}, "setup": SETUP | measured(["credit_cosine"])})
    written = [{"name": "credit_cosine", "feedback": "training", "draw": 0, "probe_samples": None}]
    full = Arm.model_validate({"label": "a", "rule": {"name": "dfa"}, "setup": SETUP | measured(written)})
    assert plain == full and full.setup.evaluation.metrics == ("credit_cosine",)
    assert isinstance(full.setup.evaluation.measured[0], Metric)
