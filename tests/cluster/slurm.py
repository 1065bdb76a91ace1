"""A real Slurm on one machine, without systemd and cgroups: munged, slurmctld and slurmd with two fake cards.

    python3 tests/cluster/slurm.py

tells whether one can be started here and runs a job: 0 if it does, else 1 and why, in one line. It needs no package.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol", "srun")
PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"
"""Where daemons are found, whoever's PATH it is."""


def find_lack() -> str | None:
    """Return why no Slurm can be started here; None if one can."""
    missing = [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]
    if missing:
        return f"needs Slurm, and {missing[0]} is not here"
    return None if os.geteuid() == 0 else "needs to be root, who starts Slurm"


def find_ports(count: int) -> list[int]:
    """Find free ports below those that systems hand out, so that nobody is given one before it is listened at."""
    found: list[int] = []
    for port in random.sample(range(20_000, 32_000), 1000):
        with socket.socket() as one, suppress(OSError):
            one.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            break
    return found


class Slurm:
    """A controller and a node, with their files in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.host = socket.gethostname().partition(".")[0]
        self.ports = find_ports(2)
        self.munge = Path(tempfile.mkdtemp(prefix="munge-"))  # a socket's path has to be short
        for name in ("state", "spool", "log", "run", "cards"):
            (folder / name).mkdir(parents=True)
        for card in range(2):
            (folder / f"cards/card{card}").touch()
        (folder / "gres.conf").write_text(f"Name=gpu File={folder}/cards/card[0-1]\n")
        (folder / "slurm.conf").write_text(self._configure())
        self.environment = {"SLURM_CONF": str(folder / "slurm.conf")}

    def _configure(self) -> str:
        d = self.folder
        return f"""\
ClusterName=one
SlurmctldHost={self.host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={self.munge}/socket
CryptoType=crypto/munge
SlurmctldPort={self.ports[0]}
SlurmdPort={self.ports[1]}
StateSaveLocation={d}/state
SlurmdSpoolDir={d}/spool
SlurmctldPidFile={d}/run/slurmctld.pid
SlurmdPidFile={d}/run/slurmd.pid
SlurmctldLogFile={d}/log/slurmctld.log
SlurmdLogFile={d}/log/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
GresTypes=gpu
ReturnToService=2
SlurmdTimeout=10
SlurmdParameters=config_overrides
KillWait=5
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0
NodeName={self.host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=2000 Gres=gpu:2 State=UNKNOWN
PartitionName=all Nodes={self.host} Default=YES MaxTime=INFINITE State=UP OverSubscribe=FORCE:4
"""

    def call(self, *command: str) -> str:
        ran = subprocess.run(
            command, capture_output=True, text=True, env={**os.environ, **self.environment, "PATH": PATH}, check=False
        )
        return ran.stdout

    def start(self) -> None:
        """Start munged, the controller and the node, and wait until it takes jobs."""
        self._start_munge()
        self.call("slurmctld", "-c")
        self.start_node()

    def start_node(self) -> None:
        self.call("slurmd")
        wait_until(lambda: self.call("sinfo", "-h", "-o", "%t").strip() in ("idle", "mix", "alloc"), "a node is up", 60)

    def kill_node(self) -> None:
        """Kill the node as a power cut does: slurmd, the steps of jobs, and what they run."""
        for name in ("slurmd", "slurmstepd"):
            for number in self._find(name):
                for child in find_children(number):
                    os.kill(child, signal.SIGKILL)
                os.kill(number, signal.SIGKILL)

    def stop(self) -> None:
        """End all of it, and what it runs."""
        self.call("scancel", "--me")
        self.kill_node()
        for name in ("slurmctld", "munged"):
            for number in self._find(name):
                os.kill(number, signal.SIGKILL)
        shutil.rmtree(self.munge, ignore_errors=True)

    def _start_munge(self) -> None:
        """Start a munged of its own, which signs what Slurm's programs tell one another: another may run here, or none.

        It is told to bear with a folder that others can't enter, since all of it is root's.
        """
        key = self.munge / "key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        files = [f"--{name}-file={self.munge / name}" for name in ("key", "pid", "log", "seed")]
        ran = subprocess.run(
            ["munged", "--force", f"--socket={self.munge}/socket", *files],
            capture_output=True, text=True, env={**os.environ, **self.environment, "PATH": PATH}, check=False,
        )  # fmt: skip
        assert ran.returncode == 0, f"munged: {ran.stderr.strip()}"

    def _find(self, name: str) -> list[int]:
        """Find the processes of this Slurm by their variable, since another one may run here."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    own = (entry / "comm").read_text().strip() == name
                    ours = str(self.folder).encode() in (entry / "environ").read_bytes()
                except OSError:
                    continue
                if own and ours:
                    found.append(int(entry.name))
        return found


def find_children(number: int) -> list[int]:
    told = subprocess.run(["pgrep", "-P", str(number)], capture_output=True, text=True, check=False).stdout
    children = [int(one) for one in told.split()]
    return [*children, *(one for child in children for one in find_children(child))]


def wait_until(holds: object, what: str, seconds: float = 600) -> None:
    """Wait until something holds; the limit is for what never comes."""
    assert callable(holds)
    last = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < last, f"never: {what}"
        time.sleep(0.05)


def probe() -> str | None:
    """Start a Slurm and run a job that asks for a card; return why that can't be done, or None."""
    if (lack := find_lack()) is not None:
        return lack
    with tempfile.TemporaryDirectory() as folder:
        one = Slurm(Path(folder))
        try:
            one.start()
            ran = subprocess.run(
                ["srun", "--gres=gpu:1", "--immediate=60", "echo", "it runs"],
                env={**os.environ, **one.environment, "PATH": PATH},
                capture_output=True, text=True, timeout=90, check=False,
            )  # fmt: skip
            return None if ran.stdout == "it runs\n" else f"a job doesn't run: {' '.join(ran.stderr.split())}"
        except (OSError, subprocess.SubprocessError, AssertionError) as error:
            return f"it doesn't start: {error}"
        finally:
            one.stop()


if __name__ == "__main__":
    why = probe()
    print(why or "Slurm runs here")
    sys.exit(why is not None)
