"""Stored weights of a judged run, measured again without training: exploratory, in an event of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from harness import ledger
from harness.domain.measured import explain_undefined, explain_unmeasurable, is_defined
from harness.errors import Tampered, UsageError
from harness.ledger.measured_body import MeasuredBody
from harness.metrics import Metric, parse_metric
from harness.pipeline.replicate import refuse_other_data
from harness.pipeline.run_files import StoredRun, read_run
from harness.pipeline.run_steps import Equipment, make_plan, open_equipment
from harness.pipeline.session import Session
from harness.pipeline.weights import locate_weights
from harness.plugins.registry import digest_source, find_members
from harness.records import Arm, Measurements, Plan, ReplicaResult, Series
from harness.wording import suggest

if TYPE_CHECKING:
    from harness.training.stored import WeightsFile

Files = Mapping[tuple[str, int], "WeightsFile"]


@dataclass(frozen=True)
class Remeasurement:
    """A measurement of stored weights."""

    hypothesis: str
    """The hypothesis's id."""
    run: str
    """The run's short name."""
    arms: Mapping[str, Arm]
    """The arms that were measured."""
    measurements: Measurements
    """The results, in the form of results.json."""
    body: MeasuredBody
    """The event's body."""
    recorded: Mapping[str, float]
    """Metric that the run itself had measured at that epoch → largest relative difference from it; 0: the same bits."""
    head: str
    """The ledger's head afterwards."""


def measure_run(
    name: str,
    keys: Sequence[str],
    session: Session,
    *,
    arms: Sequence[str] = (),
    epoch: int | None = None,
    weights: Path | None = None,
) -> Remeasurement:
    """Measure metrics on stored weights of a judged run, and enter what was found as exploratory.

    ``arms``: the arms to be measured, all for which a metric is defined if none is named; ``epoch``: the epoch whose
    weights are measured, the last by default; ``weights``: the folder of the weights if it is not the run's.

    Raises:
        UsageError: nothing of that name was judged, there is no such metric or arm, or no such weights.
        DeviationRefused: the data here are not those of the run.
        Tampered: files of the run, or its weights, are not those that the ledger names.
    """
    trail = session.trail
    run = ledger.find_judged(trail, name)
    stored = read_run(trail, run.digest)
    metrics = [read_metric(key) for key in dict.fromkeys(keys)]
    chosen = _choose_arms(stored, metrics, arms)
    epochs = {arm: spec.setup.epochs if epoch is None else epoch for arm, spec in chosen.items()}
    files = _locate(stored, epochs, weights)
    hypothesis = stored.registered.hypothesis.model_copy(update={"arms": chosen})
    equipment = open_equipment(hypothesis, session, trains=False)
    used = {name: record for name, record in stored.measurements.data.items() if name in equipment.images}
    before = stored.measurements.model_copy(update={"data": used})
    refuse_other_data(run, before, equipment)
    planned = make_plan(equipment.device, hypothesis, before.seeds, before.registration, equipment.sources)
    found = _measure(planned, equipment, metrics, files, stored, epochs)
    session.reporter.heed()
    measurements = before.model_copy(update={"epochs": epochs, "replicas": _sort(found, list(epochs))})
    body = MeasuredBody(
        run=run.digest,
        metrics=tuple(metric.key for metric in metrics),
        epochs=epochs,
        weights={_name_below(file, stored, weights): file.digest for file in files.values()},
        results=trail.store_object(measurements.to_json().encode()),
        plugins={f"metrics/{metric.name}": digest_source(metric) for metric in metrics},
        data={name: images.fingerprint for name, images in equipment.images.items()},
        environment=ledger.describe_environment(trail.root.parent.resolve()),
        device=equipment.device.name,
        arithmetic=dict(equipment.device.arithmetic),
    )
    trail.record(body)
    return Remeasurement(
        hypothesis=run.hypothesis,
        run=run.name,
        arms=chosen,
        measurements=measurements,
        body=body,
        recorded=_compare(stored.measurements, measurements),
        head=trail.heads()[0],
    )


def _locate(stored: StoredRun, epochs: Mapping[str, int], folder: Path | None) -> dict[tuple[str, int], WeightsFile]:
    return {
        (arm, index): file
        for arm, epoch in epochs.items()
        for index, file in enumerate(locate_weights(stored, arm, epoch, folder))
    }


def _sort(found: list[ReplicaResult], arms: list[str]) -> tuple[ReplicaResult, ...]:
    return tuple(sorted(found, key=lambda one: (arms.index(one.arm), one.seed_index)))


def read_metric(key: str) -> Metric:
    """Return the metric that somebody names on the command line.

    Raises:
        UsageError: there is none of that name, or it has no such parameter.
    """
    try:
        return parse_metric(key)
    except KeyError:
        known = ", ".join(find_members("metrics"))
        raise UsageError(f"no metric is called {key.split(':')[0]!r}", where="--metric", remedy=known) from None
    except ValueError as error:
        name = key.split(":")[0]
        told = "; ".join(str(one["msg"]) for one in error.errors()) if hasattr(error, "errors") else str(error)
        remedy = f"write {name}, or {name}:parameter=value,…; see harness explain {name}"
        raise UsageError(f"{key!r} is not a metric with parameters: {told}", where="--metric", remedy=remedy) from None


