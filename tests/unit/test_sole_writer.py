"""Who may write into a folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.errors import StorageFailed
from harness.system import locks
from harness.system.locks import sole_writer

pytestmark = pytest.mark.skipif(os.name == "nt", reason="there are no such locks on Windows")


def test_a_second_writer_is_refused_and_told_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "END_SECONDS", 0.0)
    with sole_writer(tmp_path / "work"):
        with pytest.raises(StorageFailed, match="still writing") as refused, sole_writer(tmp_path / "work"):
            pass
        assert refused.value.where == str(tmp_path / "work") and refused.value.remedy
    with sole_writer(tmp_path / "work"):
        pass


def test_a_lock_lasts_as_long_as_anybody_holds_its_descriptor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "END_SECONDS", 0.0)
    with sole_writer(tmp_path) as descriptor:
        assert descriptor is not None
        kept = os.dup(descriptor)
    with pytest.raises(StorageFailed), sole_writer(tmp_path):
        pass
    os.close(kept)
    with sole_writer(tmp_path):
        pass
