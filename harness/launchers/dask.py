"""Dask: jobs are tasks of a scheduler that anyone started, whose workers need no folder in common with this machine."""

from __future__ import annotations

import ipaddress
import logging
import secrets
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field, PrivateAttr, field_validator

from harness.errors import LaunchFailed
from harness.launchers import LOG, Job, Launcher, SchedulerSilent, State
from harness.plugins.fields import Unit
from harness.system.storage import write_atomic

TOPIC = "harness"
"""Topic of the scheduler's events under which workers tell how far their jobs have come."""
NEWS_SECONDS = 2.0
NEWS_BYTES = 65536
"""Files of a job's folder up to this size are sent while it runs; all others come when it has ended."""
Files = dict[str, bytes]
"""Path below a job's folder → content."""


class Dask(Launcher):
    """Hands jobs to the workers of a Dask scheduler: on Kubernetes, on hosts that ssh reaches, by dask-jobqueue.

    A job's files travel with it, and what it wrote comes back when it has ended, so that no folder is shared; the data
    and the same code and packages have to be where workers are. Jobs go on when the command ends that submitted them.
    Dask's messages are pickled, and whoever may send one may run programs: so an address other than this machine's own
    has to be ``tls://``, and both ends prove themselves by certificates of an authority of yours.

    Use:
        Where machines can reach one another but share no folder, or where some other tool starts workers anyway.

    Traps:
        A worker that is killed takes its checkpoints along, and its job begins anew; one that is asked to end a job
        saves them. Dask itself gives the jobs of a killed worker to another one, and no page counts that as a start.
        Give each worker one thread and one card, and let ``resources`` say so.
    """

    source: ClassVar[str] = "Dask's package distributed, 2026.3 and later."
    carries: ClassVar[bool] = True
    name: Literal["dask"] = "dask"
    tls_ca: str = Field(default="~/.harness/ca.pem", examples=["~/.harness/ca.pem"])
    """File of the authority's certificate, by which scheduler and workers are recognised."""
    tls_cert: str = Field(default="~/.harness/me.pem", examples=["~/.harness/me.pem"])
    """File of the certificate that this command shows."""
    tls_key: str = Field(default="~/.harness/me.key", examples=["~/.harness/me.key"])
    """File of that certificate's key."""
    address: str = Field(examples=["tls://lab7:8786"])
    """Address of the scheduler, ``tls://HOST:PORT``; on this machine also ``tcp://127.0.0.1:PORT``."""
    resources: Annotated[dict[str, float], Unit("1")] = Field(default={}, examples=[{"GPU": 1}])
    """Resources that a job takes of those that workers have, as ``dask worker --resources "GPU=1"`` declares them."""
    answer_seconds: Annotated[float, Unit("s")] = Field(default=30.0, gt=0, examples=[30.0])
    """Time within which the scheduler has to answer."""

    _client: Any = PrivateAttr(default=None)
    _futures: dict[str, Any] = PrivateAttr(default_factory=dict)
    _reasons: dict[str, str] = PrivateAttr(default_factory=dict)

    @field_validator("address")
    @classmethod
    def _require_proof(cls, address: str) -> str:
        """Refuse an address at which anybody could answer."""
        parts = urlsplit(address)
        if parts.scheme not in ("tls", "tcp") or not parts.hostname or parts.port is None:
            raise ValueError("it is written tls://HOST:PORT, or tcp://127.0.0.1:PORT")
        if parts.scheme == "tcp" and not _is_own(parts.hostname):
            raise ValueError("without TLS only 127.0.0.1 is taken, since whoever answers could run programs here")
        return address

    def submit(self, jobs: Sequence[Job]) -> list[str]:
        """Send the jobs with the files of their folders; a job is identified by its folder and a number."""
        with self._asking() as client:
            self._collect_ended(client, list(self._futures))
            ids = [f"{job.folder}#{secrets.token_hex(6)}" for job in jobs]
            futures = {
                name: client.submit(
                    run_job,
                    name,
                    job.command if self.python is not None else ("", *job.command[1:]),
                    job.folder,
                    read_files(Path(job.folder)),
                    key=name,
                    pure=False,
                    resources=self.resources or None,
                )
                for name, job in zip(ids, jobs, strict=True)
            }
            client.publish_dataset(**futures)  # so that they go on without this command
            self._futures |= futures
        return ids

    def find_alive(self, jobs: Collection[str]) -> Mapping[str, State]:
        """Tell which jobs wait or run, and fetch the files of those that have ended."""
        with self._asking() as client:
            self._attach(client, jobs)
            self._collect_ended(client, jobs)
            begun = _list_begun(client)
            return {job: "running" if job in begun else "waiting" for job in jobs if job in self._futures}

    def cancel(self, jobs: Collection[str]) -> None:
        """Have workers send SIGTERM to the jobs that run, and take back those that wait."""
        with self._asking() as client:
            self._attach(client, jobs)
            begun = _list_begun(client)
            for job in jobs:
                if job in self._futures and job not in begun and self._futures[job].status == "pending":
                    self._forget(client, job, cancel=True)
            client.run(stop_jobs, list(jobs), on_error="ignore")

    def find_reason(self, job: str) -> str | None:
        """Return the error that a job ended with, in Dask's words."""
        return self._reasons.get(job)

    def _attach(self, client: Any, jobs: Collection[str]) -> None:
        """Find the jobs that an earlier command submitted."""
        unknown = {job for job in jobs if job not in self._futures}
        if unknown:
            for name in unknown.intersection(client.list_datasets()):
                self._futures[name] = client.get_dataset(name)

    def _collect_ended(self, client: Any, jobs: Collection[str]) -> None:
        """Write what ended jobs left into their folders here."""
        for job in jobs:
            future = self._futures.get(job)
            if future is None or future.status == "pending":
                continue
            if future.status == "finished":
                found = client.gather(future)
                write_files(Path(job.rpartition("#")[0]), found)
            elif future.status == "error":
                self._reasons[job] = " ".join(f"{future.exception()}".split())
            self._forget(client, job)

    def _forget(self, client: Any, job: str, *, cancel: bool = False) -> None:
        future = self._futures.pop(job)
        client.unpublish_dataset(job)
        if cancel:
            future.cancel()

    @contextmanager
    def _asking(self) -> Iterator[Any]:
        """Yield a connection to the scheduler.

        Raises:
            SchedulerSilent: there is none, or it broke off.
        """
        client = self._connect()
        try:
            yield client
        except (OSError, TimeoutError, ValueError, RuntimeError, CancelledError) as error:  # what Dask then raises
            raise SchedulerSilent(f"{self.address} broke off: {type(error).__name__}: {error}") from error
        if client.status != "running":  # its jobs look cancelled then
            raise SchedulerSilent(f"{self.address} broke off")

    def _connect(self) -> Any:
        if self._client is not None and self._client.status == "running":
            return self._client
        try:
            from distributed import Client
        except ImportError as error:
            remedy = "pip install 'prereg-harness[dask]', here and where workers are"
            raise LaunchFailed("Dask is not installed", where="launcher dask", remedy=remedy) from error
        self._close()
        for name in ("distributed", "distributed.client"):  # which report normal ends as errors
            logging.getLogger(name).setLevel(logging.CRITICAL)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # other versions are compared before anything trains
                client = Client(
                    self.address, security=self._find_proof(), timeout=self.answer_seconds, set_as_default=False
                )
            client.subscribe_topic(TOPIC, self._take_news)
        except (OSError, TimeoutError, ValueError) as error:
            raise SchedulerSilent(
                f"{self.address} gives no answer: {type(error).__name__}: {' '.join(str(error).split())}",
                where="launcher dask",
                remedy="start a scheduler there, with certificates of the same authority",
            ) from error
        self._client = client
        return client

    def _find_proof(self) -> Any:
        """Return what both ends prove themselves by; None on this machine's own address."""
        from distributed.security import Security

        if urlsplit(self.address).scheme == "tcp":
            return None
        ca, cert, key = (str(Path(file).expanduser()) for file in (self.tls_ca, self.tls_cert, self.tls_key))
        for file in (ca, cert, key):
            try:
                Path(file).read_bytes()
            except OSError as error:
                remedy = "name the files of your certificates as tls_cert, tls_key and tls_ca of the place"
                raise LaunchFailed(
                    f"{file} can't be read: {error.strerror}", where="launcher dask", remedy=remedy
                ) from error
        return Security(tls_ca_file=ca, tls_client_cert=cert, tls_client_key=key, require_encryption=True)

    def _close(self) -> None:
        if self._client is not None:
            self._futures.clear()
            self._client.close(timeout=1)
            self._client = None

    def _take_news(self, event: tuple[float, Mapping[str, Any]]) -> None:
        """Write what a worker tells of a job that this command follows."""
        told = event[1]
        if told["job"] in self._futures:
            write_files(Path(told["job"].rpartition("#")[0]), told["files"])


