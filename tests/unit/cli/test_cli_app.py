"""The program's own options, without a verb."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness import __version__
from harness.cli.app import app


def test_the_version_needs_no_verb() -> None:
    ran = CliRunner().invoke(app, ["--version"])
    assert (ran.exit_code, ran.stdout) == (0, f"harness {__version__}\n")


def test_the_version_comes_before_a_verb_and_what_may_be_wrong_with_it() -> None:
    ran = CliRunner().invoke(app, ["--version", "nonesuch"])
    assert (ran.exit_code, ran.stdout) == (0, f"harness {__version__}\n")


def test_without_a_verb_any_other_option_is_wrong_usage() -> None:
    assert CliRunner().invoke(app, ["--debug"]).exit_code == 2


@pytest.mark.parametrize(("arguments", "code"), [(["--version"], 0), (["check", "no-such-file.yaml"], 2)])
def test_the_package_runs_as_the_script_does(tmp_path: Path, arguments: list[str], code: int) -> None:
    """Same words, same exit code."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    script = "from harness.cli import main; main()"  # what an installer writes into the script
    ran = [
        subprocess.run(
            [sys.executable, *way, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        for way in (["-m", "harness"], ["-c", script])
    ]
    assert [each.returncode for each in ran] == [code, code]
    assert ran[0].stdout + ran[0].stderr == ran[1].stdout + ran[1].stderr != ""
