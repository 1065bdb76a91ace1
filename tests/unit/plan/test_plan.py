"""Cohorts: which arms train together, how they are split, and what they are said to cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness import plan, spec
from harness.plan.cost import count_other_logits, count_parameters
from harness.plugins.splits import SplitName
from harness.records import Hypothesis, Stopping

QUICKSTART = Path(__file__).parents[3] / "hypotheses" / "quickstart_digits.yaml"


@pytest.fixture(scope="module")
def hypothesis() -> Hypothesis:
    return spec.load(QUICKSTART).hypothesis


def changed(hypothesis: Hypothesis, arm: str, **parts: Any) -> Hypothesis:
    """The hypothesis with another arm; ``setup`` and ``optimizer`` are merged."""
    plain = hypothesis.model_dump(mode="json")
    for key, value in parts.items():
        target = plain["arms"][arm]
        if key == "optimizer":
            target["setup"]["optimizer"] |= value
        elif key == "setup":
            target["setup"] |= value
        else:
            target[key] = value
    return Hypothesis.model_validate(plain)


def grouped(hypothesis: Hypothesis, **options: Any) -> list[tuple[str, ...]]:
    return [tuple(cohort.arms) for cohort in plan.expand(hypothesis, (5, 6, 7), plan.Limits(**options)).cohorts]


def test_arms_of_one_program_share_a_cohort(hypothesis: Hypothesis) -> None:
    assert grouped(hypothesis) == [("vanilla", "penalized", "bp_penalty"), ("shallow",)]


@pytest.mark.parametrize("optimizer", [{"lr": 0.5}, {"weight_decay": 0.5}])
def test_rates_do_not_part_arms(hypothesis: Hypothesis, optimizer: dict[str, float]) -> None:
    assert grouped(changed(hypothesis, "vanilla", optimizer=optimizer))[0] == ("vanilla", "penalized", "bp_penalty")


def test_rules_share_a_cohort_and_stand_next_to_each_other(hypothesis: Hypothesis) -> None:
    bp_first = changed(hypothesis, "vanilla", rule={"name": "bp"})
    assert grouped(bp_first)[0] == ("vanilla", "bp_penalty", "penalized")
    unclipped = changed(hypothesis, "vanilla", rule={"name": "dfa", "clip": None})
    (cohort, _) = plan.expand(unclipped, (5,)).cohorts
    assert [cohort.arms[replica.arm].rule.name for replica in cohort.replicas] == ["dfa", "dfa", "bp"]


def test_arms_with_other_credit_leave_plain_direct_feedback_its_neighbours(hypothesis: Hypothesis) -> None:
    """So its cohorts are those that it had before the faster steps trained the others."""
    targets = changed(hypothesis, "vanilla", rule={"name": "drtp"})
    assert grouped(targets) == [("vanilla",), ("penalized", "bp_penalty"), ("shallow",)]
    both = changed(targets, "bp_penalty", rule={"name": "fa_block"})
    assert grouped(both) == [("vanilla", "bp_penalty"), ("penalized",), ("shallow",)]
    left = changed(targets, "bp_penalty", rule={"name": "ifa"})  # which autograd trains
    assert grouped(left) == [("vanilla",), ("penalized",), ("shallow",), ("bp_penalty",)]


@pytest.mark.parametrize(
    "parts",
    [
        {"optimizer": {"beta1": 0.5}},
        {"optimizer": {"schedule": "constant"}},
        {"setup": {"epochs": 3}},
        {"setup": {"precision": "float64"}},
        {"freeze": ["block_0"]},
    ],
)
def test_another_program_is_another_cohort(hypothesis: Hypothesis, parts: dict[str, Any]) -> None:
    assert ("vanilla", "penalized", "bp_penalty") not in grouped(changed(hypothesis, "vanilla", **parts))


def test_every_replica_is_planned_once_in_order(hypothesis: Hypothesis) -> None:
    planned = plan.expand(hypothesis, (5, 6, 7))
    pairs = [(replica.arm, replica.seed) for cohort in planned.cohorts for replica in cohort.replicas]
    assert pairs == [(arm, seed) for arm in hypothesis.arms for seed in (5, 6, 7)]


def test_cohorts_split_to_fit_the_memory(hypothesis: Hypothesis) -> None:
    two = plan.expand(hypothesis, (5, 6)).cohorts[1]
    assert len(two.replicas) == 2
    limit = int(two.memory_bytes / 0.85) + 1
    planned = plan.expand(hypothesis, (5, 6, 7), plan.Limits(memory_bytes=limit))
    assert [len(cohort.replicas) for cohort in planned.cohorts] == [1, 2, 2, 2, 2, 1, 2]
    assert all(cohort.memory_bytes <= 0.85 * limit for cohort in planned.cohorts)
    assert len({(r.arm, r.seed) for cohort in planned.cohorts for r in cohort.replicas}) == 12
    assert [tuple(cohort.arms) for cohort in planned.cohorts][1] == ("vanilla",)


@pytest.mark.parametrize(
    ("seeds", "sizes"),
    [(10, [15, 15, 5, 5]), (7, [10, 11, 7]), (5, [15, 5]), (9, [13, 14, 9]), (4, [12, 4]), (3, [9, 3])],
)
def test_an_odd_number_of_cohorts_becomes_even_where_one_is_large(
    hypothesis: Hypothesis, seeds: int, sizes: list[int]
) -> None:
    """Groups of three arms and of one."""
    planned = plan.expand(hypothesis, tuple(range(seeds)), plan.Limits(largest=20, prefer_even_cohorts=True))
    assert [len(cohort.replicas) for cohort in planned.cohorts] == sizes


def test_a_replica_that_cannot_fit_is_still_planned(hypothesis: Hypothesis) -> None:
    assert all(
        len(cohort.replicas) == 1 for cohort in plan.expand(hypothesis, (5, 6), plan.Limits(memory_bytes=1)).cohorts
    )


def test_steps_count_the_ragged_batch(hypothesis: Hypothesis) -> None:
    planned = plan.expand(hypothesis, (5,))
    assert planned.steps(planned.cohorts[0]) == 20 * 23  # 1,437 images in batches of 64
    estimate = plan.estimate(planned, "cpu")
    assert estimate.steps == 2 * 20 * 23 and estimate.seconds > 0


def test_parts_of_the_data_are_what_is_planned(hypothesis: Hypothesis) -> None:
    """Steps, parameters and memory are those of the images and classes that are used."""
    (whole,) = plan.expand(hypothesis, (5,)).cohorts[-1:]
    setup = {"subset": {"classes": [0, 1, 2], "size": 200}, "validation": {"share": 0.1}}
    small = plan.expand(changed(hypothesis, "shallow", setup=setup), (5,))
    (part,) = small.cohorts[-1:]
    assert list(part.arms) == list(whole.arms) == ["shallow"]
    assert small.steps(part) == part.setup.epochs * -(-200 // part.setup.batch_size)
    assert part.setup.validation_count == 42  # a tenth of 143 + 141 + 140
    width = part.setup.model.hidden
    assert count_parameters(whole.setup) - count_parameters(part.setup) == 7 * (width + 1)
    assert part.memory_bytes < whole.memory_bytes
    noisy = changed(hypothesis, "shallow", setup={"labels": {"name": "noisy", "share": 0.5}})
    assert plan.expand(noisy, (5,)).cohorts[-1].memory_bytes == whole.memory_bytes + 8 * 1437


@pytest.mark.parametrize(
    "parts", [{"labels": {"name": "random"}}, {"subset": {"size": 500}}, {"validation": {"share": 0.1}}]
)
def test_arms_on_other_data_are_another_cohort(hypothesis: Hypothesis, parts: dict[str, Any]) -> None:
    assert grouped(changed(hypothesis, "penalized", setup=parts)) == [
        ("vanilla", "bp_penalty"), ("penalized",), ("shallow",),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("metrics", "splits"),
    [(["train_loss", "test_accuracy", "hidden_norm"], ()), (["train_accuracy", "train_loss_original"], ("train",)),
     (["validation_loss"], ("validation",)), (["validation_loss", "train_accuracy"], ("train", "validation")),
     ([{"name": "hidden_norm", "probe_split": "train"}], ())],
)  # fmt: skip
def test_logits_of_other_splits_are_counted_where_metrics_read_them(
    hypothesis: Hypothesis, metrics: list[Any], splits: tuple[SplitName, ...]
) -> None:
    parts = {"evaluation": {"metrics": metrics}, "validation": {"share": 0.2}}
    setup = changed(hypothesis, "vanilla", setup=parts).arms["vanilla"].setup
    assert count_other_logits(setup) == sum(map(setup.count, splits))


def test_parameters_are_counted_from_the_model(hypothesis: Hypothesis) -> None:
    linear = 64 * 64 + 64
    assert count_parameters(hypothesis.setup) == linear + 3 * (2 * 64 + 2 * linear) + 2 * 64 + 64 * 10 + 10


def test_seeds_of_different_looks_never_share_a_cohort(hypothesis: Hypothesis) -> None:
    looks = hypothesis.model_copy(update={"stopping": Stopping(kind="looks", at=(2, 3, 10))})
    planned = plan.expand(looks, tuple(range(10)))
    stages = plan.split_by_look(planned, looks.looks)
    assert [len(stage.cohorts) for stage in stages] == [2, 2, 2]
    assert tuple(cohort for stage in stages for cohort in stage.cohorts) == planned.cohorts
    for stage, seeds in zip(stages, ({0, 1}, {2}, set(range(3, 10))), strict=True):
        assert {replica.seed_index for cohort in stage.cohorts for replica in cohort.replicas} == seeds
    assert sum(len(cohort.replicas) for cohort in planned.cohorts) == 40


def test_a_fixed_number_of_seeds_is_one_stage(hypothesis: Hypothesis) -> None:
    planned = plan.expand(hypothesis, tuple(range(10)))
    assert plan.split_by_look(planned, hypothesis.looks) == (planned,)
