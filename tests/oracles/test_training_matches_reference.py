"""The engine, in float64, against the independent loop: every parameter of every arm after 25 steps, to 1e-9."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from harness.batched import keyed
from harness.datasets import CROP_PADDING, Images
from harness.records import Arm, Cohort, Replica, Setup
from harness.training import open_device
from harness.training.batches import draw_schedule
from harness.training.evaluate import ReplicaEvaluation
from harness.training.program import Program, build_program
from harness.training.steps.interface import StepKind
from tests.oracles.reference_data import split_training, training_labels
from tests.oracles.reference_loop import direction, train

BATCH, EPOCHS = 16, 5  # 72 samples: four full batches and one of 8, so 25 steps with 5 ragged ones
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
WAYS = [("cpu", "autograd"), ("cpu", "explicit"), pytest.param("cuda", "autograd", marks=pytest.mark.gpu)]

ARMS: dict[str, dict[str, Any]] = {
    "dfa": {"rule": {"name": "dfa"}},
    "dfa_penalty": {"rule": {"name": "dfa"}, "penalty": {"name": "residual_branch", "strength": 0.01}},
    "bp": {"rule": {"name": "bp"}},
    "bp_penalty": {"rule": {"name": "bp"}, "penalty": {"name": "residual_branch", "strength": 0.01}},
    "frozen": {"rule": {"name": "dfa"}, "freeze": ["blocks"]},
    "bp_frozen": {
        "rule": {"name": "bp"},
        "penalty": {"name": "residual_branch", "strength": 0.02},
        "freeze": ["block_0", "embedding"],
    },
}
MODELS: dict[str, dict[str, Any]] = {
    "plain": {"name": "residual_mlp", "width": 12, "blocks": 3},
    "variant": {
        "name": "residual_mlp",
        "width": 10,
        "blocks": 2,
        "expansion": 2,
        "activation": "tanh",
        "branch_std": 0.3,
        "terminal_norm": False,
        "skip": False,
    },
}


@pytest.fixture(scope="module")
def images() -> Images:
    """Real digits, cut to 72 training images so that the last batch of an epoch is ragged."""
    from harness.datasets.digits import Digits

    full = Digits(name="digits").load(Path(), print)
    return Images(
        full.train_images[:72], full.train_labels[:72], full.test_images, full.test_labels, full.classes, "cut", False
    )


def arm(
    model: str,
    augment: tuple[str, ...] = (),
    schedule: str = "cosine",
    data: dict[str, Any] | None = None,
    **parts: Any,
) -> Arm:
    setup = (data or {}) | {
        "dataset": {"name": "digits", "augment": augment},
        "model": MODELS[model],
        "optimizer": {"name": "adamw", "lr": 0.01, "weight_decay": 0.05, "schedule": schedule},
        "epochs": EPOCHS,
        "batch_size": BATCH,
        "precision": "float64",
        "evaluation": {"probe_samples": 40},
    }
    return Arm.model_validate({"label": "an arm", "setup": setup, **parts})


def run_engine(
    arms: dict[str, Arm], seeds: list[int], images: Images, device: str = "cpu", way: StepKind = "autograd"
) -> Program:
    replicas = tuple(Replica(arm=name, seed_index=i, seed=seed) for name in arms for i, seed in enumerate(seeds))
    cohort = Cohort(arms=arms, replicas=replicas, memory_bytes=0)
    program = build_program(cohort, images, open_device(device), kind=way)
    for epoch in range(EPOCHS):
        program.begin_epoch(
            epoch, draw_schedule(program.state.dataset, program.state.count, program.state.seeds, epoch)
        )
        program.run_epoch()
    return program


def plain_batches(images: Images, seed: int, setup: Setup) -> list[list[tuple[np.ndarray, np.ndarray]]]:
    """The same batches by loops over single images: select, shuffle, crop, flip, normalise, and relabel."""
    whole, augment, labels = images.train_labels.tolist(), setup.dataset.augment, setup.labels
    classes = sorted((setup.subset and setup.subset.classes) or range(10))
    places, _ = split_training(
        whole,
        classes,
        validation=(setup.validation and setup.validation.count) or 0,
        size=setup.subset and setup.subset.size,
    )
    own = [classes.index(whole[place]) for place in places]
    pixels = images.train_images[places].astype(np.float64)
    epochs = []
    for epoch in range(EPOCHS):
        order = keyed.permutation(len(pixels), seed, "order", epoch)
        corner = keyed.integers(81, len(pixels), seed, "crop", epoch)
        flip = keyed.integers(2, len(pixels), seed, "flip", epoch)
        rows = []
        for position, index in enumerate(order):
            image = pixels[index, 0]
            if "random_crop" in augment:
                padded = np.zeros((8 + 2 * CROP_PADDING, 8 + 2 * CROP_PADDING))
                padded[CROP_PADDING:-CROP_PADDING, CROP_PADDING:-CROP_PADDING] = image
                top, left = corner[position] // 9, corner[position] % 9
                image = padded[top : top + 8, left : left + 8]
            if "horizontal_flip" in augment and flip[position]:
                image = image[:, ::-1]
            rows.append((image / 16.0 - 0.3053) / 0.3760)
        told = training_labels(
            own, labels.name, seed=seed, epoch=epoch, classes=len(classes), share=labels.share or 0.0,
            places=places, total=len(whole),
        )  # fmt: skip
        x, y = np.stack(rows).reshape(len(rows), -1), np.array([told[index] for index in order])
        epochs.append([(x[at : at + BATCH], y[at : at + BATCH]) for at in range(0, len(rows), BATCH)])
    return epochs


def initial(program: Program, one: Arm, seed: int) -> tuple[dict[str, np.ndarray], list[np.ndarray]]:
    weights = {spec.name: keyed.tensor(spec, seed, "weights") for spec in program.state.specs}
    specs = one.rule.feedback(program.state.model, program.state.dataset.features, program.state.classes)
    return weights, [keyed.tensor(spec, seed, "feedback") for spec in specs]


TRAINED: dict[tuple[str, int], dict[str, np.ndarray]] = {}
"""An arm's record and a seed → what the independent loop makes of them: the same for every device and way."""


