"""A project of one's own: the files that it begins with, of which none is ever written over."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from shlex import quote

from harness.errors import StorageFailed, UsageError
from harness.pipeline.origin import find_origin
from harness.system.storage import build_storage_error, written_whole
from harness.wording import make_plain_line

INSTALL = "pip install ."
WHEELS = "wheels"
"""Folder of a project for harness's own wheel, where it came from no place that others reach."""
PYPROJECT = """\
# A project of pre-registered hypotheses. pip reads [project], harness reads [tool.harness].
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "{name}"
version = "0.1.0"
description = "Pre-registered hypotheses and their verdicts."
requires-python = ">=3.11"
# The command is called harness; on the package index that name belongs to another project.
dependencies = [{requirement}]{wheels}

[tool.setuptools]
packages = []  # what lies here is read and never imported

[tool.harness]
# device = "cuda"     # auto, cpu, cuda or cuda:<number>; default: auto
# data = "data"       # folder of the data sets; default: data/
# verdicts = "verdicts"  # folder of the trail; default: verdicts/
"""
CLAIMS = """\
# Claims that verdicts support, walk back or restore. Their standing is computed from the ledger (harness claims);
# nothing here says whether a claim holds. An implication of a hypothesis moves a claim by its id:
#   claims:
#     depth-helps: {statement: Training the blocks of a residual network helps.}
#     depth-is-cheap: {statement: It costs hardly more., stands_on: [depth-helps]}
claims: {}
"""
README = """\
# {name}

Hypotheses about machine learning, registered before anything is trained, and their verdicts. The files
in `hypotheses/` say what is tested and what each outcome would mean; `verdicts/` is the audit trail, in
which nothing is ever edited or deleted by hand.

```bash
python3 -m venv .venv && . .venv/bin/activate
{install}
pre-commit install           # optional: checks every commit (pip install pre-commit)
```
{wheels}
| what | command |
| -- | -- |
| begin a hypothesis | `harness new my-hypothesis` |
| find what is wrong or missing | `harness check` |
| see what a run would cost, and whether its seeds are enough | `harness plan FILE`, `harness power FILE` |
| register it: from now on its meaning is fixed | `harness register FILE`, then commit |
| train, judge, and write the verdict | `harness run FILE`, then commit |
| read it, or all of them | `harness show ID`, `harness list`, `harness site build/site` |
| check everything that the trail promises | `harness audit` |

Commit `hypotheses/` before a run and `verdicts/` after it: the history shows what came first.
"""
IGNORED = """\
.venv/
__pycache__/
*.egg-info/
/build/
/data/
"""
ATTRIBUTES = """\
# Registered bytes are hashed: no conversion of line ends, ever.
hypotheses/** -text
verdicts/** -text
"""
WORKFLOW = """\
# Checks the hypotheses, findings on their lines, audits the trail, and builds a site of the verdicts.
name: hypotheses
on: [push, pull_request]
permissions:
  contents: read
jobs:
  hypotheses:
    runs-on: ubuntu-latest
    timeout-minutes: 15
    steps:
      - uses: actions/checkout@v4
        with:
          fetch-depth: 0  # the trail's history, and the commit to compare with
          persist-credentials: false
      - uses: actions/setup-python@v5
        with:
          python-version: "3.12"
      - name: Install
        env:
          PIP_EXTRA_INDEX_URL: https://download.pytorch.org/whl/cpu
        run: pip install .
      - name: Check every pre-registration
        env:
          BASE: ${{ github.event.pull_request.base.sha || github.event.before }}
        run: |
          options=(--allow-empty --format github)
          if git rev-parse --verify --quiet "${BASE:-none}^{commit}" >/dev/null; then
            options+=(--against "$BASE")
          fi
          harness check hypotheses "${options[@]}"
      - name: Audit the verdicts
        if: ${{ !cancelled() }}
        run: harness audit --allow-empty --format github
      - name: Build the site of the verdicts
        if: ${{ !cancelled() }}
        run: harness site "$RUNNER_TEMP/verdicts"
      - uses: actions/upload-artifact@v4
        if: ${{ !cancelled() }}
        with:
          name: verdicts
          path: ${{ runner.temp }}/verdicts
"""
HOOKS = """\
# pre-commit install, once: every commit is then checked. Nothing may touch what is hashed.
exclude: ^(hypotheses|verdicts)/
repos:
  - repo: local
    hooks:
      - id: harness-check
        name: check pre-registrations
        entry: harness check --allow-empty
        language: system  # the harness of the environment that one commits from
        always_run: true
        pass_filenames: false
"""
FILES: Mapping[str, str] = {
    "pyproject.toml": PYPROJECT,
    "README.md": README,
    "hypotheses/claims.yaml": CLAIMS,
    ".gitignore": IGNORED,
    ".gitattributes": ATTRIBUTES,
    ".github/workflows/hypotheses.yml": WORKFLOW,
    ".pre-commit-config.yaml": HOOKS,
}
"""File of a new project → its text; in those of ``FILLED``, what depends on the project is filled in."""
WORKFLOW_FILE = ".github/workflows/hypotheses.yml"
FILLED = ("pyproject.toml", "README.md", WORKFLOW_FILE)
IN_PYPROJECT = f"  # no index has it: its wheel is in {WHEELS}/, {INSTALL} --find-links {WHEELS}"
IN_WORKFLOW = f"no index has harness: commit its wheel to {WHEELS}/, as the README says"
IN_README = f"""
harness was installed from no package index here, so its wheel has to lie in `{WHEELS}/` and be committed,
for others and for the workflow. `pip wheel --no-deps --wheel-dir {WHEELS} PLACE` puts it there, where PLACE is
a checkout of harness or its wheel.
"""


