"""A hypothesis as a record: what it is made of is not changed by making it, and its canonical bytes stay the same."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from harness.ledger.registration import write_canonical
from harness.records import DecisionSpec, Estimand, Hypothesis
from harness.spec import load

ROOT = Path(__file__).parents[3]
DIGESTS = {
    "hypotheses/bp_penalty_control.yaml": "3afa4e5a6a608a8e60a3c5c83827395d8bd1c45c5430a6cabc3cd6c4039cdeac",
    "hypotheses/mode2_direction.yaml": "3a456b9bdddd381e4ff106fa3719a3e4c544e73ed0c5180729049dbed8bab501",
    "hypotheses/quickstart_digits.yaml": "30ebdc96bc1878b8b7e19286208c643803cb73792c52ebfcb4dbad991cc1ead4",
    "tests/corpus/valid/criteria.yaml": "ec8baed378dced7b6d720285dfcf6b58aec6f7bb897d875c734a53137e7d9ebb",
}
"""File → SHA-256 of its canonical form. The last one has bands on an absolute value."""


@pytest.mark.parametrize("name", DIGESTS)
def test_the_canonical_bytes_of_a_file_stay_the_same(name: str) -> None:
    hypothesis = load(ROOT / name).hypothesis
    assert hashlib.sha256(write_canonical(hypothesis)).hexdigest() == DIGESTS[name]


def parts() -> dict[str, Any]:
    """A hypothesis with bands on an absolute value, as a dictionary whose decision is a record already."""
    form = load(ROOT / "tests/corpus/valid/criteria.yaml").hypothesis.model_dump(mode="json")
    bands = {"near": "[0, 0.05)", "far": "[0.05, 1]"}
    decision = {"estimand": "direction", "criterion": {"name": "t"}, "bands": bands}
    return {**form, "decisions": {"t": DecisionSpec.model_validate(decision)}, "combine": None}


def test_making_a_hypothesis_leaves_the_bands_of_its_parts_as_they_are_written() -> None:
    form = parts()
    written = form["decisions"]["t"]
    hypothesis = Hypothesis.model_validate(form)
    assert {name: str(band) for name, band in written.bands.items()} == {"near": "[0, 0.05)", "far": "[0.05, 1]"}
    signed = {name: str(band) for name, band in hypothesis.decisions["t"].bands.items()}
    assert signed == {"near": "(-0.05, 0.05)", "far": "[-1, -0.05] | [0.05, 1]"}
    assert hypothesis.decisions["t"] == written.about_signed_summary(hypothesis.estimands["direction"])


def test_bands_that_are_not_on_an_absolute_value_stay_the_same_record() -> None:
    form = parts()
    form["estimands"]["direction"] = Estimand.model_validate({**form["estimands"]["direction"], "transform": "none"})
    assert Hypothesis.model_validate(form).decisions["t"] is form["decisions"]["t"]
