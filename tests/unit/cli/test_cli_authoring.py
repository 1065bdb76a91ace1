"""check, new, schema, explain and doctor as a user calls them."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from harness.cli.app import app
from harness.cli.check import write_annotation as annotation_of
from harness.cli.new import _ask_the_rest
from harness.errors import Finding
from harness.ledger import Ledger
from harness.ledger.prior_data_bodies import ExploredBody, PilotBody
from harness.plugins.registry import FAMILIES, find_members
from harness.records.linked import Export
from harness.spec import CHECKS, Answers, list_names, load
from harness.spec.explain import name_member

import harness.cli  # noqa: F401  isort: skip  (registers the verbs)

ROOT = Path(__file__).parents[3]
CORPUS = ROOT / "tests/corpus"


def call(*arguments: str, code: int = 0) -> Any:
    ran = CliRunner().invoke(app, arguments)
    assert ran.exit_code == code, ran.output
    return ran


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hypotheses").mkdir()
    return tmp_path


def copy(name: str, folder: Path) -> Path:
    for source in (CORPUS / f"{name}.yaml", CORPUS / f"{name.split('/')[0]}/claims.yaml"):
        shutil.copy(source, folder / source.name)
    return folder / f"{name.split('/')[1]}.yaml"


def write_out(folder: Path) -> None:
    """Write something in place of every placeholder of the new files in a folder, as their author would."""
    for path in folder.glob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        path.write_text(re.sub(r": <([^<>\n]+)>$", r": Written out, \1.", text, flags=re.MULTILINE), encoding="utf-8")


def test_warnings_fail_only_when_asked(here: Path) -> None:
    copy("odd/cannot_lose", here / "hypotheses")
    ran = call("check")
    assert "hypotheses/cannot_lose.yaml:39:1: warning: every outcome supports" in ran.output
    assert "1 file valid, 0 errors, 1 warning (more about a check: harness explain contradictions)" in ran.output
    call("check", "--strict", code=2)


def test_text_has_the_line_a_caret_and_what_to_do(here: Path) -> None:
    copy("invalid/unknown_key", here / "hypotheses")
    ran = call("check", code=2)
    assert "hypotheses/unknown_key.yaml:22:5: unknown key 'penality', did you mean 'penalty'?\n" in ran.output
    assert (
        "\n        penality: {name: residual_branch, strength: 0.01}\n        ^\n    → keys known here: label,"
        in ran.output
    )


def test_json_and_github_say_the_same(here: Path) -> None:
    copy("invalid/unknown_key", here / "hypotheses")
    odd = copy("odd/same_words", here / "hypotheses")
    odd.write_text(odd.read_text().replace("id: base", "id: odd"))
    found = json.loads(call("check", "--format", "json", code=2).stdout)
    assert [(f["line"], f["severity"], f["rule"]) for f in found] == [
        (41, "warning", "contradictions"),
        (22, "error", "form"),
    ]
    annotations = call("check", "--format", "github", code=2).stdout.splitlines()
    assert annotations[1].startswith(
        "::error file=hypotheses/unknown_key.yaml,line=22,col=5,title=harness form::unknown key"
    )
    assert annotations[0].startswith("::warning file=hypotheses/same_words.yaml,line=41,")


def test_sarif_has_the_published_structure(here: Path) -> None:
    copy("invalid/several_at_once", here / "hypotheses")
    log = json.loads(call("check", "--format", "sarif", code=2).stdout)
    assert log["version"] == "2.1.0"
    assert log["$schema"].endswith("sarif-schema-2.1.0.json")
    (run,) = log["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert rules == list(CHECKS)
    for rule in run["tool"]["driver"]["rules"]:  # GitHub's code scanning asks for all three (GH2012)
        assert all(rule[key]["text"] for key in ("shortDescription", "fullDescription", "help"))
    assert len(run["results"]) == 4
    for result in run["results"]:
        assert result["level"] in ("error", "warning")
        assert rules[result["ruleIndex"]] == result["ruleId"]
        assert result["message"]["text"]
        place = result["locations"][0]["physicalLocation"]
        assert place["artifactLocation"]["uri"] == "hypotheses/several_at_once.yaml"
        assert place["region"]["startLine"] >= 1
        assert place["region"]["startColumn"] >= 1
        assert place["region"]["snippet"]["text"]
    assert json.loads(call("check", "--format", "sarif", str(ROOT / "hypotheses")).stdout)["runs"][0]["results"] == []


@pytest.mark.parametrize(
    ("found", "annotation"),
    [
        (
            Finding("a.yaml", 2, 3, "50% off\r\nand more", "go on"),
            "::error file=a.yaml,line=2,col=3,title=harness form::50%25 off%0D%0Aand more → go on",
        ),
        (
            Finding("b,c: 9%.yaml", 1, 1, "a: b, c", rule="syntax"),
            "::error file=b%2Cc%3A 9%25.yaml,line=1,col=1,title=harness syntax::a: b, c",
        ),
    ],
)
def test_annotations_are_escaped_as_documented(found: Finding, annotation: str) -> None:
    """%, CR and LF in the message; also : and , in properties (github.com/actions/toolkit, command.ts)."""
    assert annotation_of(found) == annotation


def test_a_place_below_this_folder_is_told_relative_to_it(here: Path) -> None:
    found = Finding(str(here / "verdicts/ledger/x.json"), 1, 1, "gone")
    assert annotation_of(found).startswith("::error file=verdicts/ledger/x.json,")


@pytest.mark.parametrize("mark", ["repository", "work tree", "workspace"])
def test_annotations_and_sarif_name_paths_from_the_repository_s_top(
    here: Path, monkeypatch: pytest.MonkeyPatch, mark: str
) -> None:
    """Wherever in it harness is called, since code hosts know no working folder."""
    monkeypatch.delenv("GITHUB_WORKSPACE", raising=False)
    if mark == "workspace":
        monkeypatch.setenv("GITHUB_WORKSPACE", str(here))
    elif mark == "repository":
        subprocess.run(["git", "init", "-q", str(here)], check=True)
    else:
        (here / ".git").write_text("gitdir: elsewhere\n")
    project = here / "studies/a, b"
    (project / "hypotheses").mkdir(parents=True)
    (project / "verdicts/ledger/events").mkdir(parents=True)
    copy("invalid/unknown_key", project / "hypotheses")
    for folder, path in ((project, "hypotheses"), (project / "hypotheses", "."), (here, "studies/a, b/hypotheses")):
        monkeypatch.chdir(folder)
        (line,) = call("check", path, "--format", "github", code=2).stdout.splitlines()
        assert line.startswith("::error file=studies/a%2C b/hypotheses/unknown_key.yaml,line=22,col=5,")
        (run,) = json.loads(call("check", path, "--format", "sarif", code=2).stdout)["runs"]
        place = run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        assert place == "studies/a%2C%20b/hypotheses/unknown_key.yaml"
    monkeypatch.chdir(project)
    (project / "verdicts/ledger/events/odd.json").write_text("{}")
    told = call("audit", "--format", "github", code=3).stdout
    assert "::error file=studies/a%2C b/verdicts/ledger/events/odd.json::" in told


def test_notes_are_notices_and_fail_nothing(here: Path) -> None:
    copy("valid/fixed", here / "hypotheses")
    (here / "hypotheses/circle.yaml").symlink_to("circle.yaml")
    (here / "hypotheses/fixed.yaml~").write_text("")
    told = call("check", "--format", "github", code=2).stdout.splitlines()
    assert [line.split(",")[0] for line in told] == [
        "::error file=hypotheses/circle.yaml",
        "::notice file=hypotheses/fixed.yaml~",
    ]
    assert "circle.yaml, hypotheses/fixed.yaml~: have findings" in call("list").output
    (here / "hypotheses/circle.yaml").unlink()
    assert "1 file valid, 0 errors, 1 note" in call("check", "--strict").output
    (run,) = json.loads(call("check", "--format", "sarif").stdout)["runs"]
    assert [result["level"] for result in run["results"]] == ["note"]


@pytest.mark.parametrize("margin", ["0", "-3", "nan", "inf"])
def test_a_margin_is_a_difference(here: Path, margin: str) -> None:
    said = call("new", "x", "--title", "T", "--question", "Q", "--margin", margin, code=2).output
    assert "is not a valid margin" in said and not (here / "hypotheses/x.yaml").exists()


@pytest.mark.parametrize("name", ["12", "y", "null", "2024-01-01"])
def test_an_id_that_yaml_would_read_as_something_else_is_quoted(here: Path, name: str) -> None:
    call("new", name, "--title", "T", "--question", f"Q{name}", "--margin", "0.1234567")
    (path,) = (here / "hypotheses").iterdir()
    write_out(here / "hypotheses")
    loaded = load(path).hypothesis
    assert loaded.id == name and str(loaded.decisions["margin"].bands["better"]) == "(0.1234567, inf)"
    call("new", "--from", str(path), "007")
    call("check")


def test_an_unknown_format(here: Path) -> None:
    assert "unknown format 'xml'" in call("check", "--format", "xml", code=2).output


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--rule", "bp", "--baseline", "dfa", "--penalty", "residual_branch"],
        ["--dataset", "cifar10", "--metric", "train_loss", "--margin", "0.05"],
        ["--metric", "hidden_norm", "--baseline", "dfa", "--seeds", "5", "--penalty", "residual_branch"],
        ["--metric", "credit_cosine", "--baseline", "dfa", "--penalty", "residual_branch", "--margin", "0.1"],
    ],
)
def test_a_new_file_passes_when_its_placeholders_are_written(here: Path, options: list[str]) -> None:
    made = call("new", "my-idea", "--title", 'DFA: "no", or yes?', "--question", "Is it so?", *options)
    path = here / "hypotheses/my_idea.yaml"
    lines = path.read_text().splitlines()
    waiting = [number for number, line in enumerate(lines, 1) if re.search(r": <[^<>]+>$", line)]
    found = json.loads(call("check", "--format", "json", code=2).stdout)
    assert [(one["line"], one["rule"], one["severity"]) for one in found] == [
        (number, "placeholder", "error") for number in waiting
    ]
    outcomes = ("better", "similar", "worse")
    if {"hidden_norm", "credit_cosine"} & set(options):
        outcomes = ("higher", "similar", "lower")
    assert [one["message"].split(" is ")[0] for one in found] == [
        "prediction.why",
        *(f"implications.{outcome}.says" for outcome in outcomes),
    ]
    assert f"lines {', '.join(map(str, waiting[:-1]))} and {waiting[-1]}, then: harness check" in made.stderr
    for verb in ("run", "register", "plan"):
        assert "prediction.why is still a placeholder" in call(verb, str(path), code=2).output
    assert not (here / "verdicts").exists()
    write_out(path.parent)
    call("check", "--strict")
    assert load(path).hypothesis.title == 'DFA: "no", or yes?'
    assert path.read_text().count("#") > 8
    before = path.read_bytes()
    said = call("new", "my-idea", "--title", "T", "--question", "Q", code=2).output
    assert "it is not overwritten" in said
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("metric", "predicted", "bands"),
    [
        ("test_accuracy", "better", ["worse", "similar", "better"]),
        ("train_loss", "better", ["better", "similar", "worse"]),
        ("hidden_norm", "higher", ["lower", "similar", "higher"]),
    ],
)
def test_a_new_file_calls_better_what_is_better_in_its_metric(
    here: Path, metric: str, predicted: str, bands: list[str]
) -> None:
    call("new", "a-question", "--title", "A", "--question", "B?", "--metric", metric)
    write_out(here / "hypotheses")
    hypothesis = load(here / "hypotheses/a_question.yaml").hypothesis
    parts = hypothesis.decisions["margin"].bands
    assert [name for name in parts if str(parts[name]).startswith("(-inf")] == bands[:1]
    assert [name for name in parts if str(parts[name]).endswith("inf)")] == bands[2:]
    assert hypothesis.prediction.outcome == predicted


def test_every_plug_in_can_be_in_a_new_file(here: Path) -> None:
    """Each file is put aside until all are checked together: ``new`` checks the whole folder that it writes into."""
    (here / "aside").mkdir()
    for family, option in (
        ("datasets", "--dataset"),
        ("metrics", "--metric"),
        ("criteria", "--criterion"),
        ("models", "--model"),
    ):
        for name, kind in find_members(family).items():
            extra = {"metrics": ("--baseline", "dfa"), "criteria": ("--seeds", "100", "--margin", "20")}.get(family, ())
            if getattr(kind, "needs_pairs", False):
                extra = ("--rule", "kolen_pollack", "--baseline", "fa")  # others have no second matrix
            call(
                "new",
                f"{family}-{name.replace('_', '-')}",
                "--title",
                "T",
                "--question",
                f"{name}?",
                option,
                name,
                *extra,
            )
            file = here / "hypotheses" / f"{family}_{name}.yaml"
            file.rename(here / "aside" / file.name)
    for file in (here / "aside").iterdir():
        file.rename(here / "hypotheses" / file.name)
    write_out(here / "hypotheses")
    call("check")


def test_what_makes_no_hypothesis_is_refused(here: Path) -> None:
    about = ("--title", "T", "--question", "Q")
    assert "not a valid id" in call("new", "My_Idea", *about, code=2).output
    assert "credit_cosine is not defined" in call("new", "a", *about, "--metric", "credit_cosine", code=2).output
    assert "did you mean 'digits'" in call("new", "a", *about, "--dataset", "digit", code=2).output
    wrong = call("new", "a", *about, "--metric", "hidden_nor", code=2).output
    assert "no metric is called 'hidden_nor', did you mean 'hidden_norm'?" in wrong
    assert "needs its title" in call("new", "a", "--question", "Q", code=2).output
    told = call("new", "a", code=2).output
    assert "needs its title and question" in told and "harness new a --title '…' --question '…'" in told
    assert "needs its id, title and question" in call("new", code=2).output
    assert "harness new my-hypothesis --title" in call("new", code=2).output
    assert "1 seed can't decide" in call("new", "a", *about, "--seeds", "1", code=2).output
    assert list((here / "hypotheses").iterdir()) == []


@pytest.mark.parametrize(
    ("name", "siblings"),
    [
        ("bp_penalty_control", ()),
        ("quickstart_digits", ()),
        ("mode2_direction", ("mode2-boundary", "scale-without-direction")),
    ],
)
def test_a_copy_passes_too_and_says_where_it_is_from(here: Path, name: str, siblings: tuple[str, ...]) -> None:
    """What it is copied from is declared; of others that ask the same its author is told."""
    for folder in ("hypotheses", "verdicts", "schema"):
        shutil.copytree(ROOT / folder, here / folder, dirs_exist_ok=True)
    call("new", "a-copy", "--from", f"hypotheses/{name}.yaml")
    told = call("check", "--strict", code=2 if siblings else 0).output
    assert told.count("warning:") == len(siblings)
    assert all(f"asks the same question as '{sibling}'" in told for sibling in siblings)
    copied, original = (load(here / f"hypotheses/{file}.yaml").hypothesis for file in ("a_copy", name))
    assert copied.id == "a-copy"
    assert f"The hypothesis {original.id}, from which this file was copied." in (copied.prior_data_seen.what or "")
    assert copied.arms == original.arms
    verdicts = len([*(here / "verdicts" / original.id).glob("*/verdict.json")])
    held = f"Of its results, the trail holds {verdicts} verdict"
    assert (held in (copied.prior_data_seen.what or "")) == (verdicts > 0) == (name != "quickstart_digits")
    assert copied.prior_data_seen.level == "analysed"  # that of quickstart_digits says so itself
    text = (here / "hypotheses/a_copy.yaml").read_text()
    assert text.splitlines()[0] == "# yaml-language-server: $schema=../schema/hypothesis.schema.json"
    assert text.count("yaml-language-server") == 1


def test_a_copy_of_what_nobody_has_looked_at_says_so_until_the_trail_holds_results(here: Path) -> None:
    call("new", "source", "--title", "T", "--question", "Q")
    write_out(here / "hypotheses")
    trail = Ledger(here / "verdicts")
    body = {name: trail.store_object(b"{}") for name in ("raw", "canonical", "claims", "results", "report", "code")}
    export = Export(name="old.json", form="runs_json", sha256="b" * 64)
    explored = ExploredBody(hypothesis="source", exports=(export,), seeds=3, counted=6, would_be="better", **body)
    pilot = PilotBody(hypothesis="source", settings={})
    told = ""
    for number, entered in enumerate((pilot.model_copy(update={"hypothesis": "another"}), pilot, explored)):
        digest = trail.record(entered).digest
        call("new", f"copy-{number}", "--from", "hypotheses/source.yaml")
        seen = load(here / f"hypotheses/copy_{number}.yaml").hypothesis.prior_data_seen
        more = ("", "1 pilot", f" and the exploration {digest[:12]}")[number]
        told += more
        known = f" Of its results, the trail holds {told}." if told else ""
        assert seen.what == f"The hypothesis source, from which this file was copied.{known}"
        assert seen.level == ("analysed" if told else "exists_unseen")


def test_on_a_terminal_it_asks(here: Path) -> None:
    parent, child = pty.openpty()
    command = [sys.executable, "-m", "harness.cli", "new", "--margin", "2"]
    process = subprocess.Popen(
        command, stdin=child, stdout=subprocess.PIPE, stderr=child, env={**os.environ, "TERM": "dumb"}
    )
    os.close(child)
    os.write(parent, b"AuditRequest For\nasked-for\nA title\nA question?\n")  # what can't be an id is asked for again
    out, _ = process.communicate(timeout=240)
    assert process.returncode == 0
    assert out.decode().strip() == "hypotheses/asked_for.yaml"
    write_out(here / "hypotheses")
    hypothesis = load(here / "hypotheses/asked_for.yaml").hypothesis
    assert (hypothesis.title, hypothesis.question) == ("A title", "A question?")
    assert str(hypothesis.decisions["margin"].bands["better"]) == "(2, inf)"


def test_what_no_plug_in_is_called_is_asked_for_again(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    given: dict[str, Any] = {"metric": None, "penalty": None, "seeds": None}
    monkeypatch.setattr(sys, "stdin", io.StringIO("none\naccuracy\ntrain_loss\nmany\n12\n"))
    _ask_the_rest(given, Answers)
    assert given == {"metric": "train_loss", "penalty": None, "seeds": 12}
    said = capsys.readouterr().err
    listed = ", ".join(find_members("metrics"))
    assert f"metric ({listed})" in said and f"'accuracy' is not one of these: {listed}" in said
    assert "penalty (none, hidden_norm, residual_branch) [none]" in said


def test_everything_that_is_listed_can_be_explained() -> None:
    listed = json.loads(call("explain", "--format", "json").stdout)
    assert listed == {name: list(kinds) for name, kinds in list_names().items()}
    lines = dict(line.split(": ", 1) for line in call("explain").stdout.splitlines())
    shown = {kind: set(names.split(", ")) for kind, names in lines.items()}
    for family in FAMILIES:
        assert set(find_members(family)) <= shown[name_member(family)]
    assert set(CHECKS) == shown["check"]
    assert (listed["hidden_norm"], listed["arms"]) == (["metric", "penalty"], ["option", "check"])
    for name in ("dfa", "t", "stopping.kind", "setup.optimizer.lr", "arms.*.matrix", "rerun"):
        assert name in listed
        said = json.loads(call("explain", name, "--format", "json").stdout)
        assert said[0]["text"]


def test_an_explanation_has_equation_source_parameters_and_units() -> None:
    said = " ".join(call("explain", "dfa").stdout.split())
    assert "a_l = e B_lᵀ" in said
    assert "arXiv 1609.01596" in said
    assert re.search(r"clip a number above 0 or null 1\.0 1 Largest", said)
    assert "example: {name: dfa}" in said
    assert "equations:" not in call("explain", "sgd").stdout and "equations: adamw" in call("explain", "adamw").stdout
    assert "smallest n: 5 at α = .05, 6 at α = .025, 7 at α = .01" in call("explain", "sign_flip").stdout
    assert "smallest n" not in call("explain", "bounded").stdout  # it depends on the bounds
    option = call("explain", "evaluation.every_epochs").stdout
    assert "unit: epochs" in option
    assert "default: 5" in option
    assert "did you mean 'stopping'" in call("explain", "stoping", code=2).output
    assert "did you mean 'sgd'" in call("explain", "SGD", code=2).output


@pytest.mark.parametrize(
    ("option", "name"), [("minus", "stacked_cosine"), ("metric", "stacked_cosine"), ("loss", "bce")]
)
def test_an_option_that_names_a_plug_in_lists_each_once(option: str, name: str) -> None:
    entries = json.loads(call("explain", option, "--format", "json").stdout)
    listed = [entry for entry in entries if name in json.dumps(entry["facts"])]
    assert listed
    for entry in listed:
        assert json.dumps([entry["facts"], entry["parameters"]]).count(name) == 1, entry["name"]


def test_an_option_of_several_sections_is_explained_once() -> None:
    said = call("explain", "onset").stdout
    assert said.startswith("estimands.*.onset, exploratory.*.onset (option)\n")
    assert said.count("makes the estimand the epoch at which it begins to hold") == 1
    assert len(json.loads(call("explain", "onset", "--format", "json").stdout)) == 2


@pytest.mark.parametrize(
    ("word", "where"),
    [
        ("momentum", "sgd (optimizer)"),
        ("milestones", "step (schedule)"),
        ("loguniform", "tuning.space.*.*.distribution (option)"),
        ("pp", "estimands.*.unit, exploratory.*.unit (option)"),
    ],
)
def test_a_word_that_a_plug_in_or_an_option_knows_is_explained_there(word: str, where: str) -> None:
    assert where in call("explain", word).stdout


def test_the_schema_is_printed_and_written(here: Path) -> None:
    printed = call("schema").stdout
    assert printed == (ROOT / "schema/hypothesis.schema.json").read_text(encoding="utf-8")
    call("schema", "--out", "made")
    assert {path.name for path in (here / "made").iterdir()} == {path.name for path in (ROOT / "schema").iterdir()}
    assert "no schema of 'verdict'" in call("schema", "verdict", code=2).output


def test_the_doctor_names_what_is_broken(here: Path) -> None:
    shutil.copytree(ROOT / "hypotheses", here / "hypotheses", dirs_exist_ok=True)
    found = {one["what"]: one for one in json.loads(call("doctor", "--format", "json", "--device", "cpu").stdout)}
    assert {"python", "packages", "device", "data folder", "cache", "git", "trail", "hypotheses"} <= set(found)
    assert found["hypotheses"]["state"] == "works"
    assert found["git"]["state"] == "note"
    (here / "hypotheses/bad.yaml").write_text("id: x\n")
    (here / "blocked").write_text("a file, no folder")
    said = call("doctor", "--device", "cuda:99", "--data", "blocked/data", code=2).output
    valid = len(list((ROOT / "hypotheses").glob("*.yaml"))) - 1  # one of them lists claims
    assert f"BROKEN hypotheses: {valid} valid, 1 with errors" in said
    assert "BROKEN device" in said
    assert "BROKEN data folder" in said


def test_a_project_without_a_hypothesis_yet_is_not_broken(here: Path) -> None:
    (here / "hypotheses/claims.yaml").write_text("claims: {}\n")
    said = call("doctor", "--device", "cpu").output
    assert "note   hypotheses: no hypothesis in hypotheses/ yet\n       → harness new writes a first file" in said
    assert "or write a first one: harness new" in call("list", code=2).output


def test_a_hypothesis_named_by_its_id_instead_of_its_file(here: Path) -> None:
    (here / "hypotheses/the_cost.yaml").write_text("")
    assert "no such file the-cost; did you mean hypotheses/the_cost.yaml?" in call("plan", "the-cost", code=2).output
    assert "no such file the-cost; did you mean hypotheses/the_cost.yaml?" in call("check", "the-cost", code=2).output
    said = " ".join(call("plan", "the-loss", code=2).output.split())
    assert "no such file the-loss → name the hypothesis's file, such as hypotheses/the_loss.yaml" in said
    (here / "hypotheses/claim.yaml").write_text("")
    said = " ".join(call("claims", code=2).output.split())
    assert "did you mean" not in said  # that is no file of claims, however alike their names
    assert "no such file hypotheses/claims.yaml → write what your hypotheses are about into it" in said


def test_what_there_is_one_of_is_counted_as_one(here: Path) -> None:
    file = here / "hypotheses/quickstart_digits.yaml"
    for name in ("quickstart_digits", "claims"):
        shutil.copy(ROOT / f"hypotheses/{name}.yaml", here / "hypotheses")
    for arguments in (("init", "-q"), ("add", "."), ("commit", "-qm", "first")):
        who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        subprocess.run(["git", *who, *arguments], cwd=here, check=True)
    assert "ok     trail: 0 events, 0 hypotheses registered; " in call("doctor", "--device", "cpu").output
    file.write_text(file.read_text() + "# one change\n")
    call("register", str(file))
    (here / ".gitignore").write_text("verdicts\n.gitignore\n")
    said = call("doctor", "--device", "cpu").output
    assert "ok     trail: 1 event, 1 hypothesis registered; " in said
    assert ", 1 changed file\n" in said


def test_notes_of_an_audit_beyond_the_first_are_counted_by_kind(here: Path) -> None:
    (here / "verdicts").mkdir()
    for number in range(11):
        (here / f"verdicts/note{number}.md").touch()
    assert "1 more note of the kind 'stray': --format json lists all" in call("audit", code=5).output
    (here / "verdicts/note11.md").touch()
    assert "2 more notes of the kind 'stray': --format json lists all" in call("audit", code=5).output
