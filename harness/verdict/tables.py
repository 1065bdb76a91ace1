"""The rows of the verdict's tables, ready for the template."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel

from harness.domain.places import describe_condition
from harness.losses import is_default_loss
from harness.metrics import parse_metric
from harness.records import (
    Arm,
    Consequences,
    Decision,
    EstimandResult,
    Hypothesis,
    InitFrom,
    Labels,
    Measurements,
    Provenance,
    ReplicaResult,
    SeedValue,
    Setup,
    Subset,
)
from harness.records.weights import RUN_DIGITS
from harness.verdict import series
from harness.verdict.text import Markdown, escape, format_plus_minus, format_together, join_words
from harness.wording import format_count, write_in_full, write_possible


class Table(NamedTuple):
    """A table: its title, column headings and rows of text."""

    title: str
    heads: list[str]
    rows: list[list[str]]


def tabulate_arms(hypothesis: Hypothesis, measurements: Measurements) -> Table:
    """Return metrics without layers at the last evaluated epoch, mean ± sd over seeds, one row per arm."""
    names = [name for name in series.list_metrics(measurements) if not parse_metric(name).layered]
    heads = ["Arm", "Seeds", *(series.label_axis(name, series.choose_summary(name)) for name in names)]
    rows: list[list[str]] = []
    for arm, spec in hypothesis.arms.items():
        trained = [replica for replica in measurements.replicas if replica.arm == arm]
        lost = sum(replica.status == "diverged" for replica in trained)
        failed = sum(replica.status == "failed" for replica in trained)
        cells = [cell for name in names for cell in _format_cells(measurements, arm, name, 1)]
        seeds = f"{len(trained)}" + (f", {lost} diverged" if lost else "") + (f", {failed} failed" if failed else "")
        seeds += _describe_stops(trained, spec.setup)
        rows.append([spec.label, seeds, *cells])
    return Table("", heads, rows)


def _describe_stops(trained: Sequence[ReplicaResult], setup: Setup) -> str:
    """Return how many of an arm's replicas stopped before the end, and when; nothing without a condition."""
    if setup.until is None:
        return ""
    epochs = sorted(replica.stopped_epoch for replica in trained if replica.stopped_epoch is not None)
    if not epochs:
        return ", none stopped"
    when = f"epoch {epochs[0]}" if epochs[0] == epochs[-1] else f"epochs {epochs[0]} to {epochs[-1]}"
    return f", {len(epochs)} stopped at {when}"


def tabulate_layers(hypothesis: Hypothesis, measurements: Measurements) -> list[Table]:
    """Return a table per metric with layers: one row per layer, one column per arm in which it is defined."""
    tables = []
    for name in series.list_metrics(measurements):
        if not parse_metric(name).layered:
            continue
        arms = [arm for arm in hypothesis.arms if series.find_last_epoch(measurements, arm, name) is not None]
        count = series.count_layers(measurements, name)
        columns = [_format_cells(measurements, arm, name, count) for arm in arms]
        rows: list[list[str]] = [[str(layer), *(column[layer] for column in columns)] for layer in range(count)]
        title = series.label_axis(name, series.choose_summary(name))
        tables.append(Table(title, ["Layer", *(hypothesis.arms[arm].label for arm in arms)], rows))
    return tables


def _format_cells(measurements: Measurements, arm: str, name: str, layers: int) -> list[Markdown]:
    """Return a metric in an arm, mean ± sd over seeds, for each layer."""
    trained = sum(replica.arm == arm for replica in measurements.replicas)
    cells = []
    for values in series.collect_final_values(measurements, arm, name, series.choose_summary(name), layers):
        few = f" (n = {len(values)})" if values and len(values) < trained else ""
        cells.append(Markdown(format_plus_minus(*series.compute_mean_sd(values)) + few))
    return cells


