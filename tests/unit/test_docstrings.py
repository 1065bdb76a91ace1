"""Docstrings are sentences or noun phrases that stand alone: none begins as a fragment of one."""

from __future__ import annotations

import re
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "harness"
FRAGMENT = re.compile(r'^ *"""(What|Whether|How|Where|Of|As|Nothing|Those|That|With) .*$', re.MULTILINE)


def test_no_docstring_begins_as_a_fragment() -> None:
    """Ruff looks at those of functions and classes; this looks at those of fields and constants too."""
    files = sorted(PACKAGE.rglob("*.py"))
    assert len(files) > 300
    found = [
        f"{file.relative_to(PACKAGE.parent)}: {match[0].strip()}"
        for file in files
        for match in FRAGMENT.finditer(file.read_text(encoding="utf-8"))
    ]
    assert found == []
