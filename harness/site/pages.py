"""The pages of the site: what each template is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import harness
from harness.errors import HarnessError
from harness.ledger.audit import UNDETECTABLE, AuditFinding, AuditReport, Line
from harness.records import RESERVED_OUTCOMES, Hypothesis, Move
from harness.site.claimsgraph import SIGNS, draw_column, draw_layers
from harness.site.reading import Sheet, Trail
from harness.site.rendering import fill
from harness.site.verdicts import RunView
from harness.wording import capitalise, format_count, make_plain_line

STATES = {
    "predicted": ("✓", "as predicted"),
    "other": ("≠", "not as predicted"),
    "inconclusive": ("?", "inconclusive"),
    "invalid": ("!", "invalid"),
    "unjudged": ("…", "no verdict yet"),
}
"""State of a hypothesis → its sign, and its words."""
CHECKS = {"PASS": ("pass", "✓"), "FAIL": ("fail", "✗"), "NOT CHECKED": ("unchecked", "–"), "OPEN": ("open", "…")}
"""Status of a promise → its class and its sign. OPEN: nothing is against it but that an attempt has not ended."""
KINDS = {
    "tampered": "Tampered",
    "differs": "Differs",
    "missing": "Missing",
    "open": "Open",
    "unchecked": "Not checked",
    "note": "Notes",
}
"""Severity → its heading, in the order in which findings are listed."""
FILE_PARTS = 3
"""Parts of a path that name a file of a run: hypothesis, run, file."""
LISTED = 50
"""Findings of a kind that are listed."""
ENDINGS = {
    0: "nothing was found against what was checked",
    3: "tampered: the trail is not what was written",
    4: "a recomputed result differs",
    5: "evidence is incomplete",
}
"""Exit code of an audit → what it means."""


@dataclass(frozen=True)
class Cell:
    """A promise in a table."""

    status: str
    name: str
    sign: str


@dataclass(frozen=True)
class Taken:
    """Findings that an audit took from an earlier build."""

    files: int
    """Number of the trail's files whose digests it was given."""
    read: int
    """Number of those that were read."""
    results: int
    """Number of results that were not checked again."""


class Row:
    """A sheet with the words that tables show of it; all of the sheet's own fields are there too."""

    def __init__(self, sheet: Sheet) -> None:
        """Describe ``sheet``."""
        self.sheet = sheet
        judged, outline = sheet.judged, sheet.outline
        self.predicted = outline.prediction.outcome if outline is not None else "–"
        self.state = _find_state(sheet, self.predicted)
        self.sign = STATES[self.state][0]
        last = sheet.started[-1].status if sheet.started else "never run"
        self.outcome = judged.outcome if judged is not None else last
        self.deviates = None if judged is None else sheet.deviating.get(judged.run)
        self.count = len(sheet.started)
        self.counted = _count_attempts(sheet)
        self.families = [family for family, _ in sheet.memberships]
        self.adjusted = min((row.adjusted for _, row in sheet.memberships), default=None)
        self.moving = any(sheet.prospects.values())

    def __getattr__(self, name: str) -> Any:
        """Return the sheet's own field."""
        return getattr(self.sheet, name)


def write_index(rows: Sequence[Row], common: Mapping[str, Any]) -> str:
    """Write the list of all hypotheses."""
    families = sorted({family for row in rows for family in row.families})
    states = {state: words for state, (_, words) in STATES.items() if any(row.state == state for row in rows)}
    context = {
        **common,
        "root": "",
        "here": "index.html",
        "sheets": rows,
        "families": families,
        "states": states,
        "signs": STATES,
    }
    return fill("index.html", context)


def write_hypothesis(
    row: Row, form: Hypothesis | None, run: RunView | HarnessError | None, common: Mapping[str, Any]
) -> str:
    """Write the page of a hypothesis, registered as ``form`` if that can be read.

    ``run``: that of its last verdict, or the reason why it can't be shown.
    """
    view = run if isinstance(run, RunView) else None
    contents = {
        "verdict": ("Verdict", view),
        "guards": ("Guards", view and view.guards),
        "figures": ("Figures", view and (view.curves or view.profiles)),
        "search": ("Search", view and view.search),
        "seeds": ("Seed by seed", view),
        "exploratory": ("Exploratory", view and view.exploratory),
        "provenance": ("Provenance", view),
        "question": ("Question", form),
        "outcomes": ("What each outcome means", form),
        "attempts": ("Attempts", True),
        "explored": ("Earlier results", row.explored),
        "timeline": ("Timeline", True),
        "file": ("Registered file", True),
    }
    context = {
        **common,
        "root": "../",
        "here": "",
        "sheet": row,
        "form": form,
        "run": view,
        "problem": _describe_problem(run) if isinstance(run, HarnessError) else None,
        "contents": [(name, title) for name, (title, there) in contents.items() if there],
        "signs": SIGNS,
    }
    return fill("hypothesis.html", context)


def write_claims(trail: Trail, rows: Sequence[Row], common: Mapping[str, Any]) -> str:
    """Write the page of the claims."""
    table = trail.claims
    by_verdict: dict[str, Move] = {move.verdict: move for move in table.moves}
    causes = {name: [by_verdict[one] for one in now.because] for name, now in table.standings.items()}
    context = {
        **common,
        "root": "",
        "here": "claims.html",
        "table": table,
        "graphs": (draw_layers(table), draw_column(table)),
        "causes": causes,
        "sheets": rows,
        "signs": SIGNS,
    }
    return fill("claims.html", context)