RUNNING: dict[str, subprocess.Popen[bytes]] = {}
"""The jobs that this process runs, where it is a worker of Dask."""


def run_job(name: str, command: Sequence[str], folder: str, files: Files) -> Files:
    """Run a job's command in a folder of its own, readable by its owner alone; return the files that it wrote.

    ``folder`` is the job's on the machine that submitted it: in the command this one takes its place. A program named
    "" is the Python of this worker. The command ends when the worker does, even if that is killed.
    """
    from distributed import get_worker

    worker = get_worker()
    with tempfile.TemporaryDirectory(prefix="harness-") as private:
        own = Path(private) / Path(folder).name
        own.mkdir()
        write_files(own, files)
        program = command[0] or sys.executable
        there = [str(own) if part == folder else part for part in command[1:]]
        with (own / LOG).open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "harness.system.tied", program, *there],
                stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=own,
            )  # fmt: skip
            RUNNING[name] = process
            try:
                _follow(process, own, files, lambda news: worker.log_event(TOPIC, {"job": name, "files": news}))
            finally:
                del RUNNING[name]
                process.kill()
                process.wait()
        return find_changes(own, files)


def _follow(process: subprocess.Popen[bytes], own: Path, known: Files, tell: Callable[[Files], None]) -> None:
    """Wait for the end of a job's command, and tell of small files that it writes meanwhile."""
    known = dict(known)
    while True:
        try:
            process.wait(NEWS_SECONDS)
            return
        except subprocess.TimeoutExpired:
            news = {
                file.name: content
                for file in own.iterdir()
                if file.suffix == ".json" and file.stat().st_size <= NEWS_BYTES
                if known.get(file.name) != (content := file.read_bytes())
            }
            if news:
                known |= news
                tell(news)


def stop_jobs(names: Collection[str]) -> None:
    """Ask the jobs among these that this worker runs to end, with checkpoints."""
    for name in names:
        if (process := RUNNING.get(name)) is not None:
            process.terminate()


def read_files(folder: Path) -> Files:
    """Read all files below a folder, but for its log."""
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and not file.is_symlink() and file != folder / LOG
    }


def find_changes(folder: Path, known: Files) -> Files:
    """Read the files below a folder that are others than these, and its log."""
    found = {name: content for name, content in read_files(folder).items() if known.get(name) != content}
    return found | {LOG: (folder / LOG).read_bytes()}


def write_files(folder: Path, files: Files) -> None:
    """Write files below a folder, and nowhere else."""
    for name, content in files.items():
        path = folder / name
        if ".." in path.parts or not path.is_relative_to(folder):
            raise LaunchFailed(f"{name!r} is not a file of a job", where="launcher dask")
        write_atomic(path, content)


def _list_begun(client: Any) -> set[str]:
    """List the jobs that workers have been given, in Dask's words its keys."""
    return {key for keys in client.processing().values() for key in keys}


def _is_own(host: str) -> bool:
    """Tell whether a host is this machine's loopback interface."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


plugin = Dask
