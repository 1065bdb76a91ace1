"""The walk in docs/architecture.md leads through files that are there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_file_that_the_newcomers_walk_names_is_there() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    walk = text.partition("## A newcomer's walk")[2].partition("\n## ")[0]
    named = [name for name in re.findall(r"`([\w/.<>]+\.(?:py|j2))`", walk) if "<" not in name]
    assert len(named) > 30
    assert [name for name in named if not (ROOT / "harness" / name).exists() and not (ROOT / name).exists()] == []
