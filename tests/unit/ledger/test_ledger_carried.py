"""What git takes of a trail, and the commands that are printed about it."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.ledger import Ledger, carried, lock_hypothesis, mending

REPOSITORY = Path(__file__).parents[3]
WORKING = (
    "small/000000000000/work/checkpoint.bin",
    "small/000000000000/weights/0.safetensors",
    "small/replicating-000000000000/verdict.json",
    "small/repeating-000000000000/results.json",
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
    with lock_hypothesis(ledger, "small"), ledger.locked():
        held = sorted(path.relative_to(root).as_posix() for path in root.rglob(".lock.held"))
        assert held == ["ledger/.lock.held", "small/.lock.held"]
        added = git(tmp_path, "add", "-A", "-n").splitlines()
    (event,) = (root / "ledger" / "events").glob("*.json")
    kept = {f"ledger/events/{event.name}", "small/000000000000/verdict.json"}
    beside = set(carried.BESIDE) if who == "the trail" else set()
    expected = {f"add 'verdicts/{name}'" for name in kept | beside}
    assert {line for line in added if line != "add '.gitignore'"} == expected


@pytest.mark.parametrize("committed", [True, False], ids=["converted here", "converted in git"])
def test_a_repair_is_obeyed_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, committed: bool) -> None:
    """The trail is named as one stands in its project, its name asks for quotes, and nothing protects it yet."""
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "Ada")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "ada@example.org")
    project, elsewhere = tmp_path / "Ada's study", tmp_path / "elsewhere"
    trail = project / "my verdicts"
    trail.mkdir(parents=True)
    elsewhere.mkdir()
    written, converted = b"one\ntwo\n", b"one\r\ntwo\r\n"
    name = f"objects/sha256/{hashlib.sha256(written).hexdigest()}"
    (trail / name).parent.mkdir(parents=True)
    (trail / name).write_bytes(written if committed else converted)
    git(tmp_path, "init", "-q", str(project))
    git(project, "add", ".")
    git(project, "commit", "-q", "-m", "first")
    (trail / name).write_bytes(converted if committed else written)
    monkeypatch.chdir(project)
    here = Path("my verdicts")
    command = (
        f"{mending.write_repair(here)} || true" if committed else mending.write_renormalising(here, name)
    )  # it has no event
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(["sh", "-ec", command], check=True, cwd=elsewhere, env=os.environ | {"PATH": path})
    assert (trail / name).read_bytes() == written
    assert git(project, "cat-file", "blob", f"HEAD:my verdicts/{name}") == written.decode()
    assert mending.ATTRIBUTE in (trail / ".gitattributes").read_text(encoding="utf-8").splitlines()
    assert list(elsewhere.iterdir()) == []
    if not committed:
        assert git(project, "status", "--porcelain") == ""
