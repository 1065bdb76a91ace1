"""The program's own options, without a verb."""

from __future__ import annotations

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
