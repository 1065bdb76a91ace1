"""Searches, for steps 3 and 5: chosen before what they decide, named by the verdict, and trained as they had to be."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import ValidationError

from harness.domain.tuning import count_replicas, list_replicas
from harness.ledger.audit.evidence import Evidence
from harness.ledger.audit.findings import AuditFinding
from harness.ledger.audit.measured import check_measured, format_seeds, read_measured
from harness.ledger.bodies import TunedBody, VerdictBody
from harness.ledger.index import StartedRun
from harness.ledger.seeding import derive_tuning_seeds
from harness.records.tuning import Tuning
from harness.wording import format_count


def check_order(evidence: Evidence, run: StartedRun) -> Iterator[AuditFinding]:
    """Check that a choice is there if a search is, and that it was made after the start and before what it decides."""
    index, chosen = evidence.index, evidence.index.tuned(run.digest)
    verdict = index.verdict(run.digest)
    search = verdict.body.files.get("search.json") if verdict is not None else None
    later = (*index.looks(run.digest), *index.finished(run.digest))
    if chosen is None:
        tuned = _read_tuning(evidence, run) is not None and bool(later)
        if search is not None or tuned:
            made = "has a search" if search is not None else "was registered to search for settings"
            what = f"run {run.name} {made}, and no event has its choice"
            yield AuditFinding("tuned", what, evidence.at(run.digest), hypothesis=run.hypothesis)
        return
    all_of_them = [entry for entry in index.entries(TunedBody) if entry.body.run == run.digest]
    wrong = [
        "it is not after the start" * (not index.before(run.digest, chosen.digest)),
        "it is not before what it decides" * any(not index.before(chosen.digest, event.digest) for event in later),
        "it was chosen again, and otherwise" * any(entry.body != chosen.body for entry in all_of_them),
        "the verdict names another search" * (verdict is not None and search != chosen.body.search),
    ]
    if told := "; ".join(filter(None, wrong)):
        what = f"the choice of run {run.name}: {told}"
        yield AuditFinding("tuned", what, evidence.at(chosen.digest), hypothesis=run.hypothesis)


def check_search(evidence: Evidence, run: StartedRun, verdict: VerdictBody) -> Iterator[AuditFinding]:
    """Check what the candidates of a search came to, by which the settings that decide were chosen."""
    if "search.json" not in verdict.files:
        return
    measured = yield from read_measured(evidence, run, verdict, "search.json")
    if measured is None:
        return
    where = evidence.files.shown(f"{run.folder}/search.json")
    expected = derive_tuning_seeds(run.body.seeds, len(measured.seeds))
    if measured.seeds != expected:
        what = "the seeds of the search don't follow from the run's"
        yield AuditFinding(
            "results-seeds", what, where, format_seeds(expected), format_seeds(measured.seeds), run.hypothesis
        )
    pairs = [(replica.arm, replica.seed_index) for replica in measured.replicas]
    tuning, seeds = _read_tuning(evidence, run), range(len(measured.seeds))
    if tuning is None:
        listed = [(arm, index) for arm in {arm for arm, _ in pairs} for index in seeds]
        count = len(listed)
    else:  # what is registered is listed only if it is as much as what is there: its number may be beyond measure
        count = count_replicas(tuning)
        listed = list_replicas(tuning) if count == len(pairs) else []
    if sorted(pairs) != sorted(listed):
        what = "not every candidate of the search has one replica at every seed"
        expected_count, got = format_count(count, "replica"), format_count(len(pairs), "replica")
        yield AuditFinding("results-incomplete", what, where, expected_count, got, run.hypothesis)
    yield from check_measured(run, measured, where)


def _read_tuning(evidence: Evidence, run: StartedRun) -> Tuning | None:
    """Read the search of the hypothesis as it was run; None without one, or where its form can't be read here."""
    outline = evidence.outline(run.body.canonical)
    try:
        return None if outline is None or outline.tuning is None else Tuning.model_validate(outline.tuning)
    except ValidationError:
        return None
