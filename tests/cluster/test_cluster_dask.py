"""Jobs at a real Dask over TLS: worker, command and scheduler are killed, and strangers are turned away."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from harness.errors import LaunchFailed
from harness.launchers import LOG, Job, SchedulerSilent
from harness.launchers.dask import Dask as Launcher
from harness.launchers.dask import write_files
from tests.cluster.conftest import Remote
from tests.cluster.dask import Dask, make_certificates
from tests.cluster.slurm import wait_until

SAVING = """\
import signal, sys, time
from pathlib import Path
folder = Path(sys.argv[1])
print((folder / "task.json").read_text(), oct(folder.parent.stat().st_mode & 0o777), flush=True)
def save(*_):
    (folder / "work").mkdir(exist_ok=True)
    (folder / "work/saved").write_text("so far")
    sys.exit(75)
signal.signal(signal.SIGTERM, save)
(folder / "ready.json").write_text("{}")
while True:
    time.sleep(0.1)
"""
"""A command that begins, and saves what it has when it is told to end."""


def test_worker_command_and_scheduler_may_be_killed(lab: Remote, dask: Dask, reference: bytes) -> None:
    lab.prepare("hold", "hold", "hold")
    command = lab.start()
    lab.await_held()
    dask.kill("worker")
    dask.start_worker()  # Dask gives it the job
    held = lab.await_held()
    command.kill()
    command.wait()
    code, listed = lab.call("jobs", "--on", "there")
    assert code == 0 and "running" in listed, listed
    code, said = lab.call("jobs", "--on", "there", "--cancel")
    assert code == 0 and "1 job ended" in said, said
    lab.let_go(held)
    command = lab.start()
    lab.await_held(since=2)  # the checkpoint of the job that was asked to end came back, and went with the next
    command.kill()
    command.wait()
    dask.kill("scheduler")
    code, said = lab.call("jobs", "--on", "there")
    assert code == 1 and "gives no answer" in said, said
    dask.started.pop("worker").wait()  # it ends, and its command with it
    dask.start()
    code, said = lab.run()
    assert code == 0 and "attached to" in said and said.count("it is started again") == 1, said
    assert len(lab.project.events("run_started")) == 1
    assert "| Trained in | 1 job of dask" in lab.page()
    (weights,) = lab.project.root.glob("verdicts/tiny/*/weights")
    assert len(list(weights.rglob("*.safetensors"))) == 18
    assert lab.results() == reference


def make_launcher(folder: Path, dask: Dask, **other: str) -> Launcher:
    return Launcher.model_validate({"name": "dask", "folder": str(folder), **dask.settings, **other})


def test_files_travel_with_a_job_and_come_back_to_whoever_asks(tmp_path: Path, dask: Dask) -> None:
    folder = tmp_path / "job-1"
    write_files(folder, {"task.json": b"what to do", "work/earlier": b"kept"})
    first = make_launcher(tmp_path, dask)
    (name,) = first.submit([Job(str(folder), (sys.executable, "-c", SAVING, str(folder)))])
    later = make_launcher(tmp_path, dask)
    wait_until(lambda: later.find_alive([name]) and (folder / "ready.json").exists(), "it tells that it is ready")
    later.cancel([name])
    wait_until(lambda: not later.find_alive([name]), "it has ended")
    assert (folder / "work/saved").read_text() == "so far" and (folder / "work/earlier").read_text() == "kept"
    assert (folder / LOG).read_text() == "what to do 0o700\n", "only its owner reads it there"
    assert not make_launcher(tmp_path, dask).find_alive([name])
    # As long as the first knows its result, Dask keeps it, and does the job again where the worker is lost that had it.
    assert not first.find_alive([name])


def test_a_job_that_waits_is_taken_back(tmp_path: Path, dask: Dask) -> None:
    folder = tmp_path / "job-1"
    write_files(folder, {"task.json": b"{}"})
    launcher = make_launcher(tmp_path, dask).model_copy(update={"resources": {"card": 1.0}})  # which no worker has
    names = launcher.submit([Job(str(folder), (sys.executable, "-c", SAVING, str(folder)))])
    assert launcher.find_alive(names) == {names[0]: "waiting"}
    launcher.cancel(names)
    assert not launcher.find_alive(names)


def test_a_stranger_is_turned_away(tmp_path: Path, dask: Dask) -> None:
    foreign = make_certificates(tmp_path / "foreign")
    own = {"tls_cert": str(foreign / "me.pem"), "tls_key": str(foreign / "me.key")}
    for other in (own, {**own, "tls_ca": str(foreign / "ca.pem")}):
        with pytest.raises(SchedulerSilent, match="gives no answer"):
            make_launcher(tmp_path, dask, **other).find_alive(["one"])
    with pytest.raises(LaunchFailed, match="none can't be read: No such file"):
        make_launcher(tmp_path, dask, tls_key=str(tmp_path / "none")).find_alive(["one"])


def test_files_of_others_are_not_written(tmp_path: Path) -> None:
    for name in ("../outside", "/outside", "work/../../outside"):
        with pytest.raises(LaunchFailed, match="not a file of a job"):
            write_files(tmp_path / "job-1", {name: b""})
