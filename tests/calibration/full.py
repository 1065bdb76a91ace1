"""The full calibration: python -m tests.calibration.full writes docs/calibration.md and docs/calibration.svg.

A few minutes on one core. The same code, with fewer runs, is what tests/calibration/test_calibration.py asserts.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from harness.criteria.bca import Bca
from tests.calibration.batch import scaled, wrong
from tests.calibration.form_tables import (
    ALPHA,
    DEFAULT_RUNS,
    families_table,
    forms_table,
    limit,
    onsets_table,
    outside_table,
    progress,
    table,
)
from tests.calibration.scenarios import (
    COLLAPSED,
    CRITERIA,
    DIRECTION,
    EXPONENTIAL,
    SYMMETRIC,
    WITHIN,
    coverage,
    standard,
    stopped,
    worst,
)

DOCS = Path(__file__).parents[2] / "docs"
SEEDS: dict[str, tuple[int, ...]] = {
    "t": (3, 5, 10, 20), "sign_flip": (6, 8, 10), "wilcoxon": (6, 10, 20), "median": (6, 10, 20), "bca": (30, 50),
    "bounded": (6, 10, 20), "t_sequence": (5, 10, 20), "welch": (3, 5, 10, 20),
    "iqm_bootstrap": (8, 10, 20, 30),
}  # fmt: skip
RUNS = {"bounded": 10_000, "sign_flip": 10_000, "bca": 4_000, "iqm_bootstrap": 4_000}
COVERED = (SYMMETRIC["normal"], EXPONENTIAL, SYMMETRIC["t, 3 df"], COLLAPSED)
NUMBERS = (3, 5, 10, 20, 50)
COLORS = {
    "t": "#0072B2", "sign_flip": "#D55E00", "wilcoxon": "#009E73", "median": "#CC79A7", "bca": "#E69F00",
    "bounded": "#7f7f7f", "t_sequence": "#56B4E9", "welch": "#000000",
    "iqm_bootstrap": "#F0C000",
}  # fmt: skip
MARKERS = dict(zip(COLORS, "os^DvPX<*", strict=True))

TEXT = """# Calibration

Written by `python -m tests.calibration.full`; `tests/calibration/test_calibration.py` asserts the same with fewer runs
on every commit, and that the simulation's vectorised tests are the criteria's own, to nine digits, on random data.

## A wrong outcome is as rare as α says

P(wrong outcome) at α = {alpha} with these bands:

{bands}

It is the largest over true values on every cut, next to each cut and half a spread away, over spreads of {spreads}, and
over the distributions that the criterion's assumptions allow. A rate of exactly α comes out above {limit} once in
thirty thousand simulations of {runs:,} data sets (four standard errors); one above stops the script.

{wrong}

Rates far below α are not a defect: an interior band is excluded by two tests at α/2, only one of which can err at a
time; a discrete test can't use all of its α; and an anytime-valid test, or one without assumptions, pays for that.

The distributions:

{within}
- `bounded`: values on either bound and nowhere else, and beta distributions, on [−1, 1]

### Looking more than once

The run ends at the first look that decides. Each planned look takes α divided by the number of looks (Bonferroni);
anytime-valid criteria take the whole α after every seed. The last row shows what an uncorrected t does, and why `check`
refuses it.

{looks}

## The forms of an estimand

P(wrong outcome) at α = {alpha} with 10 seeds (bca: 30), for arms that share their seeds and differ in nothing, so that
every comparison of them is symmetric about 0; the largest over a boundary at 0, and boundaries half a spread on either
side with the true value on each, beside it and between. `tests/calibration/test_pairings.py` asserts that the numbers
are those that harness evaluates from such measurements. `bounded` gets values on either bound and nowhere else;
logarithms have no bounds. `welch` compares two arms: its rates are those above.

{forms}

`check` refuses every other pairing of a summary over seeds with a criterion. Rates of a median, of bounded and of
t_sequence are small for the reasons above.

### Interquartile means over tasks, families, tuned arms

{families}

### Onsets

Onsets are seen by evaluations after epoch 1, every 5 epochs and the last, 60. The true value lies beside the boundary.
Tests get the possible value that speaks least for what they would show, and therefore err rarely.

{onsets}

### What check refuses or warns of, and what it cannot see

{outside}

- Skew cancels where as many arms with the same weight are added as taken away, and not otherwise. `check` cannot see
  it: decide skewed, positive quantities as a `ratio` or on a log10 scale.
- Welch's test takes arms for independent, and arms that share their seeds are not: `check` warns of it.
- Signed ranks need differences that are symmetric about the boundary. Beside 0 they are, if the arms do not differ;
  beside a delay they are not, if one arm never comes to it more often: `check` warns of it.
- No file can decide on the seeds that tuned its arms.
- `iqm_bootstrap` needs values in steps of at most half their spread, such as accuracies on enough
  images: where four values are all that there are, it errs more often than α says.

## Where assumptions fail

