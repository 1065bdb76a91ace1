"""Measurements that a verdict names, whether results or a search: read, and held against their run."""

from __future__ import annotations

from collections.abc import Generator, Iterator

from pydantic import ValidationError

from harness.ledger.audit.evidence import Evidence
from harness.ledger.audit.findings import AuditFinding
from harness.ledger.bodies import VerdictBody
from harness.ledger.index import StartedRun
from harness.plugins.registry import find_members
from harness.records import DataRecord, Measurements
from harness.wording import format_count


def read_measured(
    evidence: Evidence, run: StartedRun, verdict: VerdictBody, name: str
) -> Generator[AuditFinding, None, Measurements | None]:
    """Read a file of measurements that a verdict names; None if it is not that file, or can't be read."""
    path = f"{run.folder}/{name}"
    data = evidence.read_kept(path, verdict.files.get(name, ""))
    if data is None:
        return None  # step 4 names it
    try:
        return Measurements.model_validate_json(data)
    except ValidationError as error:
        what = (
            f"results that cannot be read: {format_count(error.error_count(), 'fault')}, first "
            f"{error.errors()[0]['msg']}"
        )
        yield AuditFinding("results-unreadable", what, evidence.files.shown(path), hypothesis=run.hypothesis)
        return None


def check_measured(run: StartedRun, measured: Measurements, where: str) -> Iterator[AuditFinding]:
    """Check what holds of the results and of a search: whose they are, each replica's seed, and the data."""
    start, hypothesis = run.body, run.hypothesis
    if (measured.hypothesis, measured.registration, measured.pilot) != (hypothesis, start.registration, False):
        what = "these results are of another registration"
        got = f"{measured.hypothesis} {measured.registration}{' (pilot)' if measured.pilot else ''}"
        yield AuditFinding("results-of-another", what, where, f"{hypothesis} {start.registration}", got, hypothesis)
    numbered = set(enumerate(measured.seeds))
    strange = [replica for replica in measured.replicas if (replica.seed_index, replica.seed) not in numbered]
    if strange:
        what = f"{format_count(len(strange), 'replica has', 'replicas have')} another seed than the index says"
        expected = "the run's seeds by index"
        yield AuditFinding("results-seeds", what, where, expected, f"seed {strange[0].seed}", hypothesis)
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
    what = f"only whoever ran it says that the data of {name}, {record.fingerprint}, are the official files"
    yield AuditFinding("data-by-word", what, where, hypothesis=hypothesis)


def format_seeds(seeds: tuple[int, ...]) -> str:
    """Write how many seeds these are, and the first of them."""
    return f"{format_count(len(seeds), 'seed')}: {', '.join(map(str, seeds[:3]))}{', …' if len(seeds) > 3 else ''}"
