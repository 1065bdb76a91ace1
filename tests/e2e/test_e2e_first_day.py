"""A project of one's own: what ``harness init`` writes, and the first day in it with nothing but the wheel."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from shlex import quote

import pytest
import yaml

from harness import __version__
from harness.pipeline.begin import begin_project, write_wheel_command
from harness.pipeline.origin import find_origin
from tests.e2e import commands
from tests.e2e.commands import PATIENCE
from tests.e2e.folders import git, harness
from tests.e2e.projects import REPOSITORY

WRITTEN = {
    "pyproject.toml",
    "README.md",
    "hypotheses/claims.yaml",
    ".gitignore",
    ".gitattributes",
    ".github/workflows/hypotheses.yml",
    ".pre-commit-config.yaml",
}


def list_files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_new_project_has_its_files_and_asks_for_the_right_package(tmp_path: Path) -> None:
    done = harness(tmp_path, "init", "My Study")
    assert done.returncode == 0 and len(done.stdout.splitlines()) == len(WRITTEN), done.stderr
    root = tmp_path / "My Study"
    assert list_files(root) == WRITTEN
    assert "cd 'My Study' && git init && harness new ID" in done.stderr
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    own = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert project["name"] == "my-study"
    assert [text.partition(">=")[0] for text in project["dependencies"]] == [own["name"]]
    for name in WRITTEN:  # "harness" on the package index is somebody else's
        assert not re.search(r"install\s+(?:-\S+\s+)*['\"]?harness\b", (root / name).read_text()), name
    workflow = yaml.safe_load((root / ".github/workflows/hypotheses.yml").read_text())
    told = " ".join(step.get("run", "") for step in workflow["jobs"]["hypotheses"]["steps"])
    assert all(f"harness {verb}" in told for verb in ("check", "audit", "site")) and "pip install ." in told
    (hook,) = yaml.safe_load((root / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    assert hook["entry"] == "harness check --allow-empty"
    # This harness is of no index: the wheel comes from the project itself, and what makes it is told.
    assert all("--find-links wheels" in (root / name).read_text() for name in (
        "pyproject.toml", "README.md", ".github/workflows/hypotheses.yml"))  # fmt: skip
    source = find_origin().source
    assert f"pip wheel --no-deps --wheel-dir 'My Study/wheels' {quote(str(source))}" in done.stderr
    assert source is not None and str(source) not in "".join((root / name).read_text() for name in WRITTEN)
    assert harness(root, *hook["entry"].split()[1:]).returncode == 0
    assert harness(root, "check").returncode == 2
    git(root, "init", "--quiet")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "Begun")  # so that what the workflow does passes on the first push
    assert harness(root, "check", "hypotheses", "--allow-empty", "--format", "github").returncode == 0
    assert harness(root, "audit", "--allow-empty", "--format", "github").returncode == 0
    assert harness(root, "site", str(tmp_path / "site")).returncode == 0


ORIGINS = (
    (None, f"prereg-harness>={__version__}", None),
    ({"url": "file:///srv/my%20wheels/x.whl", "archive_info": {}},
     f"prereg-harness>={__version__}", "/srv/my wheels/x.whl"),
    ({"url": "file:///srv/harness", "dir_info": {"editable": True}}, f"prereg-harness>={__version__}", "/srv/harness"),
    ({"url": "https://example.org/h.git", "vcs_info": {"vcs": "git", "commit_id": "a" * 40}},
     f"prereg-harness @ git+https://example.org/h.git@{'a' * 40}", None),
    ({"url": "https://example.org/h.whl", "archive_info": {}}, "prereg-harness @ https://example.org/h.whl", None),
    (["no", "note"], f"prereg-harness>={__version__}", None),
)  # fmt: skip


@pytest.mark.parametrize(("note", "requirement", "source"), ORIGINS)
def test_a_new_project_asks_for_harness_from_where_others_reach_it(
    note: object, requirement: str, source: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What pip notes of an installation says it: an index, a repository, or this machine, of which wheels are kept."""
    installed = tmp_path / "site/prereg_harness-9.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: prereg-harness\nVersion: 9\n")
    if note is not None:
        (installed / "direct_url.json").write_text(json.dumps(note))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    origin = find_origin()
    assert (origin.requirement, origin.source) == (requirement, None if source is None else Path(source))
    begin_project(tmp_path / "study")
    root = tmp_path / "study"
    assert tomllib.loads((root / "pyproject.toml").read_text())["project"]["dependencies"] == [requirement]
    texts = [(root / name).read_text() for name in ("pyproject.toml", "README.md", ".github/workflows/hypotheses.yml")]
    assert all(("--find-links wheels" in text) is (source is not None) for text in texts)
    assert (write_wheel_command(root) is None) is (source is None)
    workflow = yaml.safe_load(texts[2])["jobs"]["hypotheses"]["steps"]
    (install,) = [step["run"] for step in workflow if step.get("name") == "Install"]
    assert install == ("pip install . --find-links wheels" if source else "pip install .")


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "hypotheses").mkdir()
    (tmp_path / "pyproject.toml").write_text("[tool.harness]\n")
    (tmp_path / "hypotheses/claims.yaml").symlink_to("nowhere")
    refused = harness(tmp_path, "init")
    assert refused.returncode == 2
    assert "there already: pyproject.toml, hypotheses/claims.yaml; nothing was written" in refused.stderr
    assert list_files(tmp_path) == {"pyproject.toml"}
    kept = harness(tmp_path, "init", "--keep")
    assert kept.returncode == 0 and "left as it is: pyproject.toml" in kept.stderr
    assert (tmp_path / "pyproject.toml").read_text() == "[tool.harness]\n"
    assert (tmp_path / "hypotheses/claims.yaml").is_symlink()
    assert list_files(tmp_path) == WRITTEN - {"hypotheses/claims.yaml"}
    (tmp_path / "file").write_text("")
    assert harness(tmp_path, "init", "file").returncode == 2


