"""Rules by which a program's results file becomes measurements: nothing here asks how the file came about.

The rules have a version, ``harness.records.program.PARSER``, which a registration pins.

json: one object. Either ``metrics`` or, without that key, the object itself maps each metric to a number (the last
epoch's), or to ``{"epochs": […], "value": […]}`` with a number, or a list of a number per layer, for each epoch. Beside
it: ``status`` ("finished" or "diverged"), ``diverged_epoch``, ``weights_sha256``.

jsonl: an object a line, ``{"epoch": 1, "test_accuracy": 0.9, "hidden_norm": [1.0, 2.0]}``, and ``status`` and so on in
any of them. A line without an epoch is about the last one.

csv: a header, and either columns epoch, metric, value and perhaps layer, or a column per metric and perhaps epoch. An
empty field or NA is null.

Any other form is an adapter's (``harness.adapters``): its points at evaluated epochs count, or, in a file that asks for
one evaluation, the only one that a metric has. A number that is not finite is a null there.

A null stands for a value that was not finite. Numbers must be finite and within the declared bounds.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness.adapters import LARGEST
from harness.metrics import Metric
from harness.programs.adapted import BadResults, read_adapted
from harness.records import Arm, ReplicaResult, Series
from harness.records.measurements import digest_measured
from harness.records.plan import Replica
from harness.records.program import FORMS, Results
from harness.system.strict_csv import NoTable, read_rows
from harness.system.strict_json import NotStrict, read_strict
from harness.wording import format_exact

SLACK = 1e-9
STATUS, DIVERGED, WEIGHTS = "status", "diverged_epoch", "weights_sha256"
NO_TABLE = {
    "form": "its results are not CSV: cut off, or not written as such",
    "empty": "its results file is empty",
    "twice": "a column of its results comes twice",
    "row": "row {row} of its results has {told}",
}
Values = dict[str, dict[int, dict[int, float | None]]]
"""Metric → epoch → layer → value."""


@dataclass(frozen=True)
class Parsed:
    """A results file as it was read."""

    values: Values
    status: str = "finished"
    diverged_epoch: int | None = None
    weights: str | None = None


def parse_results(raw: bytes, results: Results, declared: Mapping[str, Metric]) -> Parsed:
    """Read a results file; metrics that are not declared are left out.

    Raises:
        BadResults: It can't be read, or what it says of a declared metric is not valid.
    """
    if len(raw) > LARGEST:
        raise BadResults(f"its results have more than {LARGEST:,} bytes")
    try:
        text = raw.decode() if results.form in FORMS else ""
    except UnicodeDecodeError as error:
        raise BadResults("its results are not UTF-8") from error
    read: dict[str, Callable[[str, Results], Iterator[Mapping[str, Any]]]] = {
        "json": _read_json, "jsonl": _read_lines, "csv": _read_csv
    }  # fmt: skip
    adapter = results.adapter
    entries = read[results.form](text, results) if adapter is None else read_adapted(raw, results, adapter, declared)
    told: dict[str, Any] = {}
    values: Values = {name: {} for name in declared}
    for entry in entries:
        for key in (STATUS, DIVERGED, WEIGHTS):
            if entry.get(key) is not None:
                told[key] = entry[key]
        _take_values(values, entry.get("values", {}), declared, results)
    found = Parsed(values, _read_status(told), _read_epoch(told.get(DIVERGED)), _read_weights(told.get(WEIGHTS)))
    if found.diverged_epoch is not None and found.status != "diverged":
        raise BadResults("its results name an epoch of divergence and don't say that it diverged")
    return found


def read_replica(replica: Replica, arm: Arm, raw: bytes, results: Results) -> ReplicaResult:
    """Return a replica as its results file tells it; one that failed, if the file is not valid."""
    declared = {metric.called: metric for metric in arm.setup.evaluation.measured}
    digest = hashlib.sha256(raw).hexdigest()
    try:
        parsed = parse_results(raw, results, declared)
        metrics = {
            metric.key: _make_series(name, metric, parsed, arm.setup.evaluated_epochs)
            for name, metric in declared.items()
        }
    except BadResults as error:
        return fail_replica(replica, str(error), digest)
    return ReplicaResult(
        arm=replica.arm,
        seed_index=replica.seed_index,
        seed=replica.seed,
        status="diverged" if parsed.status == "diverged" else "finished",
        diverged_epoch=parsed.diverged_epoch,
        raw=digest,
        weights_sha256=parsed.weights or digest_measured(metrics),
        metrics=dict(sorted(metrics.items())),
    )


def fail_replica(replica: Replica, why: str, raw: str | None = None) -> ReplicaResult:
    """Return a replica that failed."""
    return ReplicaResult(
        arm=replica.arm,
        seed_index=replica.seed_index,
        seed=replica.seed,
        status="failed",
        failure=why,
        raw=raw,
        weights_sha256=digest_measured({}),
        metrics={},
    )


def _load(text: str, what: str) -> Any:
    """Return the value of a text. What is said of it stands in results.json, and is to stay as it is."""
    try:
        return read_strict(text)
    except NotStrict as error:
        if not error.holds:
            raise BadResults(f"{what} is not JSON: cut off, or not written as such") from error
        diverged = ", or the status diverged" if error.holds.endswith("null") else ""
        raise BadResults(f"its results hold {error.holds}{diverged}") from error


def _read_json(text: str, results: Results) -> Iterator[Mapping[str, Any]]:
    whole = _load(text, "its results file")
    if not isinstance(whole, dict):
        raise BadResults("its results file is JSON, but no object")
    metrics = whole.get(
        "metrics", {key: value for key, value in whole.items() if key not in (STATUS, DIVERGED, WEIGHTS)}
    )
    if not isinstance(metrics, dict):
        raise BadResults("'metrics' in its results is no object")
    yield {key: whole.get(key) for key in (STATUS, DIVERGED, WEIGHTS)}
    for name, value in metrics.items():
        if not isinstance(value, dict):
            yield {"values": {name: {results.epochs: value}}}
            continue
        epochs, rows = value.get("epochs"), value.get("value")
        if not isinstance(epochs, list) or not isinstance(rows, list) or len(epochs) != len(rows):
            raise BadResults(f"{name} has no list of epochs with a value for each")
        if len({repr(epoch) for epoch in epochs}) < len(epochs):
            raise BadResults(f"{name} names an epoch twice")
        yield {"values": {name: {_require_epoch(epoch): row for epoch, row in zip(epochs, rows, strict=True)}}}


def _read_lines(text: str, results: Results) -> Iterator[Mapping[str, Any]]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        entry = _load(line, f"line {number} of its results")
        if not isinstance(entry, dict):
            raise BadResults(f"line {number} of its results is no object")
        epoch = _require_epoch(entry["epoch"]) if entry.get("epoch") is not None else results.epochs
        own = (STATUS, DIVERGED, WEIGHTS, "epoch")
        yield {key: entry.get(key) for key in own[:3]} | {
            "values": {name: {epoch: value} for name, value in entry.items() if name not in own}
        }


def _read_csv(text: str, results: Results) -> Iterator[Mapping[str, Any]]:
    try:
        for number, row in enumerate(read_rows(text), 2):
            yield _read_row(row, number, results)
    except NoTable as error:
        raise BadResults(NO_TABLE[error.kind].format(row=error.row, told=error.told)) from error


def _read_row(row: Mapping[str, str], number: int, results: Results) -> Mapping[str, Any]:
    epoch = results.epochs
    if row.get("epoch", "") != "":
        epoch = _require_epoch(_read_number(row["epoch"], number, "epoch"))
    if {"metric", "value"} <= row.keys():
        value = _read_number(row["value"], number, "value")
        layer = row.get("layer", "")
        at = {int(layer): value} if layer.isdigit() else value
        return {"values": {row["metric"]: {epoch: at}}}
    own = (STATUS, DIVERGED, WEIGHTS, "epoch")
    told: dict[str, Any] = {key: row[key] for key in (STATUS, WEIGHTS) if row.get(key)}
    if row.get(DIVERGED):
        told[DIVERGED] = _read_number(row[DIVERGED], number, DIVERGED)
    return told | {"values": {name: {epoch: _Text(row[name], number)} for name in row if name not in own}}


@dataclass(frozen=True)
class _Text:
    """A field of a table whose column may be no metric's."""

    text: str
    row: int


