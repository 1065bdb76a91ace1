"""Question 12: test accuracies at equal training loss, and at equal computing cost."""

from __future__ import annotations

import numpy as np
import pytest

from tests.questions.asked import Answer, ask


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> Answer:
    return ask("q12_equal_ground", tmp_path_factory)


def read(answer: Answer, arm: str, metric: str) -> np.ndarray:
    """Every evaluated value of a metric, [seed, epoch]; this file evaluates after every epoch."""
    found = [one["metrics"][metric] for one in answer.results["replicas"] if one["arm"] == arm]
    assert all(series["epochs"] == list(range(1, 21)) for series in found)
    return np.array([series["values"]["value"] for series in found])[..., 0]


def find_first(answer: Answer, arm: str) -> list[int | None]:
    """The row, of the evaluations, at which each seed's training loss is first below 1; None where it never is."""
    rows = [np.flatnonzero(series < 1) for series in read(answer, arm, "train_loss")]
    return [int(found[0]) if len(found) else None for found in rows]


def test_accuracies_at_equal_loss_are_what_numpy_reads_in_the_results(answer: Answer) -> None:
    bp, dfa = (read(answer, arm, "test_accuracy") for arm in ("bp", "dfa"))
    rows = zip(range(6), find_first(answer, "bp"), find_first(answer, "dfa"), strict=True)
    # A seed has no value if one of its replicas never comes to the loss.
    expected = [None if None in (i, j) else 100 * (bp[seed, i] - dfa[seed, j]) for seed, i, j in rows]
    found = answer.values("same_loss")
    assert [value is None for value in found] == [value is None for value in expected]
    both = [pair for pair in zip(found, expected, strict=True) if pair[1] is not None]
    assert [value for value, _ in both] == pytest.approx([value for _, value in both])


def test_accuracies_at_equal_cost_are_those_of_the_epochs_that_the_cheapest_arm_pays_for(answer: Answer) -> None:
    d, features, classes, blocks = 32, 64, 10, 2
    forward = features * d + blocks * 2 * d * d + d * classes
    through = blocks * 2 * d * d + d * classes  # the error goes through all but the embedding
    per_sample = {"bp": 2 * (2 * forward + through), "dfa": 2 * (2 * forward + through + blocks * classes * d)}
    budget = min(per_sample.values()) * 20
    difference = 0.0
    for arm, sign in (("bp", 1), ("dfa", -1)):
        epoch = budget // per_sample[arm]  # evaluated after every epoch
        difference = difference + sign * read(answer, arm, "test_accuracy")[:, epoch - 1]
        (ground,) = (one for one in answer.estimate("same_cost")["ground"] if one["arm"] == arm)
        images = answer.results["data"]["digits"]["train"]
        assert ground["epochs"] == [epoch] * 6 and ground["amounts"] == [epoch * per_sample[arm] * images] * 6
    assert answer.values("same_cost") == pytest.approx((100 * difference).tolist())


def test_accuracies_at_equal_steps_are_those_of_the_last_epoch_within_them(answer: Answer) -> None:
    epoch = 250 // -(-answer.results["data"]["digits"]["train"] // 64)
    difference = read(answer, "bp", "test_accuracy")[:, epoch - 1] - read(answer, "dfa", "test_accuracy")[:, epoch - 1]
    assert answer.values("same_steps") == pytest.approx((100 * difference).tolist())


def test_plan_and_page_say_what_a_replica_costs(answer: Answer) -> None:
    planned = answer.project.harness("plan", "hypotheses/q12_equal_ground.yaml").stdout
    said = [line.split(": ")[1] for line in planned.splitlines() if line.startswith("each replica of")]
    assert len(said) == 2 and all(cost in answer.page for cost in said)


def test_the_page_says_where_each_arm_was_read_and_what_its_loss_was_there(answer: Answer) -> None:
    for arm, label in (("bp", "BP"), ("dfa", "DFA")):
        loss, rows = read(answer, arm, "train_loss"), find_first(answer, arm)
        came = [(row + 1, loss[seed, row]) for seed, row in enumerate(rows) if row is not None]
        (line,) = (line for line in answer.page.splitlines() if line.startswith(f"| same\\_loss | {label} |"))
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert cells[4] == f"{len(came)} of 6"
        if not came:
            assert cells[2] == cells[3] == "–"
            continue
        first, last = min(came)[0], max(came)[0]
        assert cells[2] == (str(first) if first == last else f"{first} to {last}")
        ends = [float(end) for end in cells[3].removeprefix("train\\_loss ").split(" to ")]
        losses = [one for _, one in came]
        assert (ends[0], ends[-1]) == pytest.approx((min(losses), max(losses)), rel=1e-2)
    assert "first epoch with train\\_loss below 1," in answer.page
    assert answer.values("unreached") == [None] * 6


def test_it_is_judged_again_to_the_byte(answer: Answer) -> None:
    again = answer.project.harness("reverdict", "q12-equal-ground")
    assert again.returncode == 0 and "the same to the byte" in again.stderr
