"""SIGKILL before and after every durable step of a run; then the same command again.

python tests/attacks/crashing.py goes over all steps; ``test_attacks_crash.py`` over some of them.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import good
from trails import sorts

from harness import ledger, pipeline
from harness.ledger.audit import AuditReport
from harness.pipeline import Asked, Reporter, Settings, audit_trail

# A server that has loaded torch and never used it: its children start at once, and none inherits a thread.
server = multiprocessing.get_context("forkserver")
server.set_forkserver_preload(["torch", "harness.pipeline", "harness.engine", "sklearn.datasets", "crashing"])

ALLOWED = {"no-history", "nothing-kept", "not-asked", "not-rerun", "stray", "leftover", "run-open", "run-unjudged"}
"""What an audit may find where a writer was killed: everything there is whole, something may be unfinished."""


def registered(root: Path) -> Path:
    """A project with one registered hypothesis, so that every run of it has the same seeds."""
    good.write_files(root)
    settings = pipeline.Settings(device="cpu", verdicts=root / "verdicts", data=root / "data")
    pipeline.register(root / "hypotheses" / "second.yaml", settings, pipeline.Reporter())
    return root


def child(root: Path, at: int, after: bool) -> None:
    """Run, and die at the durable step of this number; 0: never."""
    counted = {"steps": 0}

    def killing(real: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any, **kwargs: Any) -> Any:
            counted["steps"] += 1
            mine = counted["steps"] == at
            if mine and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            result = real(*args, **kwargs)
            if mine and after:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return step

    os.link, Path.replace, shutil.rmtree = killing(os.link), killing(Path.replace), killing(shutil.rmtree)  # type: ignore[method-assign]
    settings = pipeline.Settings(
        device="cpu", verdicts=root / "verdicts", data=root / "data", checkpoint_seconds=0.0, compile="off"
    )
    pipeline.run(root / "hypotheses" / "second.yaml", settings, pipeline.Reporter())
    (root / "steps").write_text(str(counted["steps"]))


def run(root: Path, at: int = 0, after: bool = False) -> int | None:
    process = server.Process(target=child, args=(root, at, after))
    process.start()
    process.join(120)
    return process.exitcode


def checked(root: Path) -> AuditReport:
    return audit_trail(root / "verdicts", root / "hypotheses", Asked(), Settings(), Reporter())


def results(root: Path) -> bytes:
    (path,) = (root / "verdicts" / "second").glob("*/results.json")
    return path.read_bytes()


def kills(start: Path, every: int = 1) -> Iterator[str]:
    """Kill at every so many steps, and finish; a line for each."""
    whole = Path(shutil.copytree(start, start.with_name("whole")))
    assert run(whole) == 0
    expected, steps = results(whole), int((whole / "steps").read_text())
    for number in range(1, steps + 1, every):
        for after in (False, True):
            root = Path(shutil.copytree(start, start.with_name(f"killed-{number}-{after}")))
            assert run(root, number, after) == -signal.SIGKILL
            between = checked(root)
            assert sorts(between) <= ALLOWED, (number, after, sorts(between) - ALLOWED)
            judged = any(subject.outcomes for subject in between.hypotheses)
            if not judged:
                assert run(root) == 0
            # Killed between its first event and its first file, an attempt looks like one of another machine: it stays
            # open until a person closes it, and the same command starts anew.
            left = [a for a in ledger.attempts(ledger.Ledger(root / "verdicts"), "second") if a.status == "open"]
            for attempt in left:
                pipeline.close(attempt.run, root / "verdicts", "Killed before it had begun.")
            last = checked(root)
            assert sorts(last) <= ALLOWED - {"run-open", "run-unjudged"}, (number, after, sorts(last))
            (subject,) = last.hypotheses
            wanted = "2 started: 1 finished, 1 aborted" if left else "1 started: 1 finished"
            assert subject.counted == wanted, (number, after, subject.counted)
            assert results(root) == expected, (number, after)
            shutil.rmtree(root)
            yield f"killed {'after' if after else 'before'} step {number} of {steps}: {sorted(sorts(between))}"


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as folder:
        count = 0
        for line in kills(registered(Path(folder) / "start"), int(sys.argv[1]) if len(sys.argv) > 1 else 1):
            print(line, flush=True)
            count += 1
        print(f"{count} runs killed and finished: nothing lost, nothing broken")
