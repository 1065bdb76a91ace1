"""The space of a search: what it puts into the arms, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.domain.normal_form import encode_normal_form
from harness.domain.tuning import apply_choices, make_search
from harness.errors import InvalidHypothesis
from harness.ledger import write_canonical
from harness.records import Hypothesis
from harness.spec import parse

FILE = (Path(__file__).parents[2] / "questions" / "q10_tuned_rates.yaml").read_text("utf-8")
DFA = "    dfa: {setup.optimizer.lr: [1.0e-3, 3.0e-3, 1.0e-2]}"


def read(*changes: tuple[str, str]):
    text = FILE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return parse(text.encode(), b"", "q.yaml").hypothesis


def find(*changes: tuple[str, str]) -> dict[str, str]:
    """Return what a changed file is refused for: place in it → message."""
    with pytest.raises(InvalidHypothesis) as refused:
        read(*changes)
    return {(found.source or "")[found.column - 1 :].strip(): found.message for found in refused.value.findings}


def test_arms_have_the_first_value_and_every_candidate_is_trained() -> None:
    hypothesis = read((DFA, "    dfa: {setup.optimizer.lr: [1.0e-2, 3.0e-3, 1.0e-3]}"))
    assert hypothesis.arms["dfa"].setup.optimizer.lr == 1e-2
    search = make_search(hypothesis)
    assert [arm.setup.optimizer.lr for arm in search.arms.values()] == [1e-3, 3e-3, 1e-2, 1e-2, 3e-3, 1e-3]
    assert search.seeds.number == 3
    assert all(not arm.setup.save for arm in search.arms.values())


def test_several_paths_form_a_grid() -> None:
    space = "    dfa: {setup.optimizer.lr: [1.0e-3, 1.0e-2], setup.optimizer.weight_decay: [0, 0.1]}"
    search = make_search(read((DFA, space), ("space:", "unequal: two settings\n  space:")))
    found = [arm.setup.optimizer for name, arm in search.arms.items() if name.startswith("dfa")]
    assert [(one.lr, one.weight_decay) for one in found] == [(1e-3, 0), (1e-3, 0.1), (1e-2, 0), (1e-2, 0.1)]


def test_a_matrix_has_one_space_for_all_its_arms() -> None:
    varied = "dfa: {label: DFA, rule: {name: dfa}, matrix: {setup.batch_size: {small: 64, large: 128}}}"
    hypothesis = read(("dfa: {label: DFA, rule: {name: dfa}}", varied), ("bp - dfa", "2 * bp - dfa_small - dfa_large"))
    assert hypothesis.tuning is not None
    assert list(hypothesis.tuning.space) == ["bp", "dfa_small", "dfa_large"]


def test_the_form_holds_the_space_and_never_the_choice() -> None:
    hypothesis = read()
    chosen = apply_choices(hypothesis, {"dfa": {"setup.optimizer.lr": 1e-2}})
    assert chosen.arms["dfa"].setup.optimizer.lr == 1e-2
    assert encode_normal_form(chosen) == encode_normal_form(hypothesis)


def test_an_order_or_a_setting_that_nobody_trains_gives_no_other_form() -> None:
    same = read((DFA, "    dfa: {setup.optimizer.lr: [3.0e-3, 1.0e-2, 1.0e-3]}"), ("lr: 1.0e-3}", "lr: 0.5}"))
    assert encode_normal_form(same) == encode_normal_form(read())


@pytest.mark.parametrize(
    ("old", "new"),
    [("1.0e-2]", "1.1e-2]"), ("seeds: 3", "seeds: 4"), ("select: validation_accuracy", "select: train_loss")],
)
def test_another_search_is_another_form(old: str, new: str) -> None:
    assert encode_normal_form(read((old, new))) != encode_normal_form(read())


def test_the_form_knows_the_space() -> None:
    assert b'"tuning":{"seeds":3,"select":"validation_accuracy","space":{"bp"' in write_canonical(read())
    text = FILE[: FILE.index("tuning:")] + FILE[FILE.index("seeds: {count") :]
    assert b"tuning" not in write_canonical(parse(text.encode(), b"", "q.yaml").hypothesis)


@pytest.mark.parametrize(
    ("old", "new", "at", "told"),
    [
        ("select: validation_accuracy", "select: test_accuracy", "test_accuracy", "tuning on the test split"),
        ("select: validation_accuracy", "select: residual_growth", "residual_growth", "has several values"),
        ("select: validation_accuracy", "select: nothing", "nothing", "no metric is called 'nothing'"),
        ("select: validation_accuracy", "select: validation_loss", "validation_loss", "is not measured on arm 'dfa'"),
        (
            "  validation: {share: 0.2}\n",
            "",
            "validation_accuracy",
            "validation_accuracy is measured on a validation split, and arm 'dfa' sets no images apart for one",
        ),
        (", 1.0e-2]}\nseeds", "]}\nseeds", "space:  # three candidates each", "unequal budgets"),
        (DFA + "\n", "", "space:  # three candidates each", "unequal budgets"),
        ("  space:", "  unequal: no reason\n  space:", "unequal: no reason", "equally many candidates"),
        (DFA, DFA.replace("dfa", "dfb"), DFA.replace("dfa", "dfb").strip(), "there is no arm 'dfb'"),
        (
            "rule: {name: dfa}",
            "rule: {name: dfa}, setup: {optimizer: {lr: 0.1}}",
            DFA.strip().removeprefix("dfa: {"),
            "setup.optimizer.lr is given in arm 'dfa'",
        ),
        (DFA, DFA.replace("3.0e-3", "-3"), "-3, 1.0e-2]}", "lr must be greater than 0"),
        (DFA, DFA.replace("3.0e-3", "1.0e-3"), "1.0e-3, 1.0e-2]}", "named twice"),
        (
            DFA,
            "    dfa: {setup.batch_size: [64, 128, 5000]}",
            "5000]}",
            "batch_size is 5,000, but only 1,150 images are trained on",
        ),
        (DFA, "    dfa: {setup.epochs: [4, 5, 6]}", "setup.epochs: [4, 5, 6]}", "measured at the same epochs"),
        (DFA, "    dfa: {rule.name: [a, b, c]}", "rule.name: [a, b, c]}", "another plug-in is another arm"),
        (DFA, "    dfa: {setup.dataset.augment: [a, b, c]}", "setup.dataset.augment: [a, b, c]}", "data must be the"),
        (DFA, "    dfa: {setup.epochs.x: [1, 2, 3]}", "setup.epochs.x: [1, 2, 3]}", "can't be searched"),
    ],
)
def test_what_is_no_fair_search_is_refused(old: str, new: str, at: str, told: str) -> None:
    found = find((old, new))
    assert any(told in message for message in found.values()), found
    assert any(told in message for place, message in found.items() if place.startswith(at)), found


def test_layers_that_a_candidate_lacks_are_refused() -> None:
    found = find(
        ("bp: {setup.optimizer.lr: [1.0e-3, 3.0e-3, 1.0e-2]}", "bp: {setup.model.blocks: [2, 3, 1]}"),
        ("metrics: [test", "metrics: [hidden_norm, test"),
        ("exploratory:\n", "exploratory:\n  deep: {metric: hidden_norm, arm: bp, layer: 2, samples: mean}\n"),
    )
    assert any("there is no layer 2 in arm 'bp'" in message for message in found.values()), found


def test_a_trend_is_not_over_what_is_searched() -> None:
    varied = "dfa: {label: DFA, rule: {name: dfa}, matrix: {setup.batch_size: {small: 64, large: 128}}}"
    found = find(
        ("dfa: {label: DFA, rule: {name: dfa}}", varied),
        (
            "contrast: bp - dfa, unit: pp}\ndecisions",
            "trend: {over: setup.optimizer.lr, arms: dfa, shape: linear}}\ndecisions",
        ),
        ("contrast: bp - dfa", "contrast: bp - dfa_small"),
    )
    assert any("which arm 'dfa_small' would choose" in message for message in found.values()), found


RANGE = "{distribution: loguniform, low: 1.0e-4, high: 1.0e-1}"
LISTED = "[1.0e-3, 3.0e-3, 1.0e-2]"
DRAWN = (
    (f"bp: {{setup.optimizer.lr: {LISTED}}}", f"bp: {{setup.optimizer.lr: {RANGE}}}"),
    (f"dfa: {{setup.optimizer.lr: {LISTED}}}", f"dfa: {{setup.optimizer.lr: {RANGE}}}"),
    ("  space:", "  trials: 5\n  space:"),
)


def list_rates(hypothesis: Hypothesis, arm: str, seeds: tuple[int, ...]) -> list[float]:
    search = make_search(hypothesis, seeds)
    return [one.setup.optimizer.lr for name, one in search.arms.items() if name.startswith(arm)]


def test_drawn_candidates_follow_from_the_tuning_seeds_and_are_the_same_for_all_arms() -> None:
    hypothesis = read(*DRAWN)
    rates = list_rates(hypothesis, "dfa", (1, 2, 3))
    assert rates == list_rates(hypothesis, "bp", (1, 2, 3)) == list_rates(hypothesis, "dfa", (1, 2, 3))
    assert len({*rates, *list_rates(hypothesis, "dfa", (1, 2, 4))}) == 10
    assert all(1e-4 <= rate <= 1e-1 for rate in rates)


def test_a_loguniform_has_equally_many_numbers_in_every_decade() -> None:
    hypothesis = read(*DRAWN[:2], ("  space:", "  trials: 600\n  space:"))
    rates = list_rates(hypothesis, "dfa", (1,))
    counts = [sum(low <= rate < 10 * low for rate in rates) for low in (1e-4, 1e-3, 1e-2)]
    assert sum(counts) >= 599
    assert all(160 <= count <= 240 for count in counts)  # 200 expected, sd 11.5; the draws are fixed


def test_whole_numbers_are_drawn_with_both_ends_and_lists_evenly_in_any_order() -> None:
    def draw(listed: str) -> list[tuple[int, float]]:
        space = f"setup.batch_size: {{distribution: integer, low: 30, high: 32}}, setup.optimizer.lr: {listed}"
        trials = ("  space:", "  trials: 12\n  space:")
        hypothesis = read(
            (DFA, f"    dfa: {{{space}}}"), (f"bp: {{setup.optimizer.lr: {LISTED}}}", f"bp: {{{space}}}"), trials
        )
        found = make_search(hypothesis, (7, 8)).arms.items()
        return [(arm.setup.batch_size, arm.setup.optimizer.lr) for name, arm in found if name.startswith("dfa")]

    drawn = draw("[1.0e-3, 2.0e-3, 3.0e-3, 4.0e-3]")
    assert drawn == draw("[2.0e-3, 4.0e-3, 1.0e-3, 3.0e-3]")
    assert {size for size, _ in drawn} == {30, 31, 32}
    assert all(isinstance(size, int) for size, _ in drawn)
    assert {rate for _, rate in drawn} == {1e-3, 2e-3, 3e-3, 4e-3}


@pytest.mark.parametrize("changed", ["low: 1.0e-5", "distribution: uniform, low: 1.0e-4", "trials: 6"])
def test_another_range_or_number_of_draws_is_another_form_and_the_choice_is_none(changed: str) -> None:
    hypothesis = read(*DRAWN)
    if changed.startswith("trials"):
        other = read(*DRAWN[:2], ("  space:", f"  {changed}\n  space:"))
    else:
        old = (
            RANGE.replace("low: 1.0e-4", changed)
            if changed.startswith("low")
            else RANGE.replace("distribution: loguniform, low: 1.0e-4", changed)
        )
        other = read(DRAWN[0], (DRAWN[1][0], DRAWN[1][1].replace(RANGE, old)), DRAWN[2])
    assert encode_normal_form(other) != encode_normal_form(hypothesis)
    chosen = apply_choices(hypothesis, {"dfa": {"setup.optimizer.lr": 0.05}})
    assert encode_normal_form(chosen) == encode_normal_form(hypothesis)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("  trials: 5\n", "", "the candidates of bp, dfa are drawn, and nothing says how many"),
        (f"dfa: {{setup.optimizer.lr: {RANGE}}}", f"dfa: {{setup.optimizer.lr: {LISTED}}}", "unequal budgets"),
        ("low: 1.0e-4", "low: 0", "low must be greater than 0: neither 0 nor a number below it has a logarithm"),
        ("low: 1.0e-4", "low: 1.0", "low must be smaller than high"),
        ("low: 1.0e-4", "low: 0.09999", "the range is narrower than a hundredth"),
        ("distribution: loguniform", "distribution: logunifrom", "did you mean 'loguniform'?"),
        ("distribution: loguniform", "distribution: integer", "low and high must be whole numbers"),
        ("low: 1.0e-4, high: 1.0e-1", "low: 1.0e-4, highest: 1.0e-1", "unknown key 'highest', did you mean 'high'?"),
        (f"lr: {RANGE}", "weight_decay: {distribution: uniform, low: -1, high: 1}", "weight_decay must be at least 0"),
        (f"setup.optimizer.lr: {RANGE}", f"setup.batch_size: {RANGE}", "batch_size must be"),
        (
            f"setup.optimizer.lr: {RANGE}",
            "setup.batch_size: {distribution: integer, low: 1, high: 3}",
            "5 candidates are drawn of the 3 that this space has",
        ),
        (
            f"setup.optimizer.lr: {RANGE}",
            "setup.batch_size: {distribution: integer, low: 64, high: 5000}",
            "only 1,150 images are trained on",
        ),
        (f"setup.optimizer.lr: {RANGE}", f"setup.epochs: {RANGE}", "measured at the same epochs"),
    ],
)  # fmt: skip
def test_what_cannot_be_drawn_is_refused(old: str, new: str, told: str) -> None:
    assert any(old in drawn for drawn in (DRAWN[0][1], DRAWN[1][1], DRAWN[2][1]))
    changes = [(before, after.replace(old, new)) for before, after in DRAWN]
    if old in DRAWN[0][1] and old != DRAWN[1][1]:
        changes[0] = DRAWN[0]  # of one arm alone
    found = find(*changes)
    assert any(told in message for message in found.values()), found


def test_a_number_of_draws_without_a_range_is_refused() -> None:
    found = find(("  space:", "  trials: 3\n  space:"))
    assert found == {"trials: 3": "trials is the number of candidates that are drawn, and no space has a distribution"}


def test_a_uniform_range_of_what_is_whole_says_which_distribution_is() -> None:
    with pytest.raises(InvalidHypothesis) as refused:
        read((DFA, "    dfa: {setup.batch_size: {distribution: uniform, low: 32, high: 64}}"), DRAWN[2])
    assert any(
        "distribution: integer draws whole numbers from 32 to 64" in (one.remedy or "")
        for one in refused.value.findings
    )
