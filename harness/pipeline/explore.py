"""Results that exist already, read against a file that is not registered: ``harness explore``.

Nothing is trained and nothing runs. The runs are told as ``harness link`` has them told, and judged by the same rules;
but nothing was fixed before them, so that what comes out is exploratory, in an event of its own that is no attempt.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import inference, ledger, programs, spec, verdict
from harness.adapters import ToldRun
from harness.errors import InvalidHypothesis, Tampered, UsageError
from harness.ledger import Exploration, Ledger, name_run
from harness.ledger.code import digest_package
from harness.ledger.prior_data_bodies import ExploredBody
from harness.pipeline.explored import Explored, describe_entered
from harness.pipeline.link import read_exports, refuse_built_in, tell_runs, write_gaps
from harness.pipeline.session import Session
from harness.records import Decision, Hypothesis, Measurements
from harness.records.linked import Export, Link
from harness.records.seeds import Seeds, Stopping
from harness.wording import format_count, join_words


@dataclass(frozen=True)
class Reading:
    """A judgement of told runs: a function of the file and of the exports."""

    accounted: programs.Accounted
    decision: Decision
    results: bytes
    """Content of results.json."""
    report: bytes
    """The report, Markdown."""

    @property
    def seeds(self) -> int:
        """Return the number of seeds that the runs have."""
        return len({one.seed for one in self.accounted.replicas})


@dataclass(frozen=True)
class ExploreReport:
    """An exploration that the ledger holds."""

    explored: Explored
    summary: str
    """The reading in a sentence or two."""
    before: bool
    """True if it had been entered before, and nothing was entered now."""
    head: str
    """The ledger's head."""


MOST_SEEDS = 10_000
"""Seeds that a hypothesis may have."""
DECLARES = "prior_data_seen"
JUDGE = "harness run FILE, or harness link FILE EXPORTS where its runs may be linked"
GAPS = "name the files of the other runs too; or give --incomplete: these seeds then count as failed"


def explore_results(
    file: Path, exports: Sequence[Path], form: str | None, session: Session, *, incomplete: bool
) -> ExploreReport:
    """Read earlier runs against an unregistered file, and enter that this was done, before anything of it is shown.

    ``incomplete``: whether seeds that some arms lack, or at which a run failed, may count as failed.

    Raises:
        UsageError: The hypothesis is registered or has an arm that harness trains, an export can't be read, no run is
            of an arm, arms lack seeds, or runs are by the seeds of a registration that waits for them.
    """
    loaded, trail = spec.load(file), session.trail
    hypothesis = loaded.hypothesis
    _refuse_others(hypothesis)
    _refuse_registered(loaded, trail)  # before anything is written, a lock too
    if not exports:
        raise UsageError("no file with runs is named", where=str(file), remedy="name the files that tell of them")
    files, raws, told = read_exports(exports, form)
    reading = judge_told(hypothesis, files, told)
    _refuse_waiting(reading.accounted, trail)
    tell_runs(reading.accounted.told, session, "not in the file")
    if reading.accounted.gaps and not incomplete:
        raise UsageError(write_gaps(reading.accounted, "seed"), where=str(file), remedy=GAPS)
    with ledger.lock_project(session.project.root), ledger.lock_hypothesis(trail, hypothesis.id):
        _refuse_registered(loaded, trail)
        _refuse_waiting(reading.accounted, trail)
        for raw in raws:
            trail.store_object(raw)
        session.reporter.heed()
        body = ExploredBody(
            hypothesis=hypothesis.id,
            raw=trail.store_object(loaded.raw),
            canonical=trail.store_object(ledger.write_canonical(hypothesis)),
            claims=trail.store_object(loaded.claims_raw),
            exports=files,
            incomplete=bool(reading.accounted.gaps),
            seeds=reading.seeds,
            counted=reading.accounted.told.count("counted"),
            would_be=reading.decision.outcome,
            results=trail.store_object(reading.results),
            report=trail.store_object(reading.report),
            code=digest_package().digest,
        )
        entered = ledger.list_explorations(trail, hypothesis.id)
        known = next((one for one in entered if _is_same(one.body, body, trail)), None)
        entry: Exploration = ledger.Entry(trail.record(body), body) if known is None else known
    summary = verdict.suppose(reading.decision.summary)
    return ExploreReport(describe_entered(entry, trail), summary, known is not None, trail.heads()[0])


