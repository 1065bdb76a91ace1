"""Optimizers against PyTorch's own, schedules and losses against known answers, and what files say of them."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from harness.losses import Loss
from harness.optimizers import Optimizer, Rates
from harness.plugins.registry import find_members
from harness.records import Setup
from harness.schedules import Schedule

SETUP: dict[str, Any] = {
    "dataset": {"name": "digits"},
    "model": {"name": "residual_mlp"},
    "optimizer": {"name": "adamw", "lr": 1e-3},
    "epochs": 4,
    "batch_size": 64,
}


def read(**parts: Any) -> Setup:
    return Setup.model_validate(SETUP | parts)


OPTIMIZERS: dict[str, tuple[dict[str, Any], Any]] = {
    "sgd": ({"name": "sgd"}, lambda p, lr, decay: torch.optim.SGD(p, lr, weight_decay=decay)),
    "momentum": (
        {"name": "sgd", "momentum": 0.9},
        lambda p, lr, decay: torch.optim.SGD(p, lr, momentum=0.9, weight_decay=decay),
    ),
    "nesterov": (
        {"name": "sgd", "momentum": 0.8, "nesterov": True},
        lambda p, lr, decay: torch.optim.SGD(p, lr, momentum=0.8, nesterov=True, weight_decay=decay),
    ),
    "adam": (
        {"name": "adam", "beta1": 0.8, "beta2": 0.95, "eps": 1e-4},
        lambda p, lr, decay: torch.optim.Adam(p, lr, (0.8, 0.95), 1e-4, decay),
    ),
    "adamw": (
        {"name": "adamw", "beta1": 0.8, "beta2": 0.95, "eps": 1e-4},
        lambda p, lr, decay: torch.optim.AdamW(p, lr, (0.8, 0.95), 1e-4, decay),
    ),
    "rmsprop": (
        {"name": "rmsprop", "alpha": 0.9, "eps": 1e-4},
        lambda p, lr, decay: torch.optim.RMSprop(p, lr, 0.9, 1e-4, decay),
    ),
}


def test_every_optimizer_is_compared() -> None:
    assert {parameters["name"] for parameters, _ in OPTIMIZERS.values()} == set(find_members("optimizers"))


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_an_update_is_pytorchs_for_each_replica(kind: str) -> None:
    """Thirty steps at a rate that drops in between; each replica has its own rate, decay and clipping."""
    parameters, theirs = OPTIMIZERS[kind]
    optimizer: Optimizer = find_members("optimizers")[parameters["name"]].model_validate(parameters | {"lr": 0.01})
    generator = torch.Generator().manual_seed(0)
    lr, decay = [0.01, 0.05], [0.0, 0.1]
    param = torch.randn(2, 3, 4, dtype=torch.float64, generator=generator)
    state = {name: torch.zeros_like(param) for name in optimizer.state}
    own = [param[r].clone().requires_grad_() for r in range(2)]
    references = [theirs([own[r]], lr[r], decay[r]) for r in range(2)]
    for step in range(30):
        drop = 0.1 if step >= 15 else 1.0
        gradient = torch.randn(2, 3, 4, dtype=torch.float64, generator=generator)
        scale = torch.tensor([1.0, 0.5], dtype=torch.float64) if step % 3 == 0 else None
        count = torch.tensor(float(step + 1), dtype=torch.float64)
        rates = Rates(
            lr=torch.tensor(lr, dtype=torch.float64) * drop,
            weight_decay=torch.tensor(decay, dtype=torch.float64),
            numbers=optimizer.begin_step(count, param),
        )
        optimizer.apply(param, gradient.clone(), state, rates, scale)
        for r, reference in enumerate(references):
            for group in reference.param_groups:
                group["lr"] = lr[r] * drop
            own[r].grad = gradient[r] * (1.0 if scale is None else scale[r])
            reference.step()
            torch.testing.assert_close(param[r], own[r].detach(), rtol=1e-12, atol=1e-13)
    assert set(optimizer.denominators) <= set(optimizer.state)
    assert all((state[name] >= 0).all() for name in optimizer.denominators)


def schedule(parameters: Any) -> Schedule:
    return read(optimizer={"name": "sgd", "lr": 0.1, "schedule": parameters}).optimizer.schedule


@pytest.mark.parametrize(
    ("parameters", "epochs", "expected"),
    [
        ("constant", 3, [1, 1, 1]),
        ("cosine", 4, [1, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2]),
        ({"name": "step", "milestones": [2, 3]}, 5, [1, 1, 0.1, 0.01, 0.01]),
        ({"name": "step", "milestones": [1], "gamma": 0.5}, 2, [1, 0.5]),
        ({"name": "warmup", "epochs": 4, "then": "constant"}, 6, [0.25, 0.5, 0.75, 1, 1, 1]),
        ({"name": "warmup", "epochs": 2, "then": {"name": "step", "milestones": [3]}}, 4, [0.5, 1, 1, 0.1]),
        ("warmup", 4, [0.2, 0.4 * (1 + math.sqrt(0.5)) / 2, 0.3, 0.8 * (1 - math.sqrt(0.5)) / 2]),
    ],
)  # fmt: skip
def test_a_schedule_gives_each_epoch_its_rate(parameters: Any, epochs: int, expected: list[float]) -> None:
    made = schedule(parameters)
    assert [made.factor(epoch, epochs) for epoch in range(epochs)] == pytest.approx(expected, rel=1e-12)
    assert made.is_constant(epochs, epochs) == (expected == [1] * epochs)


def test_milestones_are_the_sheets() -> None:
    made = schedule({"name": "step", "milestones": [100, 150, 200]})
    assert (made.factor(99, 250), made.factor(100, 250)) == (1.0, 0.1)


@pytest.mark.parametrize("parameters", [{"name": "cross_entropy"}, {"name": "cross_entropy", "label_smoothing": 0.3},
                                        {"name": "squared_error"}, {"name": "bce"}])  # fmt: skip
def test_the_error_of_a_loss_is_the_gradient_of_its_value(parameters: dict[str, Any]) -> None:
    loss: Loss = find_members("losses")[parameters["name"]].model_validate(parameters)
    generator = torch.Generator().manual_seed(0)
    logits = (3 * torch.randn(2, 5, 7, dtype=torch.float64, generator=generator)).requires_grad_()
    labels = torch.randint(7, (2, 5), generator=generator)
    value = loss.value(logits, labels)
    assert value.shape == (2, 5) and (value > 0).all()
    (gradient,) = torch.autograd.grad(value.sum(), logits)
    torch.testing.assert_close(loss.error(logits.detach(), labels), gradient, rtol=1e-12, atol=1e-12)
    targets = loss.targets(logits.detach(), labels)
    hard = torch.nn.functional.one_hot(labels, 7).double()
    assert loss.has_plain_targets == torch.equal(targets, hard)
    if parameters.get("label_smoothing"):
        torch.testing.assert_close(targets, 0.7 * hard + 0.3 / 7)
        smoothed = -(targets * logits.log_softmax(-1)).sum(-1)
        torch.testing.assert_close(value, smoothed)


def test_every_loss_is_compared() -> None:
    assert set(find_members("losses")) == {"cross_entropy", "squared_error", "bce"}


# Files ----------------------------------------------------------------------------------------------------------------


def test_files_from_before_keep_their_canonical_form() -> None:
    """The schedule as a name, last, and no loss."""
    for text in ("cosine", "constant"):
        found = read(optimizer={"name": "adamw", "lr": 1e-3, "schedule": text}).model_dump(mode="json")
        assert list(found["optimizer"].items()) == [
            ("name", "adamw"), ("lr", 1e-3), ("weight_decay", 0.01), ("beta1", 0.9), ("beta2", 0.999), ("eps", 1e-8),
            ("schedule", text),
        ]  # fmt: skip
        assert "loss" not in found


@pytest.mark.parametrize("loss", ["cross_entropy", {"name": "cross_entropy", "label_smoothing": 0.0}])
@pytest.mark.parametrize("written", ["cosine", {"name": "cosine"}])
def test_two_ways_to_write_the_same_mean_the_same(loss: Any, written: Any) -> None:
    one = read(loss=loss, optimizer={"name": "adamw", "lr": 1e-3, "schedule": written})
    assert one == read() and one.model_dump_json() == read().model_dump_json()


def test_what_is_not_at_its_defaults_is_written_in_full() -> None:
    parts = {
        "optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9, "nesterov": True,
                      "schedule": {"name": "step", "milestones": [100, 150], "gamma": 0.1}},
        "loss": {"name": "cross_entropy", "label_smoothing": 0.1},
    }  # fmt: skip
    one = read(**parts)
    told = one.model_dump(mode="json")
    assert {key: told[key] for key in parts} == {
        **parts, "optimizer": parts["optimizer"] | {"weight_decay": 0.0},
    }  # fmt: skip
    assert Setup.model_validate(told) == one
    assert read(loss="bce").model_dump(mode="json")["loss"] == "bce"


@pytest.mark.parametrize(
    "optimizer",
    [
        {"name": "sgd", "lr": 0.1, "nesterov": True},
        {"name": "sgd", "lr": 0.1, "schedule": "step"},
        {"name": "sgd", "lr": 0.1, "schedule": {"name": "step", "milestones": [5, 5]}},
        {"name": "sgd", "lr": 0.1, "schedule": {"name": "warmup", "then": "warmup"}},
        {"name": "sgd", "lr": 0.1, "beta1": 0.9},
    ],
)
def test_what_would_have_no_effect_or_no_meaning_is_refused(optimizer: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        read(optimizer=optimizer)
