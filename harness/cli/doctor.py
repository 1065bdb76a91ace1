"""``harness doctor``: what works here."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

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
    found = _examine(device, data, verdicts)
    if as_json:
        print_json(found)
    else:
        for finding in found:
            out.print(f"{SIGNS[finding['state']]} {finding['what']}: {finding['found']}", markup=False)
            if finding["remedy"] is not None:
                out.print(f"       → {finding['remedy']}", markup=False)
    if any(finding["state"] == "broken" for finding in found):
        raise typer.Exit(2)


def _examine(device: str | None, data: Path | None, verdicts: Path | None) -> list[dict[str, Any]]:
    """Return what was looked at here, or the plug-in that can't be loaded, which keeps all else from being examined."""
    try:
        from harness.pipeline.doctor import examine_installation
    except HarnessError as error:  # whatever reads files loads all plug-ins that files may name
        found = f"{error.where}: {error.message}; nothing else was examined"
        return [{"what": "plug-ins", "state": "broken", "found": found, "remedy": error.remedy}]
    settings = collect_settings(device, data, verdicts)
    return [asdict(finding) for finding in examine_installation(Path.cwd(), settings)]