def tabulate_seeds(measurements: Measurements, decision: Decision) -> Table:
    """Return the estimands of decisions and guards, seed by seed."""
    results = collect_estimands(decision)
    columns = [_format_values(result) for result in results.values()]
    heads = [r.name + (f" ({r.unit})" if r.unit else "") for r in results.values()]
    rows: list[list[str]] = [
        [str(index), str(seed), *(column.get(index, Markdown("–")) for column in columns)]
        for index, seed in enumerate(measurements.seeds)
    ]
    return Table("", ["No.", "Seed", *heads], rows)


def collect_estimands(decision: Decision) -> dict[str, EstimandResult]:
    """Return the estimands of decisions and guards, by name."""
    found = [part.estimand for part in decision.decisions] + [guard.estimand for guard in decision.guards]
    return {result.name: result for result in found}


def _format_values(result: EstimandResult) -> dict[int, Markdown]:
    if result.never is not None:
        return {seed.seed_index: _format_onset(seed, result.never) for seed in result.values}
    finite = [seed.value for seed in result.values if seed.value is not None]
    texts = iter(format_together(finite) if finite else [])
    return {
        seed.seed_index: next(texts) if seed.value is not None else escape(seed.note or "not finite")
        for seed in result.values
    }


def _format_onset(seed: SeedValue, never: tuple[str, str]) -> Markdown:
    """Return an onset with the epochs in which it may lie: ``30 (26 to 30)``, ``first arm never (71 or more)``."""
    if seed.value is None:
        return escape(seed.note or "not finite")
    if seed.anything:
        return Markdown("both never")
    low, high = seed.between or (seed.value, seed.value)
    (text,) = format_together([seed.value], never=never)
    if low == high:
        return text
    return Markdown(f"{text} ({write_possible(low, high, '')})")


PARTS = {"Data": "dataset", "Model": "model", "Optimizer": "optimizer"}
"""Rows of the settings that have parameters of their own."""
DRAWN = "drawn by the seed"
INTERVENTIONS = {
    "Initial weights": DRAWN,
    "Subset": "none",
    "Validation split": "none",
    "Labels": "original",
    "Loss": "cross_entropy",
}
"""Rows of interventions on weights, data and loss → what they say of an arm without one."""


def tabulate_settings(hypothesis: Hypothesis, measurements: Measurements) -> tuple[list[tuple[str, str]], Table]:
    """Return the settings that all arms share, and a table of each arm's own, by parameter."""
    shared, own = _part_settings(hypothesis, measurements.epochs)
    if hypothesis.preconditions:
        shared.append(("Preconditions", "; ".join(map(describe_plugin, hypothesis.preconditions))))
    return shared, _tabulate_arms(hypothesis, own)


def list_own_settings(hypothesis: Hypothesis) -> dict[str, str]:
    """Return arm → the settings in which arms differ, as they are registered; empty if they share all."""
    return _part_settings(hypothesis, {})[1]


def _part_settings(hypothesis: Hypothesis, trained: Mapping[str, int]) -> tuple[list[tuple[str, str]], dict[str, str]]:
    """Return the settings that all arms share, and those of each arm in which they differ, in one text."""
    of_arm = {}
    for name, arm in hypothesis.arms.items():
        rows = _describe_setup(arm.setup, trained.get(name))
        rows["Initial weights"] = _describe_start(arm.init_from)
        rows["Measured"] = ", ".join(arm.setup.evaluation.keys)
        of_arm[name] = rows
    shared: list[tuple[str, str]] = []
    own: dict[str, list[str]] = {name: [] for name in of_arm}
    for key in _list_rows(of_arm):
        texts = {name: rows[key] for name, rows in of_arm.items()}
        if len(set(texts.values())) == 1:
            shared.append((key, next(iter(texts.values()))))
            continue
        fields = {
            name: getattr(arm.setup, PARTS[key]).model_dump() for name, arm in hypothesis.arms.items() if key in PARTS
        }
        common, differing = _split(list(fields.values()))
        if common:
            listed = ", ".join(_parameter(field) for field in differing)
            shared.append((key, f"{_join_fields(common)} ({listed}: see the arms)"))
            texts = {
                name: ", ".join(f"{_parameter(f)}: {_word(one[f])}" for f in differing) for name, one in fields.items()
            }
        else:
            texts = {name: f"{key}: {text}" for name, text in texts.items()}
        for name, text in texts.items():
            own[name].append(text)
    return shared, {name: "; ".join(texts) for name, texts in own.items()}


