"""The whole story on one page: from a YAML file to a verdict in the ledger.

    load → register, or compare with the registration → draw the seeds → plan → start or resume an attempt
        → train → decide, and again for every look that the file asks for → render → record

The order is the point: the registration is in the ledger before its beacon's round is drawn, the draw before an attempt
starts, the attempt before its first seed trains, the results on disk before they are judged.
"""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote
from shutil import rmtree

from harness import ledger, spec, verdict
from harness.ledger import Environment, OpenAttempt, Registration
from harness.ledger.bodies import RunStartedBody
from harness.pipeline.circumstances import describe_circumstances
from harness.pipeline.claims import append_walk_backs
from harness.pipeline.code_proofs import add_proofs, add_proofs_since_first, describe_trials, suggest_trials
from harness.pipeline.data_sets import list_data_deviations
from harness.pipeline.draw import describe_draw, find_or_draw, refuse_idle_round
from harness.pipeline.fixing import Fixed, fix_meaning
from harness.pipeline.judge import prepare_verdict, render_first_verdict
from harness.pipeline.prior_data import list_known
from harness.pipeline.program import RAW, Linked, write_raw
from harness.pipeline.registered_claims import list_changed_claims
from harness.pipeline.run_files import read_registered, read_templates, save_files
from harness.pipeline.run_steps import (
    LAYOUT,
    Equipment,
    describe_deviation,
    list_amended,
    plan_registered,
)
from harness.pipeline.sequential import Trained, train_and_judge
from harness.pipeline.session import Report, Session
from harness.pipeline.siblings import list_siblings_now
from harness.pipeline.telling import tell_progress
from harness.pipeline.together import hand_over_shared, read_company, refuse_unstarted
from harness.pipeline.tuning import SEARCH, Tuned, make_whole_plan, shift_after, tune
from harness.records import Companion, Decision, Hypothesis, Plan, Provenance
from harness.records.linked import Link


@dataclass(frozen=True)
class Prepared:
    """A run before its attempt: nothing but its attempt is missing in the ledger."""

    loaded: spec.Loaded
    registration: Registration
    """The registration with the seeds that were drawn for it."""
    fixed: Fixed
    session: Session

    @property
    def equipment(self) -> Equipment:
        """Return what trains, and what it trains on."""
        return self.fixed.equipment


@dataclass(frozen=True)
class Started:
    """A run whose attempt is in the ledger."""

    prepared: Prepared
    attempt: OpenAttempt
    planned: Plan


def run_hypothesis(file: Path, session: Session) -> Report:
    """Test one hypothesis: everything that ``harness run`` does.

    Raises:
        InvalidHypothesis, UsageError: nothing was started.
        HarnessError: the beacon's round is not there yet; the registration is, and the same call goes on.
        Interrupted, StorageFailed: what was trained is kept, the same call goes on.
        TrainingFailed: the attempt is closed as failed.
    """
    with ExitStack() as held:
        prepared = prepare_run(file, session, held)
        return finish_run(start_run(join_company(prepared, find_open_company(prepared))))


def prepare_run(file: Path, session: Session, held: ExitStack) -> Prepared:
    """Do what comes before an attempt; the hypothesis stays locked until ``held`` ends."""
    loaded = spec.load(file)
    refuse_idle_round(loaded.hypothesis, session)
    fixed = fix_meaning(loaded, session, held)
    if hashlib.sha256(loaded.raw).hexdigest() != fixed.registration.raw:
        session.reporter.say(LAYOUT)
    return Prepared(loaded, find_or_draw(fixed.registration, loaded.hypothesis, session), fixed, session)


def find_open_company(prepared: Prepared) -> tuple[Companion, ...]:
    """Find the company of the attempt that would go on; empty if it trains alone, or if none would."""
    if not prepared.session.settings.resume:
        return ()
    found = ledger.find_resumable(prepared.session.trail, prepared.loaded.hypothesis.id)
    return () if found is None else found.body.together


def join_company(prepared: Prepared, company: tuple[Companion, ...]) -> Prepared:
    """Return the run as one that trains together with others, by their registered forms."""
    equipment = replace(prepared.equipment, company=read_company(prepared.session.trail, company))
    return replace(prepared, fixed=replace(prepared.fixed, equipment=equipment))


