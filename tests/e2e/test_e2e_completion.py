"""Completion as it is typed: in the three shells, with the tabulator, in a project with a verdict."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.exporters import list_formats
from tests.e2e.commands import PATIENCE
from tests.e2e.projects import Project

PROGRAMS = Path(sys.executable).parent
SETUP = {
    "bash": (
        ["--norc", "--noprofile", "-i"],
        'PS1="> "; bind "set bell-style none"; eval "$(harness completion bash)"',
    ),
    "zsh": (["-f", "-i"], 'PS1="> "; autoload -Uz compinit; compinit -u -D; eval "$(harness completion zsh)"'),
}
READY = "all-is-set-up"
PLACES = ("machine-room", "own-cluster")


def environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HARNESS_")}
    own = {"PATH": os.pathsep.join([str(PROGRAMS), kept.get("PATH", "")]), "HOME": str(home), "TERM": "dumb"}
    return kept | own | {"INPUTRC": "/dev/null", "HISTFILE": "/dev/null", "COLUMNS": "200"}


def find_shell(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"needs {name}, and there is none here")
    if not (PROGRAMS / "harness").is_file():
        pytest.skip("needs harness as a program of this environment")
    return path


class Terminal:
    """An interactive shell on a terminal of its own."""

    def __init__(self, shell: str, folder: Path, home: Path) -> None:
        path, (arguments, setup) = find_shell(shell), SETUP[shell]
        self.said = ""
        self.process, self.line = pty.fork()
        if self.process == 0:
            os.chdir(folder)
            os.execve(path, [shell, *arguments], environment(home))
        self.type(f"{setup}; echo all-is-set\\-up\n")
        self.wait_for(READY)

    def type(self, text: str) -> None:
        os.write(self.line, text.encode())

    def wait_for(self, *texts: str) -> str:
        """Read until all texts were said; give what was said since the last time."""
        last = time.monotonic() + PATIENCE
        while not all(text in plain(self.said) for text in texts):
            assert time.monotonic() < last, f"it never said {texts}: {self.said!r}"
            if select.select([self.line], [], [], 0.1)[0]:
                try:
                    self.said += os.read(self.line, 65536).decode(errors="replace")
                except OSError as ended:  # the shell is gone
                    raise AssertionError(f"it ended, and had said {self.said!r}") from ended
        said, self.said = plain(self.said), ""
        return said

    def close(self) -> None:
        os.kill(self.process, signal.SIGKILL)
        os.close(self.line)
        os.waitpid(self.process, 0)


def plain(text: str) -> str:
    """What a terminal shows, without its commands."""
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[=>]|\r|\x07", "", text)


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_the_tabulator_completes_verbs_ids_runs_and_values(shell: str, placed: Project, tmp_path: Path) -> None:
    (run,) = (path.name for path in placed.runs())
    terminal = Terminal(shell, placed.root, tmp_path)
    try:
        for typed, whole in (
            ("harness reve", "harness reverdict "),
            ("harness show ti", "harness show tiny"),
            (f"harness show {run[:6]}", f"harness show {run}"),
            ("harness export tiny --as tens", "harness export tiny --as tensorboard"),
            ("harness check hypotheses/ti", "harness check hypotheses/tiny.yaml"),  # files are left to the shell
        ):
            terminal.type(f"{typed}\t")
            terminal.wait_for(whole)
            terminal.type("\x15")  # the line is taken back
        terminal.type(f"harness run hypotheses/tiny.yaml --on {PLACES[0][:3]}\t")
        terminal.wait_for(f"--on {PLACES[0]}")
        terminal.type("\x15")
        terminal.type("harness export tiny --as \t\t")
        terminal.wait_for(*list_formats())
    finally:
        terminal.close()


def test_fish_completes_verbs_ids_runs_and_values(placed: Project, tmp_path: Path) -> None:
    (run,) = (path.name for path in placed.runs())
    shell = find_shell("fish")

    def complete(line: str) -> list[str]:
        script = f"harness completion fish | source; complete --do-complete '{line}'"
        done = subprocess.run(
            [shell, "--no-config", "-c", script],
            cwd=placed.root, env=environment(tmp_path), capture_output=True, text=True, timeout=PATIENCE,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return [candidate.partition("\t")[0] for candidate in done.stdout.splitlines()]

    assert complete("harness reve") == ["reverdict"]
    assert set(complete("harness show ")) == {"tiny", run}
    assert set(complete("harness export tiny --as ")) == set(list_formats())
    assert set(complete("harness run hypotheses/tiny.yaml --on ")) == set(PLACES)
    assert complete("harness check hypotheses/ti") == ["hypotheses/tiny.yaml"]


@pytest.fixture(scope="module")
def placed(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The finished project with places to train at."""
    root = tmp_path_factory.mktemp("placed") / "project"
    shutil.copytree(finished.root, root)
    tables = (f'[tool.harness.on.{name}]\nkind = "local"\nfolder = "build/{name}"\n' for name in PLACES)
    (root / "pyproject.toml").write_text("".join(tables))
    return Project(root)