def reference(program: Program, one: Arm, seed: int, images: Images) -> dict[str, np.ndarray]:
    key = one.model_dump_json(), seed
    if key not in TRAINED:
        TRAINED[key] = train_plainly(program, one, seed, images)
    return TRAINED[key]


def train_plainly(program: Program, one: Arm, seed: int, images: Images) -> dict[str, np.ndarray]:
    weights, feedback = initial(program, one, seed)
    model, optimizer = one.setup.model, one.setup.optimizer
    return train(
        weights=weights,
        feedback=feedback,
        batches=plain_batches(images, seed, one.setup),
        rule=one.rule.name,
        strength=one.penalty.strength if one.penalty else 0.0,
        frozen=set(model.expand_groups(one.freeze)),
        lr=optimizer.lr,
        weight_decay=optimizer.weight_decay,
        schedule=optimizer.schedule.name,
        activation=model.activation,  # type: ignore[attr-defined]
        skip=model.skip,  # type: ignore[attr-defined]
        terminal_norm=model.terminal_norm,  # type: ignore[attr-defined]
    )


def assert_same(program: Program, r: int, expected: dict[str, np.ndarray]) -> None:
    assert set(expected) == set(program.state.params)
    for name, tensor in program.state.params.items():
        np.testing.assert_allclose(tensor[r].detach().cpu().numpy(), expected[name], rtol=1e-9, atol=1e-9, err_msg=name)


