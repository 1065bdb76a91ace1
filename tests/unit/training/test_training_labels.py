"""Labels that are trained on: how they are drawn, who shares them, and that every step reads them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom

from harness.errors import Interrupted
from harness.records import Arm, Labels, Plan
from harness.training import Progress, Run, open_device, train
from harness.training.batches import draw_schedule
from harness.training.labels import TrainingLabels
from harness.training.program import Program, build_program
from harness.training.steps.interface import StepKind
from tests.unit.training.training_inputs import arm, cohort, digits, load_digits, planned

ALMOST_SURE = 1 - 1e-9  # of an interval that a number of successes lies in
KINDS: dict[str, dict[str, Any]] = {
    "shuffled": {"name": "shuffled"},
    "random": {"name": "random"},
    "noisy": {"name": "noisy", "share": 0.3},
}
SEEDS = tuple(range(10))


def source(kind: dict[str, Any], seeds: tuple[int, ...] = SEEDS) -> TrainingLabels:
    return TrainingLabels.of(Labels.model_validate(kind), load_digits(), seeds)


def assert_binomial(hits: int, count: int, chance: float) -> None:
    least, most = binom.interval(ALMOST_SURE, count, chance)
    assert least <= hits <= most


def test_original_labels_are_those_of_the_data_set_for_all_seeds() -> None:
    drawn = source({"name": "original"})
    assert not drawn.differ_by_epoch
    np.testing.assert_array_equal(drawn.draw(3), load_digits().train_labels)


def test_shuffled_labels_are_the_same_labels_in_an_order_of_each_seeds_own() -> None:
    own, drawn = load_digits().train_labels, source(KINDS["shuffled"])
    rows = drawn.draw(0)
    for row in rows:
        np.testing.assert_array_equal(np.bincount(row), np.bincount(own))
        assert_binomial(int((row == own).sum()), len(own), 0.1)  # classes are nearly equal
    assert len({row.tobytes() for row in rows}) == len(SEEDS)
    assert not drawn.differ_by_epoch
    np.testing.assert_array_equal(drawn.draw(5), rows)


def test_random_labels_are_uniform_and_new_in_every_epoch() -> None:
    drawn = source(KINDS["random"])
    assert drawn.differ_by_epoch
    first, second = drawn.draw(0), drawn.draw(1)
    assert_binomial(int((first == second).sum()), first.size, 0.1)
    for label in range(10):
        assert_binomial(int((first == label).sum()), first.size, 0.1)
    np.testing.assert_array_equal(first, drawn.draw(0))


@pytest.mark.parametrize("share", [0.01, 0.3, 0.9])
def test_a_share_of_noise_is_the_share_of_wrong_labels_of_all_other_classes_alike(share: float) -> None:
    own = load_digits().train_labels
    rows = source({"name": "noisy", "share": share}).draw(0)
    wrong = rows != own
    assert_binomial(int(wrong.sum()), rows.size, share)
    away = ((rows - own) % 10)[wrong]
    for step in range(1, 10):
        assert_binomial(int((away == step).sum()), len(away), 1 / 9)
    for label in range(10):  # no class is spared
        assert_binomial(int(wrong[:, own == label].sum()), int((own == label).sum()) * len(SEEDS), share)


def test_no_and_all_labels_are_wrong_at_the_ends() -> None:
    own = load_digits().train_labels
    assert (source({"name": "noisy", "share": 0.0}).draw(0) == own).all()
    assert (source({"name": "noisy", "share": 1.0}).draw(0) != own).all()


def test_more_noise_changes_what_less_noise_changes_in_the_same_way() -> None:
    own = load_digits().train_labels
    less, more = (source({"name": "noisy", "share": share}).draw(0) for share in (0.2, 0.5))
    changed = less != own
    np.testing.assert_array_equal(less[changed], more[changed])
    assert (more != own).sum() > changed.sum()


@pytest.mark.parametrize("kind", KINDS)
def test_a_seeds_labels_are_its_own_in_any_cohort_and_arm(kind: str) -> None:
    setup = {"labels": KINDS[kind]}
    arms = {"a": arm("bp", setup=setup), "b": arm("dfa", 0.01, setup=setup)}
    large = program_of(arms, [7, 8, 9])
    small = program_of({"b": arms["b"]}, [9])
    for program in (large, small):
        program.begin_epoch(2, program.draw(2))
    assert large.state.seeds == (7, 8, 9)
    np.testing.assert_array_equal(large.state.labels[2], small.state.labels[0])


@pytest.mark.parametrize("way", ["autograd", "explicit"])
def test_replicas_are_trained_on_their_own_seeds_labels(way: StepKind) -> None:
    """A replica among others of other seeds and arms ends where it ends alone, which other labels would prevent."""
    setup = {"labels": KINDS["noisy"], "precision": "float64"}
    arms = {"a": arm("bp", setup=setup), "b": arm("dfa", 0.01, setup=setup)}
    together = trained(program_of(arms, [7, 8], way))
    for r, (name, seed) in enumerate([("a", 7), ("a", 8), ("b", 7), ("b", 8)]):
        alone = trained(program_of({name: arms[name]}, [seed], way))
        for key, tensor in alone.state.params.items():
            np.testing.assert_allclose(
                together.state.params[key][r].detach(), tensor[0].detach(), rtol=1e-9, atol=1e-12, err_msg=key
            )


def test_original_labels_train_to_the_same_bits_as_no_word_about_them() -> None:
    silent, told = arm("bp"), arm("bp", setup={"labels": {"name": "original"}})
    assert (
        silent == told
        and silent.model_dump_json() == told.model_dump_json()
        and "labels" not in silent.setup.model_dump()
    )


def results(plan: Plan, folder: Path, **options: Any) -> str:
    device = replace(open_device("cpu"), workers=1)
    done = train(plan, Run({"digits": digits()}, device, folder, **options))
    return json.dumps([replica.model_dump(mode="json") for replica in done.replicas], sort_keys=True)


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_is_stopped_within_an_epoch_goes_on_with_the_same_labels(kind: str, tmp_path: Path) -> None:
    metrics = ["test_accuracy", "train_loss", "train_loss_original"]
    setup = {"labels": KINDS[kind], "evaluation": {"probe_samples": 50, "every_epochs": 1, "metrics": metrics}}
    plan = planned(cohort({"bp": arm("bp", setup=setup)}, [1, 2]))
    whole = results(plan, tmp_path / "whole")
    for last in (2, 4):  # of five steps per epoch: within the first and, after a resumption, again
        asked = iter(range(last))
        with pytest.raises(Interrupted):
            results(plan, tmp_path / "stopped", stop=lambda: next(asked, None) is None)  # noqa: B023
    seen: list[Progress] = []
    assert results(plan, tmp_path / "stopped", report=seen.append) == whole
    assert seen[0].steps_done > 0


def test_the_training_loss_is_that_of_the_labels_trained_on_and_the_original_one_is_beside_it(tmp_path: Path) -> None:
    """After many epochs a network knows its shuffled labels, and not the original ones."""
    metrics = ["train_loss", "train_loss_original", "test_accuracy"]
    setup = {
        "labels": {"name": "shuffled"},
        "epochs": 120,
        "optimizer": {"name": "adamw", "lr": 1e-2},
        "evaluation": {"probe_samples": 50, "every_epochs": 120, "metrics": metrics},
    }
    plan = planned(cohort({"bp": arm("bp", setup=setup)}, [1]))
    (found,) = json.loads(results(plan, tmp_path))
    last = {name: series["values"]["value"][-1][0] for name, series in found["metrics"].items()}
    assert last["train_loss"] < 0.5 < 2.0 < last["train_loss_original"]
    assert last["test_accuracy"] < 0.4  # on the test split's own labels


def test_the_original_loss_is_the_mean_over_the_unaugmented_split() -> None:
    """Computed again with NumPy from the weights; crops and flips of training play no part."""
    dataset = {"name": "digits", "augment": ("random_crop", "horizontal_flip")}
    program = program_of({"bp": arm("bp", setup={"dataset": dataset, "labels": KINDS["random"]})}, [3])
    trained(program)
    from harness.training.evaluate import evaluate
    from harness.training.results import select_metrics

    names = {"metrics": ["train_loss_original"], "probe_samples": 50}
    metrics = select_metrics(arm("bp", setup={"evaluation": names}).setup)
    measured = evaluate(program, metrics)["train_loss_original"]["value"]
    logits = forward(program, digits().train_images)
    shifted = logits - logits.max(1, keepdims=True)
    losses = np.log(np.exp(shifted).sum(1)) - shifted[np.arange(len(shifted)), digits().train_labels]
    assert measured[0, 0] == pytest.approx(losses.mean(), rel=1e-5)


def forward(program: Program, images: np.ndarray) -> np.ndarray:
    """Logits of the first replica in float64, by NumPy."""
    from scipy.special import erf

    p = {name: tensor[0].detach().numpy().astype(np.float64) for name, tensor in program.state.params.items()}

    def norm(h: np.ndarray, name: str) -> np.ndarray:
        centred = h - h.mean(1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(1, keepdims=True) + 1e-5)
        return scaled * p[f"{name}.weight"] + p[f"{name}.bias"]

    h = ((images / 16.0 - 0.3053) / 0.3760).reshape(len(images), -1) @ p["embedding.weight"] + p["embedding.bias"]
    for block in range(2):
        z = norm(h, f"block_{block}.norm") @ p[f"block_{block}.w1.weight"] + p[f"block_{block}.w1.bias"]
        u = z * 0.5 * (1 + erf(z / np.sqrt(2)))
        h = h + u @ p[f"block_{block}.w2.weight"] + p[f"block_{block}.w2.bias"]
    return norm(h, "head.norm") @ p["head.weight"] + p["head.bias"]


def program_of(arms: dict[str, Arm], seeds: list[int], way: StepKind = "explicit") -> Program:
    return build_program(cohort(arms, seeds), digits(), open_device("cpu"), kind=way)


def trained(program: Program) -> Program:
    for epoch in range(2):
        state = program.state
        program.begin_epoch(epoch, draw_schedule(state.dataset, state.count, state.seeds, epoch))
        program.run_epoch()
    return program
