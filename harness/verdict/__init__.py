"""The verdict: Markdown for people, JSON for programs, figures for both. The same inputs give the same bytes."""

from harness.verdict import power
from harness.verdict.assemble import Form, draw, render
from harness.verdict.canvas import try_drawing
from harness.verdict.page import default_templates
from harness.verdict.worded import VERSION, word_decision

__all__ = ["VERSION", "Form", "default_templates", "draw", "power", "render", "try_drawing", "word_decision"]
