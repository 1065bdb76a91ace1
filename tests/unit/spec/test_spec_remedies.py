"""Bare values where a mapping belongs: the refusal says which mapping to write."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import InvalidHypothesis
from harness.spec import list_unknown_plugins, parse

TEXT = (Path(__file__).parents[2] / "questions/q10_tuned_rates.yaml").read_text("utf-8")


@pytest.mark.parametrize(
    ("old", "new", "remedy"),
    [
        ("  validation:", "  labels: shuffled\n  validation:", "write labels: {name: shuffled}"),
        ("{name: digits}", "digits", "write dataset: {name: digits}"),
        ("{name: residual_mlp, width: 16, blocks: 2}", "residual_mlp", "write model: {name: residual_mlp}"),
        ("{name: adamw, lr: 1.0e-3}", "adamw", "write optimizer: {name: adamw}"),
        ("{name: bp}}", "{name: bp}, penalty: residual_branch}", "write penalty: {name: residual_branch}"),
        ("{share: 0.2}", "0.2", "write validation: {share: 0.2}"),
        ("{count: 6}", "6", "write seeds: {count: 6}"),
        ("{count: 6}", "{count: 6, beacon: drand}", "write beacon: {name: drand}"),
        ("{level: none}", "none", "write prior_data_seen: {level: none}"),
        ("{name: bp}}", '{name: bp}, init_from: "76d31344c971"}', 'write init_from: {run: "76d31344c971", …}'),
        ("implications:", "preconditions: [equal_steps]\nimplications:", "write {name: equal_steps}"),
        ("implications:", "exclusions: exclude\nimplications:", "write exclusions: {diverged: exclude}"),
        ("test_accuracy, contrast", "test_accuracy, epoch: best, contrast", "write epoch: {best: METRIC}"),
        (
            "test_accuracy, contrast",
            "test_accuracy, epoch: {when: train_loss < 1}, contrast",
            "write when: {metric: train_loss, below: 0.5}, for example",
        ),
        (
            "  validation:",
            "  until: converged\n  validation:",
            "write until: {metric: train_loss, below: 0.5}, for example",
        ),
        ("unit: pp", "unit: percent", "write unit: pp for percentage points"),
        (" bp: {setup.", " pb: {setup.", "arms: bp, dfa"),
        (
            "contrast: bp - dfa",
            "contrast: bp",
            (
                "for one arm alone write arm: bp instead; a contrast compares arms, so what is added must be taken "
                "away: write, for example, a - b, mean(a, b) - c, or (a - b) - (c - d)"
            ),
        ),
        (
            "{setup.optimizer.lr: [1.0e-3, 3.0e-3, 1.0e-2]}",
            "{setup.optimizer.lr: loguniform}",
            "write setup.optimizer.lr: {distribution: loguniform, low: …, high: …}",
        ),
    ],
)
def test_a_bare_value_is_answered_with_the_mapping_to_write(old: str, new: str, remedy: str) -> None:
    assert old in TEXT
    with pytest.raises(InvalidHypothesis) as refused:
        parse(TEXT.replace(old, new, 1).encode(), b"", "q.yaml")
    assert remedy in [found.remedy for found in refused.value.findings]


@pytest.mark.parametrize(
    ("changes", "unknown"),
    [
        ({"{name: bp}}": "{name: nobodys}}"}, {"nobodys"}),
        ({"{name: bp}}": "{name: nobodys}}", "name: adamw": "name: nobodys_either"}, {"nobodys", "nobodys_either"}),
        ({"{name: bp}}": "{name: nobodys}}", "{count: 6}": "{count: six}"}, set()),
        ({"{name: bp}}": "{name: program}}"}, set()),  # it is known here, and no file may name it
        ({"{count: 6}": "{count: six}"}, set()),
    ],
)
def test_names_that_no_plug_in_has_are_listed_if_nothing_else_is_wrong(
    changes: dict[str, str], unknown: set[str]
) -> None:
    text = TEXT
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    with pytest.raises(InvalidHypothesis) as refused:
        parse(text.encode(), b"", "file")
    assert list_unknown_plugins(refused.value.findings) == unknown
