"""The environments that a run must not notice: what a user's shell, home, terminal, file system or container may be."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import harness
from tests.e2e.commands import PATIENCE

NOBODY = (
    "setpriv --reuid=12345 --regid=12345 --clear-groups "
    # To read and search, which Python may need where it is installed below root's home; not to write anywhere.
    "--inh-caps=+dac_read_search --ambient-caps=+dac_read_search"
)
FILE_SYSTEM = '''
"""Makes this process's file system one that lacks what LACKS names: it answers as such file systems do.

It stands for FAT (no links, no chmod), SMB and FUSE (no sync of folders), NFS without a lock server (no flock), and
folders that one may write to and not read. It is a simulated file system, since a real one can't be mounted everywhere;
nothing of harness is replaced.
"""
import errno, os, stat
lacks = os.environ.get("LACKS", "").split()
def answer(code):
    def refuse(*args, **kwargs):
        raise OSError(code, os.strerror(code))
    return refuse
if "links" in lacks:
    os.link = answer(errno.EPERM)
    os.symlink = answer(errno.EPERM)
if "modes" in lacks:
    os.chmod = os.fchmod = answer(errno.EPERM)
if "locks" in lacks or "flock" in lacks:
    import fcntl
    fcntl.flock = fcntl.lockf = answer(errno.ENOLCK if "locks" in lacks else errno.ENOSYS)
if "sync" in lacks:
    fsync = os.fsync
    def of_files_only(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        fsync(descriptor)
    os.fsync = of_files_only
if "listing" in lacks:
    real_open = os.open
    def of_files(path, *args, **kwargs):
        if os.path.isdir(path):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return real_open(path, *args, **kwargs)
    os.open = of_files
'''


@dataclass(frozen=True)
class Surroundings:
    """One environment: variables, what the shell does first, where the project lies, what lies in it."""

    set: dict[str, str] = field(default_factory=dict)
    """Variables; ``{root}`` is the project, ``{beside}`` a folder beside it."""
    unset: tuple[str, ...] = ()
    shells: tuple[str, ...] = ()
    """How shells start the command, from the outermost to the innermost."""
    python: tuple[str, ...] = ()
    """Python's own options."""
    folder: str = "project"
    """The project's folder, below a temporary one."""
    prepare: tuple[Callable[[Path], None], ...] = ()
    says: tuple[str, ...] = ()
    """What is said on stderr, once each."""
    needs: str | None = None
    """root; full (a device that is always full); or ascii (a path of the code that Python can read in this locale)."""


def settings_file(text: bytes) -> Callable[[Path], None]:
    """Puts a matplotlibrc into the project, where matplotlib looks first."""

    def prepare(root: Path) -> None:
        (root / "matplotlibrc").write_bytes(text)

    return prepare


def owned(part: str) -> Callable[[Path], None]:
    """Gives a folder of the project, or all of it, to the user without a name."""

    def prepare(root: Path) -> None:
        subprocess.run(["chown", "-R", "12345:12345", str(root / part)], check=True)

    return prepare


STRANGE = b"""\
font.family: serif
axes.formatter.use_locale: True
svg.hashsalt: mine
svg.fonttype: none
figure.dpi: 33
lines.linewidth: 17
savefig.bbox: tight
path.simplify: False
"""
LINKS = "note: this file system has no hard links: new files are renamed into place"
SYNC = "note: this file system does not say when its folders are on the disk: a power cut may cost the last files"
LOCKS = (
    "note: this file system has no locks: a folder .lock.held stands in for a trail's; an attempt's working files are "
    "guarded only in that its processes end with their run"
)
LISTING = "note: folders can't be opened here: a power cut may cost the last files"
PROCESSES = "cohorts are trained one after another, to the same bits"


def lacking(what: str, *says: str) -> Surroundings:
    return Surroundings(set={"PYTHONPATH": "{beside}", "LACKS": what}, says=says)


def closed(how: str, needs: str | None = None) -> Surroundings:
    return Surroundings(shells=(f'exec "$@" {how}',), needs=needs)


