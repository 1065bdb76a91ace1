"""The program's options, prepared once for all tests that call it in this process."""

from __future__ import annotations

from functools import cache

import pytest
import typer.main
import typer.testing

PREPARE = cache(typer.main.get_command)


@pytest.fixture(autouse=True)
def prepared_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have ``CliRunner`` take what typer made of all verbs before: making it takes longer than most calls."""
    monkeypatch.setattr(typer.testing, "_get_command", PREPARE)
