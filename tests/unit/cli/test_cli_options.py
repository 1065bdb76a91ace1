"""Options that would change nothing are refused, for every verb, if they were typed, and only then."""

from __future__ import annotations

import re
from inspect import unwrap
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from harness.cli.app import app
from harness.cli.options import IDLE, Command

import harness.cli  # noqa: F401  isort: skip  (registers the verbs)

ABOUT = ("--title", "T", "--question", "Q")
NOWHERE = "hypotheses/nowhere.yaml"
TABLE = [
    (("run", NOWHERE, "--pilot-seeds", "3"), "--pilot-seeds has no effect without --pilot"),
    (("run", NOWHERE, "--pilot-epochs", "3"), "--pilot-epochs has no effect without --pilot"),
    (
        ("run", NOWHERE, "--pilot-epochs", "3", "--pilot-seeds", "2"),
        "--pilot-seeds, --pilot-epochs have no effect without --pilot",
    ),
    (("run", NOWHERE, "--pilot", "--resume"), "--resume has no effect beside --pilot"),
    (("run", NOWHERE, "--no-resume", "--pilot"), "--no-resume has no effect beside --pilot"),
    (("run", NOWHERE, "--pilot", "--require-registered"), "--require-registered has no effect beside --pilot"),
    (("run", NOWHERE, "--pilot", "--checkpoint-every", "60"), "--checkpoint-every has no effect beside --pilot"),
    (("run", NOWHERE, "--pilot", "--round", "answer"), "--round has no effect beside --pilot"),
    (("run", NOWHERE, "--pilot", "--together"), "--together has no effect beside --pilot"),
    (("run", NOWHERE, "--device", "cpu", "--compile", "on"), "--compile has no effect beside --device cpu"),
    (("replicate", "x", "--compile", "off", "--device", "cpu"), "--compile has no effect beside --device cpu"),
    (("plan", NOWHERE, "--measure", "--on", "x"), "--measure has no effect beside --on"),
    (("new", "x", "--from", NOWHERE, "--title", "T"), "--title has no effect beside --from"),
    (("new", "x", "--from", NOWHERE, *ABOUT), "--title, --question have no effect beside --from"),
    *(
        (("new", "x", "--from", NOWHERE, f"--{name}", value), f"--{name} has no effect beside --from")
        for name, value in (
            ("dataset", "digits"), ("model", "residual_mlp"), ("rule", "dfa"), ("baseline", "bp"),
            ("penalty", "residual_branch"), ("metric", "train_loss"), ("margin", "1"), ("criterion", "t"),
            ("seeds", "10"), ("beacon", "drand"), ("program", "./train {seed}"),
        )
    ),
    *(
        (("new", "x", "--program", "./train {seed}", f"--{name}", value), f"--{name} has no effect beside --program")
        for name, value in (
            ("dataset", "digits"), ("model", "residual_mlp"), ("rule", "dfa"), ("baseline", "bp"),
            ("penalty", "residual_branch"), ("criterion", "t"), ("beacon", "drand"),
        )
    ),
    (("show", "x", "--raw", "--history"), "--raw has no effect beside --history"),
    (("show", "x", "--raw", "--format", "json"), "--raw has no effect beside --format json"),
    (("link", NOWHERE, "--form", "runs_csv"), "--form has no effect without EXPORTS"),
    (("link", NOWHERE, "--incomplete"), "--incomplete has no effect without EXPORTS"),
    (("schema", "claims", "--out", "made"), "NAME has no effect beside --out"),
    (("reverdict", "x", "--figures", "--criterion", "all"), "--figures has no effect beside --criterion"),
    (("reverdict", "x", "--figures", "--alpha", "0.01"), "--figures has no effect beside --alpha"),
    (("anchor", "--tsa", "http://localhost", "--sign", "key"), "--sign has no effect beside --tsa"),
    (("power", NOWHERE, "--sd", "1", "--verdicts", "verdicts"), "--verdicts has no effect without --sd-from"),
    (("audit", "--device", "cpu"), "--device has no effect without --rerun"),
    (("audit", "--data", "data", "--recompute"), "--data has no effect without --rerun"),
    (("audit", "--yes"), "--yes has no effect without --rerun"),
]  # fmt: skip
ALWAYS = {
    "run": {"files", "device", "data", "verdicts", "on", "pilot", "yes", "parallel", "gpus"},
    "plan": {"files", "device", "data", "verdicts", "form", "on", "parallel", "gpus"},
    "jobs": {"on", "cancel", "form"},
    "worker": {"folder"},
    "power": {"file", "sd", "sd_from", "effect", "to", "form"},  # --sd and --sd-from: test_e2e_foresight.py
    "init": {"folder", "keep"},
    "new": {"id_", "source", "target"},
    "check": {"paths", "form", "strict", "against", "allow_empty", "verdicts"},
    "explain": {"name", "form", "folder"},
    "schema": {"folder"},
    "list": {"paths", "verdicts", "form", "family"},
    "show": {"name", "verdicts", "history", "form"},
    "compare": {"first", "second", "verdicts", "form"},
    "claims": {"file", "verdicts", "suppose", "form"},
    "register": {"file", "data", "verdicts"},
    "amend": {"file", "reason", "data", "verdicts"},
    "seed": {"file", "round_file", "verdicts"},
    "link": {"file", "exports", "verdicts"},
    "explore": {"file", "exports", "form", "incomplete", "verdicts"},
    "close": {"run", "reason", "verdicts"},
    "reverdict": {"name", "verdicts", "criterion", "alpha"},
    "replicate": {"name", "device", "data", "verdicts", "on", "fresh", "yes", "parallel", "gpus"},
    "measure": {"name", "metric", "arm", "epoch", "weights", "device", "data", "verdicts", "form"},
    "anchor": {"tsa", "verdicts"},
    "export": {"name", "form", "to", "verdicts"},
    "site": {"folder", "verdicts", "title"},
    "paper": {"names", "to", "form", "verdicts"},
    "badge": {"file", "verdicts", "summary"},
    "view": {"folder", "verdicts", "port", "peek", "title"},
    "audit": {"allow_empty", "verdicts", "known_head", "require_anchor", "roots", "allowed_signers", "recompute",
              "rerun", "restore", "hypotheses", "form", "paper"},
    "doctor": {"device", "data", "verdicts", "form"},
    "completion": {"shell"},
    "complete": {"words"},
}  # fmt: skip
"""Verb → its parameters that always have an effect."""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("HARNESS_DEVICE", "HARNESS_DATA", "HARNESS_VERDICTS"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "verdicts").mkdir()
    return tmp_path


