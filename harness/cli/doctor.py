"""``harness doctor``: what works here."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import typer

from harness.cli.app import app
from harness.cli.common import (
    DataOption,
    DeviceOption,
    FormatOption,
    VerdictsOption,
    collect_settings,
    out,
    print_json,
    verb,
    wants_json,
)

SIGNS = {"works": "ok    ", "note": "note  ", "broken": "BROKEN"}


@app.command()
@verb
def doctor(
    device: DeviceOption = None,
    data: DataOption = None,
    verdicts: VerdictsOption = None,
    form: FormatOption = "text",
) -> None:
    """Examine versions, plug-ins, device, data, cache, git and trail: what works here, and how to fix what doesn't.

    The exit code is 2 if something is broken.
    """
    from harness.pipeline.doctor import examine_installation

    as_json = wants_json(form)
    found = examine_installation(Path.cwd(), collect_settings(device, data, verdicts))
    if as_json:
        print_json([asdict(finding) for finding in found])
    else:
        for finding in found:
            out.print(f"{SIGNS[finding.state]} {finding.what}: {finding.found}", markup=False)
            if finding.remedy is not None:
                out.print(f"       → {finding.remedy}", markup=False)
    if any(finding.state == "broken" for finding in found):
        raise typer.Exit(2)
