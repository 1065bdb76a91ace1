"""The page of attempts under way: how far each has come and, where somebody peeks, its learning curves as they come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.pipeline.following import Followed
from harness.records import Measurements
from harness.site.curves import Drawn, draw_curves, draw_key
from harness.site.rendering import fill
from harness.wording import format_p_equals, format_rough_duration

PAGE = "live.html"
"""Name of the page about runs under way, beside the pages of the site."""


@dataclass(frozen=True)
class LiveView:
    """An attempt under way as the page shows it."""

    run: str
    hypothesis: str
    title: str
    state: str
    facts: tuple[tuple[str, str], ...]
    """Name and text of what is known of its progress."""
    share: int
    """Steps done, in per cent."""
    cohorts: tuple[tuple[str, ...], ...]
    """Number, arms, replicas and epochs of each cohort that trains or has trained."""
    jobs: tuple[tuple[str, ...], ...]
    """Name, state, arms, replicas and share of each job that trains a part of it elsewhere."""
    looks: tuple[tuple[str, ...], ...]
    """Outcomes of its registered looks."""
    arms: list[dict[str, Any]]
    curves: list[Drawn]
    withheld: str
    """Reason why its values are not shown; empty if they are."""


def write_live(followed: Sequence[Followed], peek: bool, problem: str | None, common: Mapping[str, Any]) -> str:
    """Write the page; ``problem``: why the other pages are not those of the trail as it is."""
    context = {
        **common,
        "root": "",
        "here": PAGE,
        "attempts": [_describe(one, peek) for one in followed],
        "peek": peek,
        "problem": problem,
    }
    return fill(PAGE, context)


def _describe(one: Followed, peek: bool) -> LiveView:
    told, hypothesis, shown = one.told, one.hypothesis, one.measurements
    facts = {"Attempt": one.run.name, "State": one.state, "Device": one.run.body.device}
    if told is not None:
        facts |= {
            "Done": f"{_count_share(one)}% of {told.steps_total:,} replica steps",
            "Throughput": f"{told.speed:,.0f} replica steps/s" if told.speed else "not known yet",
            "Time left": format_rough_duration(told.left) if told.left is not None else "not known yet",
            "Last word": told.time.replace("T", " "),
        }
    arms = [] if hypothesis is None or shown is None else hypothesis.arms.values()
    return LiveView(
        run=one.run.name,
        hypothesis=one.run.hypothesis,
        title=one.run.hypothesis if hypothesis is None else hypothesis.title,
        state=one.state,
        facts=tuple(facts.items()),
        share=_count_share(one),
        cohorts=_tabulate_cohorts(one),
        jobs=tuple(
            (job.job, job.ended or job.state, ", ".join(job.arms), str(job.replicas), f"{job.done:.0%}")
            for job in one.jobs
        ),
        looks=tuple(
            (str(look.seeds), look.outcome or "nothing is decided, it goes on", _write_p(look.p)) for look in one.looks
        ),
        arms=[{"index": index, "label": arm.label, "key": draw_key(index)} for index, arm in enumerate(arms)],
        curves=_draw(one, shown),
        withheld=_explain_withheld(one, peek),
    )


def _count_share(one: Followed) -> int:
    return 0 if one.told is None else 100 * one.told.steps_done // max(1, one.told.steps_total)


def _tabulate_cohorts(one: Followed) -> tuple[tuple[str, ...], ...]:
    if one.told is None:
        return ()
    return tuple(
        (
            f"{cohort.cohort} of {one.told.cohorts}",
            ", ".join(cohort.arms),
            str(cohort.replicas),
            f"{cohort.epoch} of {cohort.epochs}",
        )
        for cohort in one.told.told
    )


def _draw(one: Followed, shown: Measurements | None) -> list[Drawn]:
    if one.hypothesis is None or shown is None:
        return []
    return draw_curves(one.hypothesis, shown, f"{one.run.name}-")


def _explain_withheld(one: Followed, peek: bool) -> str:
    """Say why values are not shown: nobody may see them unrecorded before a fixed number of seeds has trained."""
    if one.problem is not None:
        return one.problem
    if one.measurements is not None:
        return ""
    if one.hypothesis is None:
        return "Its registered file can't be read."
    if peek:
        return "No value was measured yet."
    fixed = one.hypothesis.stopping.kind == "fixed"
    when = "before its end" if fixed else "between its registered looks"
    remedy = "harness view --peek shows them, and enters in the ledger that they were seen: prior data."
    return f"Its values are not shown {when}. {remedy}"


def _write_p(p: float | None) -> str:
    return "–" if p is None else format_p_equals(p)