def test_what_cannot_be_written_whole_is_not_there_at_all(tmp_path: Path) -> None:
    (tmp_path / ".github").write_text("a file where a folder is needed")
    failed = harness(tmp_path, "init")
    assert failed.returncode != 0 and ".github" in failed.stderr
    assert list_files(tmp_path) == {".github"}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment in which the wheel is installed, and otherwise what harness requires, from here."""
    folder = tmp_path_factory.mktemp("installed")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=REPOSITORY, capture_output=True, check=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "env")], check=True)
    python = folder / "env/bin/python"
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*install, str(wheel)], check=True, capture_output=True)
    # Lines of paths alone: what makes this repository's own code importable here is not followed there.
    libraries = [path for path in sys.path if Path(path).name == "site-packages"]
    (packages,) = folder.glob("env/lib/python*/site-packages")
    (packages / "libraries.pth").write_text("".join(f"{path}\n" for path in libraries))
    return folder / "env/bin"


def test_the_first_day_needs_nothing_but_the_wheel(installed: Path, tmp_path: Path) -> None:
    root = tmp_path / "study"
    root.mkdir()
    environment = {
        "PATH": os.pathsep.join([str(installed), os.environ["PATH"]]),
        "HOME": str(tmp_path),
        "OMP_NUM_THREADS": "1",
        "GIT_CONFIG_NOSYSTEM": "1",
    }

    def give(*command: str) -> str:
        done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def ask(*arguments: str) -> str:
        """Ask the same program by a server that the environment's own interpreter has started."""
        done = commands.run(arguments, root, environment, python=installed / "python")
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    where = give(str(installed / "python"), "-c", "import harness; print(harness.__file__)").strip()
    assert Path(where).is_relative_to(installed.parent)
    begun = give("harness", "init")
    command = shlex.split(begun.partition("commit it: ")[2].splitlines()[0])
    assert command[:2] == ["pip", "wheel"]
    give(sys.executable, "-m", *command, "--no-index")
    (wheel,) = root.glob("wheels/prereg_harness-*.whl")  # from which pip installs the project, which asks for harness
    (asked,) = tomllib.loads((root / "pyproject.toml").read_text())["project"]["dependencies"]
    found = ("--no-deps", "--no-index", "--find-links", "wheels", "--dest", "../found")
    give(sys.executable, "-m", "pip", "download", *found, asked)
    assert [path.name for path in (tmp_path / "found").iterdir()] == [wheel.name]
    git(root, "init", "--quiet")
    ask("new", "dfa-on-digits", "--title", "DFA is no worse than BP", "--question", "Is it?", "--seeds", "3")
    path = root / "hypotheses/dfa_on_digits.yaml"
    text = re.sub(r": <([^<>\n]+)>$", r": I expect that, \1.", path.read_text(), flags=re.MULTILINE)
    path.write_text(text.replace("epochs: 20", "epochs: 2").replace("batch_size: 64", "batch_size: 256"))
    assert "1 file valid, 0 errors" in ask("check")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "A hypothesis")
    assert "dfa-on-digits: registered as" in ask("register", "hypotheses/dfa_on_digits.yaml")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "Registered")
    ran = ask("run", "hypotheses/dfa_on_digits.yaml", "--device", "cpu")
    (folder,) = (file.parent for file in root.glob("verdicts/dfa-on-digits/*/verdict.json"))
    assert f"verdicts/dfa-on-digits/{folder.name}/verdict.md" in ran
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "The verdict")
    assert "DFA is no worse than BP" in ask("show", "dfa-on-digits", "--raw")
    ask("site", "build/site")
    assert (root / "build/site/index.html").is_file()
    ask("paper", "dfa-on-digits")
    assert (root / "paper/paper.tex").is_file() and "DFA is no worse than BP" in (root / "paper/paper.md").read_text()
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "The paper's numbers")
    ask("export", "dfa-on-digits", "--as", "csv", "--out", "build/numbers")
    assert (root / "build/numbers/measurements.csv").is_file()
    assert "the numbers of the papers that were written from it are its own" in ask("audit")
    assert git(root, "status", "--porcelain") == ""
