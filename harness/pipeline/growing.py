"""Training look by look: the next look's seeds, a judgement, and on or out, as the file's stopping rule says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness import inference, ledger, plan
from harness.ledger import Attempted, Ledger
from harness.pipeline.project import Reporter, Settings
from harness.pipeline.steps import measured, train
from harness.records import Decision, Measurements, Plan, Registered
from harness.system.storage import write_atomic
from harness.wording import counted, p_equals

if TYPE_CHECKING:
    from harness.datasets import Images
    from harness.training import Device, Progress, Result


@dataclass(frozen=True)
class Trained:
    """All seeds that the stopping rule asked for, and what they decided."""

    result: Result
    seconds: float
    """Of training, in this session."""
    measurements: Measurements
    decision: Decision


def train_and_judge(
    planned: Plan,
    registered: Registered,
    images: Mapping[str, Images],
    device: Device,
    trail: Ledger,
    attempt: Attempted,
    settings: Settings,
    reporter: Reporter,
) -> Trained:
    """Train up to the first look that decides, or to the last; a fixed number of seeds is one look, after all of them.

    What an earlier look or an earlier start of the attempt trained is not trained again. results.json is durable before
    its look is judged, and the look is in the ledger before the next seeds train.

    Raises:
        Interrupted, StorageFailed: what was trained is kept, the same call goes on.
        HarnessError: training or judging failed.
    """
    hypothesis = registered.hypothesis
    looks = hypothesis.looks
    stages = plan.stages(planned, looks)
    results: list[Result] = []
    seconds = 0.0
    for number, (seeds, stage) in enumerate(zip(looks, stages, strict=True), 1):
        with ledger.closing_on_failure(trail, attempt):
            told = replace(reporter, progress=overall(reporter.progress, stages, results))
            result, took = train(stage, images, device, attempt.folder, settings, told)
            results.append(result)
            seconds += took
            measurements = measured(registered, images, joined(results), seeds=registered.seeds[:seeds])
            write_atomic(attempt.folder / "results.json", measurements.to_json().encode())
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
                results=measurements,
            )
            p = "" if decision.p is None else f" ({p_equals(decision.p)})"
            said = f"nothing decided{p}, going on to {looks[number]}" if going_on else f"{decision.outcome}{p}"
            reporter.say(f"look {number} of {len(looks)}, {counted(seeds, 'seed')}: {said}")
        if not going_on:
            break
    return Trained(joined(results), seconds, measurements, decision)


def overall(
    report: Callable[[Progress], None], stages: Sequence[Plan], before: Sequence[Result]
) -> Callable[[Progress], None]:
    """Progress of one stage, told as that of the whole plan: as much is to be trained at most."""
    work = [sum(stage.steps(cohort) * len(cohort.replicas) for cohort in stage.cohorts) for stage in stages]
    done, cohorts = sum(work[: len(before)]), sum(len(result.cohorts) for result in before)
    later = sum(len(stage.cohorts) for stage in stages[len(before) + 1 :])

    def shifted(at: Progress) -> None:
        report(
            replace(
                at,
                cohort=cohorts + at.cohort,
                cohorts=cohorts + at.cohorts + later,
                steps_done=done + at.steps_done,
                steps_total=sum(work),
            )
        )

    return shifted


def joined(results: list[Result]) -> Result:
    """What several parts of a plan yielded, as if it had been one: arm by arm, seed by seed."""
    from harness.training import Result

    arms = list(dict.fromkeys(replica.arm for result in results for replica in result.replicas))
    replicas = sorted(
        (replica for result in results for replica in result.replicas),
        key=lambda replica: (arms.index(replica.arm), replica.seed_index),
    )
    weights = {name: digest for result in results for name, digest in result.weights.items()}
    return Result(
        tuple(replicas), dict(sorted(weights.items())), tuple(n for result in results for n in result.cohorts)
    )