def _read_number(text: str, row: int, name: str) -> float | int | None:
    if text in ("", "NA"):
        return None
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError as error:
        raise BadResults(f"{name} in row {row} of its results is no number") from error


def _take_values(values: Values, given: Mapping[str, Any], declared: Mapping[str, Metric], results: Results) -> None:
    """Add what an entry says of declared metrics at evaluated epochs."""
    for name, metric in declared.items():
        for epoch, value in given.get(results.names.get(name, name), {}).items():
            plain = _read_number(value.text, value.row, name) if isinstance(value, _Text) else value
            if isinstance(value, _Text) and plain is None and value.text == "":
                continue  # a table may measure this at other epochs than that
            there = values[name].setdefault(epoch, {})
            for layer, number in _spread(name, metric, epoch, plain):
                if layer in there:
                    raise BadResults(f"{name} has two values at epoch {epoch}")
                there[layer] = _require_number(name, metric, epoch, number)


def _spread(name: str, metric: Metric, epoch: int, value: Any) -> Iterator[tuple[int, Any]]:
    """Yield layer and number of a value, which is one or, of a metric by layer, one for each."""
    layers = metric.layer_count
    if isinstance(value, dict):  # a table's row
        layer = next(iter(value))
        if layers is None or layer >= layers:
            raise BadResults(f"{name} has no layer {layer}")
        yield from value.items()
    elif layers is None:
        yield 0, value
    elif value is None:
        yield from ((layer, None) for layer in range(layers))
    elif isinstance(value, list) and len(value) == layers:
        yield from enumerate(value)
    else:
        raise BadResults(f"{name} at epoch {epoch} is no list of {layers} numbers, one for each layer")