def said(*arguments: str, code: int = 2, **environment: str) -> str:
    ran = CliRunner(env=environment).invoke(app, arguments)
    assert ran.exit_code == code, ran.output
    return ran.stderr


@pytest.mark.parametrize(("arguments", "message"), TABLE, ids=lambda value: " ".join(value))
def test_an_option_without_effect_is_refused(here: Path, arguments: tuple[str, ...], message: str) -> None:
    told = said(*arguments)
    assert f"error: harness {arguments[0]}: {message}" in told
    assert re.search(r"\n  → (add|leave) ", told)
    assert [path.name for path in here.rglob("*")] == ["verdicts"]


def test_every_option_has_an_effect_or_is_in_the_table() -> None:
    commands: Any = typer.main.get_command(app)
    for name, command in commands.commands.items():
        assert isinstance(command, Command)
        idle = {parameter for rule in IDLE.get(name, ()) for parameter in rule.parameters}
        parameters = {parameter.name for parameter in command.params}
        assert parameters == ALWAYS[name] | idle, name
        refused = " ".join(message for arguments, message in TABLE if arguments[0] == name)
        options = {one.name: one.opts[0] for one in command.params if one.param_type_name == "option"}
        assert all(options.get(parameter, parameter.upper()) in refused for parameter in idle), name


def test_help_shows_every_word_of_its_texts_and_no_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rich takes [tool.harness.on] for a style and leaves it out."""
    monkeypatch.setenv("COLUMNS", "400")
    commands: Any = typer.main.get_command(app)
    for name, command in commands.commands.items():
        shown = " ".join(CliRunner().invoke(app, [name, "--help"]).output.replace("│", " ").split())
        texts = [unwrap(command.callback).__doc__ or "", *(one.help or "" for one in command.params)]
        for text in (" ".join(part.split()) for whole in texts for part in whole.split("\n\n")):
            assert text.replace("\\[", "[") in shown, (name, text)
        assert "``" not in shown and "\\[" not in shown, name


def test_what_was_not_typed_is_no_reason_to_refuse(here: Path) -> None:
    assert "has no effect" not in said("audit", code=5, HARNESS_DEVICE="cpu", HARNESS_DATA="data")
    (here / "pyproject.toml").write_text('[tool.harness]\ndevice = "cpu"\ndata = "data"\n')
    assert "has no effect" not in said("audit", code=5)
    assert "no such file" in said("run", NOWHERE, "--pilot", "--pilot-seeds", "2")
    assert "--compile has no effect beside --device cpu" in said("run", NOWHERE, "--compile", "on")


def test_a_value_that_another_one_leaves_without_effect(here: Path) -> None:
    text = (Path(__file__).parents[3] / "hypotheses" / "quickstart_digits.yaml").read_text()
    (here / "hypotheses").mkdir()
    (here / "hypotheses" / "quickstart_digits.yaml").write_text(text)
    (here / "hypotheses" / "claims.yaml").write_text("claims:\n  digits-demo: {statement: S.}\n")
    file = "hypotheses/quickstart_digits.yaml"
    own = ("--sd", "harm=1", "--sd", "depth=1")
    assert "a value for all decisions has no effect" in said("power", file, "--sd", "2", *own)
    assert "t: has no effect beside --criterion all" in said("reverdict", "x", "--criterion", "t", "--criterion", "all")
    twice = ("--if", "x=a", "--if", "x=b")
    assert "an outcome of x is supposed twice" in said("claims", *twice)
    assert "--pilot-seeds: 99 are more than the 10 seeds" in said("run", file, "--pilot", "--pilot-seeds", "99")
    assert "--pilot-epochs: 99 are more than the 20 epochs" in said("run", file, "--pilot", "--pilot-epochs", "99")
    assert not list((here / "verdicts").iterdir())


def test_an_sd_that_is_given_twice(here: Path) -> None:
    assert "of all decisions is given twice" in said("power", NOWHERE, "--sd", "1", "--sd", "2")
    assert "of margin is given twice" in said("power", NOWHERE, "--sd", "margin=1", "--sd", "margin=1")


@pytest.mark.parametrize("option", ["--roots", "--allowed-signers", "--hypotheses"])
def test_an_audit_does_not_pass_over_a_path_that_is_not_there(option: str) -> None:
    assert f"{option}: there is no nowhere" in said("audit", option, "nowhere")
