"""Published errors of learning rules, the networks and settings that gave them, and the table of ours beside them.

Nothing here trains: ``published.py`` does, and ``docs/results.py`` prints the table.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

CHANCE = 0.1
"""Test accuracy of a network that gives all images the same class, in all three."""
DROP = 0.1
"""Factor of the learning rate at a milestone, in all three."""


@dataclass(frozen=True)
class Published:
    """An error that was published, in percent, as printed."""

    rule: dict[str, Any]
    error: str
    sd: float | None = None
    """The error's ±, read as an sd between runs; None where one run was published."""
    runs: int = 1
    lr: float | None = None
    """Learning rate, where rules have rates of their own."""


@dataclass(frozen=True)
class Experiment:
    """A network on a data set, in the settings of a publication."""

    title: str
    epochs: int
    milestones: tuple[int, ...]
    share: float
    """Share of the epochs that is trained by default."""
    setup: dict[str, Any]
    arms: dict[str, Published]
    reads: Literal["last", "best test", "best validation"]
    """Epoch whose test error was published."""
    differs: tuple[str, ...] = field(default=())
    """Known differences from the publication, beside epochs."""


LOCAL = {"normalize": "none", "clip": None}
USF = {"name": "sign_symmetric", "variant": "usf"}
LENET = (
    "credit of DFA acts after pooling and activation, by a matrix with a column per unit; theirs is a convolution"
    " with the error, before both"
)
RATES = (
    "learning rates and milestones for these data were not found: here they are those of BioTorch's files for its LeNet"
    " on CIFAR-10 under SGD, with milestones at the same shares of all epochs"
)
FINISH = "the last batch of an epoch is kept where it is smaller; theirs is dropped"
EXPERIMENTS = {
    "pepita": Experiment(
        "PEPITA's network, 3072–1024–10, ReLU, no biases, on CIFAR-10 (arXiv 2201.11665)",
        epochs=100,
        milestones=(60, 90),
        share=0.4,
        setup={
            "dataset": {"name": "cifar10"},
            "model": {
                "name": "mlp", "width": 1024, "layers": 1, "activation": "relu", "init": "he", "bias": False,
            },
            "optimizer": {"name": "sgd", "lr": 0.01, "momentum": 0.9},
            "batch_size": 64,
        },
        arms={
            "bp": Published({"name": "bp"}, "44.73", 0.32, 10),
            "fa": Published({"name": "fa"}, "46.18", 0.24, 10),
            "drtp": Published({"name": "drtp"}, "54.11", 0.16, 10),
            "pepita": Published({"name": "pepita", "head_error": "second"}, "47.43", 0.36, 10),
        },
        reads="last",
        differs=(
            "the data are a JPEG copy of CIFAR-10, not the canonical files",
            "inputs are standardised; theirs lie in [0, 1]",
            "no dropout; theirs is 10% of the hidden units",
            "weights begin normal, of the same variance as their uniform ones",
            "in PEPITA, the update of the first layer takes the slope of its activation, and theirs doesn't",
            "DRTP has the settings of the other rules; those of its published figure were not seen",
        ),
    ),
    "lenet_fashion": Experiment(
        "LeNet (61,706 weights) on Fashion-MNIST, SGD (BioTorch's benchmark)",
        epochs=100,
        milestones=(40, 60, 80),
        share=0.2,
        setup={
            "dataset": {"name": "fashion_mnist"},
            "model": {
                "name": "conv",
                "layers": [
                    {"channels": 6, "kernel": 5, "padding": 2, "pool": 2},
                    {"channels": 16, "kernel": 5, "pool": 2},
                    {"channels": 120, "kernel": 5},
                ],
                "dense": [84], "average": False, "activation": "relu", "init": "xavier",
            },
            "optimizer": {"name": "sgd", "momentum": 0.9, "weight_decay": 0.001},
            "batch_size": 64,
        },
        arms={
            "bp": Published({"name": "bp"}, "9.2", lr=0.1),
            "dfa": Published({"name": "dfa", "init": "uniform", **LOCAL}, "12.81", lr=1e-4),
            "fa": Published({"name": "fa"}, "13.06", lr=1e-3),
            "usf": Published(USF, "9.69", lr=0.1),
        },
        reads="best test",
        differs=(
            "images are padded with zeros to 32 × 32; theirs are enlarged",
            RATES,
            LENET,
            FINISH,
        ),
    ),
    "lenet_cifar": Experiment(
        "LeNet (128,842 weights) on CIFAR-10, Adam (BioTorch's benchmark)",
        epochs=250,
        milestones=(100, 150, 200),
        share=0.1,
        setup={
            "dataset": {"name": "cifar10", "augment": ["random_crop", "horizontal_flip"]},
            "validation": {"count": 5000},
            "model": {
                "name": "conv",
                "layers": [
                    {"channels": 32, "pool": 2}, {"channels": 64, "pool": 2}, {"channels": 128},
                ],
                "dense": [256], "activation": "relu", "init": "xavier",
            },
            "optimizer": {"name": "adam", "weight_decay": 1e-4},
            "batch_size": 128,
        },
        arms={
            "bp": Published({"name": "bp"}, "15.92", lr=1e-3),
            "dfa": Published({"name": "dfa", "init": "uniform", **LOCAL}, "37.59", lr=1e-4),
            "fa": Published({"name": "fa"}, "40.67", lr=1e-4),
            "usf": Published(USF, "16.34", lr=1e-3),
        },
        reads="best validation",
        differs=(
            "the data are a JPEG copy of CIFAR-10, not the canonical files; the 5,000 images for validation are others",
            LENET,
            FINISH,
        ),
    ),
}  # fmt: skip
ORDER = tuple(
    (name, arm)
    for name, arms in (
        ("pepita", ("bp", "fa", "drtp", "pepita")),
        ("lenet_fashion", ("bp", "dfa")),
        ("lenet_cifar", ("bp", "dfa")),
        ("lenet_fashion", ("fa", "usf")),
        ("lenet_cifar", ("usf", "fa")),
    )
    for arm in arms
)
"""Order of training: what matters most comes first."""
LABELS = {"bp": "BP", "fa": "FA", "dfa": "DFA", "drtp": "DRTP", "pepita": "PEPITA", "usf": "uSF"}


