"""Whose modules are told of as loaded in a process."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from harness.plugins.distributions import list_modules


@pytest.mark.parametrize("place", ["cache/ab12", "elsewhere"])
def test_what_triton_compiles_of_itself_is_not_other_peoples(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its bytes are those of no other machine, so that every rerun would seem to have loaded something else."""
    folder = tmp_path / place
    folder.mkdir(parents=True)
    names = f"made_by_{place[:5]}", "cuda_utils"
    for name in names:
        (folder / f"{name}.py").write_text("")
        module = ModuleType(name)
        module.__file__ = str(folder / f"{name}.py")
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr("harness.plugins.distributions._is_other", lambda name: name in names)
    assert list_modules() == tuple(sorted(names[: 1 if place.startswith("cache") else 2]))
