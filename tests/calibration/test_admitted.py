"""Which pairings of estimand and criterion a file may ask for: those that are simulated, and no other."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import get_args

import pytest
import yaml

from harness.criteria import Target
from harness.spec import load_folder
from tests.calibration.scenarios import CRITERIA

ESTIMANDS = {
    "arm": {"metric": "test_accuracy", "arm": "a"},
    "contrast": {"metric": "test_accuracy", "contrast": "(a - b) - (c - d)"},
    "difference": {"metric": "test_accuracy", "contrast": "a - b"},
    "log10": {"metric": "test_accuracy", "contrast": "a - b", "transform": "log10"},
    "ratio": {"metric": "test_accuracy", "ratio": "a / b"},
    "trend": {
        "metric": "test_accuracy",
        "trend": {"over": "penalty.strength", "arms": ["a", "b", "c", "d"], "shape": "ranks"},
    },
    "area": {"metric": "test_accuracy", "contrast": "a - b", "epochs": "area"},
    "best": {"metric": "test_accuracy", "contrast": "a - b", "epoch": {"best": "train_loss"}},
    "equal loss": {
        "metric": "test_accuracy",
        "contrast": "a - b",
        "epoch": {"when": {"metric": "train_loss", "below": 1}},
    },
    "equal cost": {"metric": "test_accuracy", "contrast": "a - b", "epoch": {"spent": "steps"}},
    "layers": {"metric": "credit_cosine", "contrast": "a - b", "layer": [0, 1, 2], "samples": "mean"},
    "tasks": {"metric": "test_accuracy", "tasks": ["a - b", "c - d"]},
    "onset": {"metric": "test_accuracy", "arm": "a", "onset": {"above": 0.5}},
    "onsets": {"metric": "test_accuracy", "contrast": "a - b", "onset": {"above": 0.5}},
}
ONSETS = {"onset": ("median",), "onsets": ("median", "wilcoxon")}
PAIRS = ("difference", "log10", "ratio", "area", "best", "equal loss", "equal cost", "layers")
"""Estimands of one arm minus or over another, which may be unpaired."""
UNBOUNDED = ("log10", "ratio")


def is_simulated(about: str, criterion: str, seeds: str, pairing: str) -> bool:
    """Tell whether docs/calibration.md has a rate for it."""
    if seeds != CRITERIA[criterion].targets or (criterion == "welch") != (pairing == "unpaired"):
        return False
    if about in ONSETS:
        return criterion in ONSETS[about]
    if about == "tasks":
        return criterion == "iqm_bootstrap"
    if criterion == "bounded":
        return about not in UNBOUNDED
    return criterion != "welch" or about in PAIRS


def write(about: str, criterion: str, seeds: str, pairing: str) -> str:
    """Write a whole file."""
    cut = 0.5 if about == "onsets" else 5.5 if about == "onset" else 0.02
    low = "(0" if about == "ratio" else "(-inf"
    estimand = ESTIMANDS[about] | {"seeds": seeds} | ({"pairing": pairing} if pairing == "unpaired" else {})
    penalty = {"name": "residual_branch"}
    return yaml.safe_dump(
        {
            "schema_version": 1, "id": "pairing", "title": "T", "question": "Q?", "prior_data_seen": {"level": "none"},
            "prediction": {"outcome": "low", "why": "W."},
            "setup": {
                "dataset": {"name": "digits"}, "model": {"name": "residual_mlp", "width": 8, "blocks": 2},
                "optimizer": {"name": "adamw", "lr": 0.001}, "epochs": 10, "batch_size": 64,
                "evaluation": {
                    "every_epochs": 1, "probe_samples": 64, "metrics": ["test_accuracy", "train_loss", "credit_cosine"]
                },
            },
            "arms": {
                name: {"label": name, "rule": {"name": "dfa"}, "penalty": penalty | {"strength": 10.0**-place}}
                for place, name in enumerate("abcd")
            },
            "seeds": {"count": 400},
            "estimands": {"e": estimand},
            "decisions": {
                "e": {
                    "estimand": "e", "criterion": {"name": criterion},
                    "bands": {"low": f"{low}, {cut}]", "high": f"({cut}, inf)"},
                }
            },
            "implications": {name: {"says": name} for name in ("low", "high", "inconclusive", "invalid")},
        }
    )  # fmt: skip


@pytest.mark.parametrize("about", ESTIMANDS)
def test_check_admits_what_is_simulated_and_nothing_else(about: str, tmp_path: Path) -> None:
    file = tmp_path / "pairing.yaml"
    pairings = [("seed", criterion) for criterion in CRITERIA] + [("unpaired", "t"), ("unpaired", "welch")]
    for (pairing, criterion), seeds in itertools.product(pairings, get_args(Target)):
        file.write_text(write(about, criterion, seeds, pairing), "utf-8")
        expected = is_simulated(about, criterion, seeds, pairing)
        errors = [finding for finding in load_folder([file]).findings if finding.severity == "error"]
        told = "; ".join(finding.message for finding in errors)
        assert bool(errors) != expected, f"{criterion} of the {seeds}, {pairing}: {told}"
        assert all(finding.remedy for finding in errors), told
