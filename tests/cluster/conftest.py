"""Projects that train at a place: processes of this machine, or a real Slurm."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

import pytest

from harness.pipeline.jobs import JOB, JobRecord, read
from tests.cluster.dask import Dask
from tests.cluster.slurm import Slurm, find_lack, wait_until
from tests.e2e import commands
from tests.e2e.projects import TINY, Project, make_project
from tests.once import made_once

FAULTY = Path(__file__).with_name("faulty.py")
SEEDS = ("seeds: {count: 6}", "seeds: {list: [11, 12, 13, 14, 15, 16]}")
"""Seeds that are the same in every project, so that the same is measured."""
INSISTS = "HARNESS_TESTS_SLURM"
"""Variable of whoever has installed Slurm and wants its tests to run."""


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    """A Slurm, for as long as this process of tests lives."""
    if (lack := find_lack()) is not None:
        assert INSISTS not in os.environ, lack
        pytest.skip(lack)
    found = Slurm(tmp_path_factory.mktemp("slurm"))
    try:
        found.start()
    except (OSError, subprocess.SubprocessError, AssertionError) as error:
        found.stop()
        if INSISTS in os.environ:
            raise
        pytest.skip(f"Slurm doesn't start here: {error}")
    yield found
    found.stop()


@dataclass
class Remote:
    """A project with a place called "there", whose jobs can be struck by faults."""

    project: Project
    jobs: Path
    """This user's folder at the place."""
    variables: dict[str, str]

    def prepare(self, *faults: str) -> None:
        """Have the next jobs that start struck, in this order."""
        (self.jobs / "faults").write_text("\n".join(faults))

    def start(self) -> Popen[str] | commands.Forked:
        """Start the run, and leave it to the test."""
        return commands.start(tuple(self.arguments()), self.project.root, self.project.environment(**self.variables))

    def call(self, *arguments: str) -> tuple[int, str]:
        """Call a verb; return its exit code and what it printed."""
        ran = self.project.harness(*arguments, **self.variables)
        return ran.returncode, ran.stdout + ran.stderr

    def run(self, *more: str) -> tuple[int, str]:
        return self.call(*self.arguments(*more))

    def arguments(self, *more: str) -> list[str]:
        return ["run", "hypotheses/tiny.yaml", "--device", "cpu", "--on", "there", "--checkpoint-every", "0", *more]

    def await_held(self, since: int = 1) -> Path:
        """Wait for a job that is held, after a checkpoint of a later epoch; return its folder."""
        wait_until(lambda: list(self.jobs.glob("*.reached")), "a job is held")
        (found,) = self.jobs.glob("*.reached")
        assert int(found.read_text()) > since, "it began anew"
        found.unlink()
        (folder,) = self.jobs.glob(f"tiny-*/{found.stem}")
        return folder

    def let_go(self, held: Path) -> None:
        """Have a job that is held go on."""
        (self.jobs / f"{held.name}.go").touch()

    def page(self) -> str:
        (page,) = self.project.root.glob("verdicts/tiny/*/verdict.md")
        return page.read_text()

    def results(self) -> bytes:
        """results.json, but for the digest of its registration, which says when that was."""
        (path,) = self.project.root.glob("verdicts/tiny/*/results.json")
        written = path.read_bytes()
        return written.replace(json.loads(written)["registration"].encode(), b"")


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What is measured where no job is."""

    def make(folder: Path) -> None:
        project = make_project(folder / "project", TINY.replace(*SEEDS))
        assert project.harness("run", "hypotheses/tiny.yaml", "--device", "cpu").returncode == 0

    found = Project(made_once(tmp_path_factory, "trained-here", make) / "project")
    return Remote(found, found.root, {}).results()


def read_job(folder: Path) -> str:
    """Return the name by which its launcher knows a job."""
    record = read(folder, JOB, JobRecord)
    assert record is not None
    return record.tries[-1].id


@dataclass
class Site:
    """A place to train at, as a project's settings describe it."""

    kind: str
    jobs: Path
    """This user's folder there."""
    variables: dict[str, str]
    """Variables of whoever gives commands there."""
    options: str

    def describe(self, project: Project, more: str = "") -> None:
        """Write the settings of a project with the place, called "there"."""
        shim = self.jobs / "python"
        shim.write_text(f'#!/bin/sh\nexec {sys.executable} {FAULTY} {self.jobs}/faults "$@"\n')
        shim.chmod(0o755)
        (self.jobs / "faults").write_text("")
        (project.root / "pyproject.toml").write_text(
            f"""\
[tool.harness.on.there]
kind = "{self.kind}"
folder = "{self.jobs.parent}"
python = "{shim}"
poll_seconds = 0.2
grace_seconds = 0.5
{self.options}
{more}
"""
        )


def make_remote(root: Path, site: Site, more: str = "") -> Remote:
    project = make_project(root / "project", TINY.replace(*SEEDS))
    site.describe(project, more)
    return Remote(project, site.jobs, site.variables)


def make_own(folder: Path) -> Path:
    """Make this user's folder at a place, as the first run there does."""
    own = folder / str(os.geteuid())
    own.mkdir(mode=0o700, parents=True)
    return own


@pytest.fixture(scope="session")
def local_site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """This machine, all of whose jobs are in one folder: its device is asked for once."""
    return Site("local", make_own(tmp_path_factory.mktemp("local")), {}, "at_most = 2")


@pytest.fixture
def here(tmp_path: Path, local_site: Site) -> Remote:
    """A project whose place is this machine."""
    return make_remote(tmp_path, local_site)


@pytest.fixture(scope="session")
def slurm_site(slurm: Slurm) -> Site:
    """A Slurm."""
    asked = f"""\
at_most = 2
setup = "echo $CUDA_VISIBLE_DEVICES >>{slurm.folder}/seen"
options = ["--gres=gpu:1", "--time=10", "--mem=100", "--requeue"]
"""
    return Site("slurm", make_own(slurm.folder / "jobs"), slurm.environment, asked)


@pytest.fixture
def cluster(tmp_path: Path, slurm_site: Site) -> Remote:
    """A project whose place is a Slurm."""
    return make_remote(tmp_path, slurm_site)


@pytest.fixture(scope="session")
def dask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dask]:
    """A Dask with one worker, for as long as this process of tests lives."""
    found = Dask(tmp_path_factory.mktemp("dask"))
    try:
        found.start()
        yield found
    finally:
        found.stop()


@pytest.fixture(scope="session")
def dask_site(dask: Dask) -> Site:
    """A Dask."""
    settings = "\n".join(f"{key} = {json.dumps(value)}" for key, value in dask.settings.items())
    return Site("dask", make_own(dask.folder / "jobs"), {}, settings)


@pytest.fixture
def lab(tmp_path: Path, dask_site: Site) -> Remote:
    """A project whose place is a Dask, to which all of its cohorts go in one job."""
    return make_remote(tmp_path, dask_site, "cohorts_per_job = 9")


@pytest.fixture(params=["local", "slurm", "dask"])
def site(request: pytest.FixtureRequest) -> Site:
    """Each launcher's place."""
    found: Site = request.getfixturevalue(f"{request.param}_site")
    return found


@pytest.fixture(params=["local", "slurm"])
def remote(request: pytest.FixtureRequest) -> Remote:
    """One project per launcher."""
    found: Remote = request.getfixturevalue({"local": "here", "slurm": "cluster"}[request.param])
    return found