ALL = {
    # What stdout can take.
    "cp1252": Surroundings(set={"PYTHONIOENCODING": "cp1252"}),
    "ascii, strictly": Surroundings(set={"PYTHONIOENCODING": "ascii:strict"}),
    "utf-16": Surroundings(set={"PYTHONIOENCODING": "utf-16"}),
    "POSIX, no UTF-8": Surroundings(
        set={"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, needs="ascii"
    ),
    "a locale and a time zone that nobody knows": Surroundings(
        set={"LC_ALL": "tr_TR.UTF-8", "LANG": "xx", "TZ": "Nowhere/Town", "PYTHONUTF8": "1"}, needs="ascii"
    ),
    "colours in cp1252": Surroundings(set={"FORCE_COLOR": "1", "CLICOLOR_FORCE": "1", "PYTHONIOENCODING": "cp1252"}),
    "no streams": closed("<&- >&- 2>&-"),
    "stdout full": closed(">/dev/full", needs="full"),
    "stderr full": closed("2>/dev/full", needs="full"),
    "readers that are gone": closed("> >(exec true) 2> >(exec true)"),
    # The terminal.
    "a dumb terminal": Surroundings(set={"TERM": "dumb", "COLUMNS": "1", "LINES": "1", "NO_COLOR": "1"}),
    "an endless terminal": Surroundings(set={"COLUMNS": "100000", "TERMINAL_WIDTH": "wide"}, unset=("TERM",)),
    # Python.
    "-OO": Surroundings(set={"PYTHONOPTIMIZE": "2", "PYTHONHASHSEED": "12345"}),
    "-X dev, warnings are errors": Surroundings(
        set={"PYTHONDEVMODE": "1", "PYTHONWARNINGS": "error", "PYTHONOPTIMIZE": "1"}
    ),
    "no bytecode": Surroundings(
        set={"PYTHONSAFEPATH": "1", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPYCACHEPREFIX": "/proc/none"}
    ),
    "-I": Surroundings(python=("-I",)),
    # Matplotlib.
    "a backend that nobody knows": Surroundings(set={"MPLBACKEND": "nonsense"}),
    "matplotlib's settings, strange": Surroundings(
        set={"MPLBACKEND": "TkAgg", "MPLCONFIGDIR": "/proc/none"}, prepare=(settings_file(STRANGE),)
    ),
    "matplotlib's settings, no text": Surroundings(prepare=(settings_file(b"\xff\xfe\x00font.family"),)),
    # Home, caches, temporary files.
    "no home": Surroundings(unset=("HOME",), set={"XDG_CACHE_HOME": "relative", "XDG_CONFIG_HOME": "relative"}),
    "a home that is a file": Surroundings(set={"HOME": "/etc/passwd", "HARNESS_CACHE": "/etc/passwd/cache"}),
    "no temporary folder": Surroundings(set={"TMPDIR": "/nowhere/tmp"}),
    "a temporary folder too far down for a socket": Surroundings(
        set={"TMPDIR": "{beside}/" + "d" * 120}, says=(PROCESSES,)
    ),
    # Limits.
    "few open files": Surroundings(shells=('ulimit -n 64 -c 0; exec "$@"',)),
    "numbers of threads that are none": Surroundings(set={"OMP_NUM_THREADS": "many", "MKL_NUM_THREADS": "0"}),
    "settings of libraries that no run needs": Surroundings(
        set={"SKLEARN_WORKING_MEMORY": "abc", "JOBLIB_START_METHOD": "abc"}
    ),
    # File systems.
    "no hard links": lacking("links", LINKS),
    "no sync of folders": lacking("sync", SYNC),
    "no lock server": lacking("locks", LOCKS),
    "no locks": lacking("flock", LOCKS),
    "no reading of folders": lacking("listing", LISTING),
    # Without modes, no socket of a server that starts processes can be closed to others.
    "a memory card": lacking("links modes sync locks", LINKS, SYNC, LOCKS, PROCESSES),
    # Paths.
    "spaces, signs and letters": Surroundings(folder="a b ünï – ≥ #%[x]{{y}}$HOME;"),
    "no UTF-8": Surroundings(folder=os.fsdecode(b"bad\xff\xfename")),
    "a leading dash": Surroundings(folder="-rf"),
    "far down": Surroundings(folder="/".join(["d" * 200] * 12)),
    "a folder that is gone": Surroundings(
        shells=('root=$PWD; mkdir gone; cd gone; rmdir ../gone; exec "${@:1:$#-3}" "$root/${@: -3:1}" "${@: -2}"',),
        says=("note: the folder that this was started in is gone: relative paths lead nowhere",),
    ),
    # Users.
    "env -i": Surroundings(shells=('exec env -i PATH=/usr/bin:/bin "$@"',)),
    "a user without a name": Surroundings(
        shells=(f'umask 0777; exec env -i PATH=/usr/bin:/bin {NOBODY} "$@"',), prepare=(owned("."),), needs="root"
    ),
    "a project to read only, but for its trail": Surroundings(
        unset=("HOME",), shells=(f'umask 077; exec {NOBODY} "$@"',), prepare=(owned("verdicts"),), needs="root"
    ),
}


TOGETHER = (
    # What does not touch the same thing is tried in one run: what is printed to, Python, matplotlib, homes, limits,
    # file systems, paths, users. What hides what a run says on stderr goes with nothing else that shows there, and what
    # clears or ignores variables with nothing that sets some.
    (
        "cp1252", "matplotlib's settings, strange", "no hard links", "spaces, signs and letters",
        "a project to read only, but for its trail",
    ),
    (
        "ascii, strictly", "a backend that nobody knows", "no sync of folders", "no home", "an endless terminal",
        "a temporary folder too far down for a socket", "far down",
    ),
    ("POSIX, no UTF-8", "a dumb terminal", "no locks", "no UTF-8"),
    (
        "a locale and a time zone that nobody knows", "-OO", "no reading of folders", "no temporary folder",
        "settings of libraries that no run needs",
    ),
    ("colours in cp1252", "no bytecode", "a memory card", "few open files"),
    (
        "-X dev, warnings are errors", "numbers of threads that are none", "a home that is a file", "no lock server",
        "stdout full",
    ),
    ("a folder that is gone", "matplotlib's settings, no text", "env -i"),
    ("-I", "a leading dash", "a user without a name"),
    ("utf-16", "stderr full"),
    ("no streams",),
    ("readers that are gone",),
)  # fmt: skip


def combined(names: tuple[str, ...]) -> Surroundings:
    """Several environments as one; they must not set the same variable or place."""
    parts = [ALL[name] for name in names]
    variables = [name for part in parts for name in (*part.set, *part.unset)]
    folders = [part.folder for part in parts if part.folder != Surroundings().folder]
    assert len(variables) == len(set(variables)) and len(folders) <= 1, names
    return Surroundings(
        set={name: value for part in parts for name, value in part.set.items()},
        unset=tuple(name for part in parts for name in part.unset),
        shells=tuple(shell for part in parts for shell in part.shells),
        python=tuple(option for part in parts for option in part.python),
        folder=folders[0] if folders else Surroundings().folder,
        prepare=tuple(prepare for part in parts for prepare in part.prepare),
        says=tuple(said for part in parts for said in part.says),
    )


def missing(around: Surroundings) -> str | None:
    """Why these can't be made here; None if they can."""
    if around.needs == "root" and (os.name == "nt" or os.geteuid() or shutil.which("setpriv") is None):
        return "only root can become somebody else, with setpriv"
    if around.needs == "full" and not Path("/dev/full").exists():
        return "needs a device that is always full"
    if around.needs == "ascii" and sys.version_info < (3, 13) and not harness.__file__.isascii():
        return "before 3.13, Python reads the path of an editable install in the locale's encoding, or not at all"
    return None


def start(
    command: list[str], root: Path, beside: Path, around: Surroundings, inherited: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """The command in the project, in its surroundings."""
    variables = {
        name: value.replace("{root}", str(root)).replace("{beside}", str(beside)) for name, value in around.set.items()
    }
    environment = {name: value for name, value in (inherited | variables).items() if name not in around.unset}
    for shell in reversed(around.shells):
        command = ["bash", "-c", shell, "sh", *command]
    return subprocess.run(
        command,
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        encoding="latin-1",
        timeout=PATIENCE,
    )


def make_environment_without(package: str, folder: Path) -> Path:
    """Make a virtual environment of all that is installed here but one package; return its Python."""
    venv.create(folder, symlinks=True)
    (own,) = folder.glob("lib/python3*/site-packages")
    for place in {Path(entry) for entry in sys.path if Path(entry).name in ("site-packages", "dist-packages")}:
        for found in place.iterdir():
            left_out = found.name.startswith((package, "__")) or found.suffix == ".pth"  # it may name other folders
            if not left_out and not (own / found.name).exists():
                (own / found.name).symlink_to(found)
    return folder / "bin/python3"
