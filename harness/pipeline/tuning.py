"""The search for the settings of tuned arms: trained, chosen from and entered before any deciding seed trains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness import inference, ledger
from harness.domain.tuning import apply_choices, make_search, write_settings
from harness.ledger import OpenAttempt
from harness.ledger.seeding import derive_tuning_seeds
from harness.pipeline.run_steps import Equipment, collect_measurements, make_plan, plan_registered, train
from harness.pipeline.session import Session
from harness.pipeline.stages import shift_progress
from harness.pipeline.starts import Sources
from harness.plan import Member
from harness.records import Hypothesis, Measurements, Plan, Registered, Search
from harness.system.storage import write_atomic

if TYPE_CHECKING:
    from harness.domain.trained import Result
    from harness.training import Device

SEARCH = "search.json"
"""File of a run with what its candidates came to, in the form of results.json."""


@dataclass(frozen=True)
class Tuned:
    """A search that was trained, and what follows from it."""

    registered: Registered
    """The hypothesis with every tuned arm as it was chosen."""
    measurements: Measurements
    """The content of search.json."""
    search: Search
    """The candidates and the choice."""
    plan: Plan
    """The search's plan."""
    result: Result
    """Replicas of the search as they were trained."""
    seconds: float
    """Seconds of training, in this session."""


def plan_search(device: Device, hypothesis: Hypothesis, seeds: tuple[int, ...], registration: str = "") -> Plan | None:
    """Plan the search of a hypothesis whose deciding seeds are ``seeds``; None if nothing is tuned."""
    if hypothesis.tuning is None:
        return None
    chosen = derive_tuning_seeds(seeds, hypothesis.tuning.seeds)
    return make_plan(device, make_search(hypothesis, chosen), chosen, registration)


def make_whole_plan(
    device: Device,
    hypothesis: Hypothesis,
    seeds: tuple[int, ...],
    registration: str = "",
    *,
    sources: Sources | None = None,
    company: Sequence[Member] = (),
) -> Plan:
    """Plan the search, if there is one, and then the seeds that decide; of tuned arms with their first candidates.

    Its digest is that of a run: which candidates are chosen is not known when a run starts, and follows from it.
    """
    planned = make_plan(device, hypothesis, seeds, registration, sources, company)
    search = plan_search(device, hypothesis, seeds, registration)
    if search is None:
        return planned
    return planned.model_copy(update={"cohorts": (*search.cohorts, *planned.cohorts)})


def train_search(registered: Registered, equipment: Equipment, folder: Path, session: Session) -> Tuned | None:
    """Train all candidates on the tuning seeds and choose; None if nothing is tuned.

    Raises:
        Interrupted, StorageFailed: what was trained is kept, the same call goes on.
        HarnessError: training failed.
    """
    hypothesis, seeds, reporter = registered.hypothesis, registered.seeds, session.reporter
    planned = plan_search(equipment.device, hypothesis, seeds, registered.registration)
    if planned is None:
        return None
    deciding = plan_registered(registered, equipment)
    told = replace(reporter, progress=shift_progress(reporter.progress, [planned, deciding], []))
    result, seconds = train(planned, equipment, folder, replace(session, reporter=told))
    searched = registered.model_copy(
        update={"hypothesis": make_search(hypothesis, planned.seeds), "seeds": planned.seeds}
    )
    measurements = collect_measurements(searched, equipment.images, result)
    search = inference.choose(hypothesis, measurements)
    chosen = registered.model_copy(update={"hypothesis": apply_choices(hypothesis, search.choices)})
    return Tuned(chosen, measurements, search, planned, result, seconds)


def tune(registered: Registered, equipment: Equipment, attempt: OpenAttempt, session: Session) -> Tuned | None:
    """Search for an attempt: search.json is durable before the choice is entered, and that before any seed decides.

    Raises:
        Interrupted, StorageFailed: what was trained is kept, the same call goes on.
        HarnessError: training failed, or an earlier start of the attempt chose otherwise.
    """
    with ledger.close_on_failure(session.trail, attempt):
        tuned = train_search(registered, equipment, attempt.folder, session)
        if tuned is None:
            return None
        write_atomic(attempt.folder / SEARCH, tuned.measurements.to_json().encode())
    session.reporter.heed()
    ledger.record_tuned(session.trail, attempt, tuned.measurements, tuned.search.choices)
    for name, values in tuned.search.choices.items():
        session.reporter.say(f"chosen for {name}: {write_settings(values)}")
    return tuned


def shift_after(tuned: Tuned, deciding: Plan, session: Session) -> Session:
    """Return a session whose progress counts the search as done, for the seeds that decide."""
    reporter = session.reporter
    shifted = shift_progress(reporter.progress, [tuned.plan, deciding], [tuned.result])
    return replace(session, reporter=replace(reporter, progress=shifted))
