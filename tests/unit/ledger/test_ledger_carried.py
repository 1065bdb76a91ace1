"""What git takes of a trail, and the commands that are printed about it."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness.ledger import Ledger, carried, one_at_a_time

REPOSITORY = Path(__file__).parents[3]
WORKING = (
    "small/000000000000/work/checkpoint.bin",
    "small/000000000000/weights/0.safetensors",
    "small/replicating-000000000000/verdict.json",
    "small/000000000000/.verdict.json.0a1b.tmp",
    "ledger/events/.event.0a1b.tmp",
)


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True, text=True)
    return done.stdout


def refuse(*_: object, **__: object) -> Any:
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))


@pytest.mark.parametrize("who", ["the trail", "this repository"])
def test_git_takes_no_lock_and_no_working_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, who: str) -> None:
    fcntl = pytest.importorskip("fcntl")
    monkeypatch.setattr(fcntl, "flock", refuse)
    root = tmp_path / "verdicts"
    git(tmp_path, "init", "-q")
    if who == "the trail":
        root.mkdir()
        carried.prepare(root)
    else:
        (tmp_path / ".gitignore").write_bytes((REPOSITORY / ".gitignore").read_bytes())
    ledger = Ledger(root)
    ledger.append("pilot", {"hypothesis": "small", "settings": {}}, actor="A")
    for name in WORKING:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    (root / "small" / "000000000000" / "verdict.json").write_bytes(b"{}")
    with one_at_a_time(ledger, "small"), ledger.locked():
        held = sorted(path.relative_to(root).as_posix() for path in root.rglob(".lock.held"))
        assert held == ["ledger/.lock.held", "small/.lock.held"]
        added = git(tmp_path, "add", "-A", "-n").splitlines()
    (event,) = (root / "ledger" / "events").glob("*.json")
    kept = {f"ledger/events/{event.name}", "small/000000000000/verdict.json"}
    beside = set(carried.BESIDE) if who == "the trail" else set()
    expected = {f"add 'verdicts/{name}'" for name in kept | beside}
    assert {line for line in added if line != "add '.gitignore'"} == expected
