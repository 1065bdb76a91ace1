"""The templates of pages: where this version's lie, and which ones releases of this package had.

A registration pins its templates, and whoever writes a template can have it say anything. So a page says what its
numbers say only if its template is one that was published: docs/decisions/0047. The list begins with the templates of
the stored verdicts, from before the first release.

At a release its templates are added under its number: tests/unit/domain/test_templates.py fails until they are,
and says what to add. Templates are listed once, under the first release that has them, and are never taken out.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

VERSION = 3
"""Current form of verdict.json."""


class Template(NamedTuple):
    """A template of a release."""

    name: str
    """Path of the template below the folder of templates."""
    sha256: str
    """Digest of its bytes, with line feeds at the ends of lines."""
    form: int
    """Form of verdict.json of that release: pages that it writes have this form or a later one."""


RELEASES: Mapping[str, tuple[Template, ...]] = {
    "0.1.0": (
        Template("verdict.md.j2", "5dcde78de70886e69ec31b472fd806f3dbee8a8e74db51e04bdf0530fff8d854", 1),
        Template("verdict.md.j2", "76f6e7d7e725809f5fed3ba2f7e1d2d2e241c65cb2f59430a9085d05b3de6c61", 1),
        Template("verdict.md.j2", "f69cc2a15fdecdf94b0559e0a3008b0f4f1c8b3e485eae954d5a10a3a45199fc", 1),
    ),
    "0.2.0": (
        Template("verdict.md.j2", "a4946f87600d4cf291888c3385855fba0323de1c0e919021542c20df6425d52f", 3),
        # Of no release, but of stored verdicts that were run under this number.
        Template("verdict.md.j2", "fcf3648a5d5ba1a135c0d2907ca1d25dadb10bb16d792a7dee7b553f7d91b39f", 3),
        Template("verdict.md.j2", "cb9fdda5a4ca95aa6db96edf0b0e3301ea139d0b11648d634ad2aa1696ec9921", 3),
    ),
}
"""Release → the templates that it was the first to have."""


def default_templates() -> Path:
    """Return the folder of the packaged templates: inside the package in a wheel, at the top of a checkout."""
    packaged = Path(__file__).parents[1] / "_templates"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "templates"


def read_texts(folder: Path) -> dict[str, str]:
    """Read the templates of a folder, sorted by path: path below it → text with line feeds at the ends of lines."""
    paths = sorted(folder.rglob("*.j2"))
    return {path.relative_to(folder).as_posix(): unify_line_ends(path.read_bytes()) for path in paths}


def unify_line_ends(data: bytes) -> str:
    """Return a template's text with line feeds at the ends of lines."""
    return re.sub(r"\r\n?", "\n", data.decode())


def describe_unknown(templates: Mapping[str, str], form: object = None) -> str | None:
    """Say what no release knows of a page: a template, name → SHA-256, or the form of its verdict.json.

    Return None if all is known. The templates of this very version count, released or not: whoever reads a page with it
    has them. Without ``form``, only the templates are looked at.
    """
    known = _find_known()
    forms = []
    for name, digest in templates.items():
        if (name, digest) not in known:
            return f"the template {name}, SHA-256 {digest[:12]}, is that of no release that this one knows"
        forms.append(known[name, digest])
    if not forms:
        return "no template was registered for it"
    if form is not None and not (type(form) is int and max(forms) <= form <= VERSION):
        return "no release that has its template wrote verdict.json in its form"
    return None


@cache
def _find_known() -> Mapping[tuple[str, str], int]:
    """Return (name, digest) of every known template → the first form that it was used with."""
    own = [
        Template(name, hashlib.sha256(text.encode()).hexdigest(), VERSION)
        for name, text in read_texts(default_templates()).items()
    ]
    listed = [template for release in RELEASES.values() for template in release]
    return {(one.name, one.sha256): one.form for one in (*own, *listed)}