@pytest.mark.parametrize(("device", "way"), WAYS)
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("kind", ARMS)
@pytest.mark.parametrize("seeds", [[11], [11, 12, 2**50 + 1]], ids=["one", "many"])
def test_every_parameter_agrees_after_25_steps(
    device: str, way: StepKind, model: str, kind: str, seeds: list[int], images: Images
) -> None:
    one = arm(model, **ARMS[kind])
    program = run_engine({"a": one}, seeds, images, device, way)
    assert int(program.state.steps) == 25
    for r, seed in enumerate(seeds):
        expected = reference(program, one, seed, images)
        assert_same(program, r, expected)
    start, _ = initial(program, one, seeds[-1])
    moved = [name for name in start if np.abs(expected[name] - start[name]).max() > 1e-4]
    assert moved, "nothing was trained, so the comparison proved nothing"


@pytest.mark.gpu
@pytest.mark.parametrize("kind", ["dfa_penalty", "bp_penalty"])
def test_compiled_steps_agree_too(kind: str, images: Images) -> None:
    one = arm("plain", **ARMS[kind], augment=("random_crop", "horizontal_flip"))
    program = run_engine({"a": one}, [11, 12], images, "cuda", way="compiled")
    for r, seed in enumerate([11, 12]):
        assert_same(program, r, reference(program, one, seed, images))


@pytest.mark.gpu
@pytest.mark.parametrize("kind", ARMS)
def test_kernels_agree_too(kind: str, images: Images) -> None:
    one = arm("plain", **ARMS[kind], augment=("random_crop", "horizontal_flip"))
    program = run_engine({"a": one}, [11, 12], images, "cuda", way="kernels")
    for r, seed in enumerate([11, 12]):
        assert_same(program, r, reference(program, one, seed, images))


@pytest.mark.parametrize(("device", "way"), [*WAYS, pytest.param("cuda", "kernels", marks=pytest.mark.gpu)])
def test_rules_of_one_cohort_keep_apart(device: str, way: StepKind, images: Images) -> None:
    kinds = ("dfa", "dfa_penalty", "bp_penalty", "bp")
    arms = {kind: arm("plain", **ARMS[kind], augment=("random_crop", "horizontal_flip")) for kind in kinds}
    program = run_engine(arms, [5, 6], images, device, way)
    assert [share.rule.name for share in program.state.rule_groups] == ["dfa", "bp"]
    for r, replica in enumerate(program.state.cohort.replicas):
        assert_same(program, r, reference(program, arms[replica.arm], replica.seed, images))


LABELS: dict[str, dict[str, Any]] = {
    "shuffled": {"name": "shuffled"},
    "random": {"name": "random"},
    "noisy": {"name": "noisy", "share": 0.4},
}