# Table ----------------------------------------------------------------------------------------------------------------


READING = """\
*Here* is the epoch whose error was published: the last for PEPITA; for BioTorch the one with the best test error on
Fashion-MNIST, and with the best validation error on CIFAR-10. *Last* is the last epoch in any case. Agreement is judged
by the distance from our mean to what rounds to the published number, beside that within which 95% of such comparisons
would stay if both came from one distribution: by Welch's t, or, where one run was published, by predicting one run from
ours."""


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a file; none if it isn't there."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def read_errors(experiment: Experiment, replicas: Iterable[dict[str, Any]], last: bool = False) -> list[float]:
    """Return the test error of each seed in percent, at the epoch that was published, or at the last."""
    found = []
    for replica in replicas:
        test = replica["test_accuracy"]
        by: Sequence[float] = replica["validation_accuracy"] if experiment.reads == "best validation" else test
        at = -1 if last or experiment.reads == "last" else max(range(len(by)), key=lambda i: by[i])
        found.append(100 * (1 - test[at]))
    return found


def compare(published: Published, errors: Sequence[float]) -> tuple[float, float]:
    """Return how far our mean is from what rounds to the published number, and how far it may be in 95% of cases.

    With a published ±, that is Welch's t. Without, one run is predicted from ours.
    """
    from scipy import stats

    n, mean, own = len(errors), statistics.fmean(errors), statistics.stdev(errors)
    half = float(Decimal((0, (5,), int(Decimal(published.error).as_tuple().exponent) - 1)))
    gap = max(abs(mean - float(published.error)) - half, 0.0)
    ours = own**2 / n
    if published.sd is None:
        return gap, float(stats.t.ppf(0.975, n - 1)) * (own**2 + ours) ** 0.5
    theirs = published.sd**2 / published.runs
    free = (theirs + ours) ** 2 / (theirs**2 / (published.runs - 1) + ours**2 / (n - 1))
    return gap, float(stats.t.ppf(0.975, free)) * (theirs + ours) ** 0.5


