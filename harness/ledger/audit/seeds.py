"""Step 5: seeds derived again; results that are this run's, at these seeds, on these data."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import ValidationError

from harness.ledger.audit import looks, seeded
from harness.ledger.audit.anchors import Kept
from harness.ledger.audit.evidence import Evidence
from harness.ledger.audit.findings import AuditFinding
from harness.ledger.bodies import RegisteredBody, RunStartedBody, SeededBody, VerdictBody
from harness.ledger.index import StartedRun
from harness.ledger.seeding import list_seeds
from harness.plugins.registry import find_members
from harness.records import DataRecord, Measurements
from harness.wording import format_count

PROMISE = "its seeds follow from what was registered first, and its results are of these seeds, arms and data"


def check(evidence: Evidence, kept: Kept) -> Iterator[AuditFinding]:
    """Check the seeds and data of every run, and of the results of every judged run."""
    yield from seeded.check(evidence, kept)
    for hypothesis in evidence.index.hypotheses:
        for run in evidence.index.starts(hypothesis):
            yield from _check_run(evidence, run)
    for run, verdict in evidence.index.judged():
        yield from _check_results(evidence, run, verdict.body)


def _check_run(evidence: Evidence, run: StartedRun) -> Iterator[AuditFinding]:
    index, start = evidence.index, run.body
    entry = index.fixed(start.amendment or start.registration)
    if entry is None or not isinstance(index.body(start.registration), RegisteredBody):
        return  # step 3 names it
    where, fixed = evidence.at(run.digest), entry.body
    drawn = index.body(start.seeded or "")
    owed = fixed.beacon is not None
    if owed != (isinstance(drawn, SeededBody) and drawn.registration == start.registration):
        what = (
            "the run names no draw of its registration's seeds" if owed else "the run names a draw that is not its own"
        )
        yield AuditFinding("run-undrawn", what, where, str(owed), str(start.seeded), start.hypothesis)
    # Of as many as the run says it has: a registration of 10^15 seeds must not keep an audit busy.
    known = drawn if isinstance(drawn, SeededBody) else None
    expected = list_seeds(start.registration, fixed, known, len(start.seeds) + 1)
    if not isinstance(fixed.seeds, int):
        what = f"{format_count(len(expected), 'seed was', 'seeds were')} hand-picked, not derived"
        yield AuditFinding("hand-picked", what, where, hypothesis=start.hypothesis)
    if start.seeds != expected:
        what = "the run's seeds are not those of its registration"
        yield AuditFinding(
            "run-seeds", what, where, _format_seeds(expected), _format_seeds(start.seeds), start.hypothesis
        )


def _check_results(evidence: Evidence, run: StartedRun, verdict: VerdictBody) -> Iterator[AuditFinding]:
    path, start = f"{run.folder}/results.json", run.body
    where, hypothesis = evidence.files.shown(path), start.hypothesis
    try:
        if path not in evidence.files.paths or evidence.files.digest(path) != verdict.files.get("results.json"):
            return  # step 4 names it
        measured = Measurements.model_validate_json(evidence.files.read(path))
    except OSError:
        return
    except ValidationError as error:
        what = (
            f"results that cannot be read: {format_count(error.error_count(), 'fault')}, first "
            f"{error.errors()[0]['msg']}"
        )
        yield AuditFinding("results-unreadable", what, where, hypothesis=hypothesis)
        return
    if (measured.hypothesis, measured.registration, measured.pilot) != (hypothesis, start.registration, False):
        what = "these results are of another registration"
        got = f"{measured.hypothesis} {measured.registration}{' (pilot)' if measured.pilot else ''}"
        yield AuditFinding("results-of-another", what, where, f"{hypothesis} {start.registration}", got, hypothesis)
    if measured.seeds != start.seeds[: len(measured.seeds)]:
        what = "the results' seeds are not the run's"
        expected, got = _format_seeds(start.seeds), _format_seeds(measured.seeds)
        yield AuditFinding("results-seeds", what, where, expected, got, hypothesis)
    pairs = [(replica.arm, replica.seed_index) for replica in measured.replicas]
    wanted = [(arm, index) for arm in _find_arms(evidence, start, measured) for index in range(len(measured.seeds))]
    if sorted(pairs) != sorted(wanted) or (
        len(measured.seeds) < len(start.seeds) and not evidence.index.looks(run.digest)
    ):
        what = "not every arm has one replica at every seed"
        expected = f"{format_count(len(wanted), 'replica')} at {format_count(len(start.seeds), 'seed')}"
        got = f"{format_count(len(pairs), 'replica')} at {format_count(len(measured.seeds), 'seed')}"
        yield AuditFinding("results-incomplete", what, where, expected, got, hypothesis)
    numbered = set(enumerate(measured.seeds))
    strange = [replica for replica in measured.replicas if (replica.seed_index, replica.seed) not in numbered]
    if strange:
        what = f"{format_count(len(strange), 'replica has', 'replicas have')} another seed than the index says"
        expected = "the run's seeds by index"
        yield AuditFinding("results-seeds", what, where, expected, f"seed {strange[0].seed}", hypothesis)
    yield from looks.check_results(evidence, run, measured)
    for name, record in measured.data.items():
        if start.data.get(name, record.fingerprint) != record.fingerprint:
            what = f"the results are of other data of {name} than the run was started with"
            yield AuditFinding("results-data", what, where, start.data[name], record.fingerprint, hypothesis)
        yield from _check_official(name, record, where, hypothesis)


def _check_official(name: str, record: DataRecord, where: str, hypothesis: str) -> Iterator[AuditFinding]:
    """Check data that results call official: by the known fingerprint, or it is said that there is none here."""
    known = getattr(find_members("datasets").get(name), "official_fingerprint", None)
    if not record.canonical or record.fingerprint == known:
        return
    if known is not None:
        what = f"the results call data of {name} the official files that are not, by their fingerprint"
        yield AuditFinding("data-not-official", what, where, known, record.fingerprint, hypothesis)
        return
    what = f"that the data of {name}, {record.fingerprint}, are the official files is told by whoever ran it alone"
    yield AuditFinding("data-by-word", what, where, hypothesis=hypothesis)


def _find_arms(evidence: Evidence, start: RunStartedBody, measured: Measurements) -> tuple[str, ...]:
    """Return the arms of the hypothesis as it was run; of the results themselves where its form is not here."""
    outline = evidence.outline(start.canonical)
    return outline.arms if outline is not None and outline.arms is not None else tuple(sorted(measured.epochs))


def _format_seeds(seeds: tuple[int, ...]) -> str:
    return f"{format_count(len(seeds), 'seed')}: {', '.join(map(str, seeds[:3]))}{', …' if len(seeds) > 3 else ''}"
