"""Warnings of options that change nothing, and refusals of zero weights, each at its place; and silence otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.spec import load_folder

BASE = (Path(__file__).parents[3] / "tests/corpus/odd/milestone_after_the_end.yaml").read_text()
BASE = BASE.partition("\n")[2].replace("{name: step, milestones: [4, 7]}", "cosine")
OPTIMIZER, MODEL = "{name: adamw, lr: 0.001, schedule: cosine}", "{name: residual_mlp, width: 16, blocks: 2}"
LINE = "    rule: {name: bp}"


def check(tmp_path: Path, **parts: str) -> list[tuple[str, str, str]]:
    """What is found in a file with another reference arm, model or optimizer: severity, message, text at the place."""
    text = BASE.replace(LINE, f"    rule: {parts.get('rule', '{name: bp}')}{parts.get('more', '')}")
    text = text.replace(OPTIMIZER, parts.get("optimizer", OPTIMIZER)).replace(MODEL, parts.get("model", MODEL))
    path = tmp_path / "base.yaml"
    path.write_text(text)
    (tmp_path / "claims.yaml").write_text(Path("tests/corpus/odd/claims.yaml").read_text())
    found = [one for one in load_folder([path]).findings if one.rule in ("effects", "arms")]
    lines = text.splitlines()
    return [(one.severity, one.message, lines[one.line - 1][one.column - 1 :]) for one in found]


SCALED = "{name: drtp, center: true, credit_scale: 2.0}"
ODD: dict[str, tuple[dict[str, str], str, str]] = {
    "scale": ({"rule": SCALED}, "credit_scale has no effect under adamw", "2.0"),
    "scale, clip null": (
        {"rule": "{name: dfa, clip: null, credit_scale: 2.0}"}, "credit_scale has no effect under adamw", "2.0",
    ),
    "scale, blocks frozen": (
        {"rule": "{name: dfa, credit_scale: 2.0}", "more": "\n    freeze: [blocks]"},
        "credit_scale has no effect under adamw", "2.0",
    ),
    "clip, blocks frozen": (
        {"rule": "{name: dfa, clip: 2.0}", "more": "\n    freeze: [blocks]"}, "clip has no effect: the blocks", "2.0",
    ),
    "penalty, blocks frozen": (
        {
            "rule": "{name: dfa}",
            "more": "\n    freeze: [blocks]\n    penalty: {name: residual_branch, strength: 0.1}",
        },
        "penalty residual_branch has no effect: what it reaches is frozen", "{name: residual_branch, strength: 0.1}",
    ),
    "penalty, what lies before frozen": (
        {"more": "\n    freeze: [embedding, blocks]\n    penalty: {name: residual_branch, strength: 0.1}"},
        "penalty residual_branch has no effect: what it reaches is frozen", "{name: residual_branch, strength: 0.1}",
    ),
    "target": ({"rule": "{name: dtp, target_rate: 0.1}"}, "target_rate has no effect", "0.1"),
    "decay": (
        {"rule": "{name: kolen_pollack}", "optimizer": "{name: sgd, lr: 0.1}"},
        "without weight decay, feedback comes no closer", "",
    ),
}  # fmt: skip
SCHEDULES = {
    "{name: step, milestones: [4], gamma: 1.0}": "the schedule has no effect: gamma is 1",
    "{name: warmup, epochs: 1}": "the schedule has no effect: a warm-up of one epoch",
    "{name: warmup, epochs: 2, then: {name: step, milestones: [4], gamma: 1.0}}": "the schedule has no effect: gamma",
}
SILENT: dict[str, dict[str, str]] = {
    "sgd": {"rule": SCALED, "optimizer": "{name: sgd, lr: 0.1}"},
    "decay in the gradient": {"rule": SCALED, "optimizer": "{name: adam, lr: 0.1, weight_decay: 0.1}"},
    "clip": {"rule": "{name: dfa, credit_scale: 2.0}"},
    "penalty": {"rule": SCALED, "more": "\n    penalty: {name: residual_branch, strength: 0.1}"},
    "embedding": {"more": "\n    freeze: [blocks]\n    penalty: {name: residual_branch, strength: 0.1}"},
    "what is perturbed": {
        "rule": "{name: weight_perturbation}",
        "more": "\n    freeze: [embedding, blocks]\n    penalty: {name: residual_branch, strength: 0.1}",
    },
    "no strength": {
        "rule": "{name: dfa}", "more": "\n    freeze: [blocks]\n    penalty: {name: residual_branch, strength: 0}",
    },
    "default": {"rule": "{name: dfa, clip: 1.0, credit_scale: 1.0}"},
    "tanh": {"rule": "{name: dtp, target_rate: 0.1, inverse: tanh}"},
    "kolen_pollack": {"rule": "{name: kolen_pollack}"},
    "kolen_pollack beside one with a decay": {
        "rule": "{name: kolen_pollack}",
        "more": "\n    matrix: {setup.optimizer.weight_decay: {none: 0.0, some: 0.1}}",
    },
}  # fmt: skip
ZERO = "{name: mlp, width: 16, init: zero, layers: %d}"


@pytest.mark.parametrize("name", ODD)
def test_an_option_without_effect_is_warned_of_at_its_place(name: str, tmp_path: Path) -> None:
    parts, message, at = ODD[name]
    found = check(tmp_path, **parts)
    told = [one for one in found if one[1].startswith(message)]
    assert len(told) == 1 and told[0][0] == "warning" and told[0][2].startswith(at), found


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_schedule_without_effect_is_warned_of(schedule: str, tmp_path: Path) -> None:
    found = check(tmp_path, optimizer=f"{{name: adamw, lr: 0.001, schedule: {schedule}}}")
    assert found and all(one[0] == "warning" and one[1].startswith(SCHEDULES[schedule]) for one in found)


@pytest.mark.parametrize("name", SILENT)
def test_an_option_that_may_have_an_effect_is_let_be(name: str, tmp_path: Path) -> None:
    assert check(tmp_path, **SILENT[name]) == []


@pytest.mark.parametrize(
    ("rule", "layers", "refused"),
    [("{name: bp}", 1, True), ("{name: ifa}", 2, True), ("{name: ifa}", 1, False), ("{name: fa}", 2, False),
     ("{name: pepita}", 2, True), ("{name: sign_symmetric}", 2, True),
     ("{name: sign_symmetric, variant: brsf}", 2, False),
     ("{name: dtp}", 2, True), ("{name: random_target}", 2, True)],
)  # fmt: skip
def test_zero_weights_are_an_error_where_a_rule_freezes(rule: str, layers: int, refused: bool, tmp_path: Path) -> None:
    found: list[Any] = check(tmp_path, rule=rule, model=ZERO % layers)
    errors = [message for severity, message, _ in found if severity == "error"]
    assert bool(errors) == refused and all("zero" in message for message in errors)
