"""The one place where git is asked: what it answers, or which of five reasons there are that it does not."""

from __future__ import annotations

import getpass
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Literal

SECONDS = 30
REDIRECTING = (
    # git rev-parse --local-env-vars, as a hook that harness is called from has them,
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_CONFIG", "GIT_CONFIG_PARAMETERS", "GIT_OBJECT_DIRECTORY", "GIT_DIR",
    "GIT_WORK_TREE", "GIT_IMPLICIT_WORK_TREE", "GIT_GRAFT_FILE", "GIT_INDEX_FILE", "GIT_NO_REPLACE_OBJECTS",
    "GIT_REPLACE_REF_BASE", "GIT_PREFIX", "GIT_SHALLOW_FILE", "GIT_COMMON_DIR", "GIT_INTERNAL_SUPER_PREFIX",
    # and what else makes git look elsewhere, or take a path otherwise than it is meant here.
    "GIT_NAMESPACE", "GIT_CEILING_DIRECTORIES", "GIT_LITERAL_PATHSPECS", "GIT_GLOB_PATHSPECS", "GIT_NOGLOB_PATHSPECS",
    "GIT_ICASE_PATHSPECS", "GIT_ATTR_SOURCE",
)  # fmt: skip
"""Variables of a surrounding git that would lead ours to another repository; ``GIT_CONFIG_COUNT`` is a person's own."""

Unanswered = Literal["no git", "no repository", "no commit yet", "outside the repository", "git says no"]
State = Unanswered | Literal["answers"]
REMEDIES: dict[State, str] = {
    "no git": "install git, then give the command again",
    "no repository": "use a full clone of the project's repository; a new project begins with git init and a commit",
    "no commit yet": "commit what is here: git add . && git commit",
    "outside the repository": "keep the trail in the project's repository, as its default place verdicts/ is",
    "git says no": "mend what git says, or use a clone of your own, then give the command again",
}


@dataclass(frozen=True)
class Answer:
    """The output of a git command, or the reason that there is none."""

    out: bytes | None
    """Standard output; None if the command failed."""
    state: State
    said: str = ""
    """The reason in git's words, on one line; empty if it gave none."""


@dataclass(frozen=True)
class Repository:
    """The repository that a folder lies in; if it cannot be used, ``state`` and ``problem`` say why."""

    state: State
    top: Path | None = None
    """Top folder of its work tree."""
    prefix: str = ""
    """The folder below ``top``, ending in a slash; empty at the top."""
    commit: str | None = None
    """HEAD's commit."""
    problem: str = ""
    """The problem, as a clause: "there is no git on this machine"; empty if git answers."""
    remedy: str = ""
    """A remedy for it; empty if git answers."""


def git(folder: Path, *arguments: str, given: bytes = b"") -> bytes | None:
    """Return what a git command prints, or None if it fails, for whatever reason; ``ask`` tells the reason."""
    return ask(folder, *arguments, given=given).out


