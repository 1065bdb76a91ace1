"""``harness audit``: which promises a trail keeps, in words first."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.app import app
from harness.cli.common import (
    DataOption,
    DeviceOption,
    VerdictsOption,
    YesOption,
    collect_settings,
    err,
    find_hypotheses_here,
    open_session_here,
    open_trail_here,
    out,
    print_json,
    verb,
)
from harness.cli.places import show_from_top
from harness.errors import UsageError
from harness.system.reading import LARGEST_SETTINGS, read_regular
from harness.wording import format_count, make_plain_line

if TYPE_CHECKING:
    from harness.ledger.audit import AuditFinding, AuditReport, Line
    from harness.pipeline.audit import AuditRequest
    from harness.pipeline.project import Settings

COLOURS = {"PASS": "green", "FAIL": "red", "NOT CHECKED": "yellow"}
NOTES_SHOWN = 10
ENDINGS = {
    0: "nothing was found against what was checked",
    3: "tampered: the trail is not what was written",
    4: "a recomputed result differs",
    5: "evidence is incomplete",
}


@app.command()
@verb
def audit(
    verdicts: VerdictsOption = None,
    known_head: Annotated[
        str | None,
        typer.Option("--known-head", help="A ledger head that you noted earlier; this ledger must contain it."),
    ] = None,
    require_anchor: Annotated[
        bool, typer.Option("--require-anchor", help="Report a ledger without a time stamp or signature as incomplete.")
    ] = False,
    roots: Annotated[
        Path | None, typer.Option("--roots", help="File of PEM certificates of time-stamp authorities that you trust.")
    ] = None,
    allowed_signers: Annotated[
        Path | None,
        typer.Option("--allowed-signers", help="File of SSH keys that you trust, in the format of ssh-keygen(1)."),
    ] = None,
    recompute: Annotated[
        bool, typer.Option("--recompute", help="Judge every run again and compare outcomes, numbers and pages.")
    ] = False,
    rerun: Annotated[
        str | None,
        typer.Option("--rerun", help="Train this run again on this machine and compare the results.", metavar="RUN"),
    ] = None,
    restore: Annotated[
        bool,
        typer.Option(
            "--restore", help="First restore files in which only line ends, or blanks at line ends, were changed."
        ),
    ] = False,
    allow_empty: Annotated[
        bool,
        typer.Option("--allow-empty", help="Accept a project in which nothing was ever registered: for CI."),
    ] = False,
    hypotheses: Annotated[
        Path | None,
        typer.Option(
            "--hypotheses",
            help="Folder of the hypothesis files to compare with the ledger. Default: hypotheses/.",
            show_default=False,
        ),
    ] = None,
    paper: Annotated[
        list[Path] | None,
        typer.Option(
            "--paper",
            help="Folder of a paper that lies deeper than two folders, or outside the project. Repeatable.",
            show_default=False,
        ),
    ] = None,
    device: DeviceOption = None,
    data: DataOption = None,
    yes: YesOption = False,
    form: Annotated[str, typer.Option("--format", help="Output format: text, json or github.")] = "text",
) -> None:
    """Check everything that a trail promises, offline: events, git history, attempts, files, seeds, more on request.

    Exit codes: 0 nothing is wrong, whatever the outcomes; 3 something was tampered with; 4 a recomputation differs;
    5 evidence is incomplete.
    """
    if form not in ("text", "json", "github"):
        raise UsageError(f"unknown format {form!r}", where="--format", remedy="use text, json or github")
    folder = _find_folder(verdicts, allow_empty=allow_empty)
    _refuse_nowhere({"--roots": roots, "--allowed-signers": allowed_signers, "--hypotheses": hypotheses})
    _refuse_unreadable({"--roots": roots, "--allowed-signers": allowed_signers})
    _refuse_no_head(known_head)
    from harness.ledger.audit import TrustedInputs
    from harness.pipeline.audit import AuditRequest

    kept = TrustedInputs(known_head, require_anchor, roots, allowed_signers)
    asked = AuditRequest(kept, recompute=recompute, papers=tuple(map(_require_paper, paper or ())))
    settings = collect_settings(device, data, verdicts, yes=yes)
    hypotheses = hypotheses if hypotheses is not None else find_hypotheses_here()
    report = _audit(folder, hypotheses, asked, rerun, settings, restore)
    if allow_empty:
        findings = tuple(replace(f, code="nothing-yet") if f.code == "no-events" else f for f in report.findings)
        report = replace(report, findings=findings)
    _print(report, form)
    if report.exit_code:
        raise typer.Exit(report.exit_code)


def _find_folder(verdicts: Path | None, *, allow_empty: bool) -> Path:
    """Return the trail's folder, unless it is a link or is not there."""
    folder = open_trail_here(verdicts).root
    if not folder.is_dir() and (not allow_empty or os.path.lexists(folder)):
        raise UsageError(
            "there is no such folder",
            where=str(folder),
            remedy="name the trail with --verdicts; before the first registration, --allow-empty accepts that there is "
            "none",
        )
    if folder.is_symlink():
        raise UsageError(
            f"this is a link to {os.path.realpath(folder)}: whoever reads the report would take it for that folder",
            where=str(folder),
            remedy="name the folder itself: --verdicts",
        )
    return folder


