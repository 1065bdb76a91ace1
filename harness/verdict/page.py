"""Rendering of templates. Output is escaped unless a filter made it Markdown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import wording
from harness.domain.templates import default_templates, read_texts, unify_line_ends
from harness.errors import HarnessError
from harness.verdict import text as filters
from harness.verdict.text import FILTERS, FILTERS_BEFORE, Markdown, escape, escape_before

if TYPE_CHECKING:
    from jinja2 import Environment

Templates = tuple[tuple[str, str], ...]
"""Name and text of each template."""


def fill(name: str, context: Mapping[str, Any], templates: Path | Mapping[str, bytes], *, before: bool = False) -> str:
    """Fill the template ``name`` of a folder, or of templates that are kept elsewhere (name → bytes).

    ``before`` selects the filters of pages of form 1 or 2.

    Raises:
        HarnessError: the template is missing, has a mistake, or uses an unknown variable.
    """
    from jinja2 import TemplateError

    try:
        text = _environment(_texts(templates), before).get_template(name).render(context)
    except (TemplateError, TypeError) as error:
        raise HarnessError(
            f"the template cannot be filled: {type(error).__name__}: {error}",
            where=str(templates / name) if isinstance(templates, Path) else name,
            remedy="templates/README.md lists the variables and filters that a template gets",
        ) from error
    text = re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def _texts(templates: Path | Mapping[str, bytes]) -> Templates:
    if isinstance(templates, Path):
        return tuple(read_texts(templates).items())
    return tuple((name, unify_line_ends(data)) for name, data in templates.items())


@lru_cache(maxsize=4)  # compiling takes longer than filling, and a process may judge several runs
def _environment(templates: Templates, before: bool) -> Environment:
    from jinja2 import DictLoader, StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    from harness.verdict.compiled import TemplateBytecodeCache

    packaged = templates == _texts(default_templates())
    # Sandboxed, because an audit renders templates that somebody else registered.
    environment = ImmutableSandboxedEnvironment(
        loader=DictLoader(dict(templates)),
        bytecode_cache=TemplateBytecodeCache(compiled_from()) if packaged and not before else None,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # for HTML only; ``finalize`` escapes for Markdown
        finalize=_finalize_before if before else _finalize,
        optimized=False,  # constant folding takes longer than it saves
    )
    environment.filters.update(FILTERS_BEFORE if before else FILTERS)
    return environment


def compiled_from() -> tuple[str, ...]:
    """Return the files of the modules that a compiled template depends on.

    jinja2 filters and escapes constants when it compiles, in the environment that this module creates.
    """
    return __file__, filters.__file__, wording.__file__


def _finalize_before(value: Any) -> str:
    return escape_before(value) if isinstance(value, str) and not isinstance(value, Markdown) else _finalize(value)


def _finalize(value: Any) -> str:
    """Escape text; refuse a number with a fraction that no filter has formatted."""
    from jinja2 import Undefined

    if isinstance(value, Markdown):
        return value
    if isinstance(value, str):
        return escape(value)
    if isinstance(value, Undefined):
        return str(value)  # raises
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value}"
    raise TypeError(f"{value!r} is printed without a filter")
