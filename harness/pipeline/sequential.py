"""Group-sequential training: train the next look's seeds, judge, then stop or go on as the file's rule says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness import inference, ledger, plan
from harness.ledger import OpenAttempt
from harness.pipeline.run_steps import Equipment, collect_measurements, train
from harness.pipeline.session import Session
from harness.pipeline.stages import join_results, shift_progress
from harness.records import Decision, Measurements, Plan, Registered
from harness.system.storage import write_atomic
from harness.wording import format_count, format_p_equals

if TYPE_CHECKING:
    from harness.domain.trained import Result


@dataclass(frozen=True)
class Trained:
    """All seeds that the stopping rule asked for, and what they decided."""

    result: Result
    """The replicas of all stages, as if they had been one."""
    seconds: float
    """Seconds of training, in this session."""
    measurements: Measurements
    """The measurements that were judged."""
    written: bytes
    """Bytes of results.json that hold these measurements."""
    decision: Decision
    """The decision on them."""


def train_and_judge(
    planned: Plan,
    registered: Registered,
    equipment: Equipment,
    attempt: OpenAttempt,
    session: Session,
) -> Trained:
    """Train up to the first look that decides, or to the last; a fixed number of seeds is one look, after all of them.

    What an earlier look or an earlier start of the attempt trained is not trained again. results.json is durable before
    its look is judged, and the look is in the ledger before the next seeds train.

    Raises:
        Interrupted, StorageFailed: what was trained is kept, the same call goes on.
        HarnessError: training or judging failed.
    """
    hypothesis, trail, reporter = registered.hypothesis, session.trail, session.reporter
    looks = hypothesis.looks
    stages = plan.split_by_look(planned, looks)
    results: list[Result] = []
    seconds = 0.0
    for number, (seeds, stage) in enumerate(zip(looks, stages, strict=True), 1):
        with ledger.close_on_failure(trail, attempt):
            told = replace(reporter, progress=shift_progress(reporter.progress, stages, results))
            result, took = train(stage, equipment, attempt.folder, replace(session, reporter=told))
            results.append(result)
            seconds += took
            so_far = join_results(results)
            measurements = collect_measurements(registered, equipment.images, so_far, seeds=registered.seeds[:seeds])
            written = measurements.to_json().encode()
            write_atomic(attempt.folder / "results.json", written)
        reporter.heed()
        decision = inference.decide(hypothesis, measurements)
        going_on = inference.needs_more_seeds(hypothesis, decision)
        if decision.looks:
            ledger.record_look(
                trail,
                attempt,
                seeds=seeds,
                outcome=None if going_on else decision.outcome,
                p=decision.looks[-1].p,
                results=written,
            )
            p = "" if decision.p is None else f" ({format_p_equals(decision.p)})"
            said = f"nothing decided{p}, going on to {looks[number]}" if going_on else f"{decision.outcome}{p}"
            reporter.say(f"look {number} of {len(looks)}, {format_count(seeds, 'seed')}: {said}")
        if not going_on:
            break
    return Trained(join_results(results), seconds, measurements, written, decision)
