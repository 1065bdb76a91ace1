"""The choice of a search: the best mean, never one that diverged more, and nothing hangs on the order of a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.domain.tuning import name_candidate
from harness.inference import choose, list_search_disagreements
from harness.ledger.seeding import derive_tuning_seeds
from harness.records import Hypothesis, Measurements, ReplicaResult, Series
from harness.spec import parse

FILE = Path(__file__).parents[2] / "questions" / "q10_tuned_rates.yaml"
RATES = (1e-3, 3e-3, 1e-2)


def load(*changes: tuple[str, str]) -> Hypothesis:
    text = FILE.read_text("utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return parse(text.encode(), b"", "q.yaml").hypothesis


def measure(values: list[tuple[float | None, ...]], metric: str = "validation_accuracy") -> Measurements:
    """Both arms' candidates with these values at the last epoch, by candidate and seed; None: it diverged."""
    replicas = [
        ReplicaResult(
            arm=name_candidate(arm, position),
            seed_index=index,
            seed=index,
            status="diverged" if value is None else "finished",
            diverged_epoch=1 if value is None else None,
            weights_sha256=f"{arm}{position}{index}",
            metrics={metric: Series(epochs=(1, 4), values={"value": ((0.99,), (value,))})},
        )
        for arm in ("bp", "dfa")
        for position, candidate in enumerate(values)
        for index, value in enumerate(candidate)
    ]
    return Measurements(
        hypothesis="q", registration="0" * 64, seeds=(0, 1, 2), epochs={}, data={}, replicas=tuple(replicas)
    )


def test_the_best_mean_at_the_last_epoch_wins() -> None:
    found = choose(load(), measure([(0.1, 0.9, 0.2), (0.5, 0.5, 0.5), (0.4, 0.5, 0.45)])).arms["dfa"]
    assert (found.chosen, found.runner_up, found.edges) == (1, 2, ())
    assert found.gap == pytest.approx(0.05)


def test_the_lowest_loss_wins() -> None:
    hypothesis = load(("select: validation_accuracy", "select: train_loss"))
    found = choose(hypothesis, measure([(0.3,) * 3, (0.2,) * 3, (0.1,) * 3], "train_loss")).arms["bp"]
    assert (found.chosen, found.runner_up, found.edges) == (2, 1, ("setup.optimizer.lr",))


def test_what_diverged_loses_however_good_the_rest_is() -> None:
    found = choose(load(), measure([(0.9, 0.9, None), (None, None, 1.0), (0.1, 0.1, 0.1)])).arms["bp"]
    assert (found.chosen, found.runner_up) == (2, 0)
    assert [one.diverged for one in found.candidates] == [1, 2, 0]


def test_something_is_chosen_if_all_diverged() -> None:
    found = choose(load(), measure([(None,) * 3] * 3)).arms["bp"]
    assert (found.chosen, found.gap) == (0, None)


@pytest.mark.parametrize("rates", ["[1.0e-3, 3.0e-3, 1.0e-2]", "[1.0e-2, 3.0e-3, 1.0e-3]", "[3.0e-3, 1.0e-2, 1.0e-3]"])
def test_of_equals_the_smaller_value_wins_whatever_the_order(rates: str) -> None:
    hypothesis = load(("[1.0e-3, 3.0e-3, 1.0e-2]", rates))
    found = choose(hypothesis, measure([(0.5,) * 3] * 3)).arms["bp"]
    assert found.choice.values == {"setup.optimizer.lr": 1e-3}
    assert found.gap == 0


def test_tuning_seeds_are_none_that_decide() -> None:
    first = derive_tuning_seeds((7, 8), 3)
    assert derive_tuning_seeds((8, 7), 3) != first
    assert len({*first, 7, 8}) == 5


def test_a_search_that_came_out_alike_agrees() -> None:
    first = choose(load(), measure([(0.80, 0.84, 0.82), (0.5, 0.52, 0.51), (0.4, 0.5, 0.45)]))
    again = choose(load(), measure([(0.81, 0.84, 0.82), (0.5, 0.52, 0.51), (0.4, 0.5, 0.45)]))
    assert list_search_disagreements(first, again, 0.95) == ()
    assert list_search_disagreements(None, None, 0.95) == ()
    assert list_search_disagreements(first, None, 0.95) == ("one of the two has no search",)


def test_another_choice_a_moved_mean_and_another_divergence_are_told_in_words() -> None:
    first = choose(load(), measure([(0.80, 0.84, 0.82), (0.5, 0.52, 0.51), (0.4, 0.5, 0.45)]))
    again = choose(load(), measure([(0.80, 0.84, 0.82), (0.9, 0.92, 0.91), (0.4, None, 0.45)]))
    told = list_search_disagreements(first, again, 0.95)
    assert told[0] == "the search chose setup.optimizer.lr 0.003 for bp, it was setup.optimizer.lr 0.001"
    assert told[1].startswith("bp with setup.optimizer.lr 0.003: the mean moved from 0.510 to 0.910, by more than")
    assert told[2] == "bp with setup.optimizer.lr 0.01 diverged at 1 seed, it was 0 seeds"
    assert len(told) == 6