Coverage of nominal 95% intervals for the parameter that the criterion targets (mean, median, pseudomedian or
interquartile mean), 10,000 data sets each (4,000 for the bootstraps, 1,000 where sign_flip has 20 or 50 seeds).
Exponential is skewed; t with 3 degrees of freedom has heavy tails; of the collapsed seeds, one in ten lies 43 standard
deviations below the others. 1.00 at few seeds is the whole line: sign_flip, wilcoxon and median cannot exclude anything
there.

{coverage}

Conclusions:

- If one seed in ten collapses, no test of the mean can be trusted before some collapsed seeds have been seen: with ten
  seeds, a third of all runs see none, and their intervals are short and wrong. No interval reflects a failure mode that
  did not occur. For this reason, the verdict prints the failure rate that n clean seeds leave possible.
- `median` keeps its level whatever the distribution, and `wilcoxon` nearly so where asymmetry is mild. They answer
  another question than the mean: they are about the typical seed, which a collapsed tenth hardly affects.
- Skewness costs t several percentage points at few seeds. A positive, skewed quantity is better decided on a log10
  scale.
- BCa as Efron gave it is far too narrow for few seeds, even for normal values. The criterion `bca` widens it
  (Hesterberg 2015) and gives no outcome below 30 seeds.
- `iqm_bootstrap` keeps its level for skewed values, heavy tails and collapsed seeds from 8 seeds on, because the middle
  half hardly reaches them. Like `median`, it answers another question than the mean: it leaves collapsed seeds out.
- `bounded` assumes only bounds and is therefore left out: it keeps its level and decides little.
- `t_sequence` covers more than its nominal level at any single n, which is the price of looking after every seed.
- `welch` compares two arms with the same shape, so that skewness partly cancels.