def write_audit(
    report: AuditReport, date: str, folder: str, common: Mapping[str, Any], taken: Taken | None = None
) -> str:
    """Write the report of an audit, made at ``date``; ``folder`` is the trail as it was named for it."""
    subjects: list[tuple[str, str | None, Sequence[Line]]] = [("the trail", None, report.trail)]
    subjects += [(one.hypothesis, f"h/{one.hypothesis}.html", one.lines) for one in report.hypotheses]
    going = _find_open(report)
    promises = {line.step: line.promise for _, _, lines in subjects for line in lines}
    order = sorted(promises)
    rows = [
        (name, href, [_make_cell(lines, step, open_only=(name, step) in going) for step in order])
        for name, href, lines in subjects
    ]
    context = {
        **common,
        "root": "",
        "here": "audit.html",
        "report": report,
        "date": date,
        "taken": taken,
        "ending": ENDINGS[report.exit_code],
        "promises": [(step, promises[step]) for step in order],
        "rows": rows,
        "reasons": _group_reasons(subjects, going),
        "findings": _group_findings(report.findings, report.folder, folder),
        "undetectable": UNDETECTABLE,
    }
    return fill("audit.html", context)


def write_check(trail: str, common: Mapping[str, Any]) -> str:
    """Write the page that says how to check it all."""
    context = {**common, "root": "", "here": "check.html", "trail": trail, "undetectable": UNDETECTABLE}
    return fill("check.html", context)


def make_common(title: str, head: str | None) -> dict[str, Any]:
    """Return what all pages are given."""
    return {"site_title": title, "head": head, "version": harness.__version__}


def _describe_problem(error: HarnessError) -> str:
    """Describe an error without the folders of this machine: a file by its place in the trail."""
    place = "/".join(Path(error.where).parts[-FILE_PARTS:]) if error.where else ""
    return ". ".join(part for part in (place, capitalise(error.message), error.remedy) if part)


def _find_state(sheet: Sheet, predicted: str) -> str:
    if sheet.judged is None or sheet.judged.outcome is None:
        return "unjudged"
    if sheet.judged.outcome in RESERVED_OUTCOMES:
        return sheet.judged.outcome
    return "predicted" if sheet.judged.outcome == predicted else "other"


def _count_attempts(sheet: Sheet) -> str:
    """Write ``3 (1 failed, 1 pilot)``: how many attempts there are, and how many of a kind to be known."""
    kinds = {status: sum(one.status == status for one in sheet.started) for status in ("open", "failed", "aborted")}
    kinds["deviating"] = len(sheet.deviating)
    marks = [f"{count} {kind}" for kind, count in kinds.items() if count]
    pilots = len(sheet.attempts) - len(sheet.started)
    marks += [format_count(pilots, "pilot")] if pilots else []
    return f"{len(sheet.started)} ({', '.join(marks)})" if marks else str(len(sheet.started))


def _find_open(report: AuditReport) -> set[tuple[str | None, int]]:
    """Find hypothesis and step of promises against which there is only that an attempt has not ended."""
    severities: dict[tuple[str | None, int], set[str]] = {}
    for one in report.findings:
        severities.setdefault((one.hypothesis, one.step), set()).add(one.severity)
    passing = {"note", "missing", "unchecked"}
    return {key for key, found in severities.items() if "open" in found and found <= {"open", *passing}}


def _make_cell(lines: Sequence[Line], step: int, *, open_only: bool) -> Cell | None:
    line = next((line for line in lines if line.step == step), None)
    if line is None:
        return None
    status: str = "OPEN" if open_only and line.status == "FAIL" else line.status
    return Cell(status, *CHECKS[status])


def _group_reasons(
    subjects: Sequence[tuple[str, str | None, Sequence[Line]]], going: Set[tuple[str | None, int]]
) -> list[tuple[int, str, str, str]]:
    """Return step, status and reason of every line that has a reason, each with whom it concerns."""
    found: dict[tuple[int, str, str], list[str]] = {}
    for name, _, lines in subjects:
        for line in lines:
            if line.reason:
                status: str = "OPEN" if line.status == "FAIL" and (name, line.step) in going else line.status
                found.setdefault((line.step, status, line.reason), []).append(name)
    grouped = []
    for (step, status, reason), names in sorted(found.items()):
        several = len(names) > 3
        told = f"{', '.join(names[:3])} and {len(names) - 3} more" if several else ", ".join(names)
        grouped.append((step, status.lower(), reason, told))
    return grouped


def _group_findings(
    findings: Sequence[AuditFinding], real: str, named: str
) -> list[tuple[str, list[dict[str, Any]], int]]:
    """Return the findings by kind, the grave ones first; places start at the trail, not at a machine's top folder."""
    grouped = []
    for severity, heading in KINDS.items():
        own = [finding for finding in findings if finding.severity == severity]
        shown = [
            {
                "step": one.step,
                "what": make_plain_line(_hide(one.what, real, named)),
                "place": _hide(one.where, real, named),
                "expected": one.expected,
                "got": one.got,
                "remedy": _hide(one.remedy, real, named),
            }
            for one in own[:LISTED]
        ]
        if own:
            grouped.append((heading, shown, len(own) - len(shown)))
    return grouped


def _hide(text: str, real: str, named: str) -> str:
    """Return a text in which the trail's folder is called by its last part."""
    short = real.rstrip("/").rpartition("/")[2]
    return text.replace(real, short).replace(named, short) if named not in ("", ".") else text.replace(real, short)
