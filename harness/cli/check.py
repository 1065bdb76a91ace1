"""``harness check``: all findings of all files."""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.app import app
from harness.cli.common import (
    VerdictsOption,
    collect_settings,
    err,
    find_hypotheses_here,
    open_trail_of,
    out,
    print_json,
    verb,
)
from harness.cli.places import show_from_top
from harness.cli.sarif import write_sarif
from harness.errors import Finding, NoHypotheses, UsageError
from harness.wording import format_count, make_plain

FORMATS = ("text", "json", "github", "sarif")


@app.command()
@verb
def check(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Files or folders to check. Default: hypotheses/.", show_default=False)
    ] = None,
    form: Annotated[str, typer.Option("--format", help="Output format: text, json, github or sarif.")] = "text",
    strict: Annotated[bool, typer.Option("--strict", help="Fail on warnings too.")] = False,
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            metavar="REF",
            help="A git commit. No registered file may have changed since, except by an amendment.",
            show_default=False,
        ),
    ] = None,
    allow_empty: Annotated[
        bool, typer.Option("--allow-empty", help="Accept a project that has no hypothesis yet: for CI and hooks.")
    ] = False,
    verdicts: VerdictsOption = None,
) -> None:
    """Check hypothesis files and report every problem with its place. Trains nothing and does not load PyTorch."""
    if form not in FORMATS:
        raise UsageError(f"unknown format {form!r}", where="--format", remedy="use text, json, github or sarif")
    gc.disable()  # a short process: looking for garbage would be a third of its time
    from harness import spec
    from harness.pipeline.check import check_files
    from harness.pipeline.project import Projects

    paths = paths or [find_hypotheses_here()]
    for path in paths:
        _refuse_no_trail(path, verdicts)
    try:
        report = check_files(paths, Projects(collect_settings(verdicts=verdicts)), against)
    except NoHypotheses as empty:
        if not allow_empty:
            raise
        err.print(empty.message, markup=False)
        report = spec.FolderReport((), ())
    if form == "sarif":
        print_json(write_sarif(report.findings, spec.CHECKS))
    elif form == "json":
        print_json([vars(finding) for finding in report.findings])
    for finding in report.findings if form in ("text", "github") else ():
        if form == "text":
            out.print(str(finding), markup=False)
        else:
            print(write_annotation(finding))
    counts = {of: sum(finding.severity == of for finding in report.findings) for of in ("error", "warning", "note")}
    err.print(_summarise(len(report.loaded), counts, report.findings), markup=False)
    if counts["error"] or (strict and counts["warning"]):
        raise typer.Exit(2)


def _refuse_no_trail(path: Path, verdicts: Path | None) -> None:
    """Refuse an option that names no trail. A variable may be set before anything is registered, and is told."""
    try:
        open_trail_of(path, verdicts)
    except UsageError as error:
        if error.where != "HARNESS_VERDICTS":
            raise
        err.print(f"note: {error.where}: {error.message}: no registration is compared with", markup=False)


def write_annotation(finding: Finding) -> str:
    """Write a workflow command that GitHub shows on the line."""
    level = "notice" if finding.severity == "note" else finding.severity
    remedy = f" → {finding.remedy}" if finding.remedy else ""
    text = _escape_data(f"{finding.message}{remedy}")
    file = _escape_data(show_from_top(Path(finding.file)).as_posix()).replace(":", "%3A").replace(",", "%2C")
    place = f"file={file},line={finding.line},col={finding.column},title=harness {finding.rule}"
    return f"::{level} {place}::{text}"


def _escape_data(text: str) -> str:
    return make_plain(text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A"))


def _summarise(valid: int, counts: Mapping[str, int], findings: Sequence[Finding]) -> str:
    parts = [format_count(valid, "file") + " valid", format_count(counts["error"], "error")]
    parts += [format_count(counts[of], of) for of in ("warning", "note") if counts[of]]
    rules = sorted({finding.rule for finding in findings})
    hint = f" (more about a check: harness explain {rules[0]})" if rules else ""
    return ", ".join(parts) + hint
