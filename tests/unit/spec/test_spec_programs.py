"""Short forms of files with a program, what they leave as it was, and new files from a command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.errors import InvalidHypothesis, UsageError
from harness.ledger import write_canonical
from harness.records import Hypothesis
from harness.spec import Answers, list_names, load, parse, write_program_draft
from harness.spec.placeholders import find_placeholders
from harness.spec.yaml import read

CORPUS = Path(__file__).parents[2] / "corpus/valid"
ANSWERS = Answers("new-one", "A statement", "A question?", metric="accuracy")


def test_a_program_s_canonical_form_gives_the_same_hypothesis_again() -> None:
    hypothesis = load(CORPUS / "program.yaml").hypothesis
    form = json.loads(write_canonical(hypothesis))
    assert Hypothesis.model_validate_json(json.dumps(form)) == hypothesis
    assert list(form["arms"]) == ["swept_high", "swept_low", "swept_middle"]
    assert form["arms"]["swept_low"]["parameters"] == {"alpha": 0.01}
    assert form["arms"]["swept_low"]["rule"] == {"name": "program"}
    assert form["estimands"]["norm"]["metric"]["name"] == "declared"
    assert form["setup"]["epochs"] == 20
    trend = hypothesis.estimands["dose"].trend
    assert trend is not None
    assert trend.arms == {"swept_low": 0.01, "swept_middle": 0.1, "swept_high": 10.0}


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*.yaml")), ids=lambda path: path.stem)
def test_files_without_a_program_have_no_trace_of_one(path: Path) -> None:
    """Their canonical form, and so their digest, is what it was before there were programs."""
    if path.stem.startswith("program") or path.stem == "claims":
        return
    form = json.loads(write_canonical(load(path).hypothesis))
    assert not {"program", "metrics", "results"} & form.keys()
    assert all("parameters" not in arm for arm in form["arms"].values())
    assert "failed" not in form["exclusions"]


def test_a_program_s_metrics_are_subtracted_if_both_are_declared_on_one_scale() -> None:
    text = (CORPUS / "program.yaml").read_text("utf-8")
    line = "  margin: {metric: test_accuracy, contrast: swept_high - swept_low, unit: pp}\n"
    declared = "metrics:\n  fit: {bounds: [0, 1], unit: fraction}\n"
    assert line in text
    whole = text.replace("metrics:\n", declared, 1).replace(line, line.replace("accuracy,", "accuracy, minus: fit,"))
    estimand = parse(whole.encode(), b"", "x").hypothesis.estimands["margin"]
    assert estimand.called == "test_accuracy minus fit" and estimand.domain == (-200, 200)
    for wrong, message in (
        (whole.replace("minus: fit", "minus: fat"), "no metric 'fat' is declared, did you mean 'fit'?"),
        (whole.replace("unit: fraction}\n  test", "unit: bits}\n  test"), "their units differ, fraction and bits"),
    ):
        with pytest.raises(InvalidHypothesis) as refused:
            parse(wrong.encode(), b"", "x")
        (finding,) = [found for found in refused.value.findings if found.kind == ""]
        assert message in finding.message and finding.line == whole[: whole.index("margin: {")].count("\n") + 1


def test_what_stands_in_for_a_program_is_no_plug_in_that_a_file_could_name() -> None:
    assert "declared" not in list_names()


def test_a_new_file_from_a_command_is_valid_but_for_its_placeholders() -> None:
    command = 'python train.py --seed {seed} --lr {lr} "two words" --out {out}/metrics.json'
    text = write_program_draft(ANSWERS, command)
    root = read(text.encode(), "x").root
    assert root is not None
    assert len(list(find_placeholders(root))) == 4
    hypothesis = parse(text.encode(), b"", "x").hypothesis
    assert hypothesis.program is not None
    assert hypothesis.program.command == (
        "python", "train.py", "--seed", "{seed}", "--lr", "{lr}", "two words", "--out", "{out}/metrics.json"
    )  # fmt: skip
    assert hypothesis.arms["treatment"].parameters == {"lr": 1}
    assert list(hypothesis.metrics) == ["accuracy"]


@pytest.mark.parametrize("command", ["'", ""])
def test_a_command_that_is_none_is_refused(command: str) -> None:
    with pytest.raises(UsageError, match="is not a command"):
        write_program_draft(ANSWERS, command)


def test_both_kinds_of_arms_share_a_metric_of_harness_s_own() -> None:
    hypothesis = load(CORPUS / "program_beside.yaml").hypothesis
    assert list(hypothesis.programmed) == ["weak"]
    assert hypothesis.built_in is not None
    assert list(hypothesis.built_in.arms) == ["strong"]
    assert hypothesis.estimands["margin"].metric.key == "test_accuracy"
    assert "test_accuracy" in hypothesis.arms["weak"].setup.evaluation.keys
    assert hypothesis.arms["strong"].setup == hypothesis.setup
    form = json.loads(write_canonical(hypothesis))
    assert Hypothesis.model_validate_json(json.dumps(form)) == hypothesis


def test_a_command_line_in_one_word_is_refused_unless_a_file_is_called_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = (CORPUS.parent / "invalid/program_one_word.yaml").read_text("utf-8")
    (tmp_path / "one_word.yaml").write_text(text.replace("id: program-one-word", "id: one-word"))
    with pytest.raises(InvalidHypothesis) as refused:
        load(tmp_path / "one_word.yaml")
    (finding,) = refused.value.findings
    assert finding.remedy == 'write command: [python3, train.py, "{seed}", "{alpha}"]'
    parse(text.encode(), b"", "x")  # what is registered was looked at then, and the file may lie on another machine
    (tmp_path / "python3 train.py {seed} {alpha}").touch()
    load(tmp_path / "one_word.yaml")
