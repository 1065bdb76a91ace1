"""The numbers of docs/results.md from the committed results.json files: ``python docs/results.py``."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import numpy as np
from scipy import stats

VERDICTS = Path(__file__).parent.parent / "verdicts"
SECOND_ATTEMPTS = {30: "bp-penalty-control/53b4b3e5bcd6", 100: "mode2-direction/76d31344c971"}
FIRST_ATTEMPTS = {30: "bp-penalty-control/95741298e764", 100: "mode2-direction/b776e8c24565"}
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


def series(run: dict, arm: str, metric: str) -> np.ndarray:
    """Values [seed, evaluated epoch, layer] of an arm."""
    summary = SUMMARY.get(metric, "median")
    return np.array([r["metrics"][metric]["values"][summary] for r in run["replicas"] if r["arm"] == arm])


def values(run: dict, arms: str, metric: str, layers: tuple[int, ...] = (0,)) -> np.ndarray:
    """Values [seed] at the last epoch, mean over the layers; "a - b" is the difference seed by seed."""
    first, *others = (series(run, arm, metric)[:, -1, list(layers)].mean(1) for arm in arms.split(" - "))
    return first - others[0] if others else first


def row(what: str, text: str, sd: float | None, n: int, epochs: int, arms: str, metric: str, layers: tuple) -> str:
    """One line of the table: how far the published value is from ours, and how far it may be."""
    half_digit = Decimal((0, (5,), int(Decimal(text).as_tuple().exponent) - 1))
    ends = np.array([float(Decimal(text) - half_digit), float(Decimal(text) + half_digit)])  # what rounds to it
    here = values(RUNS[epochs], arms, metric, layers)
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
    """How far the second attempt is from the first, over the same seeds."""
    a, b = (values(runs[epochs], arms, metric, (layer,)) for runs in (FIRST, RUNS))
    return f"a seed by {np.abs(b - a).max():.1e} at most, the mean {b.mean():.4g} by {abs(b.mean() - a.mean()):.1e}"


def main() -> None:
    """Print the table and what the text quotes."""
    print("| Epochs | Quantity | Published (seeds) | Here | 95% of the mean | Agrees? Distance, of what may be |")
    print("|" + "---|" * 6, *(row(*entry) for entry in ROWS), sep="\n")
    for epochs, run in RUNS.items():
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


if __name__ == "__main__":
    main()
