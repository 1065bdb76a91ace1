"""The progress that a run shows where there is no terminal: a line per cohort, of every hypothesis of a set."""

from __future__ import annotations

import pytest

from harness.cli.run import show_progress
from harness.pipeline import telling
from harness.training import Progress


def moment(arm: str, steps: int) -> Progress:
    return Progress(1, 2, (arm,), 5, 1, 4, steps, 400)


def test_every_hypothesis_of_a_set_is_shown_by_itself(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "LEAST_SECONDS", 0.0)  # a speed at once
    with show_progress() as show:
        for arm, steps in (("a", 100), ("a", 400), ("b", 100), ("b", 400)):
            show(moment(arm, steps))
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("·")[1].split(":")[0].strip() for line in lines] == ["a", "a", "b", "b"]
    assert not any("-" in line for line in lines), lines
