"""The whole story on one page: from a YAML file to a verdict in the ledger.

    load → register, or compare with the registration → draw the seeds → plan → start or resume an attempt
        → train → decide, and again for every look that the file asks for → render → record

The order is the point: the registration is in the ledger before its beacon's round is drawn, the draw before an attempt
starts, the attempt before its first seed trains, the results on disk before they are judged.
"""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree

from harness import ledger, spec, verdict
from harness.ledger import CodeDifferences, Environment, OpenAttempt, Pins, Registration
from harness.ledger.bodies import RunStartedBody
from harness.pipeline.claims import append_walk_backs
from harness.pipeline.code_proofs import add_proofs, add_proofs_since_first, describe_trials, suggest_trials
from harness.pipeline.draw import describe_draw, find_or_draw, refuse_idle_round
from harness.pipeline.judge import render_first_verdict
from harness.pipeline.run_files import read_registered, read_templates, save_files
from harness.pipeline.run_steps import (
    LAYOUT,
    Equipment,
    describe_circumstances,
    describe_deviation,
    find_or_register,
    list_amended,
    list_changed_claims,
    list_data_deviations,
    look_around,
    make_plan,
    open_equipment,
    refuse_changes,
)
from harness.pipeline.sequential import Trained, train_and_judge
from harness.pipeline.session import Report, Session
from harness.pipeline.siblings import list_siblings_now
from harness.records import Decision, Plan, Provenance


def run_hypothesis(file: Path, session: Session) -> Report:
    """Test one hypothesis: everything that ``harness run`` does.

    Raises:
        InvalidHypothesis, UsageError: nothing was started.
        HarnessError: the beacon's round is not there yet; the registration is, and the same call goes on.
        Interrupted, StorageFailed: what was trained is kept, the same call goes on.
        TrainingFailed: the attempt is closed as failed.
    """
    loaded = spec.load(file)
    hypothesis, trail, reporter = loaded.hypothesis, session.trail, session.reporter
    refuse_idle_round(hypothesis, session)
    equipment = open_equipment(hypothesis, session)
    pins = ledger.pin_code(hypothesis, verdict.default_templates())
    with ExitStack() as held:
        with ledger.lock_project(session.project.root):
            look_around(loaded, session)
            held.enter_context(ledger.lock_hypothesis(trail, hypothesis.id))
            registration = find_or_register(loaded, pins, equipment.fingerprints, session)
        differing = refuse_changes(registration, loaded, trail, pins)
        if hashlib.sha256(loaded.raw).hexdigest() != registration.raw:
            reporter.say(LAYOUT)
        registration = find_or_draw(registration, hypothesis, session)
        planned = make_plan(equipment.device, hypothesis, registration.seeds, registration.digest)
        body = _describe_start(_Start(loaded, registration, pins, differing, equipment, planned), session)
        for template in pins.template_bytes.values():
            trail.store_object(template)
        reporter.heed()
        attempt = ledger.start_or_resume(trail, body, resume=session.settings.resume, say=reporter.say)
        for line in attempt.run.body.deviations:
            reporter.say(describe_deviation(line))
        if (other := _name_other_commit(attempt.run.body.environment)) is not None:
            reporter.say(other)
        for line in suggest_trials(registration, attempt.run, trail):
            reporter.say(f"  → {line}")
        registered = read_registered(trail, attempt.run)
        trained = train_and_judge(planned, registered, equipment, attempt, session)
        decision = verdict.word_decision(hypothesis, trained.decision)
        results = trained.measurements.to_json().encode()
        provenance = _describe_run(_Finished(attempt, registration, trained, decision, results), equipment, session)
        # An attempt that was started with another template keeps it: the page is written again with that one too.
        templates = read_templates(trail, attempt.run)
        files = render_first_verdict(registered, trained.measurements, decision, provenance, reporter.say, templates)
        reporter.heed()
        ledger.refuse_judged(trail, attempt)  # before its files are written over
        save_files(attempt.folder, files)
        files |= {"results.json": results}
        ledger.record_verdict(trail, attempt, decision.outcome, files, provenance.attempts)
        rmtree(attempt.folder / "work", ignore_errors=True)
        append_walk_backs(trail)
    return Report(hypothesis, decision, attempt.folder, trail.heads()[0])


def _name_other_commit(noted: Environment) -> str | None:
    """Say that the code which runs is another than the project's clean commit holds; None if there is no such thing."""
    if noted.of_commit is not False or noted.dirty is not False:
        return None
    return f"the code that runs is not that of commit {str(noted.commit)[:12]}, and its verdict will say so"


@dataclass(frozen=True)
class _Start:
    """A run that is about to start."""

    loaded: spec.Loaded
    registration: Registration
    pins: Pins
    differing: CodeDifferences
    equipment: Equipment
    planned: Plan


def _describe_start(start: _Start, session: Session) -> RunStartedBody:
    """Describe the start of a run: what runs, on what, and how it deviates from its registration."""
    loaded, registration, trail = start.loaded, start.registration, session.trail
    hypothesis, device = loaded.hypothesis, start.equipment.device
    fingerprints = start.equipment.fingerprints
    environment = ledger.describe_environment(session.project.root, ledger.find_modules_behind(hypothesis))
    moved = list_changed_claims(registration, loaded, trail)
    differing = add_proofs(start.differing, registration, hypothesis.id, trail, environment)
    since = ledger.list_code_deviations(trail, hypothesis.id, registration.pins.code, environment)
    return RunStartedBody(
        hypothesis=hypothesis.id,
        registration=registration.digest,
        amendment=registration.amendment,
        raw=trail.store_object(loaded.raw),
        canonical=hashlib.sha256(ledger.write_canonical(hypothesis)).hexdigest(),
        pins=start.pins,
        data=fingerprints,
        plan=start.planned.digest,
        seeds=registration.seeds,
        seeded=registration.seeded,
        environment=environment,
        device=device.name,
        arithmetic=dict(device.arithmetic),
        command=session.project.write_command(loaded.path),
        deviations=(
            *list_amended(trail, hypothesis.id, late=True),
            *differing.deviations,
            *moved,
            *add_proofs_since_first(since, hypothesis.id, trail, environment),
            *list_data_deviations(registration.data, fingerprints),
        ),
        words=differing.words,
    )


@dataclass(frozen=True)
class _Finished:
    """A run that was trained and decided."""

    attempt: OpenAttempt
    registration: Registration
    trained: Trained
    decision: Decision
    results: bytes
    """The content of results.json."""


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
        attempts=ledger.list_attempts_with(trail, attempt, finished.decision.outcome),
        deviations=run.body.deviations,
        words=run.body.words,
        tried=describe_trials(registration.pins, run, trail, hashlib.sha256(finished.results).hexdigest()),
        anchors=ledger.list_anchors_before(trail.index(), run),
        amendments=list_amended(trail, run.hypothesis, late=False),
        hand_picked_seeds=registration.hand_picked_seeds,
        siblings=list_siblings_now(trail, run.hypothesis),
        drawn=describe_draw(trail, registration),
        **describe_circumstances(
            run.body.environment,
            equipment,
            run.body.command,
            (trained.result, trained.seconds),
            attempt.resumed,
        ),
    )
