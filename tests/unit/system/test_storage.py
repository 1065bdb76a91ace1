"""Where compilers keep what they made."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.system.storage import give_working_folder
from harness.system.without import collect_notes


def test_a_compiler_has_a_folder_where_there_is_no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE", "/proc/none")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("TRITON_CACHE_DIR", "")  # so that it is as it was afterwards
    monkeypatch.delenv("TRITON_CACHE_DIR")
    with collect_notes() as notes:
        give_working_folder("TRITON_CACHE_DIR", "triton")
        give_working_folder("TRITON_CACHE_DIR", "triton")
    folder = Path(os.environ["TRITON_CACHE_DIR"])
    assert [folder] == list(tmp_path.iterdir()) and os.access(folder, os.W_OK)
    assert len(notes) == 1 and notes[0].startswith("there is no cache folder that can be written to")


def test_whoever_names_a_compiler_s_cache_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    monkeypatch.setenv("TRITON_CACHE_DIR", "mine")
    give_working_folder("TRITON_CACHE_DIR", "triton")
    assert os.environ["TRITON_CACHE_DIR"] == "mine" and not list(tmp_path.iterdir())
