"""Part of step 4: what was measured again on a run's weights is what its event says, and the weights are the run's."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import ValidationError

from harness.ledger.audit.evidence import Evidence
from harness.ledger.audit.findings import AuditFinding
from harness.ledger.index import Entry, StartedRun
from harness.ledger.measured_body import MeasuredBody
from harness.ledger.timeline import describe_measurement
from harness.records import Measurements, Provenance, ReplicaResult


def check(evidence: Evidence) -> Iterator[AuditFinding]:
    """Check every measurement of stored weights against the run that they are said to be of."""
    for entry in evidence.index.entries(MeasuredBody):
        if (run := evidence.index.start(entry.body.run)) is not None:  # else step 3 names it
            yield from _check_measurement(evidence, entry, run)


def _check_measurement(evidence: Evidence, entry: Entry[MeasuredBody], run: StartedRun) -> Iterator[AuditFinding]:
    body, where, hypothesis = entry.body, evidence.at(entry.digest), run.hypothesis
    verdict = evidence.index.verdict(run.digest)
    if verdict is None or not evidence.index.before(verdict.digest, entry.digest):
        what = "this measurement is not after the verdict on its run"
        yield AuditFinding("measured-otherwise", what, where, hypothesis=hypothesis)
        return
    page = evidence.page(run, verdict.body.files.get("env.json"))
    again, before = _read(evidence.object(body.results)), _read_results(evidence, run, verdict.body.files)
    if page is None or again is None or before is None:
        what = "this measurement could not be checked: its results, or files of its run, are not here as they were kept"
        yield AuditFinding("measured-unchecked", what, where, hypothesis=hypothesis)
        return
    if (differs := _find_difference(body, page, again, before)) is not None:
        yield AuditFinding("measured-otherwise", differs, where, hypothesis=hypothesis)
        return
    told = f"{describe_measurement(body)}, by {entry.event.actor}"
    yield AuditFinding("measured", told, where, hypothesis=hypothesis)


def _read(data: bytes | None) -> Measurements | None:
    try:
        return None if data is None else Measurements.model_validate_json(data)
    except ValidationError:
        return None


def _read_results(evidence: Evidence, run: StartedRun, files: dict[str, str]) -> Measurements | None:
    digest = files.get("results.json")
    return None if digest is None else _read(evidence.read_kept(f"{run.folder}/results.json", digest))


def _find_difference(body: MeasuredBody, page: Provenance, again: Measurements, before: Measurements) -> str | None:
    """Return what a measurement says otherwise than its run; None if nothing."""
    for file, digest in body.weights.items():
        if page.weights.get(file) != digest:
            return f"it names weights that the run's env.json does not name: {file}"
    if (again.hypothesis, again.registration, again.seeds) != (before.hypothesis, before.registration, before.seeds):
        return "its results are those of another run"
    if dict(again.epochs) != dict(body.epochs) or {key for one in again.replicas for key in one.metrics} != set(
        body.metrics
    ):
        return "its results are not of the metrics and epochs that it names"
    if {name: record.fingerprint for name, record in again.data.items()} != body.data:
        return "its results are not of the data that it names"
    known = {(one.arm, one.seed_index): one for one in before.replicas}
    for one in again.replicas:
        if not _is_of(one, known.get((one.arm, one.seed_index)), body, before):
            return f"its results for {one.arm} at seed {one.seed_index} are not of the run's weights"
    return None


def _is_of(one: ReplicaResult, run: ReplicaResult | None, body: MeasuredBody, before: Measurements) -> bool:
    """Tell whether a result is of a replica of the run, of its final weights if those were measured."""
    if run is None or one.arm not in body.epochs or (one.seed, one.status) != (run.seed, run.status):
        return False
    epoch = body.epochs[one.arm]
    if any(series.epochs != (epoch,) for series in one.metrics.values()):
        return False
    return epoch != before.epochs.get(one.arm) or one.weights_sha256 == run.weights_sha256
