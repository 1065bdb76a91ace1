"""Files of a trail are read whole or refused, whatever their size."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from harness.ledger.audit import TrailFiles


@pytest.mark.parametrize("size", [0, 1, 2**16, 3 * 2**20 + 5])
def test_a_file_is_read_whole_or_refused(tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    (tmp_path / "file").write_bytes(data)
    files = TrailFiles(tmp_path)
    assert files.read("file") == data
    assert files.digest("file") == hashlib.sha256(data).hexdigest()
    for limit in {0, 1, size - 1, size, size + 1} - {-1}:
        if limit >= size:
            assert TrailFiles(tmp_path).read("file", limit) == data
        else:
            with pytest.raises(OSError, match=rf"it has {size:,} bytes, more than the {limit:,} that are read"):
                TrailFiles(tmp_path).read("file", limit)


def test_a_file_system_that_hands_out_parts_is_read_to_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = os.urandom(50_000)
    (tmp_path / "file").write_bytes(data)
    files, read = TrailFiles(tmp_path), os.read
    monkeypatch.setattr(os, "read", lambda descriptor, count: read(descriptor, min(count, 4096)))
    assert files.read("file") == data


def test_a_link_put_in_place_of_a_listed_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"listed")
    files = TrailFiles(tmp_path)
    (tmp_path / "file").unlink()
    (tmp_path / "file").symlink_to("/etc/hostname")
    with pytest.raises(OSError, match=r"a link, not a file"):
        files.read("file")
