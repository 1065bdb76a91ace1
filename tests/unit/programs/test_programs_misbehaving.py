"""Programs that misbehave: each has a named end, nothing of the others is lost, and nothing is left running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness.domain.trained import Progress, Result
from harness.errors import Interrupted, TrainingFailed
from harness.programs.folders import ReplicaFolder
from harness.programs.process import End, Running, start
from tests.unit.programs.toys import GOOD, Toy, make

pytestmark = pytest.mark.skipif(os.name == "nt", reason="programs run on Linux and macOS")
ONE = {"of_arms": 1, "of_seeds": 1}
MANY = """\
import itertools, os, time
for n in itertools.count():
    time.sleep(0.005)
    open(os.environ['HARNESS_OUT'] + f'/{n}', 'wb').write(bytes(2**20))
"""
LARGE = """\
import os
with open(os.environ['HARNESS_OUT'] + '/x', 'wb') as file:
    while True:
        file.write(bytes(2**20))
        file.flush()
"""
FLOOD = """\
import sys
print('begun')
for _ in range(3000):
    print('x' * 1000)
sys.stdout.flush()
print('ended', file=sys.stderr)
"""
COUNT = """\
import os
kept = os.environ['HARNESS_RESUME'] + '/n'
n = len(open(kept).read()) if os.path.exists(kept) else 0
open(kept, 'a').write('x')
"""
SLEEPER = "import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'"


def find_left(folder: Path) -> list[int]:
    """Return the processes whose command or environment names a folder: what a toy left running."""
    found = []
    for number in filter(str.isdigit, (path.name for path in Path("/proc").iterdir())):
        for part in ("cmdline", "environ"):
            try:
                told = Path("/proc", number, part).read_bytes()
            except OSError:
                continue
            if os.fsencode(folder) in told and int(number) != os.getpid():
                found.append(int(number))
    return found


def await_none_left(folder: Path) -> None:
    """Wait until nothing is left running, which the system may take a moment to show."""
    for _ in range(600):
        if not find_left(folder):
            return
        time.sleep(0.05)
    raise AssertionError(f"left running: {find_left(folder)}")


def read_log(folder: Path, result: Result) -> bytes:
    run = result.runs[0]
    return (folder / "logs" / f"{run.arm}-{run.seed_index}.log").read_bytes()


ENDS = {
    "hangs": ("import time\ntime.sleep(600)", {"timeout": "1 s"}, "it took longer than 1 s"),
    "hangs with a grandchild": (
        f"{SLEEPER}])\nimport time\ntime.sleep(600)", {"timeout": "1 s"}, "it took longer than 1 s",
    ),
    "ignores SIGTERM": (
        "import signal, time\nsignal.signal(15, signal.SIG_IGN)\ntime.sleep(600)",
        {"timeout": "1 s"},
        "it took longer than 1 s",
    ),
    "crashes": ("raise RuntimeError('no')", {}, "it ended with exit code 1"),
    "crashes by a signal": ("import os\nos.kill(os.getpid(), 11)", {}, "it ended by signal 11"),
    "writes nothing": ("", {}, "it ended with exit code 0, and its results file metrics.json is not there"),
    "writes a folder": (
        "import os\nos.mkdir(os.environ['HARNESS_OUT'] + '/metrics.json')", {},
        "it ended with exit code 0, and its results file metrics.json is no regular file",
    ),
    "writes a link elsewhere": (
        "import os\nos.symlink('/etc/hostname', os.environ['HARNESS_OUT'] + '/metrics.json')", {},
        "it ended with exit code 0, and its results file metrics.json is no regular file",
    ),
    "writes NaN": (
        GOOD.replace("accuracy}}", "float('nan')}}"), {},
        "its results hold NaN, which is no number in JSON: write null, or the status diverged",
    ),
    "is cut off": (
        GOOD.replace("json.dump(", "file.write(json.dumps(").replace(", file)", ")[:-3])"), {},
        "its results file is not JSON: cut off, or not written as such",
    ),
    "writes a percentage": (
        GOOD.replace("accuracy}}", "50.0}}"), {},
        "test_accuracy is 50 at epoch 1, outside its bounds 0 to 1; a percentage, where a fraction is declared?",
    ),
    "writes another metric": (
        GOOD.replace('"test_accuracy"', '"accuracy"'), {}, "its results have no test_accuracy at epoch 1",
    ),
    "writes gigabytes into one file": (LARGE, {"size": "20 MB"}, "it wrote more than 20 MB"),
    "writes gigabytes into many": (MANY, {"size": "20 MB"}, "it wrote more than 20 MB"),
    "needs a terminal": ("input('name? ')", {}, "it ended with exit code 1"),
    "opens the terminal": ("open('/dev/tty')", {}, "it ended with exit code 1"),
    "kills its parent": (
        "import os, time\nos.kill(os.getppid(), 9)\ntime.sleep(600)", {},
        "it was killed: so was the process that watched it",
    ),
    "stops its parent": (
        "import os, signal, time\nos.kill(os.getppid(), signal.SIGSTOP)\ntime.sleep(600)", {"timeout": "1 s"},
        "it took longer than 1 s",
    ),
    "makes a file of its folder": (
        "import os, shutil\nown = os.path.dirname(os.environ['HARNESS_OUT'])\nshutil.rmtree(own)\nopen(own, 'w')", {},
        "it ended with exit code 0, and its results file metrics.json is not there",
    ),
    "kills itself": (
        "import os\nos.kill(os.getpid(), 9)", {},
        "it was killed: SIGKILL, the system's answer to too much memory, perhaps",
    ),
    "is preempted": ("raise SystemExit(75)", {}, "it was preempted: exit code 75"),
}  # fmt: skip


@pytest.mark.parametrize("kind", ENDS)
def test_a_program_that_misbehaves_has_a_named_end_and_leaves_nothing_running(kind: str, tmp_path: Path) -> None:
    script, program, end = ENDS[kind]
    toy = make(tmp_path, script, program=program, **ONE)
    result = toy.run()
    (replica,) = result.replicas
    assert (replica.status, replica.failure) == ("failed", end)
    await_none_left(tmp_path)


def test_the_end_is_the_same_wherever_it_happens(tmp_path: Path) -> None:
    """A failure stands in results.json, whose bytes say the same on every machine."""
    told = []
    for folder in (tmp_path / "a", tmp_path / "some" / "other"):
        result = make(folder, "raise RuntimeError", **ONE).run()
        told.append(result.replicas[0].to_json())
    assert told[0] == told[1]


@pytest.mark.parametrize(
    "script",
    [
        f"{SLEEPER}])",
        f"{SLEEPER}], start_new_session=True)",
        "import os, time\nif os.fork() == 0:\n os.setsid()\n os.fork() or time.sleep(600)\n os._exit(0)\nos.wait()",
        "import os, time\nfor _ in range(20):\n if os.fork() == 0: time.sleep(600); os._exit(0)",
    ],
    ids=["child", "child in a session of its own", "daemon", "twenty forks"],
)
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux gives orphans to the guard")
def test_what_a_program_leaves_running_ends_with_it(script: str, tmp_path: Path) -> None:
    toy = make(tmp_path, f"{script}\n{GOOD}", **ONE)
    assert [one.status for one in toy.run().replicas] == ["finished"]
    await_none_left(tmp_path)


def test_a_flood_of_output_keeps_its_beginning_and_its_end(tmp_path: Path) -> None:
    result = make(tmp_path, FLOOD + GOOD, **ONE).run()
    assert result.replicas[0].status == "finished"
    log = read_log(tmp_path / "run", result)
    assert len(log) < 2**20 + 100
    assert log.startswith(b"begun\n")
    assert log.endswith(b"ended\n")
    assert b" bytes left out]" in log


def test_what_a_program_nests_deeply_or_puts_in_the_place_of_folders_is_removed_and_nothing_else(
    tmp_path: Path,
) -> None:
    """Folders in folders, more than Python's calls go down; a folder where its results are sealed; a link for one."""
    target = tmp_path / "target"
    (target / "below").mkdir(parents=True, mode=0o750)
    script = (
        "import shutil\nout = os.environ['HARNESS_OUT']\n"
        "if n == 0:\n"
        "    shutil.rmtree(out)\n"
        f"    os.symlink({str(target)!r}, out)\n"
        "    raise SystemExit(75)\n"
        "os.mkdir(os.path.dirname(out) + '.json')\n"
    )
    nest = "for _ in range(1500):\n    os.mkdir('d')\n    os.chdir('d')\n"
    again = {"again": {"when": ["preempted"], "times": 1}}
    toy = make(tmp_path, COUNT + script + GOOD + nest, program=again, **ONE)
    (replica,) = toy.run().replicas
    assert replica.status == "finished"
    assert [path.name for path in (tmp_path / "run/work").iterdir() if path.name != ".lock"] == ["strong-0.json"]
    assert (target / "below").stat().st_mode & 0o777 == 0o750


