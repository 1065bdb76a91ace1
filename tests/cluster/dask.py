"""A real Dask over TLS on this machine's loopback interface: an authority, a scheduler and workers, each a process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.cluster.slurm import find_ports


def call(*arguments: str | Path) -> None:
    subprocess.run([str(one) for one in arguments], capture_output=True, check=True)


def make_certificates(folder: Path) -> Path:
    """Make an authority and a certificate of it, for both ends: ca.pem, me.pem and me.key."""
    folder.mkdir(parents=True)
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    call("openssl", "req", "-x509", *key, "-keyout", folder / "ca.key", "-out", folder / "ca.pem", "-subj", "/CN=Lab")
    call("openssl", "req", *key, "-keyout", folder / "me.key", "-out", folder / "me.csr", "-subj", "/CN=Me")
    signed = ("-CA", folder / "ca.pem", "-CAkey", folder / "ca.key", "-set_serial", "7")
    call("openssl", "x509", "-req", "-in", folder / "me.csr", *signed, "-out", folder / "me.pem")
    return folder


class Dask:
    """A scheduler with its workers, whose files lie in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.certificates = make_certificates(folder / "certificates")
        (self.port,) = find_ports(1)
        self.address = f"tls://127.0.0.1:{self.port}"
        self.started: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def settings(self) -> dict[str, str]:
        """What a project's settings say of it."""
        files = {"tls_ca": "ca.pem", "tls_cert": "me.pem", "tls_key": "me.key"}
        return {"address": self.address, **{key: str(self.certificates / file) for key, file in files.items()}}

    def start(self) -> None:
        """Start the scheduler and one worker."""
        self.start_scheduler()
        self.start_worker()

    def start_scheduler(self) -> None:
        self._start("scheduler", "--host", "127.0.0.1", "--port", str(self.port))

    def start_worker(self) -> None:
        """Start a worker, which waits for the scheduler, and ends when it has lost it."""
        own = ("--no-nanny", "--nthreads", "1", "--host", "127.0.0.1", "--local-directory", str(self.folder))
        self._start("worker", self.address, *own, "--death-timeout", "240")

    def _start(self, name: str, *arguments: str) -> None:
        files = {"--tls-ca-file": "ca.pem", "--tls-cert": "me.pem", "--tls-key": "me.key"}
        options = [text for option, file in files.items() for text in (option, str(self.certificates / file))]
        log = self.folder / f"{name}.log"
        with log.open("ab") as stream:
            self.started[name] = subprocess.Popen(
                [sys.executable, "-m", "dask", name, *arguments, *options, "--no-dashboard"],
                stdout=stream, stderr=stream, env={**os.environ, "OMP_NUM_THREADS": "1"},
            )  # fmt: skip

    def kill(self, name: str) -> None:
        """Kill the scheduler, or the worker, as a power cut does."""
        process = self.started.pop(name)
        process.kill()
        process.wait()

    def stop(self) -> None:
        """Kill all that still runs."""
        for name in list(self.started):
            self.kill(name)
