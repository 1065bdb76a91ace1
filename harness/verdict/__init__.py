"""The verdict: Markdown for people, JSON for programs, figures for both. Pure: the same inputs give the same bytes."""

from harness.verdict import power
from harness.verdict.assemble import VERSION, default_templates, render

__all__ = ["VERSION", "default_templates", "power", "render"]
