"""A run's numbers as tidy tables: one row per number, each with its unit, and what every column means."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from harness.domain.tuning import name_candidate
from harness.metrics import parse_metric
from harness.pipeline.verdicts import JudgedRun
from harness.records import Arm, Decision, EstimandResult, Measurements, Series

DIMENSIONLESS = "1"
"""Unit of plain numbers, so that no cell is empty."""
SUMMARIES = {
    "value": "the value itself",
    "mean": "the mean over the samples of the probe batch",
    "std": "the standard deviation over the samples of the probe batch",
    "median": "the median over the samples of the probe batch",
}


class Column(NamedTuple):
    """A column of a table."""

    name: str
    """Name of the column."""
    type: str
    """Type of its values: string, integer or number."""
    unit: str
    """Unit of its values, or the column that says it; empty for strings."""
    meaning: str
    """Meaning of its values."""
    values: tuple[tuple[str, str], ...] = ()
    """Values that need an explanation, each with it."""


class MeasuredValue(NamedTuple):
    """One number that was measured: a metric of a replica at an epoch."""

    hypothesis: str
    run: str
    arm: str
    seed_index: int
    seed: int
    status: str
    metric: str
    summary: str
    layer: int | None
    epoch: int
    value: float | None
    unit: str


class SeedEstimate(NamedTuple):
    """The value of an estimand at one seed: what decisions, guards and exploratory estimates are made from."""

    hypothesis: str
    run: str
    estimand: str
    role: str
    seed_index: int
    seed: int
    value: float | None
    low: float | None
    high: float | None
    unit: str
    note: str | None


class TriedValue(NamedTuple):
    """One number of a search: a metric of a candidate of a tuned arm, at a tuning seed and an epoch."""

    hypothesis: str
    run: str
    arm: str
    candidate: int
    settings: str
    role: str
    seed_index: int
    seed: int
    status: str
    metric: str
    summary: str
    layer: int | None
    epoch: int
    value: float | None
    unit: str


Row = TypeVar("Row", MeasuredValue, SeedEstimate, TriedValue)


@dataclass(frozen=True)
class TidyTable(Generic[Row]):
    """A table with a dictionary of its columns."""

    name: str
    """Kind of its rows: measurements, estimands or search."""
    columns: tuple[Column, ...]
    """Columns of the table, in the order of the rows' fields."""
    rows: tuple[Row, ...]
    """Rows of the table."""


def tabulate_measurements(run: JudgedRun) -> TidyTable[MeasuredValue]:
    """Return everything that was measured of a run, in the order of results.json."""
    measurements = fill_failed(run.stored.measurements, run.stored.registered.hypothesis.arms)
    rows = tuple(list_measured(measurements, run.run.name))
    return TidyTable("measurements", _describe_measured(_list_metrics(measurements)), rows)


def _list_metrics(measurements: Measurements) -> dict[str, str]:
    """Return the name of each metric, as the file calls it → its title."""
    kinds = [parse_metric(key) for key in dict.fromkeys(key for one in measurements.replicas for key in one.metrics)]
    return {metric.called: metric.title for metric in kinds}


def fill_failed(measurements: Measurements, arms: Mapping[str, Arm]) -> Measurements:
    """Return measurements in which replicas of ``arms`` that failed lack each value, and are not absent themselves.

    Whoever read a table without them would take the seeds that are left for all that there were.
    """
    replicas = [
        one.model_copy(update={"metrics": _make_blank(arms[one.arm])}) if one.status == "failed" else one
        for one in measurements.replicas
    ]
    return measurements.model_copy(update={"replicas": tuple(replicas)})


def _make_blank(arm: Arm) -> dict[str, Series]:
    """Return what a program was to measure, without a value."""
    epochs = arm.setup.evaluated_epochs
    layers = {metric.key: metric.layer_count or 1 for metric in arm.setup.evaluation.measured}
    return {
        key: Series(epochs=epochs, values={"value": ((None,) * layers[key],) * len(epochs)}) for key in sorted(layers)
    }


def list_measured(measurements: Measurements, run: str) -> Iterator[MeasuredValue]:
    """Yield everything that was measured, one number at a time; ``run``: the run's short name."""
    kinds = {key: parse_metric(key) for replica in measurements.replicas for key in replica.metrics}
    for replica in measurements.replicas:
        own = (measurements.hypothesis, run, replica.arm, replica.seed_index, replica.seed, replica.status)
        for key, series in replica.metrics.items():
            unit, layered = kinds[key].unit or DIMENSIONLESS, kinds[key].layered
            for summary, by_epoch in series.values.items():
                for epoch, row in zip(series.epochs, by_epoch, strict=True):
                    for layer, value in enumerate(row):
                        place = layer if layered else None
                        yield MeasuredValue(*own, kinds[key].called, summary, place, epoch, value, unit)


def tabulate_estimands(run: JudgedRun) -> TidyTable[SeedEstimate]:
    """Return the value of every estimand at every seed: those of decisions, then guards, then exploratory ones."""
    hypothesis, seeds = run.stored.registered.hypothesis, run.stored.measurements.seeds
    rows = []
    for role, result in list_estimands(run.decision):
        for one in result.values:
            ends = one.between or (one.value, one.value)
            own = (hypothesis.id, run.run.name, result.name, role, one.seed_index, seeds[one.seed_index])
            rows.append(SeedEstimate(*own, one.value, *ends, result.unit or DIMENSIONLESS, one.note))
    titles = tuple((result.name, result.title) for _, result in list_estimands(run.decision))
    return TidyTable("estimands", _describe_estimands(titles), tuple(rows))


