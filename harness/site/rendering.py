"""The templates of the site, in an environment of their own: everything that people wrote is shown as text."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from harness import wording
from harness.domain.templates import default_templates
from harness.wording import format_count, format_p_equals, make_plain, typeset

if TYPE_CHECKING:
    from jinja2 import Environment

ASSETS = ("site.css", "site.js")
"""Files beside the pages that go out as they are."""


def find_folder() -> Path:
    """Return the folder of the site's templates.

    They are no ``*.j2``: a registration pins those, and nothing that a registration fixes depends on the site.
    """
    return default_templates() / "site"


def fill(name: str, context: Mapping[str, Any]) -> str:
    """Fill a template of the site."""
    lines = _load_environment().get_template(name).render(context).splitlines()
    return "\n".join(line.rstrip() for line in lines if line.strip()) + "\n"


def shorten(text: str, length: int) -> str:
    """Return text cut to so many characters."""
    return text if len(text) <= length else f"{text[: length - 1].rstrip()}…"


@cache
def _load_environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    from harness.verdict.compiled import TemplateBytecodeCache

    environment = Environment(
        loader=FileSystemLoader(find_folder()),
        bytecode_cache=TemplateBytecodeCache((__file__, wording.__file__)),  # of constants, too, that these two write
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )
    environment.filters.update(
        counted=lambda count, noun, plural=None: format_count(count, noun, plural),
        p_equals=format_p_equals,
        shorten=shorten,
        typeset=typeset,
    )
    return environment


def _finalize(value: Any) -> Any:
    """Return text with nothing in it that a reader can't see: what turns or hides other text is written as escapes."""
    return make_plain(value) if isinstance(value, str) and not isinstance(value, Markup) else value
