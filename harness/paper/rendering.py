"""The templates of papers, filled in LaTeX or in Markdown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.domain.templates import default_templates
from harness.paper.markup import MARKDOWN, TEX, Language

if TYPE_CHECKING:
    from jinja2 import Environment


def find_folder() -> Path:
    """Return the folder of the papers' templates.

    They are no ``*.j2``: a registration pins those, and nothing that a registration fixes depends on a paper.
    """
    return default_templates() / "paper"


def fill(name: str, context: Mapping[str, Any], *, tex: bool) -> str:
    """Fill a template, in LaTeX or in Markdown; whatever it prints is escaped, unless a function of ours wrote it."""
    text = _load_environment(tex).get_template(name).render(context)
    text = re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


class _Written(str):
    """Text that is LaTeX or Markdown already."""

    __slots__ = ()


@cache
def _load_environment(tex: bool) -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    language: Language = TEX if tex else MARKDOWN

    def finalize(value: Any) -> Any:
        return language.text(value) if isinstance(value, str) and not isinstance(value, _Written) else value

    environment = Environment(
        loader=FileSystemLoader(find_folder()),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # for HTML only; ``finalize`` escapes
        finalize=finalize,
        optimized=False,
    )
    for key in ("heading", "items", "table", "figure", "strong"):
        environment.globals[key] = _as_written(getattr(language, key))
    environment.globals["sentences"] = lambda told: _Written(" ".join(map(language.text, told)))
    environment.globals["tex"] = tex
    environment.globals["written"] = _Written
    return environment


def _as_written(write: Any) -> Any:
    return lambda *arguments: _Written(write(*arguments))
