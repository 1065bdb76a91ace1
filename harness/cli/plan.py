"""``harness plan``: what a run would do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.app import app
from harness.cli.common import (
    DataOption,
    DeviceOption,
    Files,
    FormatOption,
    GpusOption,
    OnOption,
    ParallelOption,
    VerdictsOption,
    collect_settings,
    escape,
    out,
    print_json,
    shorten_path,
    verb,
    wants_json,
)
from harness.wording import format_count, format_rough_duration, join_words, make_plain_line

if TYPE_CHECKING:
    from harness.pipeline.plan import Preview
    from harness.pipeline.plan_set import SetPreview
    from harness.records import Cohort


@app.command()
@verb
def plan(
    files: Files,
    device: DeviceOption = None,
    data: DataOption = None,
    verdicts: VerdictsOption = None,
    on: OnOption = None,
    parallel: ParallelOption = None,
    gpus: GpusOption = None,
    form: FormatOption = "text",
    measure: Annotated[
        bool,
        typer.Option(
            "--measure", help="Time some training steps of each kind on this device first, and keep the times."
        ),
    ] = False,
) -> None:
    """Show what a run would do: its arms and seeds, cohorts, steps, memory and time, and the origin of its data.

    If the run would be refused because the file is not what was registered, the same message says so. Of several files,
    or of a folder, each is shown, and then what they would share in harness run --together, and what that saves.
    """
    from harness.pipeline.plan import preview_run
    from harness.pipeline.session import Session
    from harness.spec.folders import is_folder

    settings = collect_settings(device, data, verdicts, on=on, parallel=parallel, gpus=gpus)
    if len(files) > 1 or is_folder(files[0]):
        from harness.pipeline.plan_set import preview_set

        whole = preview_set(files, settings, measure=measure)
        if wants_json(form):
            print_json({"hypotheses": [_collect(seen) for seen in whole.previews], "together": _collect_set(whole)})
        else:
            for seen in whole.previews:
                _print(seen)
                out.print("")
            _print_set(whole)
        seen = next((one for one in whole.previews if one.refused is not None), whole.previews[0])
    else:
        seen = preview_run(files[0], Session.open(files[0], settings), measure=measure)
        if wants_json(form):
            print_json(_collect(seen))
        else:
            _print(seen)
    if seen.refused is not None:  # the plan of what an amended registration would cost; a run ends with this code
        raise seen.refused


def _collect(seen: Preview) -> dict[str, Any]:
    """Collect what is shown of one hypothesis, for ``--format json``."""
    return {
        "hypothesis": seen.hypothesis.id,
        "registration": seen.registration,
        "seeds": seen.seeds,
        "cohorts": _collect_cohorts(seen.planned.cohorts),
        "looks": seen.hypothesis.looks,
        "steps": seen.estimate.steps,
        "memory_bytes": seen.estimate.memory_bytes,
        "seconds": seen.estimate.seconds,
        "seconds_measured": seen.measured,
        "device": seen.device,
        "place": seen.place,
        "jobs": [
            {
                "arms": list(dict.fromkeys(name for cohort in cohorts for name in cohort.arms)),
                "replicas": sum(len(cohort.replicas) for cohort in cohorts),
            }
            for cohorts in seen.jobs
        ],
        "commands": dict(seen.commands),
        "parallel": seen.parallel,
        "costs": seen.costs,
        "searched": seen.searched,
        "data": seen.data,
        "data_used": seen.parts,
        "verdicts": str(shorten_path(seen.project.verdicts)),
        "settings_from": dict(seen.project.origins),
        "refused": seen.refused.message if seen.refused is not None else None,
        "said": seen.said,
    }


def _collect_cohorts(cohorts: Sequence[Cohort]) -> list[dict[str, Any]]:
    return [
        {
            "arms": list(cohort.arms),
            "replicas": len(cohort.replicas),
            "steps": cohort.steps,
            "memory_bytes": cohort.memory_bytes,
        }
        for cohort in cohorts
    ]


def _collect_set(whole: SetPreview) -> dict[str, Any]:
    return {
        "companies": whole.companies,
        "shared_cohorts": _collect_cohorts(whole.shared),
        "alone": whole.alone,
        "separate": asdict(whole.separate),
        "sharing": asdict(whole.together),
    }


def _print_set(whole: SetPreview) -> None:
    for company in whole.companies:
        out.print(f"together in harness run --together: {', '.join(company)}", markup=False)
    if whole.shared:
        _print_cohorts(whole.shared)
    for name, reason in whole.alone.items():
        out.print(f"{name} trains alone: {reason}", markup=False)
    if whole.shared:
        one, other = whole.together, whole.separate
        pairs = (
            (format_count(one.cohorts, "cohort"), str(other.cohorts)),
            (f"{one.steps:,} steps", f"{other.steps:,}"),
            (f"about {format_rough_duration(one.seconds)}", format_rough_duration(other.seconds)),
            (f"{_format_bytes(one.memory_bytes)} for the largest", _format_bytes(other.memory_bytes)),
        )
        saved = ", ".join(f"{now} instead of {before}" for now, before in pairs)
        out.print(f"with shared cohorts: {saved}", markup=False)


def _print_cohorts(cohorts: Sequence[Cohort]) -> None:
    from rich.table import Table

    table = Table("cohort", "arms", "replicas", "steps", "memory", box=None, pad_edge=False)
    for number, cohort in enumerate(_collect_cohorts(cohorts), 1):
        table.add_row(
            str(number),
            ", ".join(cohort["arms"]),
            str(cohort["replicas"]),
            f"{cohort['steps']:,}",
            _format_bytes(cohort["memory_bytes"]),
        )
    out.print(table)


def _print(seen: Preview) -> None:
    origins = seen.project.origins
    arms, seeds = len(seen.hypothesis.arms), seen.hypothesis.seeds.number
    out.print(f"[bold]{escape(seen.hypothesis.id)}[/bold]: {escape(seen.hypothesis.title)}")
    out.print(f"{format_count(arms, 'arm')} × {format_count(seeds, 'seed')} = {format_count(arms * seeds, 'replica')}")
    if len(looks := seen.hypothesis.looks) > 1:
        listed = f"{looks[0]}, {looks[1]}, … {looks[-1]}" if len(looks) > 6 else join_words([*map(str, looks)])
        out.print(f"looks after {listed} seeds: the first that decides is the last, so this is the most it can take")
    if seen.commands:
        for name, command in seen.commands.items():
            out.print(make_plain_line(f"{name}: {command}"), markup=False)
        most = format_rough_duration(seen.longest_seconds)
        within = "all of them take" if seen.place is None else "those of a job take"
        where = "on this machine" if seen.place is None else f"at {seen.place}"
        out.print(
            f"each replica runs by itself, {seen.parallel} at a time; {within} at most {most} {where}", markup=False
        )
    if own := [cohort for cohort in seen.planned.cohorts if not cohort.is_program]:
        _print_cohorts(own)
        how = "by steps timed here, about" if seen.measured else "roughly"
        time_needed = format_rough_duration(seen.estimate.seconds)
        out.print(f"training: {how} {time_needed} on {seen.device} ({origins['device']})", markup=False)
    if seen.place is not None:
        sizes = [sum(len(cohort.replicas) for cohort in cohorts) for cohorts in seen.jobs]
        smallest, largest = min(sizes, default=0), max(sizes, default=0)
        each = f"{smallest} to {largest} replicas" if smallest < largest else format_count(largest, "replica")
        out.print(f"{format_count(len(sizes), 'job')} at {seen.place}, of {each} each", markup=False)
    costs: dict[str, list[str]] = {}
    for name, cost in seen.costs.items():
        costs.setdefault(cost, []).append(name)
    for told, among in costs.items():
        out.print(f"each replica of {', '.join(among)}: {told}", markup=False)
    for told in seen.searched:
        out.print(told, markup=False)
    for name, place in seen.data.items():
        origin = "" if name in seen.bundled else f" ({origins['data']})"
        out.print(f"data: {name}, {place}{origin}", markup=False)
    for names, told in seen.parts.items():
        out.print(f"data of {names}: {told}", markup=False)
    state = (
        f"registered: {seen.registration[:12]}" if seen.registration else "not registered yet: a run registers it first"
    )
    out.print(state, markup=False)
    out.print(seen.seeds, markup=False)
    out.print(f"trail: {shorten_path(seen.project.verdicts)} ({origins['verdicts']})", markup=False)
    for line in seen.said:
        out.print(line, markup=False)


def _format_bytes(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"