def start_run(prepared: Prepared) -> Started:
    """Enter the attempt, or go on with the one that is open."""
    session, registration, equipment = prepared.session, prepared.registration, prepared.equipment
    trail, reporter = session.trail, session.reporter
    parts = prepared.loaded.hypothesis, registration.seeds, registration.digest
    planned = make_whole_plan(equipment.device, *parts, sources=equipment.sources, company=equipment.company)
    body = _describe_start(prepared, planned)
    for template in prepared.fixed.pins.template_bytes.values():
        trail.store_object(template)
    reporter.heed()
    attempt = ledger.start_or_resume(trail, body, resume=session.settings.resume, say=reporter.say)
    for line in attempt.run.body.deviations:
        reporter.say(describe_deviation(line))
    if (other := _name_other_commit(attempt.run.body.environment)) is not None:
        reporter.say(other)
    for line in suggest_trials(registration, attempt.run, trail):
        reporter.say(f"  → {line}")
    return Started(prepared, attempt, planned)


def finish_run(started: Started) -> Report:
    """Train and judge a started attempt, and enter its verdict."""
    with tell_progress(started.prepared.session, started.attempt.folder) as session:
        parts = prepare_verdict(started.prepared.equipment.images)
        reporter = replace(session.reporter, idle=lambda: next(parts, None))
        return _finish_run(started, replace(session, reporter=reporter))


def _finish_run(started: Started, session: Session) -> Report:
    prepared, attempt, planned, equipment = (
        started.prepared,
        started.attempt,
        started.planned,
        started.prepared.equipment,
    )
    trail, reporter = session.trail, session.reporter
    refuse_unstarted(trail, attempt.run)
    registered = read_registered(trail, attempt.run)
    if (tuned := tune(registered, equipment, attempt, session)) is not None:
        registered = tuned.registered
        planned, equipment = plan_registered(registered, equipment), equipment.take_choices(registered.hypothesis)
    deciding = session if tuned is None else shift_after(tuned, planned, session)
    trained = _add_search(train_and_judge(planned, registered, equipment, attempt, deciding), tuned)
    decision = verdict.word_decision(registered.hypothesis, trained.decision)
    finished = _Finished(attempt, prepared.registration, trained, decision)
    provenance = _describe_run(finished, equipment, session)
    # An attempt that was started with another template keeps it: the page is written again with that one too.
    templates = read_templates(trail, attempt.run)
    files = render_first_verdict(registered, trained.measurements, decision, provenance, reporter.say, templates)
    reporter.heed()
    ledger.refuse_judged(trail, attempt)  # before its files are written over
    save_files(attempt.folder, files)
    files |= {"results.json": trained.written}
    if tuned is not None:
        files |= {SEARCH: tuned.measurements.to_json().encode()}
    if equipment.program is not None:
        files |= {RAW: write_raw(trained.result)}
        save_files(attempt.folder, {RAW: files[RAW]})
    hand_over_shared(trail, attempt.run, planned)  # while they lie here
    ledger.record_verdict(trail, attempt, decision.outcome, files, provenance.attempts)
    rmtree(attempt.folder / "work", ignore_errors=True)
    equipment.remove_jobs(attempt.folder)
    append_walk_backs(trail)
    return Report(registered.hypothesis, decision, attempt.folder, trail.heads()[0])


def _name_other_commit(noted: Environment) -> str | None:
    """Say that the code which runs is another than the project's clean commit holds; None if there is no such thing."""
    if noted.of_commit is not False or noted.dirty is not False:
        return None
    return f"the code that runs is not that of commit {str(noted.commit)[:12]}, and its verdict will say so"


def _add_search(trained: Trained, tuned: Tuned | None) -> Trained:
    """Return what was trained and decided together with the search before."""
    if tuned is None:
        return trained
    first, then = tuned.result, trained.result
    result = replace(
        then,
        cohorts=(*first.cohorts, *then.cohorts),
        runs=(*first.runs, *then.runs),
        raw={**first.raw, **then.raw},
    )
    decision = trained.decision.model_copy(update={"search": tuned.search})
    return replace(trained, result=result, seconds=tuned.seconds + trained.seconds, decision=decision)


