"""Parts of a plan that are trained one after the other: their progress and results as if they had been one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from harness.domain.trained import Progress, Result
from harness.records import Plan


def shift_progress(
    report: Callable[[Progress], None], stages: Sequence[Plan], before: Sequence[Result]
) -> Callable[[Progress], None]:
    """Turn the progress of one stage into that of the whole plan: as much is to be trained at most."""
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


def join_results(results: list[Result]) -> Result:
    """Join what several parts of a plan yielded, as if it had been one: arm by arm, seed by seed."""
    arms = list(dict.fromkeys(replica.arm for result in results for replica in result.replicas))
    replicas = sorted(
        (replica for result in results for replica in result.replicas),
        key=lambda replica: (arms.index(replica.arm), replica.seed_index),
    )
    weights = {name: digest for result in results for name, digest in result.weights.items()}
    sizes = tuple(n for result in results for n in result.cohorts)
    modules = tuple(sorted({name for result in results for name in result.modules}))
    runs = sorted(
        (run for result in results for run in result.runs), key=lambda run: (arms.index(run.arm), run.seed_index)
    )
    raw = {name: content for result in results for name, content in result.raw.items()}
    return Result(tuple(replicas), dict(sorted(weights.items())), sizes, modules, tuple(runs), raw)
