"""``harness check``: all findings of all files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.app import app
from harness.cli.common import DEFAULT_FOLDER, err, out, verb
from harness.errors import UsageError


@app.command()
@verb
def check(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Files or folders. Default: hypotheses/.", show_default=False)
    ] = None,
    form: Annotated[str, typer.Option("--format", help="text, json or github.")] = "text",
) -> None:
    """Check hypothesis files: all findings of all files, each with its place. Trains nothing, loads no torch."""
    from harness import pipeline

    if form not in ("text", "json", "github"):
        raise UsageError(f"unknown format {form!r}", where="--format", remedy="use text, json or github")
    report = pipeline.check(paths or [DEFAULT_FOLDER])
    if form == "json":
        print(json.dumps([vars(finding) for finding in report.findings], indent=1, ensure_ascii=False))
    for finding in report.findings:
        if form == "text":
            out.print(str(finding), markup=False)
        elif form == "github":
            remedy = f" → {finding.remedy}" if finding.remedy else ""
            text = f"{finding.message}{remedy}".replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
            print(f"::{finding.severity} file={finding.file},line={finding.line},col={finding.column}::{text}")
    wrong = sum(finding.severity == "error" for finding in report.findings)
    good, doubts = len(report.loaded), len(report.findings) - wrong
    counted = f"{good} {'file' if good == 1 else 'files'} valid, {wrong} {'error' if wrong == 1 else 'errors'}"
    err.print(counted + (f", {doubts} {'warning' if doubts == 1 else 'warnings'}" if doubts else ""))
    if wrong:
        raise typer.Exit(2)