def _require_paper(folder: Path) -> Path:
    """Return a folder that has a paper's manifest, and refuse others, which would be passed over."""
    from harness.pipeline.paper_manifest import MANIFEST

    if not os.path.lexists(folder / MANIFEST):
        message = f"{folder} is not a paper that harness paper wrote: there is no {MANIFEST} in it"
        raise UsageError(message, where="--paper", remedy="name the folder that harness paper wrote")
    return folder


def _refuse_no_head(head: str | None) -> None:
    """Refuse a text that can be no beginning of a ledger's head."""
    from harness.ledger.audit.anchors import SHORTEST_HEAD

    if head is not None and not (SHORTEST_HEAD <= len(head) <= 64 and head.isalnum()):
        raise UsageError(
            "this is not the head of a ledger",
            where="--known-head",
            remedy=f"give at least {SHORTEST_HEAD} of its 64 digits, as run, register and audit print it",
        )


def _audit(
    folder: Path, hypotheses: Path, asked: AuditRequest, rerun: str | None, settings: Settings, restore: bool
) -> AuditReport:
    """Audit the trail, after files are written back if that is asked for, and train a run again if one is named."""
    from harness.pipeline.audit import Rerun, audit_trail, refuse_idle_rerun
    from harness.pipeline.session import Reporter

    if rerun is not None:
        refuse_idle_rerun(Rerun(rerun, open_session_here(settings, Reporter())))
    if restore:
        _restore(folder)
    if rerun is None:
        return audit_trail(folder, hypotheses, asked, settings)
    from harness.cli.run import reporting

    with reporting() as reporter:
        again = Rerun(rerun, open_session_here(settings, reporter))
        return audit_trail(folder, hypotheses, replace(asked, rerun=again), settings)


def _print(report: AuditReport, form: str) -> None:
    if form == "json":
        print_json(_make_plain(report))
        return
    _print_words(report)
    for finding in report.findings if form == "github" else ():
        print(_write_annotation(finding))
    if form == "text":
        _print_findings(report)


def _restore(folder: Path) -> None:
    from harness.pipeline.audit import restore_files

    changed, command = restore_files(folder)
    count = format_count(len(changed), "file")
    first = f", first {make_plain_line(changed[0])}" if changed else ""
    err.print(f"{count} written back{first}", markup=False)
    if changed:
        err.print(
            "if a fixer changed them, as pre-commit's do, it will again: have it leave the trail alone (exclude: "
            f"^{folder.name}/)",
            markup=False,
        )
    if changed and command is not None:
        err.print(f"git has other files than are here now, or not all of them; commit them: {command}", markup=False)


def _refuse_nowhere(named: Mapping[str, Path | None]) -> None:
    """Refuse paths that lead nowhere, which would be passed over as if they had not been given."""
    for option, path in named.items():
        if path is not None and not path.exists():
            raise UsageError(f"there is no {path}", where=option, remedy="check the path, or leave the option out")


def _refuse_unreadable(named: Mapping[str, Path | None]) -> None:
    """Refuse pipes, devices and endless files, which ssh-keygen and others would wait for."""
    for option, path in named.items():
        try:
            if path is not None:
                read_regular(path, LARGEST_SETTINGS, follow=True)
        except OSError as error:
            message = f"{path} can't be read: {error.strerror or error}"
            raise UsageError(message, where=option, remedy="name a file") from error