def test_a_run_is_stopped_although_its_program_stopped_the_guard(tmp_path: Path) -> None:
    mark = tmp_path / "stopped"
    script = (
        f"import os, signal, time\nos.kill(os.getppid(), signal.SIGSTOP)\nopen({str(mark)!r}, 'w')\ntime.sleep(600)"
    )
    with pytest.raises(Interrupted):
        make(tmp_path, script, **ONE).run(stop=mark.exists)
    await_none_left(tmp_path)


STOPS = """\
import os, signal
guard = os.getppid()
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        break
while True:
    os.kill(guard, signal.SIGSTOP)
"""
AGAIN = {"again": {"when": ["preempted", "killed"], "times": 1}}


def test_a_program_that_stops_its_guard_again_and_again_takes_too_long_and_is_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.programs.process.GRACE_SECONDS", 0.5)
    result = make(tmp_path, f"{SLEEPER}])\n{STOPS}", program={"timeout": "1 s", **AGAIN}, **ONE).run()
    assert result.replicas[0].failure == "it took longer than 1 s"
    assert result.runs[0].repeated == ()
    await_none_left(tmp_path)


def test_a_run_is_stopped_although_its_program_stops_the_guard_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.programs.process.GRACE_SECONDS", 0.5)
    mark = tmp_path / "begun"
    with pytest.raises(Interrupted):
        make(tmp_path, f"open({str(mark)!r}, 'w')\n{STOPS}", **ONE).run(stop=mark.exists)
    await_none_left(tmp_path)


