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
from harness.errors import HarnessError

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
    as_json = wants_json(form)
    try:
        from harness.pipeline.doctor import examine_installation
    except HarnessError as error:  # whatever reads files loads all plug-ins, and one of them can't be
        _print_broken(error, as_json=as_json)
        raise typer.Exit(2) from None
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


def _print_broken(error: HarnessError, *, as_json: bool) -> None:
    """Print what keeps everything else from being examined."""
    found = f"{error.where}: {error.message}; nothing else was examined"
    if as_json:
        print_json([{"what": "plug-ins", "state": "broken", "found": found, "remedy": error.remedy}])
        return
    out.print(f"{SIGNS['broken']} plug-ins: {found}", markup=False)
    if error.remedy is not None:
        out.print(f"       → {error.remedy}, then ask again", markup=False)