def describe_company(hypothesis: str, provenance: Provenance) -> list[tuple[str, str]]:
    """Return a row that names the hypotheses whose replicas trained in cohorts with those of this one, if any did."""
    others = [
        f"{one.hypothesis} (registration {one.registration[:12]})"
        for one in provenance.together
        if one.hypothesis != hypothesis
    ]
    if not others:
        return []
    told = "; their replicas are counted in the cohorts below, and last bits may depend on them"
    return [("Trained in cohorts with", f"{', '.join(others)}{told}")]


def _list_rows(of_arm: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Return the rows of the settings, without interventions on the data that no arm asks for."""
    first = next(iter(of_arm.values()))
    return [
        key
        for key in first
        if key not in INTERVENTIONS or any(rows[key] != INTERVENTIONS[key] for rows in of_arm.values())
    ]


def _split(parts: list[dict[str, Any]]) -> tuple[dict[str, Any], list[str]]:
    """Return the parameters that several plug-ins of one name share, and the names of the others; else nothing."""
    if len({part["name"] for part in parts}) != 1:
        return {}, []
    differing = [field for field, value in parts[0].items() if any(part[field] != value for part in parts)]
    return {field: value for field, value in parts[0].items() if field not in differing}, differing


def tabulate_settings_before(hypothesis: Hypothesis, measurements: Measurements) -> tuple[list[tuple[str, str]], Table]:
    """Return as ``tabulate_settings`` does on pages of form 1 or 2: an arm's own settings, plug-in by plug-in."""
    of_arm = {
        name: _describe_setup(arm.setup, measurements.epochs.get(name))
        | {"Evaluated": _evaluated_before(arm.setup), "Initial weights": _describe_start(arm.init_from)}
        for name, arm in hypothesis.arms.items()
    }
    first = next(iter(of_arm.values()))
    shared = [
        (key, first[key]) for key in _list_rows(of_arm) if all(rows[key] == first[key] for rows in of_arm.values())
    ]
    common = {key for key, _ in shared}
    own = {
        name: "; ".join(f"{key}: {rows[key]}" for key in _list_rows(of_arm) if key not in common)
        for name, rows in of_arm.items()
    }
    return shared, _tabulate_arms(hypothesis, own)


def _tabulate_arms(hypothesis: Hypothesis, own: Mapping[str, str]) -> Table:
    heads = ["Arm", "Name", "Learning rule", "Penalty", "Frozen"] + ["Own settings"] * any(own.values())
    return Table(
        "", heads, [_describe_arm(name, arm) + [own[name]] * any(own.values()) for name, arm in hypothesis.arms.items()]
    )


def _describe_arm(name: str, arm: Arm) -> list[str]:
    penalty = describe_plugin(arm.penalty) if arm.penalty is not None else "none"
    return [arm.label, name, describe_plugin(arm.rule), penalty, ", ".join(arm.freeze) or "nothing"]


def _describe_setup(setup: Setup, trained: int | None) -> dict[str, str]:
    evaluation = setup.evaluation
    stop = "" if setup.until is None else f", or until {describe_condition(setup.until)}"
    epochs = str(setup.epochs) if trained in (None, setup.epochs) else f"{trained} trained, {setup.epochs} registered"
    return {
        "Data": describe_plugin(setup.dataset),
        "Subset": _describe_subset(setup.subset),
        "Validation split": _describe_validation(setup),
        "Labels": _describe_labels(setup.labels),
        "Model": describe_plugin(setup.model),
        "Optimizer": describe_plugin(setup.optimizer),
        "Loss": INTERVENTIONS["Loss"] if is_default_loss(setup.loss) else describe_plugin(setup.loss),
        "Epochs": epochs + stop,
        "Batch size": str(setup.batch_size),
        "Precision": setup.precision,
        "Evaluated": _evaluated(setup),
        "Probe batch": f"{evaluation.probe_samples} test samples, the same for all replicas",
        "Kept of every replica": _describe_kept(setup),
    }


def _describe_kept(setup: Setup) -> str:
    kept = ", ".join(setup.save) or "measurements only"
    epochs = [str(epoch) for epoch in setup.kept_epochs]
    return f"{kept}; weights after epoch {join_words(epochs)} too" if epochs else kept


def _describe_start(start: InitFrom | None) -> str:
    if start is None:
        return DRAWN
    epoch = "its last epoch" if start.epoch is None else f"epoch {start.epoch}"
    feedback = "" if start.feedback == "kept" else ", with fresh feedback"
    stored = (
        f"run {start.run[:RUN_DIGITS]}, arm {start.arm}, after {epoch}, each seed from the stored seed of its number"
    )
    return f"{stored}{feedback}, with a new optimizer"


def _describe_subset(subset: Subset | None) -> str:
    if subset is None:
        return "none"
    classes = None if subset.classes is None else f"classes {', '.join(map(str, sorted(subset.classes)))}"
    size = None if subset.size is None else f"{format_count(subset.size, 'training image')}"
    return " of ".join(part for part in (size, classes) if part is not None)


def _describe_validation(setup: Setup) -> str:
    if setup.validation is None:
        return "none"
    count, share = setup.validation.count, setup.validation.share
    told = f"{_word(share)} of the training images" if count is None else format_count(count, "training image")
    return f"{told}, the same for all replicas"


def _describe_labels(labels: Labels) -> str:
    return labels.name if labels.share is None else f"{labels.name}, share {_word(labels.share)}"


def _evaluated(setup: Setup) -> str:
    every = setup.evaluation.every_epochs
    return "after every epoch" if every == 1 else f"after epoch 1, every {every} epochs and the last"


def _evaluated_before(setup: Setup) -> str:
    return f"after epoch 1, every {setup.evaluation.every_epochs} epochs and the last"


def describe_plugin(part: BaseModel) -> str:
    """Return a plug-in and its parameters: ``adamw: lr 0.001, weight decay 0.01``."""
    return _join_fields(part.model_dump())


def _join_fields(fields: Mapping[str, Any]) -> str:
    listed = _list_fields(fields)
    return f"{fields['name']}: {listed}" if listed else str(fields["name"])


def _list_fields(fields: Mapping[str, Any]) -> str:
    return ", ".join(f"{_parameter(key)} {_word(value)}" for key, value in fields.items() if key != "name")


def _parameter(name: str) -> str:
    return name.replace("_", " ")


def _word(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return write_in_full(value)
    if isinstance(value, (list, tuple)):
        return " + ".join(_word(item) for item in value) or "none"
    if isinstance(value, Mapping) and "name" not in value:  # a part of a plug-in, such as a layer
        return f"({_list_fields(value)})"
    if isinstance(value, Mapping):  # a plug-in within another
        told, _, parameters = _join_fields(value).partition(": ")
        return f"{told} ({parameters})" if parameters else told
    return str(value)


def count_attempts(statuses: Iterable[str]) -> str:
    """Count attempts by status: ``3 started: 2 finished, 1 aborted``."""
    found = list(statuses)
    kinds = ", ".join(f"{found.count(status)} {status}" for status in dict.fromkeys(found))
    return f"{len(found)} started: {kinds}" if found else "none recorded"


def describe_effects(moved: Consequences) -> Markdown:
    """Return the effects on claims: ``walks back a; restores b``."""
    verbs = {
        "supports": moved.supported,
        "walks back": moved.walked_back,
        "restores": moved.restored,
        "brings into question": tuple(moved.in_question),
    }
    return Markdown("; ".join(f"{verb} {join_words(names)}" for verb, names in verbs.items() if names) or "none moves")