def _choose_arms(stored: StoredRun, metrics: Sequence[Metric], named: Sequence[str]) -> dict[str, Arm]:
    """Return the arms to be measured: those named, or all for which a metric is defined."""
    arms = stored.registered.hypothesis.arms
    for name in named:
        if name not in arms:
            message = f"it has no arm {name!r}{suggest(name, arms)}"
            raise UsageError(message, where=f"run {stored.provenance.run}", remedy=f"its arms: {', '.join(arms)}")
    chosen = {name: arm for name, arm in arms.items() if name in named or not (named or arm.is_program)}
    for metric in metrics:
        lacks = [explain_undefined(metric, arm.rule, arm.setup) for arm in chosen.values()]
        reasons = [lack for lack in dict.fromkeys(lacks) if lack is not None]
        if None not in lacks:
            told = "; ".join(reason for reason, _ in reasons)
            message = f"{metric.key} is not defined for {', '.join(chosen)}: {told}"
            raise UsageError(message, where="--metric", remedy=reasons[0][1])
    chosen = {
        name: arm
        for name, arm in chosen.items()
        if named or any(is_defined(metric, arm.rule, arm.setup) for metric in metrics)
    }
    for arm in chosen.values():
        for metric in metrics:
            if (why := explain_unmeasurable(metric, arm.setup)) is not None:
                remedy = "choose other parameters of the metric, or arms that have such data"
                raise UsageError(why[0], where="--metric", remedy=remedy)
    return chosen


def _name_below(file: WeightsFile, stored: StoredRun, folder: Path | None) -> str:
    return file.path.relative_to(stored.folder / "weights" if folder is None else folder).as_posix()


def _measure(
    planned: Plan,
    equipment: Equipment,
    metrics: list[Metric],
    files: Files,
    stored: StoredRun,
    epochs: Mapping[str, int],
) -> list[ReplicaResult]:
    """Measure cohort by cohort; return one result per replica, in the plan's order."""
    from harness.training.stored import measure_stored

    found = []
    for cohort in planned.cohorts:
        images = equipment.images[cohort.setup.dataset.name]
        values, digests = measure_stored(cohort, files, images, equipment.device, metrics)
        for r, replica in enumerate(cohort.replicas):
            before, epoch = stored.measurements.find_replica(replica.arm, replica.seed_index), epochs[replica.arm]
            lost = before.diverged_epoch is not None and before.diverged_epoch <= epoch
            arm = cohort.arms[replica.arm]
            if epoch == arm.setup.epochs:
                _refuse_other_weights(before, digests[r], stored)
            series = {
                metric.key: Series(
                    epochs=(epoch,),
                    values={name: (_write_row(rows[r], lost),) for name, rows in values[metric.key].items()},
                )
                for metric in metrics
                if is_defined(metric, arm.rule, arm.setup)
            }
            found.append(before.model_copy(update={"weights_sha256": digests[r], "metrics": series}))
    return found


def _write_row(row: np.ndarray, lost: bool) -> tuple[float | None, ...]:
    """Return numbers as results.json has them: none that is not finite, and none of a replica that had diverged."""
    return tuple(None if lost or not np.isfinite(value) else float(value) for value in row)


def _refuse_other_weights(before: ReplicaResult, digest: str, stored: StoredRun) -> None:
    """Refuse final weights that are not those of which results.json tells."""
    if digest != before.weights_sha256:
        raise Tampered(
            "the weights that env.json names are not those that results.json tells of",
            where=f"{stored.folder}: {before.arm}, seed {before.seed_index}",
            expected=before.weights_sha256,
            got=digest,
            remedy="ask whoever ran it: one of the two files is not of this run",
        )


def _compare(before: Measurements, now: Measurements) -> dict[str, float]:
    """Return metric → largest relative difference from what the run measured at the same epoch; without others."""
    found: dict[str, float] = {}
    for one in now.replicas:
        old = before.find_replica(one.arm, one.seed_index)
        for key, series in one.metrics.items():
            recorded = old.metrics.get(key)
            if recorded is None or series.epochs[0] not in recorded.epochs:
                continue
            place = recorded.epochs.index(series.epochs[0])
            for summary, rows in series.values.items():
                pairs = zip(rows[0], recorded.values[summary][place], strict=True)
                found[key] = max(found.get(key, 0.0), *(_differ(new, was) for new, was in pairs))
    return found


def _differ(new: float | None, was: float | None) -> float:
    if new == was:
        return 0.0
    if new is None or was is None:
        return float("inf")
    return abs(new - was) / max(abs(new), abs(was))