@pytest.mark.parametrize(("device", "way"), [*WAYS, pytest.param("cuda", "kernels", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("augment", [(), ("random_crop", "horizontal_flip")], ids=["plain", "augmented"])
@pytest.mark.parametrize("kind", LABELS)
def test_interventions_on_labels_agree_too(
    kind: str, augment: tuple[str, ...], device: str, way: StepKind, images: Images
) -> None:
    """Two rules and two seeds in one cohort: labels of another seed, epoch or image lead elsewhere."""
    data = {"labels": LABELS[kind]}
    arms = {name: arm("plain", augment, data=data, **ARMS[name]) for name in ("dfa", "bp_penalty")}
    program = run_engine(arms, [5, 6], images, device, way)
    for r, replica in enumerate(program.state.cohort.replicas):
        one = arms[replica.arm]
        expected = reference(program, one, replica.seed, images)
        assert_same(program, r, expected)
    true = reference(program, arm("plain", augment, **ARMS["bp_penalty"]), 6, images)
    moved = max(np.abs(true[name] - expected[name]).max() for name in true)
    assert moved > 1e-3, "the data set's own labels lead to the same weights, so the comparison proved nothing"


PARTS: dict[str, dict[str, Any]] = {
    "classes": {"subset": {"classes": [8, 1, 4, 5]}, "evaluation": {"probe_samples": 20}},
    "size": {"subset": {"size": 40}},
    "validation": {"validation": {"count": 15}},
    "all": {
        "subset": {"classes": [0, 1, 2, 3, 4, 5], "size": 30},
        "validation": {"count": 10},
        "labels": {"name": "noisy", "share": 0.3},
    },
}


@pytest.mark.parametrize(("device", "way"), [*WAYS, pytest.param("cuda", "kernels", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("part", PARTS)
def test_parts_of_the_data_agree_too(part: str, device: str, way: StepKind, images: Images) -> None:
    arms = {name: arm("plain", ("random_crop",), data=PARTS[part], **ARMS[name]) for name in ("dfa", "bp_penalty")}
    program = run_engine(arms, [5, 6], images, device, way)
    assert program.state.count < 72
    for r, replica in enumerate(program.state.cohort.replicas):
        assert_same(program, r, reference(program, arms[replica.arm], replica.seed, images))


@pytest.mark.parametrize(("device", "way"), WAYS)
def test_arms_of_one_cohort_keep_their_own_rates_and_strengths(device: str, way: StepKind, images: Images) -> None:
    arms = {
        "vanilla": arm("plain", **ARMS["dfa"], augment=("random_crop", "horizontal_flip")),
        "weak": arm("plain", **ARMS["dfa_penalty"], augment=("random_crop", "horizontal_flip")),
    }
    optimizer = arms["weak"].setup.optimizer.model_copy(update={"lr": 0.003, "weight_decay": 0.2})
    arms["weak"] = arms["weak"].model_copy(
        update={"setup": arms["weak"].setup.model_copy(update={"optimizer": optimizer})}
    )
    program = run_engine(arms, [5, 6], images, device, way)
    for r, replica in enumerate(program.state.cohort.replicas):
        assert_same(program, r, reference(program, arms[replica.arm], replica.seed, images))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("model", MODELS)
def test_diagnostics_agree_with_the_reference(device: str, model: str, images: Images) -> None:
    one = arm(model, **ARMS["dfa_penalty"], schedule="constant")
    program = run_engine({"a": one}, [3, 4], images, device)
    x, y = program.probe
    evaluation = ReplicaEvaluation(program, program.state.rule_groups[0], slice(0, 2))
    for r, seed in enumerate([3, 4]):
        _, feedback = initial(program, one, seed)
        weights = {name: tensor[r].detach().cpu().numpy() for name, tensor in program.state.params.items()}
        expected = direction(
            weights,
            feedback,
            x[0].cpu().numpy(),
            y[0].cpu().numpy(),
            activation=one.setup.model.activation,  # type: ignore[attr-defined]
            skip=one.setup.model.skip,  # type: ignore[attr-defined]
            terminal_norm=one.setup.model.terminal_norm,  # type: ignore[attr-defined]
        )
        from harness.plugins.registry import find_members

        kinds = find_members("metrics")
        for ours, theirs in {
            "credit_cosine": "cosine",
            "gradient_norm": "g_norm",
            "credit_norm": "a_norm",
            "hidden_norm": "h_norm",
            "residual_growth": "growth",
        }.items():
            measured = kinds[ours](name=ours).measure(evaluation)[r]  # type: ignore[attr-defined]
            np.testing.assert_allclose(measured.cpu().numpy(), expected[theirs], rtol=1e-8, atol=1e-12, err_msg=ours)


def test_accuracy_counts_the_whole_test_split(images: Images) -> None:
    program = run_engine({"a": arm("plain", **ARMS["bp"])}, [3], images)
    weights = {name: tensor[0].detach().numpy() for name, tensor in program.state.params.items()}
    x = ((images.test_images / 16.0 - 0.3053) / 0.3760).reshape(len(images.test_labels), -1)
    feedback = [np.zeros((10, 12))] * 3
    expected = direction(weights, feedback, x, images.test_labels, activation="gelu", skip=True, terminal_norm=True)
    logits = ReplicaEvaluation(program, program.state.rule_groups[0], slice(0, 1)).test_logits[0]
    accuracy = (logits.argmax(-1) == torch.from_numpy(images.test_labels)).double().mean()
    assert float(accuracy) == pytest.approx(expected["accuracy"])
