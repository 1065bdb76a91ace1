"""``harness plan``: what a run would do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.app import app
from harness.cli.common import (
    DataOption,
    DeviceOption,
    File,
    FormatOption,
    VerdictsOption,
    collect_settings,
    escape,
    out,
    print_json,
    shorten_path,
    verb,
    wants_json,
)
from harness.wording import format_count

if TYPE_CHECKING:
    from harness.pipeline.plan import Preview


@app.command()
@verb
def plan(
    file: File,
    device: DeviceOption = None,
    data: DataOption = None,
    verdicts: VerdictsOption = None,
    form: FormatOption = "text",
    measure: Annotated[
        bool,
        typer.Option(
            "--measure", help="First time some training steps of each kind on this device; the times are kept."
        ),
    ] = False,
) -> None:
    """Show what a run would do: its arms and seeds, cohorts, steps, memory and time, and the origin of its data.

    If the run would be refused because the file is not what was registered, the same message says so.
    """
    from harness.pipeline.plan import preview_run
    from harness.pipeline.session import Session

    session = Session.open(file, collect_settings(device, data, verdicts))
    seen = preview_run(file, session, measure=measure)
    cohorts: list[dict[str, Any]] = [
        {
            "arms": list(cohort.arms),
            "replicas": len(cohort.replicas),
            "steps": seen.planned.steps(cohort),
            "memory_bytes": cohort.memory_bytes,
        }
        for cohort in seen.planned.cohorts
    ]
    origins = dict(seen.project.origins)
    if wants_json(form):
        plain = {
            "hypothesis": seen.hypothesis.id,
            "registration": seen.registration,
            "seeds": seen.seeds,
            "cohorts": cohorts,
            "looks": seen.hypothesis.looks,
            "steps": seen.estimate.steps,
            "memory_bytes": seen.estimate.memory_bytes,
            "seconds": seen.estimate.seconds,
            "seconds_measured": seen.measured,
            "device": seen.device,
            "data": seen.data,
            "verdicts": str(shorten_path(seen.project.verdicts)),
            "settings_from": origins,
            "refused": seen.refused.message if seen.refused is not None else None,
            "said": seen.said,
        }
        print_json(plain)
    else:
        _print(seen, cohorts, origins)
    if seen.refused is not None:  # the plan of what an amended registration would cost; a run ends with this code
        raise seen.refused


def _print(seen: Preview, cohorts: Sequence[dict[str, Any]], origins: Mapping[str, str]) -> None:
    from rich.table import Table

    arms, seeds = len(seen.hypothesis.arms), seen.hypothesis.seeds.number
    out.print(f"[bold]{escape(seen.hypothesis.id)}[/bold]: {escape(seen.hypothesis.title)}")
    out.print(f"{format_count(arms, 'arm')} × {format_count(seeds, 'seed')} = {format_count(arms * seeds, 'replica')}")
    if len(looks := seen.hypothesis.looks) > 1:
        listed = f"{looks[0]}, {looks[1]}, … {looks[-1]}" if len(looks) > 6 else ", ".join(map(str, looks))
        out.print(f"looks after {listed} seeds: the first that decides is the last, so this is the most it can take")
    table = Table("cohort", "arms", "replicas", "steps", "memory", box=None, pad_edge=False)
    for number, cohort in enumerate(cohorts, 1):
        table.add_row(
            str(number),
            ", ".join(cohort["arms"]),
            str(cohort["replicas"]),
            f"{cohort['steps']:,}",
            _format_bytes(cohort["memory_bytes"]),
        )
    out.print(table)
    time_needed = _format_duration(seen.estimate.seconds)
    how = "by steps timed here, about" if seen.measured else "roughly"
    out.print(f"training: {how} {time_needed} on {seen.device} ({origins['device']})", markup=False)
    for name, place in seen.data.items():
        origin = "" if name in seen.bundled else f" ({origins['data']})"
        out.print(f"data: {name}, {place}{origin}", markup=False)
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


def _format_duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
