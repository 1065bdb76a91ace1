"""What ``check`` says of a prediction that the registered seeds cannot confirm, by a criterion that needs bounds."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness import spec
from harness.pipeline.power import warn_of_too_few_seeds

ORIGINAL = Path(__file__).parents[3] / "tests/corpus/valid/mode2_direction.yaml"


@pytest.mark.parametrize("rule", ["{kind: fixed}", "{kind: anytime}", "{kind: looks, at: [SOME, ALL]}"])
def test_a_hopeless_bounded_file_is_warned_of_and_a_good_one_is_not(tmp_path: Path, rule: str) -> None:
    """|cosine| < .05 of −1 to 1 with an sd of .03: 60 seeds are too few, 150 enough."""
    text = ORIGINAL.read_text(encoding="utf-8")
    for old in ("{count: 10,", "{name: t, alpha: 0.05}", "{kind: fixed}"):
        assert text.count(old) == 1
    text = text.replace("{name: t, alpha: 0.05}", "{name: bounded, alpha: 0.05}")
    shutil.copy(ORIGINAL.with_name("claims.yaml"), tmp_path)
    found = []
    for count in (60, 150):
        stopping = rule.replace("SOME", str(count // 2)).replace("ALL", str(count))
        path = tmp_path / "file.yaml"
        path.write_text(
            text.replace("{count: 10,", f"{{count: {count}, sd: 0.03,").replace("{kind: fixed}", stopping),
            encoding="utf-8",
        )
        found.append(warn_of_too_few_seeds(spec.load(path)))
    hopeless, good = found
    assert hopeless is not None and hopeless.severity == "warning"
    assert hopeless.message.startswith(
        '60 seeds would confirm the prediction, "confirmed", with a chance of 4.3% at best'
    )
    assert good is None
