"""Tables of P(wrong outcome) for every form of estimand, and what all tables of the page share."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence

from tests.calibration.pairings import (
    FAMILIES,
    FORMS,
    ONSETS,
    PAIRED,
    SKEWED,
    find_coarse_rate,
    find_family_rate,
    find_onset_rate,
    find_pooled_rate,
    find_rate,
    find_tuned_rate,
    find_unpaired_rate,
    standard_error,
)

ALPHA = 0.05
DEFAULT_RUNS = 20_000
FORM_RUNS = {"sign_flip": 5_000, "bca": 4_000, "iqm_bootstrap": 4_000}
DEFAULT_FORM_RUNS = 10_000


def progress(what: str) -> None:
    """One line per part, on stderr."""
    print(f"{time.process_time():6.0f} s  {what}", file=sys.stderr)


def limit(runs: int) -> float:
    """Four standard errors above α."""
    return ALPHA + 4 * math.sqrt(ALPHA * (1 - ALPHA) / runs)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def form_runs(name: str) -> int:
    """Simulated data sets per form and true value."""
    return FORM_RUNS.get(name, DEFAULT_FORM_RUNS)


def checked(rate: float, runs: int, words: str) -> float:
    """Return a rate; one above its limit stops the script."""
    if rate > limit(runs):
        sys.exit(f"{words}: P(wrong outcome) is {rate:.4f}")
    return rate


def with_error(rate: float, runs: int) -> str:
    """Return a rate with its Monte-Carlo standard error."""
    return f"{rate:.4f} ± {standard_error(rate, runs):.4f}"


def forms_table() -> str:
    """P(wrong outcome) of every form of estimand under every criterion that may judge it."""
    rows = []
    for form in FORMS:
        rates = [find_rate(form, name, form_runs(name), ALPHA) for name in PAIRED]
        found = zip(PAIRED, rates, strict=True)
        rows.append([
            form.words,
            *("" if r is None else f"{checked(r, form_runs(n), f'{form.words}, {n}'):.4f}" for n, r in found),
        ])  # fmt: skip
        progress(f"form: {form.words}")
    rows.append(["data sets", *(f"{form_runs(name):,}" for name in PAIRED)])
    rows.append(["standard error of a rate of α", *(f"{standard_error(ALPHA, form_runs(n)):.4f}" for n in PAIRED)])
    return table(["form", *(f"`{name}`" for name in PAIRED)], rows)


def families_table() -> str:
    """P(wrong outcome) of families of four decisions, of pooled tasks, and of arms that were tuned."""
    rows = []
    for rule in FAMILIES:
        for name in ("t", "median", "wilcoxon"):
            rate = checked(find_family_rate(rule, name, 4_000, ALPHA), 4_000, f"family, {rule}, {name}")
            rows.append([f"four decisions of for_each, rule {rule}", f"`{name}`", with_error(rate, 4_000)])
    rate = checked(find_pooled_rate(1_000, ALPHA), 1_000, "tasks")
    rows.append(["three tasks that depend on one another, 30 seeds", "`iqm_bootstrap`", with_error(rate, 1_000)])
    for candidates in ((3, 3), (8, 1)):
        rate = checked(find_tuned_rate(candidates, 20_000, ALPHA), 20_000, f"tuned, {candidates}")
        told = f"arms tuned over {candidates[0]} and {candidates[1]} candidates on other seeds"
        rows.append([told, "`t`", with_error(rate, 20_000)])
    progress("families, tasks, tuning")
    return table(["form", "criterion", "P(wrong outcome)"], rows)


def onsets_table() -> str:
    """P(wrong outcome) of decisions about onsets."""
    rows = []
    for case in ONSETS:
        rate = find_onset_rate(case, DEFAULT_RUNS, ALPHA)
        told = "warned of" if case.warned else ""
        if not case.warned:
            checked(rate, DEFAULT_RUNS, case.words)
        rows.append([case.words, f"`{case.criterion}`", with_error(rate, DEFAULT_RUNS), told])
    progress("onsets")
    return table(["form", "criterion", "P(wrong outcome)", "by check"], rows)


def outside_table() -> str:
    """P(wrong outcome) of what the criteria do not allow."""
    rows = []
    for form in SKEWED:
        rate = find_rate(form, "t", DEFAULT_FORM_RUNS, ALPHA)
        assert rate is not None, "t applies to all"
        rows.append([form.words, "`t`", with_error(rate, DEFAULT_FORM_RUNS), ""])
    for correlation in (-0.8, 0.8):
        rate = find_unpaired_rate(correlation, DEFAULT_RUNS, ALPHA)
        told = f"unpaired arms whose values at a seed correlate by {correlation:g}".replace("-", "−")
        rows.append([told, "`welch`", with_error(rate, DEFAULT_RUNS), "warned of"])
    rate = find_tuned_rate((8, 1), DEFAULT_RUNS, ALPHA, fresh=False)
    rows.append(
        ["8 candidates and 1, decided on the seeds that chose", "`t`", with_error(rate, DEFAULT_RUNS), "refused"]
    )
    rate = find_coarse_rate(10, 4_000, ALPHA)
    rows.append(["values 0, 1, 2 and 3 alone, skewed", "`iqm_bootstrap`", with_error(rate, 4_000), ""])
    progress("outside")
    return table(["form", "criterion", "P(wrong outcome)", "by check"], rows)
