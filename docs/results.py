"""The numbers of docs/results.md from the trail: ``python docs/results.py``. ``--write`` puts answers into the page.

With ``--check`` it says whether the page has the answers that the trail gives, and ends with 1 if it has not.
"""

from __future__ import annotations

import argparse
import json
import runpy
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import numpy as np
from answers import list_questions, word_answers, write_report
from scipy import stats

ROOT = Path(__file__).resolve().parent.parent
VERDICTS, PAGE = ROOT / "verdicts", ROOT / "docs/results.md"
PUBLISHED = ROOT / "benchmarks/published.jsonl"
SECOND_ATTEMPTS = {30: "bp-penalty-control/53b4b3e5bcd6", 100: "mode2-direction/76d31344c971"}
FIRST_ATTEMPTS = {30: "bp-penalty-control/95741298e764", 100: "mode2-direction/b776e8c24565"}
RUNS: dict[int | str, dict]
RUNS, FIRST = (
    {epochs: json.loads((VERDICTS / folder / "results.json").read_text()) for epochs, folder in folders.items()}
    for folders in (SECOND_ATTEMPTS, FIRST_ATTEMPTS)
)
SUMMARY = {"test_accuracy": "value", "credit_cosine": "mean"}  # over probe samples; the norms and the growth: median
DEEP = (1, 2, 3, 4)
# What, published value, its ± (as an sd between seeds), its seeds, epochs here, arm, metric, layers averaged.
ACCURACY, COSINE, HIDDEN, GRADIENT = "test_accuracy", "credit_cosine", "hidden_norm", "gradient_norm"
ROWS = [
    ("BP, accuracy", ".585", 0.001, 3, 30, "bp", ACCURACY, (0,)),
    ("BP with penalty, accuracy", ".530", None, 1, 30, "bp_penalty", ACCURACY, (0,)),
    ("DFA, accuracy", ".301", 0.005, 3, 30, "vanilla", ACCURACY, (0,)),
    ("Penalised DFA, accuracy", ".360", 0.001, 3, 30, "penalized", ACCURACY, (0,)),
    ("DFA, frozen blocks, accuracy [a]", ".349", None, 3, 30, "shallow", ACCURACY, (0,)),
    ("Margin: BP with penalty − DFA, frozen blocks [b]", ".181", None, 1, 30, "bp_penalty - shallow", ACCURACY, (0,)),
    ("Penalised DFA, deep cosine, as layer 2", ".155", 0.025, 3, 30, "penalized", COSINE, (2,)),
    ("Penalised DFA, deep cosine, as mean of layers 1–4", ".155", 0.025, 3, 30, "penalized", COSINE, DEEP),
    ("DFA, accuracy", ".306", 0.008, 3, 100, "vanilla", ACCURACY, (0,)),
    ("DFA, accuracy [c]", ".308", None, 1, 100, "vanilla", ACCURACY, (0,)),
    ("DFA, layer-0 cosine, lower end [d]", ".38", None, 1, 100, "vanilla", COSINE, (0,)),
    ("DFA, layer-0 cosine, upper end [d]", ".42", None, 1, 100, "vanilla", COSINE, (0,)),
    ("DFA, deep cosine, as layer 2 [c]", "-.008", None, 1, 100, "vanilla", COSINE, (2,)),
    ("DFA, deep cosine, as mean of layers 1–4 [c]", "-.008", None, 1, 100, "vanilla", COSINE, DEEP),
    ("DFA, ‖h_L‖", "5e8", None, 3, 100, "vanilla", HIDDEN, (4,)),
    ("DFA, ‖h_L‖ [c]", "4e8", None, 1, 100, "vanilla", HIDDEN, (4,)),
    ("DFA, ‖g_L‖", "4e-10", None, 3, 100, "vanilla", GRADIENT, (4,)),
    ("Penalised DFA, accuracy [c]", ".363", None, 1, 100, "penalized", ACCURACY, (0,)),
    ("Penalised DFA, deep cosine, as layer 2 [c]", ".155", None, 1, 100, "penalized", COSINE, (2,)),
    ("Penalised DFA, deep cosine, as mean of layers 1–4 [c]", ".155", None, 1, 100, "penalized", COSINE, DEEP),
    ("Penalised DFA, ‖h_L‖ [c]", "4e4", None, 1, 100, "penalized", HIDDEN, (4,)),
]
# The same for later runs, by their hypothesis instead of the epochs.
LATER = [
    ("DFA, accuracy", ".306", 0.008, 3, "deep-blocks-harm", "trained", ACCURACY, (0,)),
    ("DFA, frozen blocks, accuracy [a]", ".349", 0.003, 3, "deep-blocks-harm", "frozen", ACCURACY, (0,)),
    ("DFA, ‖h_L‖", "5e8", None, 3, "stream-explosion", "sample", HIDDEN, (4,)),
    ("Penalty 1e-4, deep cosine, as layer 2", "-.020", None, 3, "scale-without-direction", "weak", COSINE, (2,)),
    ("Penalty 1e-4, ‖h_L‖", "2.2e4", None, 3, "scale-without-direction", "weak", HIDDEN, (4,)),
    ("Penalty 1e-4, ‖g_L‖", "7.0e-7", None, 3, "scale-without-direction", "weak", GRADIENT, (4,)),
    ("Penalty 1e-2, deep cosine, as layer 2 [f]", ".151", 0.025, 3, "mode2-boundary", "penalized", COSINE, (2,)),
    ("Penalty 1e-2, deep cosine, as layers 1–4 [f]", ".151", 0.025, 3, "mode2-boundary", "penalized", COSINE, DEEP),
    ("Penalty 1e-1, deep cosine, as layer 2", ".131", None, 1, "direction-by-strength", "penalized_s1", COSINE, (2,)),
    ("Penalty 1e-1, accuracy", ".349", None, 1, "direction-by-strength", "penalized_s1", ACCURACY, (0,)),
    ("FA by block, accuracy [f]", ".401", 0.009, 3, "fa-depth-credit", "fa_sample", ACCURACY, (0,)),
    ("Fresh feedback, deep cosine", ".004", None, 1, "own-feedback", "labelled", f"{COSINE}:feedback=fresh", DEEP),
    ("No terminal norm, accuracy", ".327", 0.012, 3, "terminal-norm-floor", "without", ACCURACY, (0,)),
    ("No terminal norm, ‖h_L‖", "1.2e7", None, 3, "terminal-norm-floor", "without", HIDDEN, (4,)),
    ("No terminal norm, ‖g_L‖", "7e-4", None, 3, "terminal-norm-floor", "without", GRADIENT, (4,)),
    ("No skip connections, ‖h_L‖", "8.2e7", None, 3, "skip-connections", "plain", HIDDEN, (4,)),
    ("No skip connections, ‖g_L‖", "1.9e-10", None, 3, "skip-connections", "plain", GRADIENT, (4,)),
]

