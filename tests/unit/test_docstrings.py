"""Docstrings are sentences or noun phrases that stand alone: none begins as a fragment of one."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("harness", "docs", "benchmarks")
FRAGMENT = re.compile(
    r'^ *"""(What|Whether|How|Where|When|Which|Who|Whose|Why|Of|As|In|For|From|With|Since|Before|So|Nothing|Those|That'
    r"|Its|Their|The same) .*$",
    re.MULTILINE,
)


def test_no_docstring_begins_as_a_fragment() -> None:
    """Ruff looks at those of functions and classes; this looks at those of fields and constants too."""
    files = sorted(file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py"))
    assert len(files) > 300
    found = [
        f"{file.relative_to(ROOT)}: {match[0].strip()}"
        for file in files
        for match in FRAGMENT.finditer(file.read_text(encoding="utf-8"))
    ]
    assert found == []
