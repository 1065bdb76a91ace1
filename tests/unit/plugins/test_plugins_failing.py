"""Errors of other people's code are told as theirs, and those of harness as its own."""

from __future__ import annotations

import importlib
from multiprocessing import Pipe
from pathlib import Path

import pytest
import typer

from harness import wording
from harness.cli.common import verb
from harness.plugins.distributions import explain_failure
from harness.training.workers import _send_failure

FAILING = """\
import json


def fail():
    return json.loads("{")
"""


@pytest.fixture
def failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Exception:
    """An error that the standard library raised for a module of somebody else, each time of another name."""
    name = f"somebodys_{abs(hash(request.node.name))}"
    (tmp_path / f"{name}.py").write_text(FAILING)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ValueError) as caught:
        importlib.import_module(name).fail()
    return caught.value


def test_the_package_and_the_line_are_named(failure: Exception) -> None:
    told = explain_failure(failure)
    assert told is not None and told.where is not None
    assert told.where.startswith("line 5 of somebodys_")
    assert told.message.startswith("the code of somebodys_") and "JSONDecodeError: Expecting" in told.message
    assert "/" not in told.where  # a trail that notes it tells nothing of this machine


def test_a_training_process_says_it_too(failure: Exception) -> None:
    here, there = Pipe()
    with here, there:
        _send_failure(there, failure)
        assert str(here.recv().content) == str(explain_failure(failure))


def test_a_command_says_it_in_place_of_calling_it_a_defect(
    failure: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    @verb
    def command() -> None:
        raise failure

    with pytest.raises(typer.Exit) as ended:
        command()
    said = " ".join(capsys.readouterr().err.split())
    assert ended.value.exit_code == 1 and "the code of somebodys_" in said and "defect" not in said


def test_an_error_of_harness_is_its_own() -> None:
    with pytest.raises(ValueError) as caught:
        wording.format_count("many", "seed")  # type: ignore[arg-type]  # the fault
    assert caught.value.__traceback__ is not None
    caught.value.__traceback__ = caught.value.__traceback__.tb_next  # without this test's own code
    assert caught.value.__traceback__ is not None and explain_failure(caught.value) is None
