"""Subsets and validation splits in training: what is trained on, what is measured, and what never touches a weight."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.datasets import Images
from harness.domain.selection import select_images
from harness.errors import Interrupted
from harness.metrics import Metric
from harness.plugins.registry import find_members
from harness.records import Plan
from harness.training import Progress, Run, open_device, train
from harness.training.cohorts import split_in_two
from harness.training.evaluate import evaluate
from harness.training.program import Program, build_program
from harness.training.results import select_metrics
from tests.unit.training.training_inputs import arm, cohort, digits, planned

METRICS = [
    "test_accuracy", "train_accuracy", "train_loss", "train_loss_original", "validation_accuracy", "validation_loss",
]  # fmt: skip
VALIDATED: dict[str, Any] = {
    "validation": {"share": 0.2},
    "evaluation": {"probe_samples": 50, "every_epochs": 2, "metrics": METRICS},
}


def train_on(images: Images, plan: Plan, folder: Path, **options: Any) -> list[dict[str, Any]]:
    device = replace(open_device("cpu"), workers=1)
    done = train(plan, Run({"digits": images}, device, folder, **options))
    return [replica.model_dump(mode="json") for replica in done.replicas]


def without_training(setup: dict[str, Any]) -> Program:
    return build_program(cohort({"bp": arm("bp", setup=setup)}, [3, 4]), digits(), open_device("cpu"))


def test_what_validates_never_touches_a_weight_and_what_trains_does(tmp_path: Path) -> None:
    """Other pixels in the validation split change what is measured there and not one bit of the weights."""
    plan = planned(cohort({"bp": arm("bp", setup=VALIDATED), "dfa": arm("dfa", setup=VALIDATED)}, [1, 2]))
    part = select_images(digits(), arm("bp", setup=VALIDATED).setup)
    assert part.selected is not None
    apart = np.setdiff1d(np.arange(300), part.selected.train_index)
    assert len(apart) == 60
    before = train_on(digits(), plan, tmp_path / "before")

    def scramble(places: np.ndarray) -> Images:
        images = digits()
        images.train_images[places] = images.train_images[places][:, :, ::-1] // 2
        return images

    scrambled = train_on(scramble(apart), plan, tmp_path / "scrambled")
    trained = train_on(scramble(part.selected.train_index[:1]), plan, tmp_path / "trained")
    for one, other, third in zip(before, scrambled, trained, strict=True):
        assert one["weights_sha256"] == other["weights_sha256"] != third["weights_sha256"]
        for name in METRICS:
            assert (one["metrics"][name] == other["metrics"][name]) == (not name.startswith("validation"))


def test_metrics_of_the_validation_split_are_measured_at_the_evaluated_epochs(tmp_path: Path) -> None:
    (found,) = train_on(digits(), planned(cohort({"bp": arm("bp", setup=VALIDATED)}, [1])), tmp_path)
    for name in ("validation_accuracy", "validation_loss"):
        assert found["metrics"][name]["epochs"] == [1, 2, 3]
        assert all(np.isfinite(row).all() for row in found["metrics"][name]["values"]["value"])


def test_metrics_are_means_over_their_own_split() -> None:
    """Of the network as it is drawn, by counting and averaging over the logits of each split."""
    program = without_training(VALIDATED)
    measured = evaluate(program, select_metrics(program.state.setup))
    part = select_images(digits(), program.state.setup)
    assert part.selected is not None
    splits = {
        "test": (part.test_images, part.test_labels),
        "validation": (part.selected.validation_images, part.selected.validation_labels),
        "train": (part.train_images, part.train_labels),
    }
    for r in range(2):
        for split, (images, labels) in splits.items():
            logits = forward(program, r, images)
            hits = (logits.argmax(1) == labels).mean()
            right = logits[np.arange(len(labels)), labels]
            loss = (np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1)) + logits.max(1) - right).mean()
            names = {"test": ("test_accuracy", None), "validation": ("validation_accuracy", "validation_loss")}
            accuracy, mean = names.get(split, ("train_accuracy", "train_loss_original"))
            assert measured[accuracy]["value"][r, 0] == pytest.approx(hits, abs=1e-12)
            if mean is not None:
                assert measured[mean]["value"][r, 0] == pytest.approx(loss, rel=1e-5)


def forward(program: Program, r: int, images: np.ndarray) -> np.ndarray:
    """Return logits of a replica by the model's own functions in float64, which other tests hold against the oracle."""
    import torch

    params = {name: tensor[r : r + 1].detach().double() for name, tensor in program.state.params.items()}
    model = program.state.model
    x = torch.from_numpy(((images / 16.0 - 0.3053) / 0.3760).reshape(1, len(images), -1))
    h = model.embed(params, x)
    for layer in range(model.depth):
        h = model.join(h, model.branch(params, layer, h))
    return np.asarray(model.head(params, h)[0].numpy())


