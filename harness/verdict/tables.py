"""The rows of the verdict's tables, ready for the template."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel

from harness.records import Arm, Consequences, Decision, EstimandResult, Hypothesis, Measurements, Setup
from harness.verdict import series
from harness.verdict.text import Markdown, escape, format_plus_minus, format_together, join_words


class Table(NamedTuple):
    """A table: its title, column headings and rows of text."""

    title: str
    heads: list[str]
    rows: list[list[str]]


def tabulate_arms(hypothesis: Hypothesis, measurements: Measurements) -> Table:
    """Return metrics without layers at the last evaluated epoch, mean ± sd over seeds, one row per arm."""
    names = [name for name in series.list_metrics(measurements) if not series.find_metric(name).layered]
    heads = ["Arm", "Seeds", *(series.label_axis(name, series.choose_summary(name)) for name in names)]
    rows: list[list[str]] = []
    for arm, spec in hypothesis.arms.items():
        trained = [replica for replica in measurements.replicas if replica.arm == arm]
        lost = sum(replica.status == "diverged" for replica in trained)
        cells = [cell for name in names for cell in _format_cells(measurements, arm, name, 1)]
        rows.append([spec.label, f"{len(trained)}" + (f", {lost} diverged" if lost else ""), *cells])
    return Table("", heads, rows)


def tabulate_layers(hypothesis: Hypothesis, measurements: Measurements) -> list[Table]:
    """Return a table per metric with layers: one row per layer, one column per arm in which it is defined."""
    tables = []
    for name in series.list_metrics(measurements):
        if not series.find_metric(name).layered:
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
    finite = [seed.value for seed in result.values if seed.value is not None]
    texts = iter(format_together(finite) if finite else [])
    return {
        seed.seed_index: next(texts) if seed.value is not None else escape(seed.note or "not finite")
        for seed in result.values
    }


PARTS = {"Data": "dataset", "Model": "model", "Optimizer": "optimizer"}
"""Rows of the settings that have parameters of their own."""


def tabulate_settings(hypothesis: Hypothesis, measurements: Measurements) -> tuple[list[tuple[str, str]], Table]:
    """Return the settings that all arms share, and a table of each arm's own, by parameter."""
    of_arm = {}
    for name, arm in hypothesis.arms.items():
        rows = _describe_setup(arm.setup, measurements.epochs.get(name))
        rows["Measured"] = ", ".join(arm.setup.evaluation.metrics)
        of_arm[name] = rows
    shared: list[tuple[str, str]] = []
    own: dict[str, list[str]] = {name: [] for name in of_arm}
    for key in next(iter(of_arm.values())):
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
    return shared, _tabulate_arms(hypothesis, {name: "; ".join(texts) for name, texts in own.items()})


def _split(parts: list[dict[str, Any]]) -> tuple[dict[str, Any], list[str]]:
    """Return the parameters that several plug-ins of one name share, and the names of the others; else nothing."""
    if len({part["name"] for part in parts}) != 1:
        return {}, []
    differing = [field for field, value in parts[0].items() if any(part[field] != value for part in parts)]
    return {field: value for field, value in parts[0].items() if field not in differing}, differing


def tabulate_settings_before(hypothesis: Hypothesis, measurements: Measurements) -> tuple[list[tuple[str, str]], Table]:
    """Return as ``tabulate_settings`` does on pages of form 1 or 2: an arm's own settings, plug-in by plug-in."""
    of_arm = {
        name: _describe_setup(arm.setup, measurements.epochs.get(name)) | {"Evaluated": _evaluated_before(arm.setup)}
        for name, arm in hypothesis.arms.items()
    }
    first = next(iter(of_arm.values()))
    shared = [(key, text) for key, text in first.items() if all(rows[key] == text for rows in of_arm.values())]
    common = {key for key, _ in shared}
    own = {
        name: "; ".join(f"{key}: {text}" for key, text in rows.items() if key not in common)
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
    epochs = str(setup.epochs) if trained in (None, setup.epochs) else f"{trained} trained, {setup.epochs} registered"
    return {
        "Data": describe_plugin(setup.dataset),
        "Model": describe_plugin(setup.model),
        "Optimizer": describe_plugin(setup.optimizer),
        "Epochs": epochs,
        "Batch size": str(setup.batch_size),
        "Precision": setup.precision,
        "Evaluated": _evaluated(setup),
        "Probe batch": f"{evaluation.probe_samples} test samples, the same for all replicas",
        "Kept of every replica": ", ".join(setup.save) or "measurements only",
    }


def _evaluated(setup: Setup) -> str:
    every = setup.evaluation.every_epochs
    return "after every epoch" if every == 1 else f"after epoch 1, every {every} epochs and the last"


def _evaluated_before(setup: Setup) -> str:
    return f"after epoch 1, every {setup.evaluation.every_epochs} epochs and the last"


def describe_plugin(part: BaseModel) -> str:
    """Return a plug-in and its parameters: ``adamw: lr 0.001, weight decay 0.01``."""
    return _join_fields(part.model_dump())


def _join_fields(fields: Mapping[str, Any]) -> str:
    listed = ", ".join(f"{_parameter(key)} {_word(value)}" for key, value in fields.items() if key != "name")
    return f"{fields['name']}: {listed}" if listed else str(fields["name"])


def _parameter(name: str) -> str:
    return name.replace("_", " ")


def _word(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.12g}"
    if isinstance(value, (list, tuple)):
        return " + ".join(_word(item) for item in value) or "none"
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
