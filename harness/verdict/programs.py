"""Part of a page about a program that trained and measured in harness's place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.domain.tuning import count_candidates, name_candidate
from harness.metrics import parse_metric
from harness.records import Hypothesis, Measurements, Provenance
from harness.records.linked import LinkedRun
from harness.records.program import write_parameter
from harness.verdict.tables import Table, tabulate_settings
from harness.wording import format_count

SELF = "by the program itself: harness saw its files, not its training"
ELSEWHERE = "elsewhere, by whoever made these runs: harness saw numbers that were told afterwards, and no training"


def tabulate_program(
    hypothesis: Hypothesis, measurements: Measurements, *, linked: bool = False
) -> tuple[list[tuple[str, str]], Table]:
    """Return the settings that all arms of a program share, and a table of each arm's parameters.

    Of a hypothesis with arms that harness trains, both hold theirs too.
    """
    program, results = hypothesis.program, hypothesis.results
    assert program is not None, "a checked file has both"
    assert results is not None, "a checked file has both"
    again = "never"
    if program.again is not None:
        again = f"{' or '.join(program.again.when)}, at most {format_count(program.again.times, 'time')}"
    read = f"{results.file} ({results.form}), epochs up to {results.epochs}"
    if results.names:
        read += f"; {', '.join(f'{name} as {own}' for name, own in results.names.items())}"
    shared = [
        ("Measured", ELSEWHERE if linked else SELF),
        ("Command", " ".join(program.command)),
        ("Run in", program.folder),
        ("Lock file", program.lock if program.has_lock else "none: the versions of its packages are not pinned"),
        ("Results", read if results.every_epochs == 1 else f"{read}, every {results.every_epochs}"),
        ("Longest time", program.timeout),
        ("Most bytes written", program.size),
        ("Run again when", again),
        ("Promised to repeat to the byte", "yes" if program.deterministic else "no"),
    ]
    if program.image is not None:
        shared.append(("Image", program.image))
    if program.environment:
        shared.append(("Variables of the user's environment", ", ".join(program.environment)))
    shared += [(f"Input {name}", f"{told.path}, SHA-256 {told.sha256}") for name, told in program.inputs.items()]
    names = list(dict.fromkeys(name for arm in hypothesis.arms.values() for name in arm.parameters or {}))
    heads: list[str] = []
    own: dict[str, list[str]] = {}
    if (built_in := hypothesis.built_in) is not None:
        settings, table = tabulate_settings(built_in, measurements)
        shared += [(f"{key}, of arms that harness trains", text) for key, text in settings]
        heads, own = table.heads[2:], {row[1]: row[2:] for row in table.rows}
    rows = []
    for name, arm in hypothesis.arms.items():
        given = arm.parameters or {}
        cells = [write_parameter(given[one]) if one in given else "–" for one in names]
        rows.append([arm.label, name, *cells, *own.get(name, ["–"] * len(heads))])
    return shared, Table("", ["Arm", "Name", *names, *heads], rows)


def _write_run(run: LinkedRun, labels: Mapping[str, str]) -> str:
    place = "" if run.arm is None else f", {labels.get(run.arm, run.arm)}"
    place += "" if run.seed_index is None else f", seed {run.seed_index}"
    return f"{run.run} of {run.export}{place}: {run.why}"


def describe_program(hypothesis: Hypothesis, measurements: Measurements, provenance: Provenance) -> dict[str, Any]:
    """Return what a page says of how a program was run; empty where harness trained."""
    run = provenance.program
    if run is None:
        return {}
    labels = {name: arm.label for name, arm in hypothesis.arms.items()}
    if hypothesis.tuning is not None:
        labels |= {
            name_candidate(name, position): f"{labels[name]}, candidate {position + 1} of the search"
            for name in hypothesis.tuning.space
            for position in range(count_candidates(hypothesis.tuning, name))
        }
    failed = [
        f"{labels[one.arm]}, seed {one.seed_index}: {one.failure}" for one in measurements.replicas if one.failure
    ]
    repeated = [
        f"{labels[one.arm]}, seed {one.seed_index}: {'; '.join(one.repeated)}" for one in run.replicas if one.repeated
    ]
    changed = [
        f"{labels[one.arm]}, seed {one.seed_index}: {', '.join(one.changed)}" for one in run.replicas if one.changed
    ]
    runs = provenance.linked.runs if provenance.linked is not None else ()
    return {
        **{fate: [_write_run(one, labels) for one in runs if one.fate == fate] for fate in ("rejected", "excluded")},
        "failed": failed,
        "repeated": repeated,
        "changed": changed,
        "unpinned": sorted({name for one in run.replicas for name in one.unpinned}),
        "pins": run.pins,
        "metrics": [parse_metric(key) for key in sorted({key for one in measurements.replicas for key in one.metrics})],
    }
