"""Times per step: measured once per shape and device, remembered, and near to what training takes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness.records import Plan
from harness.training import open_device
from harness.training.calibrate import compute_timing_key, estimate_training_seconds, find_times_file, load_times
from tests.unit.training.training_inputs import arm, cohort, planned


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))


def plan_of(epochs: int = 2, seeds: tuple[int, ...] = (1, 2)) -> Plan:
    return planned(cohort({"a": arm(setup={"epochs": epochs})}, list(seeds)))


def test_nothing_is_measured_unasked(tmp_path: Path) -> None:
    device = open_device("cpu")
    assert estimate_training_seconds(plan_of(), device, measure=False) is None
    assert not find_times_file(device).exists()


def test_a_shape_is_measured_once_and_remembered() -> None:
    device = open_device("cpu")
    first = estimate_training_seconds(plan_of(), device, measure=True)
    known = load_times(device)
    assert first is not None and first > 0 and len(known) == 1
    assert estimate_training_seconds(plan_of(), device, measure=False) == first
    assert estimate_training_seconds(plan_of(seeds=(8, 9)), device, measure=False) == first  # other seeds, same shape
    assert estimate_training_seconds(plan_of(seeds=(1, 2, 3)), device, measure=False) is None
    find_times_file(device).write_text("[not what was written")
    assert load_times(device) == {}


def test_a_part_of_the_data_is_measured_in_its_own_shape() -> None:
    """The images are made up: they have the classes of the part, and need not be selected from a whole."""
    parts = {"subset": {"classes": [2, 7], "size": 40}, "validation": {"share": 0.3}, "batch_size": 16}
    plan = planned(cohort({"a": arm(setup=parts | {"labels": {"name": "random"}})}, [1, 2]))
    seconds = estimate_training_seconds(plan, open_device("cpu"), measure=True)
    assert seconds is not None and seconds > 0
    assert compute_timing_key(plan.cohorts[0]) != compute_timing_key(cohort({"a": arm()}, [1, 2]))


def test_what_is_trained_otherwise_is_another_shape() -> None:
    one = cohort({"a": arm()}, [1, 2])
    assert compute_timing_key(one) == compute_timing_key(cohort({"b": arm()}, [3, 4]))
    others = [cohort({"a": arm("bp")}, [1, 2]), cohort({"a": arm(), "b": arm()}, [1]), cohort({"a": arm()}, [1])]
    assert len({compute_timing_key(one), *map(compute_timing_key, others)}) == 4


def test_processes_share_the_work() -> None:
    """What is remembered is per step; a plan takes its steps, spread over processes, and never less than a cohort."""
    plan = planned(*(cohort({"a": arm()}, list(range(count))) for count in (1, 2, 3)))
    device = replace(open_device("cpu"), workers=1)
    times = {compute_timing_key(one): seconds for one, seconds in zip(plan.cohorts, (0.1, 0.2, 0.7), strict=True)}
    find_times_file(device).parent.mkdir(parents=True)
    find_times_file(device).write_text(json.dumps(times))
    steps = plan.steps(plan.cohorts[0])
    for workers, expected in ((1, 1.0), (2, 0.7), (8, 0.7)):
        spread = replace(device, workers=workers)
        assert estimate_training_seconds(plan, spread, measure=False) == pytest.approx(steps * expected)
