"""The agreement of a set of hypotheses on which of them train together: new companies, and those of open attempts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from harness import ledger, plan
from harness.pipeline.run import Prepared, find_open_company, join_company
from harness.pipeline.run_steps import describe_limits
from harness.records import Companion

if TYPE_CHECKING:
    from harness.datasets import Images


OPEN = "an attempt is open, and goes on as it was started"
NO_MATCH = "it shares no program with another file, or sharing would make no fewer cohorts"


def agree(runs: Sequence[Prepared], say: Callable[[str], None]) -> tuple[Prepared, ...]:
    """Return the runs of a set as members of the companies that they train in.

    An attempt that goes on keeps its company. A run whose attempt was never started, because a process was killed in
    between, joins the open attempt that names it. The others make new companies, by what may be shared on the device.
    """
    chosen = {run.loaded.hypothesis.id: find_open_company(run) for run in runs}
    known = {company for company in chosen.values() if company}
    fresh = [run for run in runs if not _goes_on(run)]
    for run in fresh:
        own = describe_companion(run)
        waiting = [company for company in known if own in company and not _was_started(run, company)]
        if waiting:
            chosen[own.hypothesis] = waiting[0]
    for members in _make_companies([run for run in fresh if not chosen[run.loaded.hypothesis.id]]):
        company = tuple(member.companion for member in members)
        chosen |= {companion.hypothesis: company for companion in company}
    images: dict[str, Images] = {}
    agreed: list[Prepared] = []
    for run in runs:
        name, company = run.loaded.hypothesis.id, chosen[run.loaded.hypothesis.id]
        joined = join_company(_share_images(run, images), company)
        others = [companion.hypothesis for companion in company if companion.hypothesis != name]
        if others:
            say(f"{name} trains together with {', '.join(others)}")
        else:
            reason = OPEN if _goes_on(run) else plan.explain_alone(run.loaded.hypothesis) or NO_MATCH
            say(f"{name} trains alone: {reason}")
        agreed.append(joined)
    return tuple(agreed)


def describe_companion(run: Prepared) -> Companion:
    """Describe a run as the plans of others name it."""
    registration = run.registration
    return Companion(
        hypothesis=run.loaded.hypothesis.id,
        registration=registration.digest,
        canonical=registration.canonical,
        seeds=registration.seeds,
    )


def _goes_on(run: Prepared) -> bool:
    """Tell whether an open attempt goes on, whose company is settled."""
    resumes = run.session.settings.resume
    return resumes and ledger.find_resumable(run.session.trail, run.loaded.hypothesis.id) is not None


def _was_started(run: Prepared, company: tuple[Companion, ...]) -> bool:
    starts = run.session.trail.index().starts(run.loaded.hypothesis.id)
    return any(start.body.together == company for start in starts)


def _make_companies(runs: Sequence[Prepared]) -> Iterator[tuple[plan.Member, ...]]:
    """Yield new companies among runs of the same trail and device; the order of the command changes none."""
    places: dict[tuple[str, str], list[Prepared]] = {}
    for run in sorted(runs, key=lambda run: run.loaded.hypothesis.id):
        if run.equipment.program is not None:
            continue  # a program's replicas are processes of their own
        place = str(run.session.trail.root.resolve()), run.equipment.device.name
        places.setdefault(place, []).append(run)
    for some in places.values():
        members = [plan.Member(describe_companion(run), run.loaded.hypothesis) for run in some]
        yield from plan.find_companies(members, describe_limits(some[0].equipment.device))


def _share_images(run: Prepared, known: dict[str, Images]) -> Prepared:
    """Return the run with the arrays that others of the set have already, so that they are held once."""
    images = {
        name: known.setdefault(f"{name} {data.fingerprint} {data.origin}", data)
        for name, data in run.equipment.images.items()
    }
    return replace(run, fixed=replace(run.fixed, equipment=replace(run.equipment, images=images)))