def list_estimands(decision: Decision) -> Iterator[tuple[str, EstimandResult]]:
    """Yield each estimand once, with its gravest role: decision, guard or exploratory."""
    seen = set()
    results = (
        *(("decision", part.estimand) for part in decision.decisions),
        *(("guard", guard.estimand) for guard in decision.guards),
        *(("exploratory", result) for result in decision.exploratory),
    )
    for role, result in results:
        if result.name not in seen:
            seen.add(result.name)
            yield role, result


def tabulate_search(run: JudgedRun) -> TidyTable[TriedValue]:
    """Return everything that was measured in the search for tuned arms, candidate by candidate; empty without one."""
    search, searched = run.stored.search, run.stored.searched
    rows: list[TriedValue] = []
    metrics: dict[str, str] = {}
    if search is not None and searched is not None:
        known = {
            name_candidate(name, position): (name, position, json.dumps(one.values, sort_keys=True), tuned)
            for name, tuned in search.arms.items()
            for position, one in enumerate(tuned.candidates)
        }
        arms = run.stored.registered.hypothesis.arms
        searched = fill_failed(searched, {candidate: arms[name] for candidate, (name, *_) in known.items()})
        for row in list_measured(searched, run.run.name):
            arm, position, settings, tuned = known[row.arm]
            role = {tuned.runner_up: "runner-up", tuned.chosen: "chosen"}.get(position, "other")
            own = {"arm": arm, "candidate": position, "settings": settings, "role": role}
            rows.append(TriedValue(**{**row._asdict(), **own}))
        metrics = _list_metrics(searched)
    return TidyTable("search", _describe_search(metrics), tuple(rows))


RUN_COLUMNS = (
    Column("hypothesis", "string", "", "Id of the hypothesis."),
    Column("run", "string", "", "The run: the first 12 digits of the digest of the event that started it."),
)
SEED_COLUMNS = (
    Column("seed_index", "integer", DIMENSIONLESS, "Position in the list of seeds, counted from 0."),
    Column("seed", "integer", DIMENSIONLESS, "The seed number. Arms with the same seed start from the same weights."),
)
STATUSES = (
    ("finished", "trained to its end"),
    ("diverged", "a loss, a weight, the denominator of an update, or a logit became non-finite"),
    ("failed", "the program that trains it failed"),
)
ROLES = (
    ("decision", "a decision rests on it"),
    ("guard", "the decisions mean nothing if it is out of bounds"),
    ("exploratory", "it is reported and never decides"),
)
CANDIDATE_ROLES = (
    ("chosen", "the arm was trained with it on the seeds that decide"),
    ("runner-up", "the next best"),
    ("other", "neither of the two"),
)
UNITS = (
    (DIMENSIONLESS, "a plain number"),
    ("pp", "percentage points"),
    ("log10", "decimal logarithm"),
    ("epochs", "epochs, counted from 1"),
    ("ratio", "one arm's value over another's; the mean over seeds is the geometric mean"),
)


def _describe_measured(metrics: Mapping[str, str]) -> tuple[Column, ...]:
    return (
        *RUN_COLUMNS,
        Column("arm", "string", "", "Name of the arm."),
        *SEED_COLUMNS,
        Column("status", "string", "", "What became of the replica.", STATUSES),
        Column("metric", "string", "", "What was measured.", tuple(metrics.items())),
        Column("summary", "string", "", "How it was summarised over samples.", tuple(SUMMARIES.items())),
        Column("layer", "integer", DIMENSIONLESS, "Layer, from 0; empty for metrics that have one value per replica."),
        Column("epoch", "integer", "epochs", "Epoch after which it was measured, counted from 1."),
        Column("value", "number", "see column unit", "The number; empty if it was not finite, or the replica failed."),
        Column("unit", "string", "", "Unit of the value.", UNITS[:1]),
    )


def _describe_search(metrics: Mapping[str, str]) -> tuple[Column, ...]:
    measured = {column.name: column for column in _describe_measured(metrics)}
    seed = measured["seed"]._replace(meaning="The tuning seed; no seed that decides is among them.")
    own = {
        "candidate": Column("candidate", "integer", DIMENSIONLESS, "Position among the arm's candidates, from 0."),
        "settings": Column("settings", "string", "", "What the candidate sets, as JSON: path inside the arm, value."),
        "role": Column("role", "string", "", "What the search made of the candidate.", CANDIDATE_ROLES),
        "seed": seed,
    }
    return tuple((measured | own)[name] for name in TriedValue._fields)


def _describe_estimands(titles: tuple[tuple[str, str], ...]) -> tuple[Column, ...]:
    infinite = "; inf or -inf where an onset never comes"
    return (
        *RUN_COLUMNS,
        Column("estimand", "string", "", "Name of the estimand in the hypothesis file.", titles),
        Column("role", "string", "", "What the estimand is for.", ROLES),
        *SEED_COLUMNS,
        Column("value", "number", "see column unit", f"Its value at the seed; empty if there is none{infinite}."),
        Column("low", "number", "see column unit", "Lower end of the interval in which the value is known to lie."),
        Column("high", "number", "see column unit", "Upper end of that interval; both are the value if it is exact."),
        Column("unit", "string", "", "Unit of the values; of a slope, with what it is per.", UNITS),
        Column("note", "string", "", "Reason why there is no value, or not the measured one; empty without a reason."),
    )


def list_dictionary(*tables: TidyTable[Any]) -> list[dict[str, str]]:
    """Return the data dictionary of tables: a row per column, and one per value that needs an explanation."""
    found = []
    for table in tables:
        for column in table.columns:
            own = {"table": table.name, "column": column.name, "value": ""}
            found.append(own | {"type": column.type, "unit": column.unit, "meaning": column.meaning})
            for value, meaning in column.values:
                found.append(own | {"value": value, "type": column.type, "unit": "", "meaning": meaning})
    return found
