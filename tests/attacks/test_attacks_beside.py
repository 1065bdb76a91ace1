"""A large trail is audited by two processes: they find what one finds, whatever becomes of the second."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
BOTH_WAYS = """
import sys
from pathlib import Path
from tests.attacks.corpus import CORPUS
from tests.attacks.trails import Trail, audited
from harness.ledger.audit import beside, steps

tried = 0
assert beside._can_fork()
good = Trail.read(Path(sys.argv[1]))
for attack in [attack for attack in CORPUS.values() if not attack.recompute]:
    trail = good.copy()
    attack.spoil(trail)
    steps.LARGE = 10**9
    alone = audited(trail)
    steps.LARGE = 0
    assert audited(trail) == alone, attack.name
    tried += 1
print(tried)
"""


two_processes = pytest.mark.skipif(
    sys.platform != "linux" or len(os.sched_getaffinity(0)) < 2,
    reason="elsewhere, and on one core, an audit has no second process",
)


@two_processes
def test_two_processes_find_what_one_finds(good_project: Path) -> None:
    command = [sys.executable, "-c", BOTH_WAYS, str(good_project / "verdicts")]
    ran = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout) > 60


ENDED = """
import os, signal, sys, threading, time
from harness.ledger.audit.beside import run_beside

def work():
    if os.getpid() != here:
        {there}
    return os.getpid()

here = os.getpid()
with run_beside(work) as there:
    pass
    print(there() == here)
"""


@two_processes
@pytest.mark.parametrize(
    ("there", "done_here"),
    [
        ("pass", False),
        ("os.kill(os.getpid(), signal.SIGKILL)", True),
        ("raise ValueError", True),
        ("sys.exit(3)", True),
    ],
)
def test_work_whose_process_ends_early_is_done_here(there: str, done_here: bool) -> None:
    ran = subprocess.run([sys.executable, "-c", ENDED.format(there=there)], capture_output=True, text=True)
    assert (ran.stdout.strip(), ran.stderr) == (str(done_here), "")


def test_a_process_with_threads_is_not_forked() -> None:
    code = ENDED.format(there="pass").replace(
        "with run_beside", "threading.Thread(target=time.sleep, args=(600,), daemon=True).start()\nwith run_beside"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ran.stdout.strip(), ran.stderr) == ("True", "")


@two_processes
def test_nothing_is_left_behind_by_a_block_that_fails() -> None:
    code = """
import multiprocessing, signal
from harness.ledger.audit.beside import run_beside
try:
    with run_beside(signal.pause):  # which nothing but a signal ends
        raise KeyboardInterrupt
except KeyboardInterrupt:
    print(len(multiprocessing.active_children()))
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (ran.stdout.strip(), ran.stderr) == ("0", "")


@two_processes
def test_the_second_process_ends_when_the_first_is_killed(tmp_path: Path) -> None:
    code = f"""
import os, signal
from pathlib import Path
from harness.ledger.audit.beside import run_beside
def work():
    if os.getpid() == here:
        return None
    half = Path({str(tmp_path / "half")!r})
    half.write_text(str(os.getpid()))
    half.rename({str(tmp_path / "child")!r})
    return b"x" * 300_000  # more than a pipe holds
here = os.getpid()
with run_beside(work):
    while not Path({str(tmp_path / "child")!r}).exists():
        pass
    os.kill(here, signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", code], timeout=240)  # waits, too, for whoever else holds its streams
    child = Path("/proc") / (tmp_path / "child").read_text() / "stat"
    for _ in range(1200):
        if not child.exists() or child.read_text().split()[2] == "Z":
            return
        time.sleep(0.05)
    pytest.fail("the second process is still there")


@two_processes
def test_without_a_process_to_be_had_the_work_is_done_here() -> None:
    limited = """
import resource, multiprocessing.connection, multiprocessing.popen_fork
resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
with run_beside"""
    code = ENDED.format(there="pass").replace("\nwith run_beside", limited)
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ran.stdout.strip(), ran.stderr) == ("True", "")
