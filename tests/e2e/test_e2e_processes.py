"""Real processes and real signals: who ends by which, what is kept, and who may still write afterwards."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import commands
from tests.e2e.projects import TINY, Project, make_project
from tests.once import made_once

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc")

LONG = TINY.replace("epochs: 8", "epochs: 80").replace("every_epochs: 2", "every_epochs: 40")
RUN = ("run", "hypotheses/tiny.yaml", "--device", "cpu")


class Session:
    """A command in a session of its own, as supervisors and terminals start it, and everybody whom it started."""

    process: commands.Forked | subprocess.Popen[Any]

    def __init__(self, project: Project, *arguments: str, cores: int = 2, anew: bool = False, **options: Any) -> None:
        """``anew``, or with options: a fresh process that has to import everything first."""
        self.lines: list[str] = []
        self.project = project
        environment = project.environment(OMP_NUM_THREADS=str(cores))
        if not anew and not options:
            self.process = commands.start(arguments, project.root, environment, start_new_session=True)
            return
        usual: dict[str, Any] = {
            "env": environment,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "text": True,
            "start_new_session": True,
        }
        self.process = subprocess.Popen(project.command(*arguments), cwd=project.root, **usual | options)

    def until(self, beginning: str) -> str:
        """The next line on stderr that begins so."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            if line.startswith(beginning):
                return line
        raise AssertionError(f"it never said {beginning!r}: {self.lines}")

    def members(self) -> list[int]:
        """The processes of the session that live."""
        found = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                state, _, _, session = path.read_text().rsplit(")", 1)[1].split()[:4]
                if int(session) == self.process.pid and state != "Z":
                    found.append(int(path.parent.name))
        return found

    def servers(self) -> list[int]:
        """Those that fork others to train; not what they fork, which has their command line."""
        named = [pid for pid in self.members() if b"forkserver" in command_line(pid)]
        return [pid for pid in named if parent(pid) == self.process.pid]

    def workers(self) -> list[int]:
        """Those that train: children of the server."""
        servers = self.servers()
        return [pid for pid in self.members() if parent(pid) in servers]

    def signal_group(self, number: int) -> None:
        os.killpg(self.process.pid, number)

    def end(self) -> str:
        """Wait until the command has ended; what it said on stderr since."""
        said = self.process.communicate(timeout=commands.PATIENCE)[1]
        self.lines += said.splitlines(keepends=True)
        return said

    def all_gone(self) -> None:
        wait_for(lambda: not self.members())


def command_line(pid: int) -> bytes:
    """The words that a process was started with; none once it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def parent(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    except OSError:
        return None


def wait_for(condition: Callable[[], object]) -> None:
    """No test asserts how long anything takes; this only gives up."""
    last = time.monotonic() + commands.PATIENCE
    while not condition():
        assert time.monotonic() < last, "it never came to that"
        time.sleep(0.02)


def state(project: Project) -> dict[str, tuple[int, bytes]]:
    """Every file of the hypothesis, with its time and bytes."""
    files = (path for path in (project.root / "verdicts/tiny").rglob("*") if path.is_file())
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def assert_nothing_changes(project: Project) -> None:
    before = state(project)
    time.sleep(1.0)  # several epochs of whoever might still train
    assert state(project) == before


def epoch(line: str) -> int:
    """The epochs done that a line of progress tells."""
    return int(line.split(", epoch ")[1].split("/")[0])


def checkpoints(project: Project) -> list[Path]:
    return sorted(project.root.glob("verdicts/tiny/*/work/*.safetensors"))


def finish(project: Project, expected: bytes) -> None:
    """The same command goes on to the same bytes, on one core as on two, and its trail has one attempt."""
    ran = project.harness(*RUN)
    assert ran.returncode == 0, ran.stderr
    (folder,) = project.runs()
    assert (folder / "results.json").read_bytes() == expected
    assert len(project.events("run_started")) == len(project.events("run_finished")) == 1
    assert project.harness("audit").returncode in (0, 5)  # 5: it is in no git repository


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A hypothesis of two cohorts that train for some seconds; registered, so that every run has its seeds."""

    def make(folder: Path) -> None:
        ran = make_project(folder, LONG).harness("register", "hypotheses/tiny.yaml")
        assert ran.returncode == 0, ran.stderr

    return Project(made_once(tmp_path_factory, "long", make))