def begin_project(folder: Path, *, keep: bool = False) -> tuple[list[Path], list[Path]]:
    """Write the files of a new project into a folder; return those that were written and those that were left alone.

    ``keep``: leave files alone that are there already, and write the others.

    Raises:
        UsageError: a file is there already, or the folder's path is that of a file; nothing is written then.
        StorageFailed: a file can't be written; those that were written before it are removed again.
    """
    there = [name for name in FILES if os.path.lexists(folder / name)]
    if os.path.lexists(folder) and not folder.is_dir():
        raise UsageError(
            "this is not a folder", where=str(folder), remedy="name a folder, or one that is not there yet"
        )
    if there and not keep:
        remedy = "begin in another folder, or leave these as they are and write the others with --keep"
        raise UsageError(f"there already: {', '.join(there)}; nothing was written", where=str(folder), remedy=remedy)
    written: list[Path] = []
    with written_whole(lambda: reversed(written)):
        for name, text in FILES.items():
            if name not in there:
                _write(folder / name, _fill(name, text, folder), written)
    return written, [folder / name for name in there]


def write_wheel_command(folder: Path) -> str | None:
    """Write the command that puts harness's wheel into a project; None if others get harness from elsewhere."""
    source = find_origin().source
    if source is None:
        return None
    wheels = quote(make_plain_line(str(folder / WHEELS)))
    return f"pip wheel --no-deps --wheel-dir {wheels} {quote(make_plain_line(str(source)))}"


def _write(path: Path, text: str, written: list[Path]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8", newline="") as stream:
            written.append(path)
            stream.write(text)
    except FileExistsError as error:
        raise UsageError("it is there already", where=str(path), remedy="begin in another folder") from error
    except OSError as error:
        failed: StorageFailed = build_storage_error(path, error)
        raise failed from error


def _fill(name: str, text: str, folder: Path) -> str:
    if name not in FILLED:
        return text
    origin = find_origin()
    local = origin.source is not None
    if name == WORKFLOW_FILE:
        return text.replace(INSTALL, f"{INSTALL} --find-links {WHEELS}  # {IN_WORKFLOW}") if local else text
    called = re.sub(r"[^a-z0-9]+", "-", Path(os.path.realpath(folder)).name.lower()).strip("-") or "hypotheses"
    if name == "README.md":
        install = f"{INSTALL} --find-links {WHEELS}" if local else f"{INSTALL}                # as pyproject.toml says"
        return text.format(name=called, install=install, wheels=IN_README if local else "")
    # TOML's basic strings are JSON's, but for control characters, which no address has
    return text.format(name=called, requirement=json.dumps(origin.requirement), wheels=IN_PYPROJECT if local else "")
