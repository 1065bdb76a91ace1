"""What all tests share: one thread for PyTorch, draws that are the same in every run, bytecode that is kept, signals
that are heard, tests that skip, folders in memory, workers for all cores, and garbage collection that leaves alone what
stays."""

from __future__ import annotations

import gc
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Set before anything imports PyTorch, and for every process that a test starts. harness trains in as many processes as
# PyTorch has threads, so a test that wants several asks for them; and threads of several pytest workers would wait for
# one another.
os.environ["OMP_NUM_THREADS"] = "1"

# Some hundred processes import harness, and several collect the tests: where a container's settings keep bytecode from
# being written, each of them would compile all of it anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A shell that starts something in the background, nohup and some CI servers have it ignore these signals, and so would
# every command that a test starts and then signals.
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

# Tests of properties try the same examples in every run, however slow the machine is: one run in many would else fail
# on a change that has nothing to do with it. With --hypothesis-profile=default each run tries others, to look for more.
settings.register_profile("same", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("same")

FEW = 50
"""So many modules may be loaded before what they hold is set aside."""
loaded = 0
"""How many were loaded when that was last done."""
gc.disable()  # until all tests are collected


def pytest_collection_finish() -> None:
    """Set aside what was imported and collected."""
    _set_aside()
    gc.enable()


def pytest_runtest_setup() -> None:
    """Have PyTorch's own generator draw the same in every run, whichever tests ran before in this process."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


def pytest_runtest_logreport() -> None:
    """Set aside what a test or its fixtures loaded, such as PyTorch."""
    if len(sys.modules) - loaded > FEW:
        _set_aside()


def pytest_unconfigure() -> None:
    """Have Python end as ever: some libraries take what is left then for a leak of theirs."""
    gc.unfreeze()


def _set_aside() -> None:
    """Keep the collector from visiting what lives to the end.

    harness asks for a whole collection with every cohort. Each would look at some hundred thousand objects of PyTorch
    and of pytest, and together they would be half the time of the tests that train.
    """
    global loaded
    gc.collect()
    gc.freeze()
    loaded = len(sys.modules)


MEMORY = Path("/dev/shm")
"""Linux's folder that is kept in memory."""
ROOM = 2 << 30
"""Bytes that must be free there, several times what the tests' folders take."""
SHARE = 3 << 29
"""Bytes of memory that a worker of pytest-xdist and what it starts may take."""


def pytest_configure(config: pytest.Config) -> None:
    """Keep the tests' folders in memory where there is room for them and programs may be started from them.

    harness waits for the disk with each file of a trail, and the suite with ten thousands of them. Whoever wants them
    on a disk says where: ``--basetemp`` or ``PYTEST_DEBUG_TEMPROOT``.
    """
    if config.getoption("basetemp") is None and _has_room(MEMORY):
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))


def _has_room(folder: Path) -> bool:
    if not folder.is_dir() or not os.access(folder, os.W_OK) or _find_free_memory() < 2 * ROOM:
        return False
    return shutil.disk_usage(folder).free >= ROOM and not os.statvfs(folder).f_flag & os.ST_NOEXEC


def _find_free_memory() -> int:
    """Return the bytes of memory that programs could still take; 0 where Linux does not say it."""
    try:
        (line,) = [line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemAvailable:")]
    except (OSError, ValueError):
        return 0
    return min([int(line.split()[1]) << 10, *list_group_memory()])


def list_group_memory(groups: Path = Path("/sys/fs/cgroup"), told: Path = Path("/proc/self/cgroup")) -> list[int]:
    """Return the bytes that are left of each limit of this process's groups, as containers have one (cgroup v2).

    Files that were read and could be dropped count as used only if they are in use.
    """
    try:
        (own,) = [line[3:] for line in told.read_text().splitlines() if line.startswith("0::")]
    except (OSError, ValueError):
        return []
    found, folder = [], groups / own.strip("/")
    for group in (folder, *folder.parents):
        with suppress(OSError, ValueError, KeyError):  # ValueError: no limit, "max"
            limit, used = (int((group / f"memory.{name}").read_text()) for name in ("max", "current"))
            parts = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
            found.append(max(limit - used + int(parts["inactive_file"]), 0))
        if group == groups:
            break
    return found


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """Give ``-n auto`` three workers for two cores, if memory allows: many tests wait for processes and signals.

    With ``PYTEST_XDIST_AUTO_NUM_WORKERS``, or where memory is short, it is for pytest-xdist to say.
    """
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ or not hasattr(os, "sched_getaffinity"):
        return None
    wanted = len(os.sched_getaffinity(0)) * 3 // 2
    return wanted if _find_free_memory() >= wanted * SHARE else None


BROWSER = "HARNESS_TESTS_BROWSER"
"""Variable by which whoever has installed a browser insists that the tests which need it run."""
LATEX = "HARNESS_TESTS_LATEX"
"""The same of whoever has installed LaTeX."""
EXAMPLES = "HARNESS_TESTS_EXAMPLES"
"""Variable by which whoever has minutes for it has the examples run whole; CI has."""
TEX_FILES = ("booktabs.sty", "lmodern.sty")
"""What papers need of LaTeX beside its base."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip ``gpu`` tests without a CUDA device, and those that need a browser, LaTeX or more time than there is."""
    if not os.environ.get(EXAMPLES):
        _skip(items, "examples", f"takes minutes: set {EXAMPLES}=1; CI does")
    if not os.environ.get(LATEX) and any(item.get_closest_marker("latex") for item in items):
        without = _find_lacking_latex()
        if without:
            _skip(items, "latex", f"needs LaTeX and poppler-utils, and there is no {without} here")
    lacking = _find_lacking_browser()
    if lacking and not os.environ.get(BROWSER):
        _skip(items, "browser", f"needs a browser, and there is no {lacking} here")
    if not any(item.get_closest_marker("gpu") for item in items):
        return
    import torch

    if not torch.cuda.is_available():
        _skip(items, "gpu", "needs a CUDA device, and there is none here")


def _skip(items: list[pytest.Item], mark: str, reason: str) -> None:
    for item in items:
        if item.get_closest_marker(mark):
            item.add_marker(pytest.mark.skip(reason=reason))


def find_chromium() -> str | None:
    """Return the path of Chromium, under the names that systems have for it; None if there is none."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def _find_lacking_latex() -> str:
    """Return what is missing to compile a paper and to read its pages; nothing if all is there."""
    programs = [name for name in ("pdflatex", "kpsewhich", "pdftotext", "pdftoppm") if shutil.which(name) is None]
    if programs:
        return programs[0]
    found = subprocess.run(["kpsewhich", *TEX_FILES], capture_output=True, text=True, check=False).stdout
    return next((name for name in TEX_FILES if name not in found), "")


def _find_lacking_browser() -> str:
    """Return what is missing to look at pages in a browser; nothing if all is there."""
    programs = ["Chromium"] * (find_chromium() is None) + ["chromedriver"] * (shutil.which("chromedriver") is None)
    packages = [name for name in ("selenium", "axe_core_python") if importlib.util.find_spec(name) is None]
    return next(iter((*programs, *packages)), "")
