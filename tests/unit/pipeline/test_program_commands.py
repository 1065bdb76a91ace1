"""What is shown before a program's commands are allowed: nothing else may run under the same answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.pipeline.program import write_commands
from harness.records.tuning import Value
from harness.spec import load

TUNED = Path(__file__).parents[2] / "corpus/valid/program_tuned.yaml"


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        (("antithetic, plain", "x"), "one of 'antithetic, plain', x"),
        (("antithetic", "plain, x"), "one of antithetic, 'plain, x'"),
        ((0.1, 0.1 + 1e-13), "one of 0.1, 0.10000000000010001"),
        ((True, 1), "one of true, 1"),
    ],
)
def test_what_a_search_may_put_into_a_command_is_shown_exactly(values: tuple[Value, ...], shown: str) -> None:
    hypothesis = load(TUNED).hypothesis
    assert hypothesis.tuning is not None
    (arm, *_) = hypothesis.tuning.space
    tuning = hypothesis.tuning.model_copy(update={"space": {arm: {"parameters.x": values}}})
    lines = write_commands(hypothesis.model_copy(update={"tuning": tuning}))
    assert lines[arm].endswith(f" with x {shown}")
    assert " with " not in "".join(line for name, line in lines.items() if name != arm)
