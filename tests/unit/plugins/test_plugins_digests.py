"""Digests of files of code are those of what the files hold now, although a file that stayed as it is is not read."""

from __future__ import annotations

import hashlib
import importlib
import os
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from harness.plugins import digests
from harness.plugins.digests import digest_code
from harness.plugins.distributions import Package, _find_places, _map_modules, describe_packages


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def replace_unseen(path: Path, data: bytes) -> None:
    """Write a file anew with the times that it had."""
    before = path.stat()
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_file_that_was_just_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    for number in range(50):  # many of them within one tick of the file system's clock
        data = f"a = {number:03}\n".encode()
        path.write_bytes(data) if number == 0 else replace_unseen(path, data)
        assert digest_code(path, text=True) == sha256(data)


def test_a_file_that_stays_as_it_is_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "SETTLING", -(10**12))  # as if all files had been written a while ago
    path = tmp_path / "module.py"
    path.write_bytes(b"a = 1\r\n")
    as_text, as_bytes = digest_code(path, text=True), digest_code(path, text=False)
    assert (as_text, as_bytes) == (sha256(b"a = 1\n"), sha256(b"a = 1\r\n"))
    read: list[str] = []
    monkeypatch.setattr(Path, "read_bytes", lambda self: read.append(str(self)) or b"")
    assert (digest_code(path, text=True), digest_code(str(path), text=False)) == (as_text, as_bytes)
    assert read == []
    monkeypatch.undo()
    other = tmp_path / "other.py"
    other.write_bytes(b"a = 2\r\n")
    before = path.stat()
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)
    assert digest_code(path, text=True) == sha256(b"a = 2\n")
    path.unlink()
    with pytest.raises(OSError):
        digest_code(path, text=True)


def test_a_package_that_was_described_before_stays_as_it_was_then() -> None:
    now = describe_packages(["pytest", "iniconfig"])
    before = {"pytest": Package(version="0", files="0" * 64), "gone": Package(version="1", files="1" * 64)}
    assert describe_packages(["pytest", "iniconfig"], before) == {"iniconfig": now["iniconfig"], **before}


def test_modules_belong_to_whom_the_standard_library_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may know more names: of folders that can't be imported, on some versions of Python.

    Another test may have loaded setuptools, which puts copies of other distributions on the path.
    """
    monkeypatch.setattr(sys, "path", [path for path in sys.path if Path(path).name != "_vendor"])
    importlib.invalidate_caches()
    ours, theirs = _map_modules.__wrapped__(), packages_distributions()
    assert {"torch", "numpy", "pydantic", "yaml"} <= ours.keys() <= theirs.keys()
    assert {module: sorted(owners) for module, owners in ours.items()} == {
        module: sorted(theirs[module]) for module in ours
    }
    assert not [module for module in theirs.keys() - ours.keys() if _find_places(module)]


def test_modules_are_found_whatever_a_distribution_writes_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = {
        "declared": {"top_level.txt": "one\ntwo\n", "RECORD": "other.py,,\n"},
        "recorded": {
            "RECORD": '"odd, name/__init__.py",,\nfolder/deep/part.py,,\nalone.py,sha256=x,1\nold.dist-info/x.py,,\n'
            f"compiled{EXTENSION_SUFFIXES[0]},,\ndata/table.csv,,\n../../bin/tool,,\n"
        },
        "nothing": {},
    }
    for name, files in written.items():
        folder = tmp_path / f"{name}-1.dist-info"
        folder.mkdir()
        header = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n\nIn its description stands\nName: another\n"
        for file, text in {"METADATA": header, **files}.items():
            (folder / file).write_text(text)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    expected = {"one": ["declared"], "two": ["declared"]}
    expected |= {name: ["recorded"] for name in ("folder", "alone", "compiled")}
    assert _map_modules.__wrapped__() == expected
