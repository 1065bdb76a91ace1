"""Step 5: seeds derived again; results that are this run's, at these seeds, on these data."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from harness.ledger.audit import linked, looks, seeded, tuned
from harness.ledger.audit.anchors import TrustedInputs
from harness.ledger.audit.evidence import Evidence
from harness.ledger.audit.findings import AuditFinding
from harness.ledger.audit.measured import check_measured, format_seeds, read_measured
from harness.ledger.bodies import RegisteredBody, RunStartedBody, SeededBody, VerdictBody
from harness.ledger.index import StartedRun
from harness.ledger.seeding import list_seeds
from harness.records import Measurements
from harness.wording import format_count

PROMISE = "its seeds follow from what was registered first, and its results are of these seeds, arms and data"


def check(evidence: Evidence, kept: TrustedInputs) -> Iterator[AuditFinding]:
    """Check the seeds and data of every run, and of the results of every judged run."""
    yield from seeded.check(evidence, kept)
    for hypothesis in evidence.index.hypotheses:
        for run in evidence.index.starts(hypothesis):
            yield from _check_run(evidence, run)
            yield from linked.check_seeds(evidence, run)
    for run, verdict in evidence.index.judged():
        yield from _check_judged(evidence, run, verdict.body)


def _check_judged(evidence: Evidence, run: StartedRun, verdict: VerdictBody) -> Iterator[AuditFinding]:
    """Check the results of a judged run, unless these very bytes are known to be sound, and its search."""
    name = _name_sound(evidence, run, verdict)
    if name is None or name not in evidence.remembered:
        found = [*_check_results(evidence, run, verdict), *tuned.check_search(evidence, run, verdict)]
        yield from found
        name = None if found else name
    if name is not None:
        evidence.sound.add(name)


def _name_sound(evidence: Evidence, run: StartedRun, verdict: VerdictBody) -> str | None:
    """Name a run and its results by their digests, from which alone the check follows; None if more is looked at.

    Where there are looks or a search, other events count too. A file that is not the one that was named is no such.
    """
    path, named = f"{run.folder}/results.json", verdict.files.get("results.json")
    if (
        evidence.index.looks(run.digest)
        or "search.json" in verdict.files
        or evidence.outline(run.body.canonical) is None
    ):
        return None
    with suppress(OSError):
        if path in evidence.files.paths and evidence.files.digest(path) == named:
            return f"{run.digest} {named}"
    return None


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
            "run-seeds", what, where, format_seeds(expected), format_seeds(start.seeds), start.hypothesis
        )


def _check_results(evidence: Evidence, run: StartedRun, verdict: VerdictBody) -> Iterator[AuditFinding]:
    measured = yield from read_measured(evidence, run, verdict, "results.json")
    if measured is None:
        return
    start, hypothesis = run.body, run.hypothesis
    where = evidence.files.shown(f"{run.folder}/results.json")
    if measured.seeds != start.seeds[: len(measured.seeds)]:
        what = "the results' seeds are not the run's"
        expected, got = format_seeds(start.seeds), format_seeds(measured.seeds)
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
    yield from looks.check_results(evidence, run, measured)
    yield from check_measured(run, measured, where)


def _find_arms(evidence: Evidence, start: RunStartedBody, measured: Measurements) -> tuple[str, ...]:
    """Return the arms of the hypothesis as it was run; of the results themselves where its form is not here."""
    outline = evidence.outline(start.canonical)
    return outline.arms if outline is not None and outline.arms is not None else tuple(sorted(measured.epochs))
