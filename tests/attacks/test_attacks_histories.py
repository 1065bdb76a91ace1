"""Random honest histories audit clean, and an attack of every kind on each is found. ``count.py`` tries many more."""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.attacks.draws import make_beacon
from tests.attacks.histories import TRIED, Histories
from tests.attacks.trails import Trail
from tests.ssh import needs_ssh_keygen

SEED = 6


@needs_ssh_keygen
def test_random_histories_are_clean_and_attacks_on_them_found(good_trail: Trail, tmp_path: Path) -> None:
    Histories.good = good_trail
    Histories.key, Histories.beacon = make_beacon(tmp_path)
    plan = settings(
        max_examples=12, stateful_step_count=14, deadline=None, derandomize=True, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    # Else an edit of the machine would draw other histories, of which a few may hold nothing to attack.
    run_state_machine_as_test(seed(SEED)(Histories), settings=plan)
    print(f"{sum(TRIED.values())} attacks tried, all found: {dict(TRIED)}")
    assert sum(TRIED.values()) >= 12 and {"flip", "splice", "cut off", "artefact"} <= set(TRIED)
