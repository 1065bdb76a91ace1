"""A small hypothesis, a ledger in an empty folder, and events made by hand as another clone would."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import rfc8785

from harness.ledger import Ledger
from harness.records import Hypothesis

SETUP: dict[str, Any] = {
    "dataset": {"name": "digits"},
    "model": {"name": "residual_mlp", "width": 8, "blocks": 2},
    "optimizer": {"name": "adamw", "lr": 1e-3},
    "epochs": 1,
    "batch_size": 128,
    "evaluation": {"metrics": ["test_accuracy", "gradient_norm"]},
}
HYPOTHESIS: dict[str, Any] = {
    "schema_version": 1,
    "id": "small",
    "title": "A small hypothesis",
    "question": "Does it work?",
    "prediction": {"outcome": "yes", "why": "It should."},
    "prior_data_seen": {"level": "none"},
    "setup": SETUP,
    "arms": {
        "vanilla": {"label": "Vanilla", "rule": {"name": "dfa"}, "setup": SETUP},
        "penalized": {
            "label": "Penalized",
            "rule": {"name": "dfa"},
            "penalty": {"name": "residual_branch", "strength": 0.01},
            "setup": SETUP,
        },
    },
    "seeds": {"count": 3},
    "estimands": {"direction": {"metric": "credit_cosine", "arm": "penalized", "layer": 1, "samples": "mean"}},
    "decisions": {
        "direction": {
            "estimand": "direction",
            "criterion": {"name": "t"},
            "bands": {"yes": "(-0.05, 0.05)", "no": "(-inf, -0.05] | [0.05, inf)"},
        }
    },
    "implications": {name: {"says": "So it is."} for name in ("yes", "no", "inconclusive", "invalid")},
}


@pytest.fixture
def make() -> Callable[..., Hypothesis]:
    """The hypothesis with leaves replaced: make((("seeds", "count"), 4))."""

    def build(*changes: tuple[tuple[str, ...], Any]) -> Hypothesis:
        data = json.loads(json.dumps(HYPOTHESIS))  # no part shared: the setup is in it three times
        for path, value in changes:
            target = data
            for key in path[:-1]:
                target = target[key]
            target[path[-1]] = value
        return Hypothesis.model_validate(data)

    return build


@pytest.fixture
def templates(tmp_path: Path) -> Path:
    folder = tmp_path / "templates"
    folder.mkdir()
    (folder / "verdict.md.j2").write_text("# {{ title }}\n")
    return folder


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "verdicts")


@pytest.fixture
def plant() -> Callable[..., str]:
    """Put an event there without lock, parents or checks of the ledger's, as a merge from another clone does."""

    def write(ledger: Ledger, parents: list[str], time: str = "2026-01-02T03:04:05Z", **fields: Any) -> str:
        event = {
            "v": 1,
            "type": "pilot",
            "parents": sorted(parents),
            "claimed_time": time,
            "actor": "Another",
            "body": {"hypothesis": "small", "settings": {}},
            **fields,
        }
        data = rfc8785.dumps(event)
        digest = hashlib.sha256(data).hexdigest()
        ledger.folder.mkdir(parents=True, exist_ok=True)
        (ledger.folder / f"{digest}.json").write_bytes(data)
        return digest

    return write


@pytest.fixture
def git(monkeypatch: pytest.MonkeyPatch) -> Callable[..., bytes]:
    """Run git, with no configuration but the repository's own."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")

    def run(folder: Path, *arguments: str) -> bytes:
        return subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True).stdout

    return run


@pytest.fixture
def repository(tmp_path: Path, git: Callable[..., bytes]) -> Path:
    """A repository with one commit, by a committer of its own."""
    folder = tmp_path / "project"
    folder.mkdir()
    git(folder, "init", "-q")
    git(folder, "config", "user.name", "Ada Example")
    git(folder, "config", "user.email", "ada@example.org")
    (folder / "code.py").write_text("x = 1\n")
    (folder / "verdicts").mkdir()
    (folder / "verdicts" / "kept.txt").write_text("kept\n")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    return folder