HEAD = (
    "| Epochs | Quantity | Published (seeds) | Here | 95% of the mean | Agrees? Distance, of what may be |",
    "|" + " -- |" * 6,
)
NOTE = """\
Published: public research log faeval, read and compared as in the table of the first two runs. [a] Its epochs are not
stated. [f] Other epochs than here: penalised DFA 30, FA by block 100. That, JPEG or the programs may make a
difference."""

OUTSIDE = """\
These are comparisons and no hypotheses: nothing was registered, and no claim moves. They were trained by
`benchmarks/published.py`, which chooses nothing by what it leads to."""


def series(run: dict, arm: str, metric: str) -> np.ndarray:
    """Values [seed, evaluated epoch, layer] of an arm."""
    summary = SUMMARY.get(metric, "median")
    return np.array([r["metrics"][metric]["values"][summary] for r in run["replicas"] if r["arm"] == arm])


def values(run: dict, arms: str, metric: str, layers: tuple[int, ...] = (0,)) -> np.ndarray:
    """Values [seed] at the last epoch, mean over the layers; "a - b" is the difference seed by seed."""
    summary = SUMMARY.get(metric.partition(":")[0], "median")

    def last(arm: str) -> np.ndarray:  # of a seed that diverged what was measured last, NaN where there was nothing
        measured = [r["metrics"][metric]["values"][summary][-1] for r in run["replicas"] if r["arm"] == arm]
        return np.array(measured, dtype=float)[:, list(layers)].mean(1)

    first, *others = map(last, arms.split(" - "))
    return first - others[0] if others else first


def row(what: str, text: str, sd: float | None, n: int, name: int | str, arms: str, metric: str, layers: tuple) -> str:
    """One line of the table: how far the published value is from ours, and how far it may be."""
    half_digit = Decimal((0, (5,), int(Decimal(text).as_tuple().exponent) - 1))
    ends = np.array([float(Decimal(text) - half_digit), float(Decimal(text) + half_digit)])  # what rounds to it
    here = values(RUNS[name], arms, metric, layers)
    epochs = max(RUNS[name]["epochs"].values())
    norm = metric.endswith("_norm")
    if norm:
        here, ends = np.log10(here), np.log10(ends)
    mean, own = here.mean(), here.std(ddof=1)
    interval = stats.t.interval(0.95, len(here) - 1, mean, own / len(here) ** 0.5)
    theirs, ours = (sd or own) ** 2 / n, own**2 / len(here)
    # Welch's degrees of freedom; without a published ± both variances come from our seeds.
    free = len(here) - 1 if sd is None else (theirs + ours) ** 2 / (theirs**2 / (n - 1) + ours**2 / (len(here) - 1))
    allowed = stats.t.ppf(0.975, free) * (theirs + ours) ** 0.5
    gap = max(ends[0] - mean, mean - ends[1], 0.0)
    if norm:
        shown = f"{10**mean:.1e} ×/÷ {10**own:.2f} | {10 ** interval[0]:.1e} to {10 ** interval[1]:.1e}"
        distance = f"factor {10**gap:.2f} of {10**allowed:.2f}"
    else:
        shown = f"{mean:.4f} ± {own:.4f} | {interval[0]:.4f} to {interval[1]:.4f}".replace("0.", ".")
        distance = f"{gap:.4f} of {allowed:.4f}".replace("0.", ".")
    published = text if sd is None else f"{text} ± {sd:g}".replace("0.", ".")
    return f"| {epochs} | {what} | {published} ({n}) | {shown} | {'yes' if gap <= allowed else '**no**'}, {distance} |"


