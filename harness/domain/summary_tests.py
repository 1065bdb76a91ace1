"""Tests whose intervals are those of summaries over seeds other than means, where nobody registered a criterion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from harness.criteria import Criterion, Target
from harness.plugins.registry import find_members
from harness.records import Estimand

LEVEL = 0.95
TESTS: Mapping[Target, str] = {"median": "median", "pseudomedian": "wilcoxon", "iqm": "iqm_bootstrap"}
"""Summary over seeds → criterion whose interval is of that summary."""


def find_summary_test(estimand: Estimand) -> Criterion | None:
    """Return the criterion whose interval is that of an estimand's summary; None of means, and of unpaired arms."""
    name = TESTS.get(estimand.seeds)
    if name is None or estimand.pairing == "unpaired":
        return None
    return cast("Criterion", find_members("criteria")[name].model_validate({"name": name})).over(estimand.task_count)
