"""What a page says of a program that trained and measured in harness's place."""

from __future__ import annotations

from typing import Any

from harness.metrics import parse_metric
from harness.records import Hypothesis, Measurements, Provenance
from harness.records.program import write_parameter
from harness.verdict.tables import Table
from harness.wording import format_count

SELF = "by the program itself: harness saw its files, not its training"


def tabulate_program(hypothesis: Hypothesis) -> tuple[list[tuple[str, str]], Table]:
    """Return the settings that all arms of a program share, and a table of each arm's parameters."""
    program, results = hypothesis.program, hypothesis.results
    assert program is not None, "a checked file has both"
    assert results is not None, "a checked file has both"
    again = "never"
    if program.again is not None:
        again = f"{' or '.join(program.again.when)}, at most {format_count(program.again.times, 'time')}"
    read = f"{results.file} ({results.form}), epochs up to {results.epochs}"
    shared = [
        ("Measured", SELF),
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
    rows = []
    for name, arm in hypothesis.arms.items():
        given = arm.parameters or {}
        rows.append([arm.label, name, *(write_parameter(given[one]) if one in given else "–" for one in names)])
    return shared, Table("", ["Arm", "Name", *names], rows)


def describe_program(hypothesis: Hypothesis, measurements: Measurements, provenance: Provenance) -> dict[str, Any]:
    """Return what a page says of how a program was run; empty where harness trained."""
    run = provenance.program
    if run is None:
        return {}
    labels = {name: arm.label for name, arm in hypothesis.arms.items()}
    failed = [
        f"{labels[one.arm]}, seed {one.seed_index}: {one.failure}" for one in measurements.replicas if one.failure
    ]
    repeated = [
        f"{labels[one.arm]}, seed {one.seed_index}: {'; '.join(one.repeated)}" for one in run.replicas if one.repeated
    ]
    changed = [
        f"{labels[one.arm]}, seed {one.seed_index}: {', '.join(one.changed)}" for one in run.replicas if one.changed
    ]
    return {
        "failed": failed,
        "repeated": repeated,
        "changed": changed,
        "unpinned": sorted({name for one in run.replicas for name in one.unpinned}),
        "pins": run.pins,
        "metrics": [parse_metric(key) for key in sorted({key for one in measurements.replicas for key in one.metrics})],
    }
