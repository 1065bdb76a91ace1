"""The verdict: Markdown for people, JSON for programs, figures for both. The same inputs give the same bytes."""

from harness.domain.templates import VERSION, default_templates
from harness.verdict import power
from harness.verdict.assemble import Form, draw, list_drawings, render
from harness.verdict.canvas import load_in_parts, try_drawing
from harness.verdict.explored import suppose, write_report
from harness.verdict.worded import word_decision

__all__ = [
    "VERSION",
    "Form",
    "default_templates",
    "describe_unknown",
    "draw",
    "list_drawings",
    "load_in_parts",
    "power",
    "render",
    "suppose",
    "try_drawing",
    "word_decision",
    "write_report",
]