def _require_number(name: str, metric: Metric, epoch: int, value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadResults(f"{name} at epoch {epoch} is no number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise BadResults(f"{name} at epoch {epoch} is not finite: write null, or the status diverged")
    low, high = metric.bounds
    if number < low - SLACK * max(1.0, abs(low)) or number > high + SLACK * max(1.0, abs(high)):
        percent = "; a percentage, where a fraction is declared?" if (low, high) == (0, 1) and 1 < number <= 100 else ""
        bounds = f"{_end(low)} to {_end(high)}{percent}"
        raise BadResults(f"{name} is {format_exact(number)} at epoch {epoch}, outside its bounds {bounds}")
    return number


def _end(bound: float) -> str:
    return format_exact(bound) if math.isfinite(bound) else "inf" if bound > 0 else "-inf"


def _require_epoch(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= 10**6 or value != int(value):
        raise BadResults("an epoch of its results is no whole number from 1")
    return int(value)


def _read_epoch(value: Any) -> int | None:
    return None if value is None else _require_epoch(value)


def _read_status(told: Mapping[str, Any]) -> str:
    status = told.get(STATUS, "finished")
    if status not in ("finished", "diverged"):
        raise BadResults("the status in its results is neither finished nor diverged")
    return str(status)


def _read_weights(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or len(value) != 64 or set(value) - set("0123456789abcdef"):
        raise BadResults("weights_sha256 in its results is no SHA-256 in lower-case hexadecimal")
    return value


def _make_series(name: str, metric: Metric, parsed: Parsed, epochs: tuple[int, ...]) -> Series:
    """Return the values at the evaluated epochs; of a replica that diverged, null where there is none."""
    rows: list[tuple[float | None, ...]] = []
    for epoch in epochs:
        there = parsed.values[name].get(epoch, {})
        count = metric.layer_count
        layers = range(count or 1)
        if parsed.status != "diverged" and (missing := [layer for layer in layers if layer not in there]):
            where = f" in layer {missing[0]}" if count and there else ""
            raise BadResults(f"its results have no {name}{where} at epoch {epoch}")
        rows.append(tuple(there.get(layer) for layer in layers))
    return Series(epochs=epochs, values={"value": tuple(rows)})