def _describe_start(prepared: Prepared, planned: Plan) -> RunStartedBody:
    """Describe the start of a run: what runs, on what, and how it deviates from its registration."""
    loaded, registration, fixed = prepared.loaded, prepared.registration, prepared.fixed
    session, trail = prepared.session, prepared.session.trail
    hypothesis, device, fingerprints = loaded.hypothesis, fixed.equipment.device, fixed.equipment.fingerprints
    environment = ledger.describe_environment(session.project.root, ledger.find_modules_behind(hypothesis))
    linked = fixed.equipment.linked
    given = () if linked is None else _write_exports(linked.link)
    moved = list_changed_claims(registration, loaded, trail)
    differing = add_proofs(fixed.differing, registration, hypothesis.id, trail, environment)
    since = ledger.list_code_deviations(trail, hypothesis.id, registration.pins.code, environment)
    return RunStartedBody(
        hypothesis=hypothesis.id,
        registration=registration.digest,
        amendment=registration.amendment,
        raw=trail.store_object(loaded.raw),
        canonical=hashlib.sha256(ledger.write_canonical(hypothesis)).hexdigest(),
        pins=fixed.pins,
        data=fingerprints,
        plan=planned.digest,
        together=planned.together,
        linked=None if linked is None else linked.link,
        seeds=registration.seeds,
        seeded=registration.seeded,
        environment=environment,
        device=device.name,
        arithmetic=dict(device.arithmetic),
        command=session.project.write_command(loaded.path, *given, verb="run" if linked is None else "link"),
        deviations=(
            *(_list_outside(linked, hypothesis, trail) if linked is not None else ()),
            *list_amended(trail, hypothesis.id, late=True),
            *differing.deviations,
            *moved,
            *add_proofs_since_first(since, hypothesis.id, trail, environment),
            *list_data_deviations(registration.data, fingerprints),
        ),
        words=differing.words,
    )


def _write_exports(link: Link) -> tuple[str, ...]:
    """Write the arguments that name exports and their form, as another person could give them."""
    return *(quote(file.name) for file in link.exports), "--form", link.exports[0].form


def _list_outside(linked: Linked, hypothesis: Hypothesis, trail: ledger.Ledger) -> tuple[str, ...]:
    """Say that runs were made elsewhere; of amendments, nobody then knows that they came before the runs."""
    known = list_known(hypothesis, linked.link, linked.accounted.replicas, trail)
    return ledger.describe_link(linked.link), *known, *list_amended(trail, hypothesis.id, late=False)


@dataclass(frozen=True)
class _Finished:
    """A run that was trained and decided."""

    attempt: OpenAttempt
    registration: Registration
    trained: Trained
    decision: Decision


def _describe_run(finished: _Finished, equipment: Equipment, session: Session) -> Provenance:
    """Describe how a run's results were made, as its verdict prints it."""
    attempt, registration, trained = finished.attempt, finished.registration, finished.trained
    trail, run = session.trail, attempt.run
    return Provenance(
        run=attempt.name,
        registration=registration.digest,
        registered_time=registration.claimed_time,
        started=run.claimed_time,
        resumed=attempt.resumed,
        peeks=ledger.count_peeks(trail, run.hypothesis),
        attempts=ledger.list_attempts_with(trail, attempt, finished.decision.outcome),
        deviations=run.body.deviations,
        words=run.body.words,
        tried=describe_trials(registration.pins, run, trail, hashlib.sha256(trained.written).hexdigest()),
        anchors=ledger.list_anchors_before(trail.index(), run),
        amendments=list_amended(trail, run.hypothesis, late=False),
        hand_picked_seeds=registration.hand_picked_seeds,
        siblings=list_siblings_now(trail, run.hypothesis),
        drawn=describe_draw(trail, registration),
        together=run.body.together,
        **describe_circumstances(
            run.body.environment,
            equipment,
            run.body.command,
            (trained.result, trained.seconds),
            attempt.folder,
            attempt.resumed,
        ),
    )
