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


def test_a_digest_that_is_known_counts_only_if_it_is_the_one_that_the_file_should_have(tmp_path: Path) -> None:
    names = ("as-named", "other", "nobody-names-it")
    for name in names:
        (tmp_path / name).write_bytes(name.encode())
    right = {name: hashlib.sha256(name.encode()).hexdigest() for name in names}
    files = TrailFiles(tmp_path, right | {"other": "0" * 64})
    files.expected |= {"as-named": right["as-named"], "other": right["other"]}
    for name in names:
        (tmp_path / name).write_bytes(b"changed since")
    now = hashlib.sha256(b"changed since").hexdigest()
    assert [files.digest(name) for name in names] == [right["as-named"], now, now]
    assert files.read("as-named") == b"changed since"
    assert files.digest("as-named") == now, "of bytes that were read, nothing else is said"
