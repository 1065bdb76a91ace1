"""Which metrics a rule is defined for, and which a setup has the data for."""

from __future__ import annotations

from typing import Any

import pytest

from harness.domain.measured import explain_unmeasurable, has_feedback, is_defined
from harness.metrics import parse_metric
from harness.records import Arm
from harness.rules.dfa import Dfa
from tests.unit.training.training_inputs import arm


class Unprojected(Dfa):
    """Gives credit without feedback matrices, as a rule of another package may."""

    def feedback(self, model: Any, features: int, classes: int) -> tuple[()]:
        return ()


@pytest.mark.parametrize(
    ("key", "defined"),
    [
        ("hidden_norm", (True, True, True)),
        ("credit_cosine", (True, False, True)),
        ("credit_cosine:feedback=fresh", (True, False, False)),
        ("credit_norm:probe_samples=20", (True, False, True)),
    ],
)
def test_fresh_feedback_needs_a_rule_that_has_some(key: str, defined: tuple[bool, ...]) -> None:
    setup = arm("dfa").setup
    rules = (Dfa(name="dfa"), arm("bp").rule, Unprojected(name="dfa"))
    assert tuple(is_defined(parse_metric(key), rule, setup) for rule in rules) == defined
    assert [has_feedback(rule, setup) for rule in rules] == [True, False, False]


@pytest.mark.parametrize(
    ("key", "setup", "told"),
    [
        ("validation_loss", {}, "no images are set apart"),
        ("validation_loss", {"validation": {"share": 0.1}}, None),
        ("hidden_norm:probe_split=validation", {}, "no images are set apart"),
        ("hidden_norm:probe_split=validation,probe_samples=20", {"validation": {"count": 20}}, None),
        ("hidden_norm:probe_split=validation,probe_samples=21", {"validation": {"count": 20}}, "21 probe samples"),
        ("hidden_norm:probe_split=validation", {"validation": {"count": 20}}, "50 probe samples"),
        ("hidden_norm:probe_samples=361", {}, "the test split has 360"),
        ("hidden_norm", {}, None),
        ("train_accuracy", {}, None),
    ],
)
def test_what_a_split_does_not_hold_is_told(key: str, setup: dict[str, Any], told: str | None) -> None:
    made: Arm = arm("dfa", setup=setup)
    found = explain_unmeasurable(parse_metric(key), made.setup)
    assert found is None if told is None else found is not None and told in found[0]
