"""Badge and job summary of what an audit has just proved: a picture for a README and a text, never more than that."""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup, escape

from harness.errors import HarnessError
from harness.ledger import Ledger
from harness.ledger.audit import AuditReport
from harness.ledger.linked import OUTSIDE
from harness.pipeline.verdicts import JudgedRun
from harness.site.marks import element, group, join, label
from harness.site.pages import ENDINGS, Row
from harness.site.reading import Trail
from harness.site.rendering import shorten
from harness.wording import format_count, make_plain_line, typeset

WORDS = {0: ("passed", "#116329"), 3: ("tampered", "#a40e26"), 4: ("differs", "#a40e26"), 5: ("incomplete", "#6f4a00")}
"""Exit code of an audit → what the badge says, and its colour; only 0 is green."""
CHARACTER, HEIGHT, LEFT = 6.6, 20.0, 44.0
LISTED = 100
"""Hypotheses in a summary; a job's has at most 1 MiB."""


def draw_badge(report: AuditReport, date: str) -> str:
    """Return the badge of an audit that was made on a day, as SVG. No text of the trail is on it."""
    word, colour = WORDS.get(report.exit_code, ("failed", "#a40e26"))
    lines = [*report.trail, *(line for one in report.hypotheses for line in one.lines)]
    unchecked = sum(line.status == "NOT CHECKED" for line in lines)
    outcomes = [outcome for one in report.hypotheses for outcome in one.outcomes.values()]
    verdicts = format_count(len(outcomes), "verdict")
    if outside := sum(OUTSIDE in outcome for outcome in outcomes):
        verdicts += f" ({outside} {OUTSIDE})"
    rest = f" ({unchecked} not checked)" if unchecked else ""
    told = f"{word}{rest}, {verdicts}, {date}"
    width = LEFT + CHARACTER * len(told) + 12
    described = element("title", f"audit of {date}: {ENDINGS.get(report.exit_code, 'failed')}")
    style = {"font_family": "Verdana,DejaVu Sans,sans-serif", "font_size": "11", "fill": "#fff"}
    parts = (
        described,
        element("rect", width=LEFT, height=HEIGHT, fill="#3b4046"),
        element("rect", x=LEFT, width=width - LEFT, height=HEIGHT, fill=colour),
        group(label(6.0, 14.0, "audit"), label(LEFT + 6, 14.0, told, length=200), **style),
    )
    size = {"width": width, "height": HEIGHT, "role": "img", "aria_label": f"audit: {told}"}
    return str(element("svg", join(parts), xmlns="http://www.w3.org/2000/svg", **size)) + "\n"


def write_summary(report: AuditReport, trail: Ledger, hypotheses: Path, date: str) -> str:
    """Return what the audit says and each last verdict in a sentence, as HTML that Markdown shows as it is.

    Of a trail that can't be read, it says what the audit says, and why there are no verdicts.
    """
    try:
        verdicts = _write_table(Trail(trail, hypotheses))
    except HarnessError as error:
        verdicts = f"<p>No verdict can be shown: {_write_text(error.message)}</p>"
    ending = ENDINGS.get(report.exit_code, "failed")
    return f"<h2>Verdicts</h2>\n<p>Audit of {escape(date)}: {escape(ending)}.</p>\n{verdicts}\n"


def _write_table(site: Trail) -> str:
    rows = [_write_row(site, Row(sheet)) for sheet in site.sheets[:LISTED]]
    more = len(site.sheets) - len(rows)
    heads = "".join(f"<th>{head}</th>" for head in ("Hypothesis", "Predicted", "Outcome", "In a sentence"))
    return f"<table><tr>{heads}</tr>{''.join(rows)}</table>\n{f'<p>and {more} more</p>' if more else ''}"


def _write_row(site: Trail, row: Row) -> str:
    run = site.read_judged(row.sheet)
    told = typeset(run.decision.summary) if isinstance(run, JudgedRun) else ""
    if isinstance(run, HarnessError):
        told = "its verdict can't be shown: harness audit says why"
    deviates = f" ({row.deviates})" if row.deviates else ""
    cells = (row.id, row.predicted, f"{row.sign} {row.outcome}{deviates}", shorten(told, 2000))
    return "<tr>" + "".join(f"<td>{_write_text(cell)}</td>" for cell in cells) + "</tr>"


def _write_text(text: str) -> Markup:
    """Return text in which Markdown, too, finds nothing to obey: other letters than plain ones become references."""
    plain = make_plain_line(text)
    return Markup("".join(one if one.isalnum() or one in " .,%" else f"&#{ord(one)};" for one in plain))
