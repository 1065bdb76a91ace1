"""Every rule that the registry finds, through the command line: killed, it resumes to the same bytes."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from pathlib import Path

from harness.plugins.registry import find_members
from tests.e2e import commands
from tests.e2e.projects import TINY, Project, make_project


def write_all_rules(project: Project) -> None:
    """An arm for each rule that needs no parameter."""
    arms = "".join(f"  {name}: {{label: {name}, rule: {{name: {name}}}}}\n" for name in find_members("rules"))
    text = TINY[: TINY.index("arms:\n")] + "arms:\n" + arms + TINY[TINY.index("  shallow:") :]
    text = text.replace("save: [weights]", "save: [weights, feedback]").replace("epochs: 8", "epochs: 2")
    text = text.replace("count: 6", "count: 5").replace("width: 16", "width: 8")
    (project.root / "hypotheses/tiny.yaml").write_text(text)


def list_checkpoints(project: Project) -> dict[Path, int]:
    """What training has left so far, and when."""
    found = {}
    for path in project.root.glob("verdicts/tiny/*/work/*"):
        if path.suffix in (".safetensors", ".json"):
            try:
                found[path] = path.stat().st_mtime_ns
            except FileNotFoundError:  # finished cohorts are tidied up
                continue
    return found


def test_killed_while_any_rule_trains_it_resumes_to_the_same_bytes(tmp_path: Path) -> None:
    commands.load("torch._dynamo")  # which PyTorch takes a second to load where it differentiates forward
    killed, whole = make_project(tmp_path / "killed"), Project(tmp_path / "whole")
    write_all_rules(killed)
    assert killed.harness("register", "hypotheses/tiny.yaml").returncode == 0
    shutil.copytree(killed.root, whole.root)
    ran = whole.harness("run", "hypotheses/tiny.yaml", "--device", "cpu")
    assert ran.returncode == 0, ran.stderr
    command = ("run", "hypotheses/tiny.yaml", "--device", "cpu", "--checkpoint-every", "0.001")
    kills = 0
    for _ in range(4):
        before = list_checkpoints(killed)
        process = killed.start(*command, stdout=subprocess.DEVNULL)
        while process.poll() is None and list_checkpoints(killed) == before:
            time.sleep(0.005)
        if process.poll() is None and not killed.events("verdict"):
            process.send_signal(signal.SIGKILL)
        process.communicate()
        if process.returncode == 0 or killed.events("verdict"):
            break
        kills += 1
    assert kills >= 3
    ran = killed.harness(*command)
    assert ran.returncode == 0 or killed.events("verdict"), ran.stderr
    (expected,), (resumed,) = whole.runs(), killed.runs()
    assert (resumed / "results.json").read_bytes() == (expected / "results.json").read_bytes()
    names = sorted(path.relative_to(expected) for path in expected.rglob("weights/*/*.safetensors"))
    assert names
    for name in names:
        assert (resumed / name).read_bytes() == (expected / name).read_bytes(), name