![P(wrong outcome) along the true value, and coverage against the number of seeds](calibration.svg)
"""


def runs_of(name: str) -> int:
    """Simulated data sets per true value."""
    return RUNS.get(name, DEFAULT_RUNS)


def covered_runs(name: str, n: int) -> int:
    """Simulated data sets per coverage; sign_flip has no batch for many seeds."""
    return 4000 if name.startswith(("bca", "iqm")) else 1000 if name == "sign_flip" and n > 12 else 10_000


def wrong_table() -> str:
    """The largest P(wrong outcome) of each criterion at each number of seeds."""
    numbers = sorted({n for seeds in SEEDS.values() for n in seeds})
    rows = []
    for name, criterion in CRITERIA.items():
        row = [f"`{name}`"]
        for n in numbers:
            if n not in SEEDS[name]:
                row.append("")
                continue
            allowed = WITHIN.get(name, (SYMMETRIC["normal"],))
            rate = max(worst(criterion, distribution, n, ALPHA, runs_of(name)) for distribution in allowed)
            if rate > limit(runs_of(name)):
                sys.exit(f"{name} with {n} seeds: P(wrong outcome) is {rate:.4f}")
            row.append(f"{rate:.4f}")
        rows.append([*row, f"{runs_of(name):,}"])
        progress(f"P(wrong outcome): {name}")
    return table(["criterion", *(f"n = {n}" for n in numbers), "data sets"], rows)


def looks_table() -> str:
    """P(wrong outcome) of runs that stop at the first decision."""
    rows = []
    planned = (6, 8, 10)
    for name in ("t", "sign_flip", "wilcoxon", "median"):
        rate = stopped(CRITERIA[name], planned, ALPHA / len(planned), runs_of(name))
        rows.append([f"`{name}`", "planned, at 6, 8 and 10", "α/3", f"{rate:.4f}"])
    for name, most, runs in (("t_sequence", 40, 10_000), ("bounded", 20, 5_000)):
        rate = stopped(CRITERIA[name], tuple(range(2, most + 1)), ALPHA, runs)
        rows.append([f"`{name}`", f"after every seed, 2 to {most}", "α", f"{rate:.4f}"])
    for row in rows:
        if float(row[-1]) > limit(5_000):
            sys.exit(f"looking more than once: {row}")
    rate = stopped(CRITERIA["t"], tuple(range(2, 41)), ALPHA, 10_000)
    rows.append(["`t`, which may not", "after every seed, 2 to 40", "α", f"{rate:.4f}"])
    progress("looks")
    return table(["criterion", "looks", "level of each", "P(wrong outcome)"], rows)


def coverages() -> dict[str, dict[str, list[float]]]:
    """Distribution → criterion → coverage at each number of seeds."""
    covered = {name: criterion for name, criterion in CRITERIA.items() if name != "bounded"}
    covered["bca as Efron's"] = Bca(name="bca", expanded=False)
    found: dict[str, dict[str, list[float]]] = {}
    for distribution in COVERED:
        found[distribution.words] = {
            name: [coverage(criterion, distribution, n, covered_runs(name, n)) for n in NUMBERS]
            for name, criterion in covered.items()
        }
        progress(f"coverage: {distribution.words}")
    return found


def coverage_tables(found: dict[str, dict[str, list[float]]]) -> str:
    """One table per distribution."""
    head = ["criterion", *(f"n = {n}" for n in NUMBERS)]
    parts = []
    for words, rows in found.items():
        body = [[f"`{name}`" if name in CRITERIA else name, *(f"{c:.2f}" for c in row)] for name, row in rows.items()]
        parts.append(f"**{words}**\n\n{table(head, body)}")
    return "\n\n".join(parts)


def draw(found: dict[str, dict[str, list[float]]]) -> None:
    """P(wrong outcome) along the true value above, coverage against n below."""
    import matplotlib.style
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullLocator

    style: dict[str, Any] = {"font.size": 9, "svg.hashsalt": "harness", "axes.spines.top": False}
    with matplotlib.style.context(["default", {**style, "axes.spines.right": False}]):
        figure = Figure(figsize=(9, 7.2), facecolor="white")
        grid = figure.add_gridspec(
            2, len(found), height_ratios=[1.15, 1], hspace=0.42, wspace=0.12, left=0.07, right=0.97, top=0.89,
            bottom=0.075,
        )  # fmt: skip
        axes = figure.add_subplot(grid[0, :])
        for name, (theta, rate) in curves().items():
            style = {"color": COLORS[name], "marker": MARKERS[name], "linewidth": 1.4, "markersize": 3.5}
            axes.plot(theta, rate, label=name, zorder=3 if name == "t" else 2, **style)
        axes.axhline(ALPHA, color="#b00000", linestyle="--", linewidth=1)
        axes.text(0.295, ALPHA + 0.001, "α", color="#b00000", ha="right", va="bottom")
        for cut in (0.05, 0.2):
            axes.axvline(cut, color="#b0b0b0", linewidth=0.8, zorder=0)
        axes.set(xlim=(0, 0.3), ylim=(0, 0.06), xlabel="true value; cuts at ±0.05 and ±0.20, spread 0.1")
        axes.set_title("P(wrong outcome), 10 seeds (bca: 30)", loc="left", fontsize=10)
        for column, (words, rows) in enumerate(found.items()):
            small = figure.add_subplot(grid[1, column])
            for name, row in rows.items():
                kind = name if name in COLORS else "bca"
                line = ":" if name != kind else "-"
                small.plot(
                    NUMBERS,
                    row,
                    color=COLORS[kind],
                    linestyle=line,
                    linewidth=1.3,
                    marker=MARKERS[kind],
                    markersize=3.5,
                )
            small.axhline(0.95, color="#b00000", linestyle="--", linewidth=1)
            small.set(xscale="log", xlim=(2.7, 56), ylim=(0.2, 1.02), xlabel="seeds", xticks=NUMBERS)
            small.set_xticklabels([str(n) for n in NUMBERS])
            small.xaxis.set_minor_locator(NullLocator())
            small.set_title(words, loc="left", fontsize=10)
            if column:
                small.set_yticklabels([])
            else:
                small.set_ylabel("coverage of 95% intervals")
        handles, labels = axes.get_legend_handles_labels()
        extra = small.plot([], [], color=COLORS["bca"], linestyle=":", marker=MARKERS["bca"], markersize=3.5)[0]
        figure.legend(
            [*handles, extra], [*labels, "bca as Efron's (below only)"], loc="upper left", ncols=5, frameon=False,
            bbox_to_anchor=(0.06, 1.01),
        )  # fmt: skip
        figure.savefig(DOCS / "calibration.svg", format="svg", metadata={"Date": None, "Creator": None})


def curves() -> dict[str, tuple[np.ndarray, list[float]]]:
    """Criterion → true values, P(wrong outcome), for normal values; bounded, whose spread goes with its mean, aside."""
    theta = np.unique(np.concatenate([np.linspace(0, 0.3, 31), [0.0499, 0.1999]]))
    found = {}
    for name, criterion in CRITERIA.items():
        if name != "bounded":
            p = standard(criterion, SYMMETRIC["normal"], runs_of(name), 30 if name == "bca" else 10, 5)
            found[name] = theta, [wrong(scaled(p, float(t), 0.1), DIRECTION, ALPHA, float(t)) for t in theta]
    return found


def main() -> None:
    """Simulate, write, stop at the first rate above its limit."""
    wrongs, looks, found = wrong_table(), looks_table(), coverages()
    draw(found)
    within = "\n".join(f"- `{name}`: {'; '.join(d.words for d in kinds)}" for name, kinds in WITHIN.items())
    page = TEXT.format(
        alpha=ALPHA,
        bands="\n".join(f"    {name:10} {text}" for name, text in DIRECTION.items()),
        spreads="0.03, 0.1 and 0.5",
        limit=f"{limit(DEFAULT_RUNS):.4f}",
        runs=DEFAULT_RUNS,
        wrong=wrongs,
        within=within,
        looks=looks,
        forms=forms_table(),
        families=families_table(),
        onsets=onsets_table(),
        outside=outside_table(),
        coverage=coverage_tables(found),
    )
    (DOCS / "calibration.md").write_text(page, encoding="utf-8")
    progress("done")


if __name__ == "__main__":
    main()
