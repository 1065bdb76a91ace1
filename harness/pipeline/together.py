"""Cohorts that attempts at several hypotheses share: read back from the trail, and trained once for all of them.

An attempt names its company in its run_started event, and its plan holds every cohort with a replica of its own. Each
attempt could therefore train all of its cohorts by itself, to the same bits; whichever comes first hands the results of
shared cohorts over to the others, so that the others need not.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from harness import ledger, plan
from harness.errors import StorageFailed, UsageError
from harness.ledger import Ledger, StartedRun
from harness.records import Companion, Hypothesis, Plan


def read_company(trail: Ledger, companions: Sequence[Companion]) -> tuple[plan.Member, ...]:
    """Read the registered forms of a company, whatever was amended or changed since.

    Raises:
        Tampered: one of them is missing from the ledger's objects, or was changed there.
    """
    return tuple(
        plan.Member(companion, Hypothesis.model_validate_json(trail.read_object(companion.canonical)))
        for companion in companions
    )


def refuse_unstarted(trail: Ledger, run: StartedRun) -> None:
    """Refuse to train replicas of others of which no attempt is in the ledger: their results could be read first.

    Raises:
        UsageError: a process was killed between the starts of the attempts of a company.
    """
    missing = [name for name, start in ledger.find_company(trail, run).items() if start is None]
    if missing:
        raise UsageError(
            f"attempt {run.name} trains together with {', '.join(missing)}, for which no such attempt was started: "
            "nothing was trained",
            where=run.hypothesis,
            remedy="name all their files in one command again: harness run --together FILE FILE …; or give "
            "--no-resume, which closes this attempt for good and starts anew",
        )


def hand_over_shared(trail: Ledger, run: StartedRun, planned: Plan) -> None:
    """Give the results of shared cohorts to the open attempts of the company, which then train them no more.

    Those that somebody else works on are left alone: they train those cohorts again, to the same bits. So are those
    that were started on another device, or in another way that decides bits, because their events tell how their
    results were made.
    """
    shared = [cohort for cohort in planned.cohorts if plan.is_shared(cohort)]
    if not shared:
        return
    from harness import training

    for other in ledger.find_company(trail, run).values():
        if other is not None and _takes(trail, other) and not ledger.list_shared_changes(run.body, other.body):
            with suppress(StorageFailed):
                training.hand_over(shared, trail.root / run.folder, trail.root / other.folder)


def _takes(trail: Ledger, run: StartedRun) -> bool:
    """Tell whether an attempt is open, with its working files here."""
    return (trail.root / run.folder / "work").is_dir() and not trail.index().closings(run.digest)