def _print_words(report: AuditReport) -> None:
    from harness.ledger.audit import UNDETECTABLE

    head = f", head {report.head[:12]}" if report.head is not None else ""
    where = f"the ledger in {make_plain_line(report.folder)}"
    out.print(f"{where}: {format_count(report.events, 'event')}{head}", markup=False, style="bold")
    _print_lines(report.trail)
    for subject in report.hypotheses:
        out.print(f"\n{make_plain_line(subject.hypothesis)}: {subject.counted}", markup=False, style="bold")
        for run, outcome in subject.outcomes.items():
            out.print(f"    run {run}: {make_plain_line(outcome)}", markup=False)
        _print_lines(subject.lines)
    out.print(f"\n{ENDINGS[report.exit_code]}", markup=False, style="bold")
    if report.head is not None:
        out.print(f"the head to keep elsewhere: {report.head}", markup=False)
    elif report.heads:
        heads = f"{len(report.heads)} heads, which the next event joins: {', '.join(report.heads)}"
        out.print(heads, markup=False)
    out.print(UNDETECTABLE, markup=False)


def _print_lines(lines: Sequence[Line]) -> None:
    for line in lines:
        reason = f" ({make_plain_line(line.reason)})" if line.reason else ""
        out.print(f"  {line.status:<11} ", markup=False, style=COLOURS[line.status], end="")
        out.print(f"{line.step} {line.promise}{reason}", markup=False)


def _print_findings(report: AuditReport) -> None:
    """Print what stands against promises in full, and the first notes of each code."""
    grave = [finding for finding in report.findings if finding.severity not in ("note", "unchecked")]
    for finding in grave:
        err.print(f"\n{finding.severity}, step {finding.step}: {make_plain_line(finding.what)}", markup=False)
        err.print(f"    at {make_plain_line(finding.where)}", markup=False)
        if finding.expected is not None or finding.got is not None:
            wanted, got = make_plain_line(finding.expected or "nothing"), make_plain_line(finding.got or "nothing")
            err.print(f"    expected {wanted}, got {got}", markup=False)
        err.print(f"    → {finding.remedy}", markup=False)
    shown: dict[str, int] = {}
    for finding in report.findings:
        if finding.severity == "note":
            shown[finding.code] = shown.get(finding.code, 0) + 1
            if shown[finding.code] <= NOTES_SHOWN:
                err.print(
                    f"note, step {finding.step}: {make_plain_line(finding.where)}: {make_plain_line(finding.what)}",
                    markup=False,
                )
    for code, count in shown.items():
        if count > NOTES_SHOWN:
            more = format_count(count - NOTES_SHOWN, "more note")
            err.print(f"{more} of the kind {code!r}: --format json lists all", markup=False)


def _make_plain(report: AuditReport) -> dict[str, object]:
    """Return the report as plain JSON values; everything that was found is in it, and what can't be."""
    from harness.ledger.audit import UNDETECTABLE

    return {
        "exit_code": report.exit_code,
        "folder": report.folder,
        "events": report.events,
        "heads": list(report.heads),
        "head": report.head,
        "trail": [asdict(line) for line in report.trail],
        "hypotheses": [asdict(subject) | {"counted": subject.counted} for subject in report.hypotheses],
        "findings": [
            {"sort" if key == "code" else key: value for key, value in asdict(finding).items()}
            | {"step": finding.step, "kind": finding.severity, "remedy": finding.remedy}
            for finding in report.findings
        ],
        "undetectable": UNDETECTABLE,
    }


def _write_annotation(finding: AuditFinding) -> str:
    """Write a workflow command; nothing in a trail can end it and begin another."""
    level = "notice" if finding.severity in ("note", "unchecked") else "error"
    text = f"{finding.what}: expected {finding.expected}, got {finding.got}" if finding.expected else finding.what
    where = finding.where if finding.where.startswith("commit ") else show_from_top(Path(finding.where)).as_posix()
    place = make_plain_line(where).replace("%", "%25").replace(":", "%3A").replace(",", "%2C")
    return f"::{level} file={place}::{make_plain_line(f'{text} → {finding.remedy}').replace('%', '%25')}"