def ask(project: Project, *words: str) -> dict[str, str]:
    done = project.harness("complete", "--", *words)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return dict(line.split("\t") for line in done.stdout.splitlines())


def test_what_may_come_next_is_what_there_is(finished: Project, placed: Project) -> None:
    (run,) = (path.name for path in finished.runs())
    shown = finished.harness("--help", COLUMNS="200").stdout
    verbs = re.findall(r"^│ ([a-z]+) ", shown[shown.index("Commands") :], re.MULTILINE)
    assert list(ask(finished, "")) == verbs and "complete" not in verbs
    options = set(re.findall(r"--[a-z-]+", finished.harness("run", "--help", COLUMNS="200").stdout))
    described = ask(finished, "run", "--")
    assert set(described) == options and "[tool.harness.on]" in described["--on"]
    for words in (("show", ""), ("compare", "tiny", ""), ("export", "--as", "csv", ""), ("show", "--raw", "")):
        assert set(ask(finished, *words)) == {"tiny", run}, words
    assert set(ask(finished, "audit", "--rerun", "")) == {run}
    for words in (("paper", ""), ("paper", "--out", "x", ""), ("paper", "--verdicts", "verdicts", "")):
        assert set(ask(finished, *words)) == {"tiny", run}, words
    assert set(ask(finished, "paper", "tiny", "")) == {run}, "what a paper is of already is not named again"
    assert set(ask(finished, "paper", "--form", "osf", "")) == {"tiny"}, "a form is of a registration"
    assert set(ask(finished, "paper", "tiny", "--form", "")) == {"osf", "aspredicted"}
    assert set(ask(finished, "paper", "tiny", "--form=a")) == {"--form=aspredicted"}
    assert set(ask(finished, "link", "--form", "runs_")) == {"runs_json", "runs_csv"}
    assert set(ask(finished, "measure", run, "--arm", "")) == {"bp", "dfa", "shallow"}
    assert set(ask(finished, "run", "--compile", "o")) == {"on", "off"}
    assert set(ask(finished, "claims", "--if", "tiny=b")) == {"tiny=better"}
    assert set(ask(finished, "check", "--format", "")) == {"text", "json", "github", "sarif"}
    assert set(ask(finished, "export", "tiny", "--as=c")) == {"--as=csv"}
    assert set(ask(finished, "export", "tiny", "--as", "=", "c")) == {"csv"}  # as bash takes it apart
    assert set(ask(finished, "new", "--rule", "df")) == {"dfa"}
    assert ask(finished, "run", "--on", "") == {}, "there is no place"
    for verb in ("run", "plan", "jobs"):
        assert ask(placed, verb, "--on", "") == dict.fromkeys(PLACES, "place of kind local"), verb
    assert set(ask(finished, "completion", "")) == {"bash", "zsh", "fish"}
    for words in (("run", ""), ("close", ""), ("show", "tiny", ""), ("nothing", ""), ("show", "x")):
        assert ask(finished, *words) == {}, words


def test_nothing_is_said_where_there_is_no_trail(tmp_path: Path) -> None:
    empty = Project(tmp_path)
    assert ask(empty, "show", "") == {}
    assert ask(empty, "show", "--verdicts", "nowhere", "") == {}
    (tmp_path / "pyproject.toml").write_text("not toml at all")
    assert ask(empty, "show", "") == {}
    wrong = empty.harness("completion", "tcsh")
    assert wrong.returncode == 2 and "use bash, zsh or fish" in wrong.stderr
