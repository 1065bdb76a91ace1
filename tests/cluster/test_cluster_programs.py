"""Programs whose replicas run in jobs, whatever becomes of jobs and of the command: the same bytes as here."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster.conftest import Site, read_job
from tests.cluster.slurm import wait_until
from tests.e2e import commands
from tests.e2e.programs import BESIDE, ProgramProject, make_program_project
from tests.e2e.test_e2e_tuned_programs import SCRIPT, TUNED
from tests.unit.programs.toys import GOOD

FILE = "hypotheses/toy.yaml"
CODE = {"code": {"git": ["toy.py"]}}
WATCHED = """\
import os, pathlib, sys, time
data = pathlib.Path(sys.argv[2])
assert (data.name, data.read_text()) == ("data.csv", "1,2")
name = pathlib.Path(os.environ["HARNESS_OUT"]).parent.name
kept = pathlib.Path(os.environ["HARNESS_RESUME"], "tries")
tries = len(kept.read_text()) + 1 if kept.exists() else 1
kept.write_text("x" * tries)
marks = pathlib.Path(MARKS)
worker = pathlib.Path(f"/proc/{os.getppid()}/stat").read_text().rpartition(")")[2].split()[1]
with (marks / name).open("a") as file:
    file.write(f"{os.getpid()} {worker} {tries}\\n")
while name == "weak-1" and not (marks / "go").exists():
    time.sleep(0.05)
if name == "weak-2":
    raise SystemExit(3)