def word_arm(experiment: Experiment, key: str, row: dict[str, Any]) -> str:
    """Return the line of an arm."""
    published, replicas = experiment.arms[key], row["replicas"]
    theirs = published.error + ("" if published.sd is None else f" ± {published.sd:.2f}") + f" ({published.runs})"
    epochs = f"{row['epochs']} of {experiment.epochs}"
    if row["images"] is not None:
        epochs += f", {row['images']:,} images only"
    finished = [replica for replica in replicas if replica["status"] == "finished"]
    if len(finished) < len(replicas) or len(finished) < 2:
        told = f"{len(replicas) - len(finished)} of {len(replicas)} diverged"
        return f"| {LABELS[key]} | {theirs} | {epochs} | {told} | | |"
    errors, last = read_errors(experiment, finished), read_errors(experiment, finished, last=True)
    shown = [f"{statistics.fmean(one):.2f} ± {statistics.stdev(one):.2f}" for one in (errors, last)]
    gap, allowed = compare(published, errors)
    verdict = "yes" if gap <= allowed else "**no**"
    way = "" if gap == 0 else " above" if statistics.fmean(errors) > float(published.error) else " below"
    told = f"{verdict}, {gap:.2f}{way}, of {allowed:.2f}"
    return f"| {LABELS[key]} | {theirs} | {epochs} | {shown[0]} | {shown[1]} | {told} |"


def word_stuck(experiment: Experiment, key: str, row: dict[str, Any]) -> str | None:
    """Say what an arm's other runs come to, if some are at chance at every epoch; None if none is, or too few are left.

    Mean and sd of all runs then say little: the table keeps them, because no run may be left out of what is judged.
    """
    finished = [replica for replica in row["replicas"] if replica["status"] == "finished"]
    moving = [replica for replica in finished if max(replica["test_accuracy"]) > CHANCE]
    if len(moving) == len(finished) or len(moving) < 2:
        return None
    errors = read_errors(experiment, moving)
    gap, allowed = compare(experiment.arms[key], errors)
    return (
        f"{LABELS[key]}: {len(finished) - len(moving)} of {len(finished)} runs are at chance at every epoch; the other "
        f"{len(moving)} come to {statistics.fmean(errors):.2f} ± {statistics.stdev(errors):.2f}, {gap:.2f} from what "
        f"was published, of {allowed:.2f}."
    )


def word_report(path: Path) -> str:
    """Return the tables of what a file holds, as Markdown; a table per network, and what differs under it."""
    rows = read_rows(path)
    best: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        if "set" in row:
            old = best.get((row["set"], row["arm"]))
            if old is None or (row["images"] is None, row["epochs"]) > (old["images"] is None, old["epochs"]):
                best[row["set"], row["arm"]] = row
    about = next((row for row in rows if "device" in row), None)
    if about is None or not best:
        raise SystemExit(f"{path} holds no arm: train some first")
    parts = [f"Test errors in percent, mean ± sd over {about['seeds']} seeds, {about['device']}. {READING}"]
    for name, experiment in EXPERIMENTS.items():
        keys = [key for key in experiment.arms if (name, key) in best]
        if not keys:
            continue
        data = best[name, keys[0]]["data"]
        kind = "the canonical files" if data["canonical"] else "not the canonical files"
        heads = ("rule", "published (runs)", "epochs", "here", "last", "agrees? distance, of what may be")
        lines = [f"| {' | '.join(heads)} |", "|" + " -- |" * len(heads)]
        lines += [word_arm(experiment, key, best[name, key]) for key in keys]
        parts.append(f"**{experiment.title}**; data: {kind}, fingerprint `{data['fingerprint'][:12]}…`.")
        parts.append("\n".join(lines))
        parts += [said for key in keys if (said := word_stuck(experiment, key, best[name, key])) is not None]
        parts.append("What differs from the publication: " + "; ".join(experiment.differs) + ".")
    return "\n\n".join(parts)