def first_epochs(run: dict, arm: str, metric: str, low: float, high: float) -> str:
    """Return the first evaluated epoch of each seed whose value in the last layer lies in (low, high)."""
    evaluated, seeds = run["replicas"][0]["metrics"][metric]["epochs"], series(run, arm, metric)[..., -1]
    inside = (seeds > low) & (seeds < high)
    found = [evaluated[int(seed.argmax())] if seed.any() else None for seed in inside]
    return ", ".join(f"{epoch or 'never'}: {found.count(epoch)}" for epoch in dict.fromkeys(sorted(found, key=str)))


def change(epochs: int, arms: str, metric: str, layer: int) -> str:
    """Word the distance of the second attempt from the first, over the same seeds."""
    a, b = (values(runs[epochs], arms, metric, (layer,)) for runs in (FIRST, RUNS))
    return f"a seed by {np.abs(b - a).max():.1e} at most, the mean {b.mean():.4g} by {abs(b.mean() - a.mean()):.1e}"


def write_page(root: Path) -> str:
    """Return docs/results.md with the answers of a project's trail, as mdformat writes it."""
    text = write_report(PAGE.read_text(encoding="utf-8"), word_everything(root))
    ran = subprocess.run(  # told of the file's name by its folder, where its settings are
        [sys.executable, "-m", "mdformat", "-"], input=text, capture_output=True, text=True, check=True, cwd=ROOT
    )
    return ran.stdout


def word_everything(root: Path) -> str:
    """Write the answers, and what was published beside what these runs have, as Markdown."""
    questions = list_questions(root)
    RUNS.update({question.hypothesis.id: question.results for question in questions if question.folder is not None})
    beside = [row(*entry) for entry in LATER if entry[4] in RUNS]
    parts = [word_answers(questions)]
    if beside:
        parts += ["### These runs beside published figures", NOTE, "\n".join((*HEAD, *beside))]
    if PUBLISHED.exists():
        parts += ["### Rules on the networks of the literature", OUTSIDE, word_literature()]
    return "\n\n".join(parts)


def word_literature() -> str:
    """Return the tables of ``benchmarks/literature.py``."""
    return str(runpy.run_path(str(PUBLISHED.with_name("literature.py")))["word_report"](PUBLISHED))


def print_numbers(root: Path) -> None:
    """Print the answers, the table of the first runs and what the text quotes of them."""
    print(word_everything(root), *HEAD, *(row(*entry) for entry in ROWS), sep="\n")
    print_first_runs()


def print_first_runs() -> None:
    """Print what the text quotes of the first two runs, and how their attempts differ."""
    for epochs, run in ((epochs, RUNS[epochs]) for epochs in FIRST):
        for arm in run["epochs"]:
            small = first_epochs(run, arm, GRADIENT, 0.0, 1e-7)
            grown = first_epochs(run, arm, "residual_growth", 50.0, float("inf"))
            print(f"\n{epochs} epochs, {arm}: first epoch (seeds) with ‖g_L‖ < 1e-7 {small}; growth > 50 {grown}")
            print(f"  accuracy, change from the first attempt: {change(epochs, arm, ACCURACY, 0)}")
        layers = [f"{values(run, 'penalized', COSINE, (layer,)).mean():.3f}" for layer in range(5)]
        print(f"  cosine of penalised DFA at layers 0 to 4: {', '.join(layers)}")
        for arm, metric in (("vanilla", HIDDEN), ("penalized", HIDDEN), ("penalized", GRADIENT)):
            print(f"  {arm}, {metric} at layer 4: {stats.gmean(values(run, arm, metric, (4,))):.1e}")
    cosine, margin = values(RUNS[100], "penalized", COSINE, (2,)), values(RUNS[30], "bp_penalty - shallow", ACCURACY)
    print(f"\nlayer-2 cosine {cosine.min():.3f} to {cosine.max():.3f}, below .20 in {(cosine < 0.2).sum()} seeds")
    print(f"margin {100 * margin.min():.1f} to {100 * margin.max():.1f} pp; changes of both from the first attempt:")
    print(f"  {change(100, 'penalized', COSINE, 2)}; {change(30, 'bp_penalty - shallow', ACCURACY, 0)}")


def main() -> int:
    """Print everything; or write the page, or check it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the answers into docs/results.md")
    parser.add_argument("--check", action="store_true", help="tell whether docs/results.md has them")
    parser.add_argument("--project", type=Path, default=ROOT, help="folder of another project with these hypotheses")
    asked = parser.parse_args()
    if not (asked.write or asked.check):
        print_numbers(asked.project.resolve())
        return 0
    page = write_page(asked.project.resolve())
    if asked.write:
        PAGE.write_text(page, encoding="utf-8")
    elif page != PAGE.read_text(encoding="utf-8"):
        print("docs/results.md is not what the trail gives: python docs/results.py --write", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
