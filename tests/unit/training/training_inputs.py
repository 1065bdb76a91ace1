"""Small real cohorts for engine tests: digits, cut to a few hundred images."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from harness.datasets import Images
from harness.datasets.digits import Digits
from harness.records import Arm, Cohort, Plan, Replica
from harness.training.steps.kernels.tiles import Tile, Tiles

SETUP: dict[str, Any] = {
    "dataset": {"name": "digits"},
    "model": {"name": "residual_mlp", "width": 16, "blocks": 2},
    "optimizer": {"name": "adamw", "lr": 1e-3},
    "epochs": 3,
    "batch_size": 64,
    "evaluation": {"probe_samples": 50, "every_epochs": 2},
}


@cache
def load_digits() -> Images:
    return Digits(name="digits").load(Path(), print)


def digits(train: int = 300) -> Images:
    full = load_digits()
    return Images(
        full.train_images[:train].copy(),
        full.train_labels[:train].copy(),
        full.test_images.copy(),
        full.test_labels.copy(),
        full.classes,
        "digits, cut",
        False,
    )


def arm(rule: str = "dfa", strength: float | None = None, setup: dict[str, Any] | None = None, **parts: Any) -> Arm:
    plain = {"label": rule, "rule": {"name": rule}, "setup": SETUP | (setup or {}), **parts}
    if strength is not None:
        plain["penalty"] = {"name": "residual_branch", "strength": strength}
    return Arm.model_validate(plain)


def cohort(arms: dict[str, Arm], seeds: list[int]) -> Cohort:
    replicas = tuple(Replica(arm=name, seed_index=i, seed=seed) for name in arms for i, seed in enumerate(seeds))
    return Cohort(arms=arms, replicas=replicas, memory_bytes=0)


def small_tiles(monkeypatch: pytest.MonkeyPatch, *, early: bool, halves: bool = False) -> None:
    """Have products cut into 16 by 16, in the launches of large cohorts."""
    small = Tile(16, 16, 16)
    tiles = Tiles(
        small,
        2,
        *[small] * 6,
        use_fp16x3=halves,
        small_cohort=False,
        lanes=1 if early else 4,
        update_embedding_early=early,
    )
    monkeypatch.setattr(Tiles, "choose", classmethod(lambda cls, *shape, **flags: tiles))


def planned(*cohorts: Cohort) -> Plan:
    seeds = tuple(dict.fromkeys(replica.seed for one in cohorts for replica in one.replicas))
    return Plan(hypothesis="a-test", registration="", seeds=seeds, cohorts=cohorts)