"""
"""A program that notes its process, that of the job, and how often it kept something; one replica waits, one fails."""


@dataclass
class Try:
    """A time that a replica was started."""

    process: int
    worker: int
    kept: int
    """Number of the try, by what it found in the folder that it keeps."""


@dataclass
class Watched:
    """A project whose program runs at a site, in one job, and tells of every start."""

    project: ProgramProject
    site: Site
    marks: Path

    def call(self, *arguments: str) -> tuple[int, str]:
        ran = self.project.harness(*arguments, **self.site.variables)
        return ran.returncode, ran.stdout + ran.stderr

    def start(self) -> commands.Forked:
        arguments = ("run", FILE, "--on", "there", "--yes")
        environment = self.project.environment(**self.site.variables)
        found = commands.start(arguments, self.project.root, environment)
        assert isinstance(found, commands.Forked)
        return found

    def list_tries(self, name: str) -> list[Try]:
        try:
            lines = (self.marks / name).read_text().splitlines(keepends=True)
        except FileNotFoundError:
            return []
        return [Try(*map(int, line.split())) for line in lines if line.endswith("\n")]

    def await_try(self, number: int) -> Try:
        """Wait for the replica that waits to be started so often; return the last start."""
        wait_until(lambda: len(self.list_tries("weak-1")) == number, f"try {number}")
        return self.list_tries("weak-1")[-1]

    def assert_same_here(self) -> None:
        """Run it here too, and compare what was measured."""
        code, said = self.call("run", FILE, "--no-resume")
        assert code == 0, said
        for file in ("results.json", "raw.json"):
            found = [path.read_bytes() for path in self.project.root.glob(f"verdicts/toy/*/{file}")]
            assert len(found) == 2 and found[0] == found[1], file


def make_watched(folder: Path, site: Site, script: str = GOOD, **changes: object) -> Watched:
    (folder / "marks").mkdir()
    project = make_program_project(folder / "project", script, **changes)
    site.describe(project, "cohorts_per_job = 9")
    return Watched(project, site, folder / "marks")


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_jobs_of_a_program_and_their_command_may_be_killed(
    tmp_path: Path, site: Site, request: pytest.FixtureRequest
) -> None:
    (tmp_path / "data.csv").write_text("1,2")
    data = {"path": "../data.csv", "sha256": hashlib.sha256(b"1,2").hexdigest()}
    command = ["python3", "toy.py", "{alpha}", "{input.data}"]
    script = WATCHED.replace("MARKS", repr(str(tmp_path / "marks"))) + GOOD
    program = {"command": command, "inputs": {"data": data}, **CODE}
    watched = make_watched(tmp_path, site, script, program=program)
    running = watched.start()
    first = watched.await_try(1)
    travels = site.kind == "dask"
    if travels:
        dask = request.getfixturevalue("dask")
        dask.kill("worker")
        dask.start_worker()  # Dask gives it the job, without what the first had
    elif site.kind == "slurm":  # which ends the program as well as its worker, in any order
        (folder,) = site.jobs.glob("toy-*/job-*")
        request.getfixturevalue("slurm").call("scancel", read_job(folder))
    else:
        os.kill(first.worker, signal.SIGKILL)
    second = watched.await_try(2)
    wait_until(lambda: not is_running(first.process), "nothing of the killed job is left")
    running.kill()
    running.wait()
    code, listed = watched.call("jobs", "--on", "there")
    assert code == 0 and "running" in listed and "6 replicas" in listed, listed
    code, said = watched.call("jobs", "--on", "there", "--cancel")
    assert code == 0 and "1 job ended" in said, said
    wait_until(lambda: not is_running(second.process), "the job's program is ended with it")
    (watched.marks / "go").touch()
    code, said = watched.call("run", FILE, "--on", "there")
    assert code == 0 and "attached to 1 job" in said and "it is started again" in said, said
    assert "weak, seed 2 failed: it ended with exit code 3" in said
    assert [one.kept for one in watched.list_tries("weak-1")] == ([1, 1, 2] if travels else [1, 2, 3])
    assert len(watched.list_tries("weak-2")) == 1, "a failure of its own is a result"
    assert len(watched.list_tries("strong-0")) == (2 if travels else 1), "what is sealed is not run again"
    (begun,) = watched.project.events("run_started")
    assert "a program of its own" in begun["body"]["device"]
    told = json.loads((watched.project.folder / "env.json").read_text())
    assert (told["launch"]["jobs"], told["launch"]["tries"]) == (1, 2 if travels else 3)
    again = {f"{one['arm']}-{one['seed_index']}": one["repeated"] for one in told["program"]["replicas"]}
    assert again.pop("weak-1") == ["harness ended before it did"] * (1 if travels else 2)
    assert not any(again.values())
    assert all((watched.project.folder / "logs" / f"{name}.log").exists() for name in again)
    assert not list(site.jobs.glob("toy-*"))
    watched.assert_same_here()


def test_both_kinds_of_arms_are_trained_elsewhere(tmp_path: Path, local_site: Site) -> None:
    watched = make_watched(tmp_path, local_site, program=CODE, **BESIDE)
    code, said = watched.call("plan", FILE, "--on", "there", "--device", "cpu")
    assert code == 0 and "2 jobs at there, of 3 replicas each" in said, said
    assert "those of a job take at most 3 min at there" in said
    (local_site.jobs / "faults").write_text("cards\ncards")
    code, said = watched.call("run", FILE, "--on", "there", "--yes", "--device", "cpu")
    assert code == 1 and said.count("1 job submitted to there") == 2, said  # no card matters to arms of harness's own
    assert "which the program may use, are others here: Another Card, not none" in said, said
    code, said = watched.call("run", FILE, "--on", "there", "--yes", "--device", "cpu")
    assert code == 0 and said.count("1 job submitted to there") == 1, said
    told = json.loads((watched.project.folder / "env.json").read_text())
    assert (told["launch"]["jobs"], told["launch"]["tries"]) == (2, 3)
    (device,) = told["launch"]["devices"]
    assert told["launch"]["devices"][device] == 3 and device in told["device"] and told["launch"]["seconds"] > 0
    assert told["launch"]["ended"] == {"differs": 1}
    watched.assert_same_here()
    watched.project.commit()
    code, said = watched.call("audit", "--recompute")
    assert code == 0, said


def test_a_search_and_what_it_chose_run_there(tmp_path: Path, local_site: Site) -> None:
    watched = make_watched(tmp_path, local_site, SCRIPT, program={**CODE, "deterministic": True}, **TUNED)
    code, said = watched.call("run", FILE, "--on", "there", "--yes")
    assert code == 0 and "2 jobs submitted to there" in said and "1 job submitted to there" in said, said
    watched.assert_same_here()
    searches = [path.read_bytes() for path in watched.project.root.glob("verdicts/toy/*/search.json")]
    assert len(searches) == 2 and searches[0] == searches[1]


def test_nothing_runs_there_that_was_not_allowed_here_or_is_not_there(tmp_path: Path, local_site: Site) -> None:
    known = set(local_site.jobs.iterdir())
    watched = make_watched(tmp_path, local_site, program={**CODE, "command": ["not-on-this-machine", "{alpha}"]})
    code, said = watched.call("run", FILE, "--on", "there")
    assert code == 2 and "weak: not-on-this-machine 0.25" in said and "--yes" in said, said
    assert {path.name for path in set(local_site.jobs.iterdir()) - known} <= {"python", "faults"}
    code, said = watched.call("run", FILE, "--on", "there", "--yes")
    assert code == 1 and "--on there: there is no command 'not-on-this-machine' here" in said, said
    assert watched.project.events("run_started") and not watched.project.events("run_failed")
    code, planned = watched.call("plan", FILE, "--on", "there", "--format", "json")
    assert code == 0, planned
    (seen,) = [json.loads(planned)]
    assert seen["jobs"] == [{"arms": ["strong", "weak"], "replicas": 6}] and seen["place"] == "there"
