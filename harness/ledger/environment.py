"""The environment of a run: code, packages, platform. No host name, no user name, no path."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pydantic import Field

import harness
from harness.ledger.code import Code, digest_package
from harness.ledger.committed import CommittedCode, read_committed
from harness.ledger.git import Unanswered, find_repository, git
from harness.plugins.distributions import Package, describe_packages, list_modules
from harness.records import Record
from harness.system.reading import LARGEST_FILE

PACKAGES = (
    "torch",
    "torchvision",
    "triton",
    "numpy",
    "scipy",
    "scikit-learn",
    "pydantic",
    "pyyaml",
    "rfc8785",
    "safetensors",
    "jinja2",
    "matplotlib",
    "pillow",
)
"""Packages whose versions are noted of a run."""
CALCULATING = ("torch", "torchvision", "triton", "numpy", "scipy", "scikit-learn", "pillow", "safetensors", "pydantic")
"""The packages that a result may depend on: they calculate, read data, or keep what is resumed. Others write pages."""
CODE = (".py", ".yaml", ".j2")
"""Endings of new files that may change what a run does."""


class Environment(Record):
    """The part of a run's circumstances that can be told without starting it."""

    harness: str
    """Version of this package."""
    code: str
    """SHA-256 over the source files of this package, whether they are in a repository or installed."""
    code_kinds: dict[str, str] = Field(default_factory=dict)
    """Kind of code → digest of its files (``harness.ledger.code``); empty where it was not noted yet."""
    commit: str | None
    """Git commit; None where there is none."""
    no_commit: Unanswered | None = Field(default=None, exclude_if=lambda value: value is None)
    """The reason that there is none; None also in events written before this was noted."""
    of_commit: bool | None = Field(default=None, exclude_if=lambda value: value is None)
    """True if the commit holds this very code of harness, False if it holds other code of harness; None if it holds
    none, if there is no commit, or where it was not noted yet."""
    dirty: bool | None
    """True if files differ from the commit: tracked ones, and new ones that are code, YAML or templates; those below
    verdicts/ aside."""
    dirty_digest: str | None
    """SHA-256 of that difference, as ``git diff --binary`` prints it, and of the new files; None if there is none."""
    packages: dict[str, str]
    """Installed package → version."""
    foreign: dict[str, Package] = Field(default_factory=dict, exclude_if=lambda value: not value)
    """Other people's packages, none that harness requires, that were loaded or are behind a plug-in; empty too where it
    was not noted yet."""
    python: str
    """The interpreter's version."""
    platform: str
    """System and machine, "Linux x86_64"."""


def describe_environment(root: Path, behind: Iterable[str] = ()) -> Environment:
    """Describe the environment of a run whose project folder is ``root``. Nothing is imported to find out versions.

    ``behind``: other people's modules that the run will use, loaded or not (``pins.find_modules_behind``).
    """
    where = find_repository(root)
    difference = None if where.commit is None else _read_difference(root)
    code = digest_package()
    return Environment(
        harness=harness.__version__,
        code=code.digest,
        code_kinds=code.kinds,
        commit=where.commit,
        no_commit=None if where.state == "answers" else where.state,
        of_commit=None if where.commit is None else _compare(read_committed(root, where.commit), code),
        dirty=None if difference is None else difference != b"",
        dirty_digest=hashlib.sha256(difference).hexdigest() if difference else None,
        packages={name: found for name in PACKAGES if (found := _find_version(name)) is not None},
        foreign=describe_packages({*list_modules(), *behind}),
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
    )


def _compare(held: CommittedCode, code: Code) -> bool | None:
    return None if held.problem else held.is_that_of(code.digest, code.kinds)


def _read_difference(root: Path) -> bytes | None:
    """Return what the repository's files differ in, new ones by name and digest, whatever the user's diff settings."""
    settings = ("diff.noprefix=false", "diff.mnemonicPrefix=false", "diff.algorithm=myers", "diff.context=3")
    options = ("--binary", "--full-index", "--no-ext-diff", "--no-textconv", "--no-color", "--no-renames")
    chosen = [part for setting in settings for part in ("-c", setting)]
    tracked = git(root, *chosen, "diff", "HEAD", *options, "--", ":/", ":(exclude)verdicts")
    listed = git(
        root, "ls-files", "--others", "--exclude-standard", "--full-name", "-z", "--", ":/", ":(exclude)verdicts"
    )
    top = git(root, "rev-parse", "--show-toplevel")
    if tracked is None or listed is None or top is None:
        return None
    new = b""
    for name in sorted(filter(None, listed.decode(errors="surrogateescape").split("\0"))):
        path = Path(top.decode(errors="surrogateescape").strip()) / name
        if path.suffix in CODE and path.is_file():
            new += f"{_digest_file(path)}  {name}\n".encode(errors="surrogateescape")
    return tracked + new


def _digest_file(path: Path) -> str:
    """Return a file's SHA-256; of one that is no file of code by its size, the size alone."""
    size = path.stat().st_size
    if size > LARGEST_FILE:
        return f"{size} bytes"
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _find_version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
