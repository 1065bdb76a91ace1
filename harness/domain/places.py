"""The layers and epochs at which an estimand is read on an arm, and how they are said in words."""

from __future__ import annotations

import math
from collections.abc import Sequence

from harness.criteria import Target
from harness.records import Estimand, Setup
from harness.records.readings import BestEpoch, Condition, EpochRange, EpochSpent, EpochWhen, Onset, find_choice
from harness.stats.summaries import MONOTONE, find_step
from harness.wording import format_exact, join_words

LISTED = 6
"""Most places that are listed one by one in a title."""
COSTS = {"steps": "steps", "flops": "FLOPs"}
"""Cost of training → its words."""
SUMMARIES = {
    "min": "smallest",
    "max": "greatest",
    "slope": "slope",
    "area": "area under the curve, divided by its width,",
    "peak_minus_last": "peak minus last",
}
"""Summary → its words, where they are not its name."""
SUMMARIES_OF_RATIOS = {
    "mean": "geometric mean",
    "slope": "slope of the logarithm",
    "area": "area under the curve of the logarithm, divided by its width,",
    "peak_minus_last": "peak over last",
}
"""Summary of logarithms → its words, where the title says nothing of a logarithm."""


def list_layers(estimand: Estimand) -> tuple[int, ...]:
    """Return the layers in ascending order, each once; layer 0 stands for a metric without layers."""
    layer = estimand.layer
    return tuple(sorted(set(layer))) if isinstance(layer, tuple) else (layer or 0,)


def list_epochs(estimand: Estimand, setup: Setup, trained: int | None = None) -> tuple[int, ...]:
    """Return the epochs at which an arm is read, in ascending order, each once; none where each replica has its own.

    ``trained`` is the number of epochs of training if it is not the setup's. Epochs that a file names are returned
    whether they are evaluated or not; of a range, those that are.
    """
    last = setup.epochs if trained is None else trained
    epoch = estimand.epoch
    if epoch is None:
        return (last,)
    if find_choice(epoch) is not None:
        return ()
    assert isinstance(epoch, int | tuple | EpochRange), "others are each replica's own"
    if isinstance(epoch, EpochRange):
        return tuple(one for one in list_evaluated(setup, trained) if epoch.contains(one))
    named = epoch if isinstance(epoch, tuple) else (epoch,)
    return tuple(sorted({last if isinstance(one, str) else one for one in named}))


def list_evaluated(setup: Setup, trained: int | None = None) -> tuple[int, ...]:
    """Return the evaluated epochs of an arm that was trained for so many epochs, by default for the setup's."""
    return (setup if trained is None else setup.model_copy(update={"epochs": trained})).evaluated_epochs


def is_worst_known(estimand: Estimand) -> bool:
    """Tell whether the metric's worst value is the worst case of what is read, not better than a measured one."""
    return (
        estimand.onset is None
        and estimand.minus is None
        and all(summary is None or summary in MONOTONE for summary in (estimand.layers, estimand.epochs))
    )


def find_censoring(estimand: Estimand, target: Target) -> str | None:
    """Return why onsets have no such summary over seeds; None if they have, or if the estimand is no onset."""
    if estimand.onset is None or target == "median":
        return None
    if target in ("mean", "iqm"):
        return "an onset may be never, which has no size: onsets have a median and no mean"
    if not estimand.compares:
        return "the onsets of one arm, some of them never, are not symmetric about a pseudomedian"
    return None


def centre_cut(cut: float, estimand: Estimand) -> float:
    """Return a boundary in the middle between the values that it separates, where these are known: of onsets.

    They are whole numbers, and the means of two of them, which ``pseudomedian`` compares, are halves of such. One that
    lies on such a value stays there.
    """
    if estimand.onset is None:
        return cut
    parts = 2 if estimand.seeds == "pseudomedian" else 1
    below = math.floor(cut * parts)
    return cut if cut * parts == below else (below + 0.5) / parts


def find_finest_step(estimand: Estimand, setup: Setup, trained: int | None = None) -> float:
    """Return the step between possible readings of values that are multiples of 1."""
    step = 1.0
    layers, epochs = list_layers(estimand), list_epochs(estimand, setup, trained)
    for summary, places in ((estimand.layers, layers), (estimand.epochs, epochs)):
        if summary is not None and len(places) > 1:
            step *= find_step(summary, places)
    return step


def describe_places(estimand: Estimand) -> list[str]:
    """Return layers and epochs in words, as they stand in a title: ``layer 2``, ``mean over layers 1 to 4``."""
    ratio, epoch = estimand.ratio is not None, estimand.epoch
    parts = [] if estimand.layer is None else [describe_layers(estimand.layer, estimand.layers, ratio=ratio)]
    if isinstance(epoch, BestEpoch):
        parts.append(f"epoch of the best {epoch.best}")
    elif isinstance(epoch, EpochWhen):
        parts.append(f"first epoch with {describe_condition(epoch.when)}")
    elif isinstance(epoch, EpochSpent):
        parts.append(f"last epoch within {describe_budget(epoch)}")
    elif isinstance(epoch, EpochRange):
        parts.append(f"{_name(estimand.epochs, ratio)} over {_describe_range(epoch)}")
    elif isinstance(epoch, tuple):
        numbers = sorted({one for one in epoch if not isinstance(one, str)})
        text = _join("epoch", numbers) if numbers else ""
        last = "the last" if numbers else "the last epoch"
        text = text if "last" not in epoch else f"{text} and {last}" if text else last
        parts.append(f"{_name(estimand.epochs, ratio)} over {text}")
    elif epoch is not None:
        parts.append(f"epoch {epoch}")
    return parts


def describe_onset(onset: Onset, metric: str) -> str:
    """Return an onset in words: ``first epoch with BP gradient norm below 1e-7``."""
    return f"first epoch with {metric} {describe_threshold(onset)}"


def describe_budget(epoch: EpochSpent) -> str:
    """Return a budget in words: ``1e+12 FLOPs``, ``the steps of the cheapest arm``."""
    noun = COSTS[epoch.spent]
    return f"the {noun} of the cheapest arm" if epoch.at_most is None else f"{format_exact(epoch.at_most)} {noun}"


def describe_condition(condition: Condition) -> str:
    """Return a condition in words: ``train_loss below 0.5 at 2 evaluations in a row``."""
    return f"{condition.metric} {describe_threshold(condition)}"


def describe_threshold(onset: Onset) -> str:
    """Return what must hold in words: ``below 0.5 at 2 evaluations in a row``."""
    side = "above" if onset.above is not None else "below"
    lasting = f" at {onset.evaluations} evaluations in a row" if onset.evaluations > 1 else ""
    return f"{side} {format_exact(onset.threshold)}{lasting}"


def describe_layers(layer: int | tuple[int, ...], summary: str | None, *, ratio: bool = False) -> str:
    """Return a layer, or the summary over several, in words; of a ratio, whose summaries are those of logarithms."""
    if not isinstance(layer, tuple):
        return f"layer {layer}"
    return f"{_name(summary, ratio)} over {_join('layer', sorted(set(layer)))}"


def _name(summary: str | None, ratio: bool) -> str:
    names = SUMMARIES | SUMMARIES_OF_RATIOS if ratio else SUMMARIES
    return names.get(summary or "", summary or "")


def _describe_range(epoch: EpochRange) -> str:
    if epoch.first is None and epoch.last is None:
        return "all evaluated epochs"
    begin = "" if epoch.first is None else f" from {epoch.first}"
    return f"the evaluated epochs{begin}{'' if epoch.last is None else f' to {epoch.last}'}"


def _join(noun: str, places: Sequence[int]) -> str:
    """Return ``layer 2``, ``layers 1, 3 and 5`` or, of neighbours, ``layers 1 to 4``."""
    if len(places) == 1:
        return f"{noun} {places[0]}"
    if len(places) > 2 and list(places) == list(range(places[0], places[-1] + 1)):
        return f"{noun}s {places[0]} to {places[-1]}"
    if len(places) > LISTED:
        return f"{len(places)} {noun}s from {places[0]} to {places[-1]}"
    return f"{noun}s {join_words([str(place) for place in places])}"