def start_one(toy: Toy) -> Running:
    (cohort,) = toy.plan.cohorts
    (replica,) = cohort.replicas
    folder = ReplicaFolder(toy.folder, replica)
    folder.begin(toy.work.frozen)
    return start(folder, replica, cohort.arms[replica.arm], toy.work)


def test_a_guard_that_is_still_stopped_long_after_its_time_is_ended_with_all_that_it_watched(tmp_path: Path) -> None:
    mark = tmp_path / "stopped"
    stops = f"import os, time\nos.kill(os.getppid(), {int(signal.SIGSTOP)})\nopen({str(mark)!r}, 'w')\ntime.sleep(600)"
    running = start_one(make(tmp_path, f"{SLEEPER}])\n{stops}", **ONE))
    assert running.read()
    while not (mark.exists() and running.is_stopped()):  # a signal that is sent needn't have arrived
        time.sleep(0.02)
    running.latest = 0.0
    running.urge(since=-float("inf"))
    assert not running.read(), "it would go on and tell the end"
    assert running.end() == End("timeout")
    await_none_left(tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere, the system may not say who is stopped")
def test_a_guard_that_is_slow_and_not_stopped_is_waited_for(tmp_path: Path) -> None:
    """It may have a large folder to look at, however long its program's time is up."""
    running = start_one(make(tmp_path, f"import time\ntime.sleep(0.3)\n{GOOD}", **ONE))
    while running.read():
        running.urge(since=-float("inf"))
    assert running.end() == End("exit")


def test_a_program_that_changes_its_own_source_changes_it_for_itself_alone(tmp_path: Path) -> None:
    script = f"{GOOD}open(__file__, 'w').write('raise SystemExit(3)')\n"
    result = make(tmp_path, script).run()
    assert {one.status for one in result.replicas} == {"finished"}
    assert {one.changed for one in result.runs} == {("toy.py",)}


def test_only_an_end_that_is_not_the_program_s_own_is_followed_by_another_try(tmp_path: Path) -> None:
    """Its folder is kept from try to try, and each try is listed."""
    first = COUNT
    again = {"again": {"when": ["preempted"], "times": 2}}
    result = make(tmp_path / "a", f"{first}if n < 2: raise SystemExit(75)\n{GOOD}", program=again, **ONE).run()
    assert result.replicas[0].status == "finished"
    assert result.runs[0].repeated == ("it was preempted: exit code 75",) * 2
    result = make(tmp_path / "b", f"{first}raise SystemExit(75)", program=again, **ONE).run()
    assert result.replicas[0].failure == "it was preempted: exit code 75"
    assert result.runs[0].repeated == ("it was preempted: exit code 75",) * 2
    result = make(tmp_path / "c", f"{first}if n < 2: raise SystemExit(1)\n{GOOD}", program=again, **ONE).run()
    assert result.replicas[0].failure == "it ended with exit code 1"
    assert result.runs[0].repeated == ()


def test_a_run_that_was_stopped_goes_on_without_what_was_sealed(tmp_path: Path) -> None:
    toy = make(tmp_path, GOOD)
    done: list[int] = []

    def stop() -> bool:
        return bool(done and done[-1] >= 2)

    with pytest.raises(Interrupted):
        toy.run(stop=stop, report=lambda at: done.append(at.steps_done))
    await_none_left(tmp_path)
    sealed = {path.name: path.read_bytes() for path in (tmp_path / "run/work").glob("*.json")}
    assert len(sealed) >= 2
    assert len(sealed) < 6
    result = toy.run()
    assert {one.status for one in result.replicas} == {"finished"}
    for name, content in sealed.items():
        assert (tmp_path / "run/work" / name).read_bytes() == content
    whole = make(tmp_path / "whole", GOOD).run()
    assert [one.to_json() for one in result.replicas] == [one.to_json() for one in whole.replicas]


def test_a_program_with_checkpoints_of_its_own_finds_them_when_harness_goes_on(tmp_path: Path) -> None:
    """What it keeps from try to try is there again, its results and its copy of the code are new."""
    mark = tmp_path / "kept"
    first = f"if n == 0:\n    open({str(mark)!r}, 'w').close()\n    __import__('time').sleep(600)\n"
    toy = make(tmp_path, COUNT + first + GOOD + "print(n)\n", **ONE)
    with pytest.raises(Interrupted):
        toy.run(stop=mark.exists)
    result = toy.run()
    assert result.replicas[0].status == "finished"
    assert read_log(tmp_path / "run", result) == b"1\n"
    assert result.runs[0].repeated == ("harness ended before it did",)


def test_sealed_results_are_not_run_again_and_damaged_ones_are(tmp_path: Path) -> None:
    toy = make(tmp_path, GOOD)
    before = toy.run()
    path = tmp_path / "run/work/strong-1.json"
    path.write_bytes(path.read_bytes()[:-10])
    after = toy.run_other("raise SystemExit(3)")
    for old, new in zip(before.replicas, after.replicas, strict=True):
        if (new.arm, new.seed_index) == ("strong", 1):
            assert new.failure == "it ended with exit code 3"
        else:
            assert new == old


def test_a_command_that_can_t_be_started_is_no_failure_of_a_seed(tmp_path: Path) -> None:
    toy = make(tmp_path, GOOD, program={"command": ["/nowhere/at-all", "{alpha}"]})
    with pytest.raises(TrainingFailed, match="can't be started: FileNotFoundError"):
        toy.run()
    assert list((tmp_path / "run/work").glob("*.json")) == []


def test_a_program_is_given_a_small_environment_of_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", "secret")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    script = f"{GOOD}print(sorted(os.environ), os.environ['WANDB_MODE'])\n"
    toy = make(tmp_path, script, program={"environment": ["WANDB_MODE"]}, **ONE)
    log = read_log(tmp_path / "run", toy.run()).decode()
    names, _, value = log.strip().rpartition("] ")
    assert value == "offline"
    given = set(names.strip("[").replace("'", "").split(", ")) - {"LC_CTYPE"}  # which Python sets for itself
    usual = {"PATH", "HOME", "LANG", "CUDA_VISIBLE_DEVICES"}
    own = {"HARNESS_SEED", "HARNESS_OUT", "HARNESS_RESUME", "HARNESS_REPLICA", "PYTHONHASHSEED", "PYTHONPATH"}
    assert given - usual == own | {"PYTHONDONTWRITEBYTECODE", "WANDB_MODE"}


def test_a_file_that_a_python_program_opens_and_nothing_pins_is_named(tmp_path: Path) -> None:
    data = tmp_path / "data.csv"
    data.write_text("1\n")
    elsewhere = tmp_path.parent / f"{tmp_path.name}-beside.csv"
    elsewhere.write_text("1\n")
    reading = "".join(f"open({str(path)!r}).read()\n" for path in (data, elsewhere, "toy.py"))
    script = f"import json.decoder\n{reading}{GOOD}"
    result = make(tmp_path, script, **ONE).run()
    assert result.runs[0].unpinned == ("data.csv", f"{elsewhere.name}, outside the project")


def test_nothing_is_left_running_when_harness_is_killed(tmp_path: Path) -> None:
    """The guard ends the program once nobody holds the other end of its pipe."""
    toy = make(tmp_path, "import time\nprint('up', flush=True)\ntime.sleep(600)", **ONE)
    code = (
        "from pathlib import Path\nfrom tests.unit.programs.toys import make\n"
        f"make(Path({str(tmp_path)!r}), 'import time; time.sleep(600)', of_arms=1, of_seeds=1).run()"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[3])
    work = toy.folder / "work/strong-0/code"
    while not (work.exists() and any(number != process.pid for number in find_left(work))):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    await_none_left(work.parent)


@pytest.fixture(autouse=True)
def _ends(tmp_path: Path) -> Iterator[None]:
    yield
    for number in find_left(tmp_path):
        os.kill(number, signal.SIGKILL)


def test_progress_is_told_from_a_results_file_that_grows(tmp_path: Path) -> None:
    """A program that waits until its first line was seen would hang if nobody looked at it."""
    seen = tmp_path / "seen"
    script = (
        "import json, os, time\n"
        "with open(os.environ['HARNESS_OUT'] + '/m.jsonl', 'w') as file:\n"
        "    for epoch in (1, 2, 3):\n"
        "        file.write(json.dumps({'epoch': epoch, 'test_accuracy': 0.1 * epoch}) + '\\n')\n"
        "        file.flush()\n"
        f"        while epoch == 2 and not os.path.exists({str(seen)!r}): time.sleep(0.02)\n"
    )
    results = {"form": "jsonl", "file": "m.jsonl", "epochs": 3}
    told: list[tuple[int, int]] = []

    def report(at: Progress) -> None:
        told.append((at.epoch, at.steps_done))
        if at.epoch == 2:
            seen.touch()

    result = make(tmp_path, script, results=results, **ONE).run(report=report)
    (series,) = result.replicas[0].metrics.values()
    assert series.epochs == (1, 2, 3)
    assert told[0] == (0, 0)
    assert (2, 2) in told
    assert told[-1] == (3, 3)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_replica_that_is_ended_with_all_of_its_job_has_not_failed(tmp_path: Path, number: signal.Signals) -> None:
    """A scheduler ends the processes of a job in any order; that harness is to stop is known a moment later."""
    mark = tmp_path / "ended"
    ends = f"import os\nopen({str(mark)!r}, 'a').write('x')\nos.kill(os.getpid(), {int(number)})\n"
    toy = make(tmp_path, ends, **ONE)
    toy.work = replace(toy.work, patience=600.0)
    asked: list[bool] = []

    def stop() -> bool:
        asked.append(mark.exists())
        return sum(asked) > 5

    with pytest.raises(Interrupted, match="what ran was ended"):
        toy.run(stop=stop)
    assert not list((toy.folder / "work").glob("*.json"))
    (done,) = toy.run_other(GOOD).replicas
    assert done.failure is None
    again = make(tmp_path / "again", ends, **ONE)
    assert again.run().replicas[0].failure is not None, "where nobody asks to stop, its end is its own"
