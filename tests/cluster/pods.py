"""Pods of a page's manifest as processes of this machine: their commands, variables, users and files, word for word.

Each container gets a root of its own, which is this machine's with the page's mounts, read-only where the manifest says
so; all are in one network of their own, in which services have their names. No image is built and nothing is scheduled.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).parents[2]
SOURCES = (Path(sys.executable).parent.parent, Path(sys.base_prefix), REPOSITORY)
"""What an image would hold: this Python with all that is installed beside it, and harness."""

CHROOT = shutil.which("chroot", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
"""Path of chroot, which need not be on a PATH that leaves out what is for root."""


def read_block(page: str, language: str, containing: str = "") -> str:
    """Return the block of a page in a language that contains a text."""
    text = (REPOSITORY / "docs" / page).read_text()
    blocks = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    (found,) = [block for _, block in blocks if containing in block]
    return found


def read_manifest() -> list[dict[str, Any]]:
    return [*yaml.safe_load_all(read_block("cluster-kubernetes.md", "yaml"))]


def find_lack() -> str | None:
    """Return why no container can be made here; None if one can."""
    if os.geteuid() != 0:
        return "needs to be root, who makes containers"
    if CHROOT is None:
        return "needs chroot"
    if len({path.stat().st_dev for path in (Path("/"), *SOURCES)}) > 1:
        return "needs Python and harness on the file system of /"
    made = [
        "unshare",
        "--mount",
        "--net",
        "sh",
        "-c",
        "mount -t tmpfs t /mnt && ip link set lo up && command -v setpriv",
    ]
    try:
        ran = subprocess.run(made, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        return f"needs {error.filename}"
    return None if ran.returncode == 0 else f"no container can be made here: {' '.join(ran.stderr.split())}"


class Pods:
    """Containers, and the network that they have in common."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        hold = "ip link set lo up && echo up && exec sleep infinity"
        self._network = subprocess.Popen(["unshare", "--net", "sh", "-c", hold], stdout=subprocess.PIPE)
        assert self._network.stdout is not None
        assert self._network.stdout.readline() == b"up\n"
        self._started = [self._network]

    @property
    def enter(self) -> tuple[str, ...]:
        """What a command begins with that is to run in the network, as if a port of it were forwarded here."""
        return ("nsenter", f"--net=/proc/{self._network.pid}/ns/net")

    def start(self, pod: dict[str, Any], services: dict[str, int], volumes: dict[str, Path | None]) -> Path:
        """Start the only container of a pod's template; return its log.

        ``services``: names and ports of services; ``volumes``: volume → folder of its files, None for an empty one.
        """
        (container,) = pod["containers"]
        log = self.folder / f"{container['name']}.log"
        script = self.folder / f"{container['name']}.sh"
        script.write_text(self._write(pod, container, services, volumes))
        with log.open("wb") as stream:
            command = [*self.enter, "unshare", "--mount", "--propagation", "private", "bash", str(script)]
            self._started.append(subprocess.Popen(command, stdout=stream, stderr=stream, stdin=subprocess.DEVNULL))
        return log

    def _write(
        self, pod: dict[str, Any], container: dict[str, Any], services: dict[str, int], volumes: dict[str, Path | None]
    ) -> str:
        """Write what makes a container's root and becomes its command."""
        root = f"{self.folder}/{container['name']}"
        (self.folder / container["name"]).mkdir()
        user, group = pod["securityContext"]["runAsUser"], pod["securityContext"]["fsGroup"]
        lines = [
            "set -e",
            f"mount -t tmpfs tmpfs {root}",
            f"mkdir {root}/up {root}/work {root}/root {root}/held",
            f"mount -t overlay overlay -o lowerdir=/,upperdir={root}/up,workdir={root}/work {root}/root",
            f"cd {root}/root",
            f"echo 127.0.0.1 localhost {' '.join(services)} >etc/hosts",
            *(f"chmod a+x .{folder}" for path in SOURCES for folder in reversed((path, *path.parents))),
        ]
        for mount in container["volumeMounts"]:
            place, source = f"{root}/root{mount['mountPath']}", volumes[mount["name"]]
            mode = next(v for v in pod["volumes"] if v["name"] == mount["name"]).get("secret", {}).get("defaultMode")
            held = f"{root}/held/{mount['name']}"
            lines += [f"mkdir -p {place}", f"mkdir {held}"]
            lines += [f"cp {source}/* {held}"] if source is not None else [f"chmod 777 {held}"]
            lines += [f"chgrp -R {group} {held}", f"chmod {mode:o} {held}/*"] if mode is not None else []
            lines += [f"mount --bind {held} {place}"]
            for path in SOURCES:
                if path.is_relative_to(mount["mountPath"]):  # which is hidden by it
                    lines += [f"mkdir -p {root}/root{path}", f"mount --bind {path} {root}/root{path}"]
            lines += [f"mount -o remount,ro,bind {place}"] if mount.get("readOnly") else []
        lines += [f"mount --rbind /{name} {root}/root/{name}" for name in ("proc", "dev", "sys")]
        if container["securityContext"]["readOnlyRootFilesystem"]:
            lines.append(f"mount -o remount,ro {root}/root")
        become = ["setpriv", "--reuid", str(user), "--regid", str(pod["securityContext"]["runAsGroup"]), "--groups"]
        become += [str(group), "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]
        become += ["env", "-i", *self._list_variables(services)]
        return "\n".join([*lines, f"exec {CHROOT} . {shlex.join([*become, *container['command']])}\n"])

    def _list_variables(self, services: dict[str, int]) -> list[str]:
        """List what Kubernetes gives a container: a home that is none, and where all services are."""
        found = ["HOME=/", "HOSTNAME=pod", f"PATH={Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"]
        for name, port in services.items():
            prefix = name.upper().replace("-", "_")
            found += [f"{prefix}_SERVICE_HOST=127.0.0.1", f"{prefix}_SERVICE_PORT={port}"]
            found += [f"{prefix}_PORT=tcp://127.0.0.1:{port}", f"{prefix}_PORT_{port}_TCP_PROTO=tcp"]
        return [*found, "OMP_NUM_THREADS=1"]

    def is_up(self) -> bool:
        """Tell whether all containers still run."""
        return all(process.poll() is None for process in self._started)

    def stop(self) -> None:
        for process in reversed(self._started):
            process.kill()
            process.wait()
