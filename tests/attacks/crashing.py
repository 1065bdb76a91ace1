"""SIGKILL before every durable step of an append and of a run, one after another; then the same command again.

python -m tests.attacks.crashing goes over all steps, ``test_attacks_crash.py`` over some of them. A durable step is a
call that changes what another process will find: a file made, fsync, rename, link, unlink, a folder made or removed.
Being killed after one is being killed before the next. Python itself tells of these calls (``sys.addaudithook``), so
they are seen however a library reaches them; only of fsync it says nothing.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from harness.ledger import Ledger
from harness.ledger.audit import AuditReport, Evidence, TrailFiles
from harness.ledger.audit.artefacts import list_named_objects
from harness.ledger.audit.files import is_temporary, is_unlisted
from harness.ledger.carried import BESIDE
from harness.pipeline.audit import AuditRequest, audit_trail
from harness.pipeline.project import Settings
from harness.pipeline.register import register_hypothesis
from harness.pipeline.run import run_hypothesis
from harness.pipeline.session import Session
from tests.attacks import good
from tests.attacks.trails import sorts

# A server that has loaded torch and never used it: its children start at once, and none inherits a thread.
server = multiprocessing.get_context("forkserver")
server.set_forkserver_preload(["harness.pipeline.preload", "harness.pipeline.run", "tests.attacks.crashing"])

STEPS = {
    "os.rename": "rename",
    "os.link": "link",
    "os.remove": "unlink",
    "os.mkdir": "mkdir",
    "os.rmdir": "rmdir",
}
"""Audit events of Python that are durable steps; os.replace is a rename to it."""
ALLOWED = {"no-repository", "nothing-kept", "not-asked", "not-rerun", "stray", "leftover", "run-open", "run-unjudged"}
ALLOWED |= {"choosable", "not-repeated", "code-not-compared"}
ALLOWED |= {"resumed", "given-up-late"}
"""What an audit may find where a writer was killed: everything there is whole, something may be unfinished."""
PILOT = {"hypothesis": "second", "settings": {}}


def registered(root: Path) -> Path:
    """A project with one registered hypothesis, so that every run of it has the same seeds."""
    good.write_files(root)
    register_hypothesis(root / "hypotheses" / "second.yaml", session(root))
    return root


def session(root: Path) -> Session:
    own = {"verdicts": root / "verdicts", "data": root / "data"}
    return Session.open(root / "hypotheses", Settings(device="cpu", checkpoint_seconds=0.0, compile="off", **own))


def run(root: Path) -> None:
    run_hypothesis(root / "hypotheses" / "second.yaml", session(root))


def append(root: Path) -> None:
    Ledger(root / "verdicts").append("pilot", PILOT, actor="A")


def dying(what: Callable[[Path], None], root: Path, at: int) -> None:
    """Do it, and die before the durable step of this number below the project; 0: never, and note the steps."""
    done: list[str] = []
    lock = threading.Lock()  # checkpoints are written in a thread

    def step(name: str) -> None:
        with lock:
            done.append(name)
            if len(done) == at:
                os.kill(os.getpid(), signal.SIGKILL)

    def told(event: str, args: tuple[Any, ...]) -> None:
        if event == "open" and str(args[0]).startswith(str(root)):
            if str(args[0]).endswith(".lock"):  # there already or not: whoever takes the lock opens it
                step("lock")
            elif args[2] & os.O_CREAT:
                step("open")
        elif event in STEPS:
            step(STEPS[event])

    real = os.fsync

    def fsync(descriptor: int) -> None:
        step("fsync")
        real(descriptor)

    os.fsync = fsync
    sys.addaudithook(told)
    what(root)
    steps = " ".join(done)  # before the file for them is one more
    (root / "steps").write_text(steps)


def child(what: Callable[[Path], None], root: Path, at: int = 0) -> int | None:
    context = server if what is run else multiprocessing.get_context("fork")
    process = context.Process(target=dying, args=(what, root, at))
    process.start()
    process.join(120)
    return process.exitcode


def checked(root: Path) -> AuditReport:
    return audit_trail(root / "verdicts", root / "hypotheses", AuditRequest())


def results(root: Path) -> dict[str, bytes]:
    """What a run came to, digests of its weights included; its pages tell when, and in how many starts."""
    (path,) = (root / "verdicts" / "second").glob("*/results.json")
    return {file.name: file.read_bytes() for file in (path, *sorted(path.parent.glob("figures/*.svg")))}


def assert_strays_are_named(root: Path, report: AuditReport) -> None:
    """Every file that no event names is in the report, working files and weights aside."""
    evidence = Evidence(TrailFiles(root / "verdicts"))
    known = {*BESIDE} | {f"objects/sha256/{digest}" for _, digest in list_named_objects(evidence)}
    known |= {f"{run.folder}/{name}" for run, verdict in evidence.index.judged() for name in verdict.body.files}
    known |= {f"ledger/events/{digest}.json" for digest in evidence.index.digests}
    told = {finding.where for finding in report.findings}
    for path in evidence.files.paths:
        expected = path in known or (is_unlisted(path) and not is_temporary(path))
        assert expected or evidence.files.shown(path) in told, path


def kills(what: Callable[[Path], None], start: Path, shares: Sequence[float] = ()) -> Iterator[str]:
    """Kill before every step, or before those at these ``shares`` of the way, and do it again; a line for each."""
    whole = Path(shutil.copytree(start, start.with_name(f"whole-{what.__name__}")))
    assert child(what, whole) == 0
    steps = (whole / "steps").read_text().split()
    yield f"{what.__name__}: {len(steps)} steps: {', '.join(f'{n} {name}' for name, n in Counter(steps).items())}"
    for number in [1 + int(share * len(steps)) for share in shares] or range(1, len(steps) + 1):
        root = Path(shutil.copytree(start, start.with_name("killed")))
        assert child(what, root, number) == -signal.SIGKILL
        between = checked(root)
        assert sorts(between) <= ALLOWED, (number, sorts(between) - ALLOWED)
        assert_strays_are_named(root, between)
        before = {event.digest for event in Ledger(root / "verdicts").events()}
        judged = any(subject.outcomes for subject in between.hypotheses)
        if what is append or not judged:
            assert child(what, root) == 0
        last = checked(root)
        assert sorts(last) <= ALLOWED - {"run-open", "run-unjudged"}, (number, sorts(last))
        assert before <= {event.digest for event in Ledger(root / "verdicts").events()}
        if what is run:
            (subject,) = last.hypotheses
            assert subject.counted == "1 started: 1 finished", (number, subject.counted)
            assert results(root) == results(whole), number
        shutil.rmtree(root)
        yield f"{what.__name__} killed before step {number} of {len(steps)}, {steps[number - 1]}: {said(between)}"


def said(report: AuditReport) -> str:
    """What the audit tells of a killed process."""
    own = sorts(report) & {"stray", "leftover", "run-open", "run-unjudged"}
    attempts = "".join(f"{subject.counted}; " for subject in report.hypotheses)
    return f"{attempts}{', '.join(sorted(own)) or 'nothing is left over'}"


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    some = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    shares = [number / some for number in range(some)]
    with tempfile.TemporaryDirectory() as folder:
        start, count = registered(Path(folder) / "start"), 0
        for killed in (append, run):
            for line in kills(killed, start, shares):
                print(line, flush=True)
                count += "killed before" in line
    print(f"{count} processes killed and their work done again: nothing lost, nothing broken, every stray named")
