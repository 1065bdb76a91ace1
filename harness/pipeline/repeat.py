"""A run repeated with seeds that its author could not know: they follow from a nonce that a reader chose afterwards."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from harness import inference, ledger, plan
from harness.domain.normal_form import encode_normal_form
from harness.errors import UsageError
from harness.ledger.body_fields import NONCE
from harness.ledger.rerun_bodies import RepeatedBody
from harness.ledger.seeding import derive_from_nonce
from harness.pipeline.replicate import name_working_folder, refuse_other_data, remove_working_folder
from harness.pipeline.run_files import read_file, read_registered, refuse_altered
from harness.pipeline.run_steps import collect_measurements, open_equipment, plan_registered, train
from harness.pipeline.session import Session
from harness.pipeline.stages import join_results
from harness.pipeline.tuning import make_whole_plan, train_search
from harness.records import Decision, Hypothesis, Measurements, Seeds, Stopping


@dataclass(frozen=True)
class Repetition:
    """The outcome of a repetition."""

    hypothesis: str
    """The hypothesis's id."""
    run: str
    """The run's short name."""
    verdict: str
    """The outcome of the run's verdict, which stays."""
    body: RepeatedBody
    """The event's body."""
    units: dict[str, str]
    """Decision → unit of its estimate, empty if it has none."""
    head: str
    """The ledger's head afterwards."""


def repeat_run(name: str, nonce: str, session: Session) -> Repetition:
    """Train a judged run's hypothesis with seeds that follow from ``nonce``, compare and enter what came out.

    As many seeds are trained as were registered, up to the last look if there are looks.

    Raises:
        UsageError: no such verdict, the nonce is too short or was used, or data are not to be had.
        DeviationRefused: the data here are not those of the run.
        Interrupted, StorageFailed: what was trained is kept, the same call goes on.
        LaunchFailed: as ``run_hypothesis``.
        Tampered: the run's files are not those that the ledger names.
    """
    trail = session.trail
    run = ledger.find_judged(trail, name)
    _refuse_nonce(nonce, run.digest, trail)
    recorded = ledger.list_recorded_files(trail, run.digest)["results.json"]
    refuse_altered(trail.root / run.folder, {"results.json": recorded})
    before = Measurements.model_validate_json(read_file(trail.root / run.folder / "results.json"))
    registered = read_registered(trail, run)
    hypothesis = registered.hypothesis
    form = hashlib.sha256(encode_normal_form(hypothesis)).hexdigest()
    fresh = registered.model_copy(update={"seeds": derive_from_nonce(form, nonce, hypothesis.seeds.number)})
    equipment = open_equipment(hypothesis, session, run.body.pins.program)
    refuse_other_data(run, before, equipment)
    whole = make_whole_plan(equipment.device, hypothesis, fresh.seeds, fresh.registration, sources=equipment.sources)
    kind, behind = f"repeating-{run.name}", ledger.find_modules_behind(hypothesis)
    environment = ledger.describe_environment(trail.root.parent.resolve(), behind)
    folder = trail.root / run.hypothesis / name_working_folder(kind, whole, equipment, environment, behind)
    with ledger.lock_hypothesis(trail, run.hypothesis):
        if (tuned := train_search(fresh, equipment, folder, session)) is not None:
            fresh = tuned.registered
        parts = plan.split_by_look(plan_registered(fresh, equipment), hypothesis.looks)
        result = join_results([train(part, equipment, folder, session)[0] for part in parts])
        measured = collect_measurements(fresh, equipment.images, result)
        session.reporter.heed()
        body = RepeatedBody(
            run=run.digest,
            nonce=nonce,
            form=form,
            results=trail.store_object(measured.to_json().encode()),
            **compare_repetition(hypothesis, before, measured),
            plan=whole.digest,
            environment=environment,
            device=equipment.device.name,
            arithmetic=dict(equipment.device.arithmetic),
        )
        trail.record(body)
        remove_working_folder(folder, kind, equipment)
    verdict = trail.index().verdict(run.digest)
    assert verdict is not None
    units = {
        name: inference.name_unit(hypothesis.estimands[decision.estimand])
        for name, decision in hypothesis.decisions.items()
    }
    return Repetition(run.hypothesis, run.name, verdict.body.outcome, body, units, trail.heads()[0])


def compare_repetition(hypothesis: Hypothesis, before: Measurements, again: Measurements) -> dict[str, Any]:
    """Return what follows from the results of a run and of its repetition: the fields of the event that are judged."""
    first, now = inference.decide(hypothesis, before), inference.decide(hypothesis, again)
    return {
        "outcome": now.outcome,
        "differences": inference.list_disagreements(first, now, hypothesis.replication.level),
        "combined": _combine(hypothesis, before, again),
    }


def _combine(hypothesis: Hypothesis, before: Measurements, again: Measurements) -> dict[str, tuple[float, ...]]:
    """Return the mean of each decision's estimand over all seeds of both, with the ends of its 95% interval.

    This is an estimate and no decision: the first seeds were seen before somebody asked for more.
    """
    shift = len(before.seeds)
    moved = [result.model_copy(update={"seed_index": result.seed_index + shift}) for result in again.replicas]
    arms = {name: place for place, name in enumerate(hypothesis.arms)}
    replicas = sorted((*before.replicas, *moved), key=lambda result: (arms[result.arm], result.seed_index))
    both = before.model_copy(update={"seeds": before.seeds + again.seeds, "replicas": tuple(replicas)})
    larger = {"seeds": Seeds(count=len(both.seeds)), "stopping": Stopping()}
    decision: Decision = inference.decide(hypothesis.model_copy(update=larger), both)
    return {
        part.name: (part.estimand.mean, *(part.estimand.interval95 or ()))
        for part in decision.decisions
        if part.estimand.mean is not None
    }


def _refuse_nonce(nonce: str, run: str, trail: ledger.Ledger) -> None:
    """Refuse what is no nonce, and one that repeated this run before."""
    if NONCE.fullmatch(nonce) is None:
        message = "a nonce has 16 to 128 letters, digits and hyphens"
        remedy = "choose it by chance, after the verdict: --fresh $(openssl rand -hex 16)"
        raise UsageError(message, where="--fresh", remedy=remedy)
    if any(entry.body.run == run and entry.body.nonce == nonce for entry in trail.index().entries(RepeatedBody)):
        message = "this run was repeated with this nonce before"
        raise UsageError(message, where="--fresh", remedy="choose another: --fresh $(openssl rand -hex 16)")
