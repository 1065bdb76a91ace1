"""Two versions of harness, each in processes of its own: the one of a commit, and the one here."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.attacks.repositories import commit, git

REPOSITORY = Path(__file__).parents[3]
COMMIT = "441d6b90c5eda956f077f1f63aa6edfb5f24739d"
"""The last commit before seeds from beacons, the first of the changes that answered these attacks."""
SECONDS = 120
"""How long a verb may take that reads no more than a small trail. One that waits for a pipe waits for ever."""
PLAIN = {
    "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null", "OMP_NUM_THREADS": "1", "COLUMNS": "200",
    "NO_COLOR": "1", "PYTHONSAFEPATH": "1",
    **{f"GIT_{who}_{what}": told for who in ("AUTHOR", "COMMITTER")
       for what, told in (("NAME", "Ada"), ("EMAIL", "ada@example.org"))},
}  # fmt: skip


@dataclass(frozen=True)
class Said:
    """What a version said to an attack."""

    found: bool
    """True if it refused the attack, found it, or said so in plain words."""
    words: str
    """The finding, the exit code, or the sentence."""


@dataclass(frozen=True)
class Answer:
    """What became of a command."""

    code: int | None
    """Its exit code; None: it had not ended when its time was over."""
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err


@dataclass(frozen=True)
class Code:
    """A version of harness."""

    name: str
    tree: Path
    """Its repository, from the top."""
    work: Path
    """A folder for what its attacks have in common."""

    def call(
        self, folder: Path, *arguments: str, first: str = "", site: Path | None = None, tree: Path | None = None,
        seconds: float = SECONDS, interrupt: Callable[[], bool] | None = None,
    ) -> Answer:  # fmt: skip
        """Give a command in a folder; ``first`` is Python that runs before it, ``site`` is found before everything,
        ``tree`` is an altered copy of the version, and as soon as ``interrupt`` is true it is stopped by Ctrl-C."""
        path = [str(place) for place in (site, tree or self.tree) if place is not None]
        environment = os.environ | PLAIN | {"PYTHONPATH": os.pathsep.join(path)}
        program = f"{first}\nimport sys\nsys.argv[0] = 'harness'\nfrom harness.cli import main\nmain()\n"
        command = [sys.executable, "-c", program, *arguments]
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            begun = subprocess.Popen(
                command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=err
            )
            code = _wait(begun, seconds, interrupt)
            for stream in (out, err):
                stream.seek(0)
            return Answer(code, out.read(), err.read())

    def do(self, folder: Path, *arguments: str, **more: Any) -> Answer:
        """Give a command that has to succeed."""
        done = self.call(folder, *arguments, **more)
        if done.code != 0:
            raise RuntimeError(f"{self.name}: harness {' '.join(arguments)} ended with {done.code}: {done.text}")
        return done

    def audit(self, folder: Path, *finds: str, options: tuple[str, ...] = (), **more: Any) -> Said:
        """Audit a project that is under git, with --recompute.

        An attack is found if the audit does not end with 0, or if a finding has one of these codes or says one of these
        words. Findings of an honest trail are no answer to an attack, unless they are asked for.
        """
        done = self.call(folder, "audit", "--recompute", "--format", "json", *options, **more)
        if done.code is None:
            return Said(False, "it hangs")
        try:
            findings = json.loads(done.out)["findings"]
        except ValueError:
            return Said(done.code != 0, f"refused ({done.code})")
        told = [one for one in findings if one["sort"] in finds or any(word in one["what"] for word in finds)]
        told += [one for one in findings if one["kind"] in ("tampered", "differs", "missing", "open")]
        codes = dict.fromkeys(f"*{one['sort']}*" for one in told)
        return Said(bool(told) or done.code != 0, f"{', '.join(codes) or 'clean'} ({done.code})")

    @cached_property
    def good(self) -> Path:
        """A project under git with a good trail by this version, which it audits clean. Copy it before changing it."""
        project = self.work / "good"
        if not project.exists():  # whoever has one that this version made may put it there
            command = [sys.executable, "-m", "tests.attacks.good", str(project)]
            environment = os.environ | PLAIN | {"PYTHONPATH": str(self.tree)}
            environment.pop("PYTHONSAFEPATH")
            subprocess.run(command, cwd=self.tree, env=environment, check=True, capture_output=True)
        self.put_under_git(project)
        if (said := self.audit(project)).found:
            raise RuntimeError(f"{self.name}: an honest trail is not audited clean: {said.words}")
        return project

    def copy_good(self, folder: Path) -> Path:
        return Path(shutil.copytree(self.good, folder / "project", symlinks=True))

    def put_under_git(self, project: Path) -> None:
        shutil.copy(self.tree / ".gitignore", project / ".gitignore")
        git(project, "init", "-q", "-b", "main")
        commit(project, "first")

    def copy_tree(self, target: Path) -> Path:
        """Copy what of this version runs."""
        for part in ("harness", "templates"):
            shutil.copytree(self.tree / part, target / part)
        return target

    @property
    def has_beacons(self) -> bool:
        return (self.tree / "harness" / "beacons").is_dir()


def _wait(process: subprocess.Popen[bytes], seconds: float, interrupt: Callable[[], bool] | None) -> int | None:
    end = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < end:
        if interrupt is not None and interrupt():
            process.send_signal(signal.SIGINT)
            interrupt = None
        time.sleep(0.02)
    if process.poll() is None:
        process.kill()
        process.wait()
        return None
    return process.returncode


def open_here(work: Path) -> Code:
    """The version here."""
    return Code("now", REPOSITORY, _make(work / "now"))


def open_before(work: Path) -> Code:
    """The version of the commit, as a tree of its own.

    Raises:
        SystemExit: the repository does not hold the commit.
    """
    packed = subprocess.run(["git", "-C", str(REPOSITORY), "archive", COMMIT], capture_output=True)
    if packed.returncode:
        raise SystemExit(
            f"commit {COMMIT[:12]} is not here: a full clone of harness holds it\n{packed.stderr.decode()}"
        )
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        # Python 3.11 has filters since 3.11.4. What is taken apart is this repository's own.
        archive.extractall(work / "tree", **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    return Code("before", work / "tree", _make(work / "before"))


def _make(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder
