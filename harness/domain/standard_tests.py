"""The tests of parameters for which a file names no criterion: in guards, and in intervals beside estimates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from harness.criteria import Criterion, Target
from harness.criteria.iqm_bootstrap import IqmBootstrap
from harness.criteria.median import Median
from harness.criteria.t import T
from harness.criteria.welch import Welch
from harness.criteria.wilcoxon import Wilcoxon
from harness.records import Estimand


class StandardTest(NamedTuple):
    """A test with its name in verdicts."""

    name: str
    criterion: Criterion


STUDENT = StandardTest("one-sample t test", T(name="t"))
WELCH = StandardTest("Welch's t test", Welch(name="welch"))
PAIRED: Mapping[Target, StandardTest] = {
    "mean": STUDENT,
    "median": StandardTest("exact sign test", Median(name="median")),
    "pseudomedian": StandardTest("signed-rank test", Wilcoxon(name="wilcoxon")),
    "iqm": StandardTest("bootstrap of the interquartile mean", IqmBootstrap(name="iqm_bootstrap")),
}
"""Summary across seeds → test, for one number per seed."""
INTERVAL_LEVEL = 0.95
"""Level of intervals of summaries for which nobody registered a criterion."""


def choose_test(estimand: Estimand) -> StandardTest:
    """Return the test of an estimand's own summary across seeds."""
    name, criterion = WELCH if estimand.pairing == "unpaired" else PAIRED[estimand.seeds]
    return StandardTest(name, criterion.over(estimand.task_count))


def choose_mean_test(estimand: Estimand) -> StandardTest:
    """Return the test of an estimand's mean over seeds, whatever summary the file asks for."""
    return WELCH if estimand.pairing == "unpaired" else STUDENT


def choose_interval(estimand: Estimand) -> Criterion | None:
    """Return the criterion whose interval is that of an estimand's summary; None of means, and of unpaired arms."""
    return None if estimand.pairing == "unpaired" or estimand.seeds == "mean" else choose_test(estimand).criterion