def test_metrics_say_which_split_they_are_measured_on() -> None:
    kinds = find_members("metrics")
    splits = {name: kind.split for name, kind in kinds.items() if issubclass(kind, Metric)}
    assert {name for name, split in splits.items() if split == "validation"} == {
        "validation_accuracy",
        "validation_loss",
    }
    assert {name for name, split in splits.items() if split == "train"} == {
        "train_loss",
        "train_loss_original",
        "train_accuracy",
    }
    resolution: Callable[[int], float] = kinds["validation_accuracy"](name="validation_accuracy").resolution  # type: ignore[attr-defined]
    assert resolution(144) == 1 / 144


def test_a_subset_of_classes_has_a_logit_for_each() -> None:
    setup = {"subset": {"classes": [1, 4, 8]}, "evaluation": {"probe_samples": 50}}
    program = without_training(setup)
    assert program.state.params["head.weight"].shape == (2, 16, 3)
    assert program.state.count == len(program.state.train.original_labels) < 100
    assert set(program.test.original_labels.tolist()) == set(program.probe[1].flatten().tolist()) == {0, 1, 2}


def test_an_image_keeps_its_noise_whichever_others_are_used() -> None:
    noisy = {"labels": {"name": "noisy", "share": 0.5}}
    whole, part = (
        without_training(noisy),
        without_training(noisy | {"subset": {"size": 90}, "validation": {"count": 50}}),
    )
    selected = select_images(digits(), part.state.setup).selected
    assert selected is not None
    np.testing.assert_array_equal(part.state.labels, whole.state.labels[:, selected.train_index])


def test_cohorts_of_parts_give_the_same_when_they_are_split_or_stopped(tmp_path: Path) -> None:
    setup = VALIDATED | {"subset": {"classes": [0, 1, 2, 5, 6], "size": 80}, "labels": {"name": "random"}}
    setup |= {"precision": "float64", "batch_size": 20}
    one = cohort({"bp": arm("bp", 0.01, setup=setup), "dfa": arm("dfa", setup=setup)}, [1, 2])
    whole = train_on(digits(), planned(one), tmp_path / "whole")
    halves = train_on(digits(), planned(*split_in_two(one)), tmp_path / "halves")
    for together, apart in zip(whole, halves, strict=True):
        for name, series in together["metrics"].items():
            for summary, rows in series["values"].items():
                np.testing.assert_allclose(apart["metrics"][name]["values"][summary], rows, rtol=1e-8)
    times = iter(range(1, 100))
    with pytest.raises(Interrupted):
        train_on(digits(), planned(one), tmp_path / "stopped", stop=lambda: next(times) >= 6)
    seen: list[Progress] = []
    resumed = train_on(digits(), planned(one), tmp_path / "stopped", report=seen.append)
    assert json.dumps(resumed) == json.dumps(whole)
    assert seen[0].steps_done > 0 and seen[-1].steps_done == seen[-1].steps_total == 4 * 4 * 3
