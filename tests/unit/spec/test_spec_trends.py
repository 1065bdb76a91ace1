"""Trends in files: numbers are read from the arms, and a monotone trend is a family of decisions."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import InvalidHypothesis
from harness.records import Hypothesis
from harness.spec import load, load_folder

ROOT = Path(__file__).parents[3]
QUESTION = (ROOT / "tests/questions/q01_dose_response.yaml").read_text(encoding="utf-8")
STRENGTHS = "{none: 0, weak: 1.0e-4, middle: 1.0e-2, strong: 1.0e-1}"
MONOTONE = "layer: 1, samples: mean, trend: {over: penalty.strength, arms: dfa, shape: monotone}"
GUARD = 'guards:\n  up: {estimand: rise, above: -1, otherwise: "It falls."}\n'


def load_text(folder: Path, *changes: tuple[str, str]) -> Hypothesis:
    text = QUESTION
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "q.yaml"
    path.write_text(text, encoding="utf-8")
    return load(path).hypothesis


def test_a_matrix_is_a_trend_with_the_numbers_that_its_arms_have(tmp_path: Path) -> None:
    trend = load_text(tmp_path).exploratory["per_step"].trend
    assert trend is not None
    assert trend.arms == {"dfa_none": 0, "dfa_weak": 1e-4, "dfa_middle": 1e-2, "dfa_strong": 1e-1}
    assert list(trend.arms) == ["dfa_none", "dfa_weak", "dfa_middle", "dfa_strong"]


def test_arms_are_ordered_by_their_numbers_however_they_are_listed(tmp_path: Path) -> None:
    turned = load_text(tmp_path, ("[dfa_weak, dfa_middle, dfa_strong]", "[dfa_strong, dfa_weak, dfa_middle]"))
    plain = load_text(tmp_path)
    assert turned == plain
    assert [*turned.exploratory["per_tenfold"].arms] == ["dfa_weak", "dfa_middle", "dfa_strong"]
    matrix = (
        "{none: 0, weak: 1.0e-4, middle: 1.0e-2, strong: 1.0e-1}",
        "{strong: 1.0e-1, none: 0, weak: 1.0e-4, middle: 1.0e-2}",
    )
    assert load_text(tmp_path, matrix).estimands["rise_3"].contrast == {"dfa_strong": 1, "dfa_middle": -1}


def test_numbers_come_from_any_part_of_an_arm_and_from_defaults(tmp_path: Path) -> None:
    wide = load_text(
        tmp_path,
        (f"penalty.strength: {STRENGTHS}", "setup.model.expansion: {none: 1, weak: 2, middle: 3, strong: 4}"),
        ("penalty: {name: residual_branch}", "penalty: {name: residual_branch, strength: 0.1}"),
        ("over: penalty.strength", "over: setup.model.expansion"),
    )  # fmt: skip
    assert [*wide.exploratory["per_step"].trend.arms.values()] == [1, 2, 3, 4]
    without = load_text(
        tmp_path,
        ("arms:\n  dfa:", "arms:\n  plain: {label: Plain, rule: {name: dfa}}\n  dfa:"),
        ("[dfa_weak, dfa_middle, dfa_strong], shape: log_linear", "[plain, dfa_weak], shape: ranks"),
    )
    assert without.exploratory["per_tenfold"].trend.arms == {"plain": 0, "dfa_weak": 1e-4}


def test_a_monotone_trend_is_a_decision_per_step_which_all_must_hold(tmp_path: Path) -> None:
    hypothesis = load_text(tmp_path, ("combine:", f"{GUARD}combine:"))
    steps = ["rise_1", "rise_2", "rise_3"]
    assert [*hypothesis.estimands] == [*hypothesis.decisions] == steps
    assert [*hypothesis.combine.holds] == steps
    assert [*hypothesis.guards] == ["up_1", "up_2", "up_3"]
    assert [guard.estimand for guard in hypothesis.guards.values()] == steps
    contrasts = [[*estimand.contrast] for estimand in hypothesis.estimands.values()]
    assert contrasts == [["dfa_weak", "dfa_none"], ["dfa_middle", "dfa_weak"], ["dfa_strong", "dfa_middle"]]
    assert hypothesis.outcomes == ("every_step", "not_every_step", "inconclusive", "invalid")


def test_a_mistake_in_a_step_is_reported_once_at_its_place(tmp_path: Path) -> None:
    with pytest.raises(InvalidHypothesis) as refused:
        load_text(
            tmp_path,
            (
                "layer: 1, samples: mean, trend: {over: penalty.strength, arms: dfa, shape: monotone}",
                "layer: 7, samples: mean, trend: {over: penalty.strength, arms: dfa, shape: monotone}",
            ),
        )
    (finding,) = {(f.line, f.message.split(" in arm ")[0]) for f in refused.value.findings}
    assert finding[1] == "there is no layer 7"


def test_the_canonical_form_holds_the_numbers(tmp_path: Path) -> None:
    stored = load_text(tmp_path).model_dump(mode="json")
    assert stored["exploratory"]["per_unit"]["trend"] == {
        "over": "penalty.strength",
        "arms": {"dfa_none": 0, "dfa_weak": 1e-4, "dfa_middle": 1e-2, "dfa_strong": 1e-1},
        "shape": "linear",
    }
    assert "trend" not in stored["estimands"]["rise_1"]
    assert stored["estimands"]["rise_1"]["contrast"] == ["dfa_weak", "dfa_none"]


def test_a_finding_about_a_trend_that_for_each_made_stands_at_its_entry(tmp_path: Path) -> None:
    text = QUESTION.replace("  rise: {metric", "  rise: {for_each: {layer: [1, 2]}, metric")
    text = text.replace("layer: 1,", 'layer: "{layer}",', 1)
    text = text.replace("    estimand: rise\n", '    for_each: {layer: [1, 2]}\n    estimand: "rise_{layer}"\n')
    text = text.replace("over: penalty.strength", "over: penalty.power", 1)
    file = tmp_path / "file.yaml"
    file.write_text(text, "utf-8")
    found = [one for one in load_folder([file]).findings if "penalty.power" in one.message]
    assert found
    assert all((one.source or "")[one.column - 1 :].startswith("penalty.power") for one in found), found