def judge_told(hypothesis: Hypothesis, files: tuple[Export, ...], told: Sequence[Sequence[ToldRun]]) -> Reading:
    """Judge runs by the rules of a file, on the seeds that they have: a function of its arguments.

    Raises:
        UsageError: No run is of an arm of the file.
    """
    seeds = programs.list_seeds(hypothesis, told)
    if not seeds:
        arms = join_words([f"{name} ({_write_parameters(hypothesis, name)})" for name in hypothesis.arms])
        message = f"no run has a seed and the parameters of an arm: {arms}"
        remedy = "name other files, or write the arms' parameters into the file as these runs had them"
        raise UsageError(message, where=", ".join(file.name for file in files), remedy=remedy)
    if len(seeds) > MOST_SEEDS:
        message = f"its runs have {len(seeds):,} seeds, and {MOST_SEEDS:,} are the most"
        remedy = "leave out runs of other experiments, which may number their own seeds"
        raise UsageError(message, where=", ".join(file.name for file in files), remedy=remedy)
    judged = hypothesis.model_copy(update={"seeds": Seeds(count=len(seeds)), "stopping": Stopping()})
    link = Link(exports=files, commits=dict.fromkeys(programs.list_commits(told), ""))
    accounted = programs.account(judged, seeds, None, link, told)
    measurements = Measurements(
        hypothesis=hypothesis.id,
        registration="",
        seeds=seeds,
        epochs={name: arm.setup.epochs for name, arm in hypothesis.arms.items()},
        data={},
        replicas=accounted.replicas,
    )
    decision = verdict.word_decision(judged, inference.decide(judged, measurements))
    report = verdict.write_report(judged, measurements, decision, accounted.told)
    return Reading(accounted, decision, measurements.to_json().encode(), report.encode())


def read_again(entry: Exploration, trail: Ledger) -> Reading:
    """Judge an exploration's runs again, from what the trail keeps.

    Raises:
        Tampered: an object is missing or altered, or is not what an exploration is made from.
    """
    body = entry.body
    try:
        raw, claims = trail.read_object(body.raw), trail.read_object(body.claims)
        hypothesis = spec.parse(raw, claims, body.hypothesis).hypothesis
        told = [programs.read_export(trail.read_object(file.sha256), file.form) for file in body.exports]
        return judge_told(hypothesis, body.exports, told)
    except (programs.BadResults, UsageError, InvalidHypothesis, KeyError, ValueError, AssertionError) as error:
        what = f"what it keeps is not what an exploration is made from: {error}"
        raise Tampered(what, where=f"explored {name_run(entry.digest)}") from error


def _is_same(one: ExploredBody, other: ExploredBody, trail: Ledger) -> bool:
    """Tell whether two explorations read the same files against the same meaning, whatever is declared since."""
    if (one.exports, one.incomplete, one.results) != (other.exports, other.incomplete, other.results):
        return False
    first, second = (json.loads(trail.read_object(body.canonical)) for body in (one, other))
    return bool(first | {DECLARES: None} == second | {DECLARES: None})


def _write_parameters(hypothesis: Hypothesis, arm: str) -> str:
    given = hypothesis.arms[arm].parameters or {}
    return ", ".join(f"{name} {value}" for name, value in given.items()) or "none"


def _refuse_others(hypothesis: Hypothesis) -> None:
    """Refuse hypotheses with arms that no export can tell of.

    Raises:
        UsageError: harness trains an arm, or the file asks for a search.
    """
    remedy = "try it out with harness run --pilot; or describe what was run as a program in the file"
    refuse_built_in(hypothesis, "can be told by a file", remedy)
    if hypothesis.tuning is not None:
        message = "its settings are chosen by a search, and earlier runs had settings of their own"
        raise UsageError(message, where="tuning", remedy="leave it out, and give arms the parameters of these runs")


def _refuse_waiting(accounted: programs.Accounted, trail: Ledger) -> None:
    """Refuse runs by the seeds of a registration that has no verdict yet, under whatever id their file is.

    Only seeds that were drawn tell: a file that lists 1, 2, 3 has them in common with any other. And only runs that
    count are read: a tracker's export may tell of any others.

    Raises:
        UsageError: Some are.
    """
    counted = {(run.arm, run.seed_index) for run in accounted.told.runs if run.fate == "counted"}
    seeds = {one.seed for one in accounted.replicas if (one.arm, one.seed_index) in counted}
    index = trail.index()
    for name in sorted({*index.hypotheses} - {run.hypothesis for run in index.judged_runs}):
        found = ledger.find_latest(trail, name)
        if found is not None and not found.hand_picked_seeds and (known := seeds.intersection(found.seeds)):
            these = format_count(len(known), "seed")
            message = f"runs by {these} that {name} draws, which is registered and not judged yet, are its test"
            remedy = f"judge {name} first, by its own file: {JUDGE}; or leave these runs out"
            raise UsageError(message, where=name, remedy=remedy)


def _refuse_registered(loaded: spec.Loaded, trail: Ledger) -> None:
    """Refuse a registered hypothesis: what was made since is linked, and what is older is not its test.

    Raises:
        UsageError: It is registered.
    """
    found = ledger.find_registration(trail, loaded.hypothesis.id)
    if found is not None:
        message = f"it was registered on {found.claimed_time[:10]}, and an exploration comes before that"
        remedy = (
            "link runs that were made since: harness link FILE EXPORTS; older results are prior data, to be declared"
        )
        raise UsageError(message, where=str(loaded.path), remedy=remedy)