def ask(folder: Path, *arguments: str, given: bytes = b"") -> Answer:
    """Run a git command that changes nothing and fetches nothing; it is ``given`` something to read."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            input=given,
            capture_output=True,
            timeout=SECONDS,
            check=False,
            env=_make_environment(os.environ),
        )
    except subprocess.TimeoutExpired:
        return Answer(None, "git says no", f"no answer within {SECONDS:g} seconds")
    except FileNotFoundError:
        return Answer(None, "no git")
    except OSError as error:  # it may be there and may not be started
        return Answer(None, "git says no", error.strerror or str(error))
    if done.returncode == 0:
        return Answer(done.stdout, "answers")
    return _read_refusal(done.stderr.decode(errors="replace"))


def find_nearest(folder: Path) -> Path:
    """Return the folder, or of one that is not there, the nearest above it that is: git can be asked in no other."""
    return next(path for path in (folder, *folder.absolute().parents) if path.is_dir())


def find_repository(folder: Path, project: Path | None = None) -> Repository:
    """Find the repository that a folder lies in. A folder that is not there yet counts where it would be made.

    ``project``: the folder of the project that it belongs to. If that is in a repository and ``folder`` in none, then
    the folder is outside the repository, which is another thing than a project without one.
    """
    there = find_nearest(folder)
    where = ask(there, "rev-parse", "--show-toplevel", "--show-prefix")
    if where.out is None:
        state = where.state
        if state == "no repository" and project is not None:
            top = git(find_nearest(project), "rev-parse", "--show-toplevel")
            if top is not None:
                inside = os.fsdecode(top).removesuffix("\n")
                problem = f"{folder} is outside the project's repository, {inside}"
                return Repository("outside the repository", problem=problem, remedy=REMEDIES["outside the repository"])
        return Repository(state, problem=_describe_problem(state, folder, where.said), remedy=_suggest_remedy(where))
    top_line, prefix = _split(there, os.fsdecode(where.out))
    missing = folder.resolve().relative_to(there.resolve()) if folder.resolve() != there.resolve() else Path()
    prefix += "" if missing == Path() else f"{missing.as_posix()}/"
    head = ask(there, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    if head.out is None:
        unborn = head.state == "git says no" and not head.said  # git is quiet about it
        state = "no commit yet" if unborn else head.state
        inside = f"git -C {quote(top_line)}"
        remedy = f"commit what is here: {inside} add . && {inside} commit" if unborn else _suggest_remedy(head)
        return Repository(
            state, Path(top_line), prefix, problem=_describe_problem(state, folder, head.said), remedy=remedy
        )
    return Repository("answers", Path(top_line), prefix, head.out.decode().strip())


def write_fetch(folder: Path, how: str = "--refetch --no-filter origin") -> str:
    """Write the command that fetches what a partial clone lacks, or by ``--unshallow`` a shallow one."""
    return f"git -C {quote(str(find_nearest(folder).absolute()))} fetch {how}"


def find_actor(folder: Path) -> str:
    """Return who acts: git's ``user.name``, or else the user's name on this system; never an e-mail address."""
    name = (git(folder, "config", "user.name") or b"").decode(errors="replace").strip()
    if name and "@" not in name:
        return name
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # no entry for this user id, as in some containers
        return "unknown"


def _split(folder: Path, shown: str) -> tuple[str, str]:
    """Split what ``rev-parse`` shows into the top folder and the prefix, either of which may hold line ends."""
    top, _, prefix = shown.removesuffix("\n").partition("\n")
    if "\n" in prefix:
        top = os.fsdecode(git(folder, "rev-parse", "--show-toplevel") or b"").removesuffix("\n")
        prefix = shown.removesuffix("\n").removeprefix(f"{top}\n")
    return top, prefix


def _make_environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a git command: nothing redirects it, and it can't fetch what a partial clone lacks."""
    own = {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_NO_LAZY_FETCH": "1", "GIT_ALLOW_PROTOCOL": "none"}
    own["GIT_GRAFT_FILE"] = os.devnull  # .git/info/grafts gives commits other parents, and so hides some
    return {name: value for name, value in inherited.items() if name not in REDIRECTING} | own


def _read_refusal(stderr: str) -> Answer:
    lines = [line for line in stderr.splitlines() if line.strip() and not line.startswith("hint:")]
    said = next((line for line in lines if line.startswith(("fatal: ", "error: "))), lines[0] if lines else "")
    said = said.removeprefix("fatal: ").removeprefix("error: ").strip()
    if said.startswith("not a git repository (or any"):  # another ending: a .git that leads nowhere
        return Answer(None, "no repository", said)
    if "must be run in a work tree" in said:
        return Answer(None, "outside the repository", said)
    return Answer(None, "git says no", said)


def _describe_problem(state: State, folder: Path, said: str) -> str:
    return {
        "no git": "there is no git on this machine",
        "no repository": f"{folder} is in no git repository",
        "no commit yet": "the git repository has no commit yet",
        "outside the repository": f"{folder} is not in the work tree of its git repository",
    }.get(state, f"git says no: {said or 'it failed and gave no reason'}")


def _suggest_remedy(answer: Answer) -> str:
    if "dubious ownership" in answer.said:
        return "give the command as the user who owns the repository, or in a clone of your own"
    return REMEDIES[answer.state]