@pytest.fixture
def project(registered: Project, tmp_path: Path) -> Project:
    return copied(registered, tmp_path / "project")


@pytest.fixture(scope="module")
def expected(registered: Project, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The results.json of a run that nothing disturbed."""

    def make(folder: Path) -> None:
        ran = copied(registered, folder).harness(*RUN, OMP_NUM_THREADS="2")
        assert ran.returncode == 0, ran.stderr

    (folder,) = Project(made_once(tmp_path_factory, "long-whole", make)).runs()
    return (folder / "results.json").read_bytes()


def copied(project: Project, root: Path) -> Project:
    import shutil

    shutil.copytree(project.root, root)
    return Project(root)


@pytest.mark.parametrize("cores", [1, 2])
def test_signals_to_the_group_lose_nothing(cores: int, project: Project, expected: bytes) -> None:
    """Three signals at three places of one attempt, each of which goes on from where the one before ended."""
    reached: dict[str, int] = {}
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        running = Session(project, *RUN, cores=cores)
        line = running.until("cohort")
        assert len(running.servers()) == (1 if cores > 1 else 0)  # no process is started where one is enough
        assert epoch(line) >= reached.get(line[:8], 0), "what was reported before was lost"
        running.signal_group(number)
        said = running.end()
        assert running.process.returncode == 128 + number, said
        assert "Traceback" not in said and "same command" in said
        running.all_gone()
        assert checkpoints(project)
        for told in (told for told in running.lines if told.startswith("cohort")):
            reached[told[:8]] = epoch(told)
        assert_nothing_changes(project)
    assert not project.events("run_failed")
    finish(project, expected)


def test_a_signal_that_comes_twice_at_once_is_one(project: Project) -> None:
    """As ``timeout`` sends it: to the process, and then to its group."""
    running = Session(project, *RUN)
    running.until("cohort")
    running.process.send_signal(signal.SIGTERM)
    running.signal_group(signal.SIGTERM)
    running.end()
    assert running.process.returncode == 143
    assert checkpoints(project)


def test_a_second_signal_ends_at_once(project: Project, expected: bytes) -> None:
    """Also where those who train cannot answer the first any more."""
    running = Session(project, *RUN)
    running.until("cohort")
    for worker in running.workers():
        os.kill(worker, signal.SIGSTOP)
    running.signal_group(signal.SIGTERM)
    running.until("stopping with a checkpoint")
    time.sleep(1.5)  # what comes within a second is the same request
    running.signal_group(signal.SIGINT)
    running.end()
    assert running.process.returncode == 143  # that of the first
    running.all_gone()
    assert not checkpoints(project)
    assert_nothing_changes(project)
    finish(project, expected)


def test_nobody_trains_or_writes_after_a_run_was_killed_and_closed(project: Project) -> None:
    running = Session(project, *RUN, "--checkpoint-every", "0")
    running.until("cohort")
    assert running.workers()
    running.process.kill()
    running.process.wait()
    (folder,) = [path.parent for path in project.root.glob("verdicts/tiny/*/work")]
    closed = project.harness("close", folder.name, "--reason", "its machine is gone")
    assert closed.returncode == 0, closed.stderr
    assert_nothing_changes(project)
    running.all_gone()


def test_a_killed_run_goes_on_at_once(project: Project, expected: bytes) -> None:
    running = Session(project, *RUN, "--checkpoint-every", "0")
    running.until("cohort")
    wait_for(lambda: checkpoints(project))
    running.process.kill()
    running.process.wait()  # for itself, and not for those who trained for it
    finish(project, expected)
    running.all_gone()


@pytest.mark.parametrize("verb", ["close", "run"])
def test_who_lost_its_run_but_may_still_write_is_waited_for(verb: str, project: Project) -> None:
    running = Session(project, *RUN, "--checkpoint-every", "0")
    running.until("cohort")
    wait_for(lambda: checkpoints(project))
    frozen = running.workers()
    for worker in frozen:
        os.kill(worker, signal.SIGSTOP)
    running.process.kill()
    running.process.wait()
    (folder,) = [path.parent for path in project.root.glob("verdicts/tiny/*/work")]
    command = {"close": ("close", folder.name, "--reason", "moved"), "run": (*RUN, "--no-resume")}[verb]
    waiting = Session(project, *command)
    wait_for(lambda: opened(waiting.process.pid, folder / "work/.lock"))
    before = state(project)
    time.sleep(1.0)
    assert waiting.process.poll() is None and not project.events("run_aborted")
    assert state(project) == before
    for worker in frozen:
        os.kill(worker, signal.SIGCONT)
    running.all_gone()
    wait_for(lambda: project.events("run_aborted"))
    waiting.signal_group(signal.SIGKILL)
    waiting.end()


def opened(pid: int, path: Path) -> bool:
    """Whether a process has a file open."""
    with contextlib.suppress(OSError):
        return any(link.resolve() == path.resolve() for link in Path(f"/proc/{pid}/fd").iterdir())
    return False


def test_close_is_refused_while_a_run_lives(project: Project) -> None:
    running = Session(project, *RUN, cores=1)
    running.until("cohort")
    running.signal_group(signal.SIGSTOP)  # so that it cannot be done before
    (folder,) = [path.parent for path in project.root.glob("verdicts/tiny/*/work")]
    refused = project.harness("close", folder.name, "--reason", "in a hurry")
    running.signal_group(signal.SIGKILL)
    running.end()
    assert refused.returncode == 2 and "another process is running this hypothesis" in refused.stderr
    assert not project.events("run_aborted")


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def test_who_waits_for_the_ledger_ends_at_once(project: Project, expected: bytes) -> None:
    with held(project.root / "verdicts/ledger/.lock"):
        running = Session(project, *RUN)
        wait_for(lambda: opened(running.process.pid, project.root / "verdicts/tiny/.lock"))  # which it holds to its end
        time.sleep(0.5)  # from here on it waits for a minute
        running.signal_group(signal.SIGTERM)
        said = running.end()
        assert running.process.returncode == 143, said
    assert not project.events("run_started")
    running.all_gone()
    finish(project, expected)


@pytest.mark.parametrize("seconds", [0.0, 0.3, 0.8, 1.5, 2.2])
def test_a_signal_while_it_starts_leaves_the_trail_whole(seconds: float, project: Project, expected: bytes) -> None:
    """Importing, registering, looking at git, starting processes: whatever it is about then."""
    for path in (project.root / "verdicts/ledger/events").iterdir():
        path.unlink()  # so that it registers as well
    running = Session(project, *RUN, anew=True)
    time.sleep(seconds)
    running.signal_group(signal.SIGTERM)
    said = running.end()
    assert running.process.returncode in (143, -signal.SIGTERM), said  # the latter before it could listen
    assert "Traceback" not in said and "internal error" not in said
    running.all_gone()
    assert_nothing_changes(project)
    assert not project.events("run_failed") and not list(project.root.rglob("verdicts/**/*.tmp"))
    assert project.harness("audit").returncode in (0, 2, 5)  # 2: there is nothing yet


CAUGHT = """
import os, signal, sys, time
class Careless:
    \"\"\"A library that catches everything as it is loaded, a signal's answer too.\"\"\"
    def find_spec(self, name, path=None, target=None):
        if name == "sklearn" and "VERB" in sys.orig_argv:
            try:
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(0.01)
            except BaseException:
                pass
sys.meta_path.insert(0, Careless())
"""


@pytest.mark.parametrize("verb", ["register", "run"])
def test_a_signal_that_a_library_catches_ends_the_command_before_anything_is_entered(
    verb: str, project: Project, tmp_path: Path
) -> None:
    for path in (project.root / "verdicts/ledger/events").iterdir():
        path.unlink()
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside/sitecustomize.py").write_text(CAUGHT.replace("VERB", verb))
    ran = project.harness(verb, "hypotheses/tiny.yaml", PYTHONPATH=str(tmp_path / "beside"))
    assert ran.returncode == 143 and ran.stderr.splitlines()[-1] == "interrupted", ran.stderr
    assert not project.events()


SLOW = """
import sys, time
if any("forkserver" in word for word in sys.orig_argv):
    time.sleep(600)
"""


def test_who_waits_for_the_server_of_processes_ends_at_a_signal(project: Project, tmp_path: Path) -> None:
    """It imports PyTorch first, which takes a minute on some disks."""
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside/sitecustomize.py").write_text(SLOW)
    variables = project.environment(OMP_NUM_THREADS="2", PYTHONPATH=str(tmp_path / "beside"))
    running = Session(project, *RUN, env=variables)
    wait_for(lambda: project.events("run_started"))
    time.sleep(1.0)  # from here on it waits
    try:
        running.signal_group(signal.SIGTERM)
        code = running.process.wait(timeout=commands.PATIENCE)
    finally:
        running.signal_group(signal.SIGKILL)  # the server sleeps on, and holds stderr
    said = running.end()
    assert code == 143, said
    assert "Traceback" not in said and "can't be started" not in said
    assert not project.events("run_failed")
    running.all_gone()


def test_a_signal_while_it_judges_leaves_results_that_are_judged_next_time(
    registered: Project, expected: bytes, tmp_path: Path
) -> None:
    project, said = stop_amid_judging(registered, tmp_path)
    assert "Traceback" not in said
    finish(project, expected)


def stop_amid_judging(registered: Project, below: Path) -> tuple[Project, str]:
    """Return a copy whose run was stopped after its training, and what it said since.

    On a busy machine a run may be done before the signal is sent, so others are started until one is not.
    """
    for number in range(10):
        project = copied(registered, below / str(number))
        running = Session(project, *RUN)
        wait_for(lambda project=project, running=running: project.runs() or running.process.poll() is not None)
        with contextlib.suppress(ProcessLookupError):  # all of them have ended
            running.signal_group(signal.SIGTERM)
        said = running.end()
        running.all_gone()
        if running.process.returncode:
            assert running.process.returncode == 143, said
            return project, said
        assert project.events("verdict"), said
    raise AssertionError("whatever was started was done before it was signalled")


def test_a_run_goes_on_when_nobody_reads_its_progress_any_more(project: Project, expected: bytes) -> None:
    running = Session(project, *RUN)
    running.until("cohort 1")
    assert running.process.stderr is not None
    running.process.stderr.close()
    running.process.wait(timeout=commands.PATIENCE)
    assert project.events("verdict") and not project.events("run_failed")
    (folder,) = project.runs()
    assert (folder / "results.json").read_bytes() == expected


def test_a_terminal_that_closes_is_answered_with_a_checkpoint(project: Project, expected: bytes) -> None:
    ours, theirs = pty.openpty()
    running = Session(
        project,
        *RUN,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        preexec_fn=lambda: fcntl.ioctl(theirs, termios.TIOCSCTTY, 0),
    )
    os.close(theirs)
    said = b""
    while b"epoch" not in said:
        said += os.read(ours, 1000)
    os.close(ours)
    assert running.process.wait(timeout=commands.PATIENCE) == 128 + signal.SIGHUP
    running.all_gone()
    assert checkpoints(project) and not project.events("run_failed")
    finish(project, expected)


def test_what_fails_amid_a_stop_does_not_close_the_attempt(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal to the group also ends a compiler that was at work for the run, which then fails for that reason."""
    from harness.errors import Interrupted
    from harness.pipeline.project import Settings
    from harness.pipeline.run import run_hypothesis
    from harness.pipeline.session import Reporter, Session

    stopping = []

    def fail(_: object) -> None:
        stopping.append(True)
        raise RuntimeError("ptxas was killed")

    monkeypatch.chdir(project.root)
    file, reporter = Path("hypotheses/tiny.yaml"), Reporter(progress=fail, stop=lambda: bool(stopping))
    session = Session.open(file, Settings(device="cpu"), reporter)
    with pytest.raises(Interrupted, match="ptxas"):
        run_hypothesis(file, session)
    assert len(project.events("run_started")) == 1 and not project.events("run_failed")


def test_what_lies_in_the_current_folder_trains_nothing(tmp_path: Path) -> None:
    """The server of training processes is started as ``python -c``, which looks in the current folder first."""
    project = make_project(tmp_path / "project", LONG.replace("epochs: 80", "epochs: 2"))
    for name in ("queue.py", "harness/__init__.py"):
        (project.root / name).parent.mkdir(exist_ok=True)
        (project.root / name).write_text("raise SystemExit('imported from the current folder')\n")
    script = tmp_path / "bin" / "harness"  # as pip writes it
    script.parent.mkdir()
    script.write_text("from harness.cli import main\nif __name__ == '__main__':\n    main()\n")
    command = [sys.executable, str(script), "run", "hypotheses/tiny.yaml", "--device", "cpu"]
    environment = project.environment(OMP_NUM_THREADS="2")
    ran = subprocess.run(command, cwd=project.root, env=environment, capture_output=True, text=True, encoding="utf-8")
    assert ran.returncode == 0, ran.stderr
    assert "can't be started" not in ran.stderr and "current folder" not in ran.stderr, ran.stderr
