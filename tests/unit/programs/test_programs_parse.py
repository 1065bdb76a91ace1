"""Results files: three forms that say the same, and everything that makes one invalid."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from harness.metrics import parse_metric
from harness.metrics._declared import DeclaredMetric
from harness.programs import BadResults, parse_results
from harness.records.program import MetricSpec, Program, Results, fill, write_parameter
from harness.spec.forms import validate
from harness.spec.yaml import read

DECLARED = {
    "accuracy": DeclaredMetric(name="declared", metric="accuracy", low=0.0, high=1.0),
    "norm": DeclaredMetric(name="declared", metric="norm", low=0.0, layers=2, log=True),
}
VALUES = {"accuracy": {1: {0: 0.5}, 2: {0: 0.75}}, "norm": {1: {0: 1.0, 1: 2.0}, 2: {0: None, 1: 3.0}}}
SAME = {
    "json": json.dumps(
        {
            "metrics": {
                "accuracy": {"epochs": [1, 2], "value": [0.5, 0.75]},
                "norm": {"epochs": [1, 2], "value": [[1, 2], [None, 3.0]]},
                "undeclared": "anything",
            }
        }
    ),
    "jsonl": '{"epoch": 1, "accuracy": 0.5, "norm": [1, 2]}\n\n'
    '{"epoch": 2, "accuracy": 0.75, "norm": [null, 3], "undeclared": "x"}\n',
    "csv": "epoch,metric,layer,value\n1,accuracy,,0.5\n1,norm,0,1\n1,norm,1,2\n"
    "2,accuracy,,0.75\n2,norm,0,NA\n2,norm,1,3\n",
}


def read_as(form: str, text: str, epochs: int = 2) -> Any:
    results = Results.model_validate({"form": form, "epochs": epochs})
    return parse_results(text.encode(), results, DECLARED)


@pytest.mark.parametrize("form", SAME)
def test_three_forms_say_the_same(form: str) -> None:
    assert read_as(form, SAME[form]).values == VALUES


def test_a_number_by_itself_is_that_of_the_last_epoch() -> None:
    for form, text in (
        ("json", '{"accuracy": 0.5, "seconds": 3}'),
        ("jsonl", '{"accuracy": 0.5}'),
        ("csv", "accuracy,loss\n0.5,x\n"),
    ):
        assert read_as(form, text, 7).values["accuracy"] == {7: {0: 0.5}}


def test_a_program_may_say_that_it_diverged_and_what_its_weights_are() -> None:
    digest = "ab" * 32
    tail = f'{{"status": "diverged", "diverged_epoch": 2, "weights_sha256": "{digest}"}}'
    for form, text in (
        ("json", f'{{"status": "diverged", "diverged_epoch": 2, "weights_sha256": "{digest}", "metrics": {{}}}}'),
        ("jsonl", f'{{"epoch": 1, "accuracy": 0.5}}\n{tail}'),
        ("csv", f"epoch,accuracy,status,diverged_epoch,weights_sha256\n1,0.5,,,\n2,,diverged,2,{digest}\n"),
    ):
        found = read_as(form, text)
        assert (found.status, found.diverged_epoch, found.weights) == ("diverged", 2, digest)


BAD = [
    ("json", "", "not JSON"),
    ("json", "[1]", "no object"),
    ("json", '{"accuracy": 0.5, "accuracy": 0.6}', "a key twice"),
    ("json", '{"accuracy": Infinity}', "Infinity, which is no number"),
    ("json", '{"accuracy": 1e999}', "accuracy at epoch 2 is not finite"),
    ("json", '{"accuracy": 1' + "0" * 400 + "}", "accuracy at epoch 2 is not finite"),
    ("json", '{"accuracy": true}', "accuracy at epoch 2 is no number"),
    ("json", '{"accuracy": "0.5"}', "accuracy at epoch 2 is no number"),
    ("json", '{"accuracy": -0.5}', r"accuracy is −0\.5 at epoch 2, outside its bounds 0 to 1$"),
    ("json", '{"accuracy": 93.1}', "a percentage, where a fraction is declared"),
    ("json", '{"norm": [1]}', "norm at epoch 2 is no list of 2 numbers"),
    ("json", '{"metrics": {"accuracy": {"epochs": [1], "value": []}}}', "no list of epochs with a value for each"),
    ("json", '{"metrics": {"accuracy": {"epochs": [1, 1], "value": [0, 0]}}}', "names an epoch twice"),
    ("json", '{"metrics": {"accuracy": {"epochs": [0], "value": [0]}}}', "no whole number from 1"),
    ("json", '{"metrics": {"accuracy": {"epochs": [1.5], "value": [0]}}}', "no whole number from 1"),
    ("json", '{"metrics": []}', "'metrics' in its results is no object"),
    ("json", '{"status": "ok"}', "neither finished nor diverged"),
    ("json", '{"diverged_epoch": 1}', "don't say that it diverged"),
    ("json", '{"weights_sha256": "AB"}', "no SHA-256"),
    ("json", "[" * 100_000, "not JSON"),
    ("jsonl", '{"accuracy": 0.5}\n{"accur', "line 2 of its results is not JSON"),
    ("jsonl", '{"epoch": 1, "accuracy": 0.5}\n{"epoch": 1, "accuracy": 0.6}', "accuracy has two values at epoch 1"),
    ("csv", "", "empty"),
    ("csv", "epoch,accuracy\n1", "row 2 of its results has 1 fields and not 2"),
    ("csv", "accuracy,accuracy\n1,1\n", "comes twice"),
    ("csv", "epoch,accuracy\n1,much\n", "accuracy in row 2 of its results is no number"),
    ("csv", "epoch,accuracy\n1,nan\n", "accuracy at epoch 1 is not finite"),
    ("csv", "epoch,accuracy\nnan,1\n", "no whole number from 1"),
    ("csv", "epoch,metric,layer,value\n1,norm,2,1\n", "norm has no layer 2"),
]


@pytest.mark.parametrize(("form", "text", "why"), BAD)
def test_results_that_are_not_valid_are_refused_by_name(form: str, text: str, why: str) -> None:
    with pytest.raises(BadResults, match=why):
        read_as(form, text)


def test_bytes_that_are_no_text_and_too_many_bytes_are_refused() -> None:
    for raw, why in ((b"\xff\xfe", "not UTF-8"), (b" " * (2**23 + 1), "more than 8,388,608 bytes")):
        with pytest.raises(BadResults, match=why):
            parse_results(raw, Results(), DECLARED)


def test_the_key_of_a_declared_metric_holds_all_that_is_known_of_it() -> None:
    told = {"bounds": [0, math.inf], "unit": "s", "label": 'Time, "wall"', "layers": 3, "worst": 9.0, "better": "lower"}
    spec = MetricSpec.model_validate(told | {"resolution": 0.5, "log": True})
    given = {key: value for key, value in spec.describe().items() if value is not None}
    metric = DeclaredMetric(name="declared", metric="duration", **given)
    again = parse_metric(metric.key)
    assert again == metric
    assert (again.bounds, again.layered, again.worst, again.better) == ((0, math.inf), True, 9.0, "lower")
    assert (again.title, again.unit, again.called, again.resolution(1)) == ('Time, "wall"', "s", "duration", 0.5)


def test_a_command_is_filled_without_a_shell() -> None:
    values = {"seed": "3", "name": "a b; rm -rf $HOME"}
    assert fill(("x", "--seed={seed}", "{name}", "{{seed}}"), values) == ("x", "--seed=3", values["name"], "{seed}")
    with pytest.raises(KeyError):
        fill(("{other}",), values)
    assert [write_parameter(one) for one in (True, 3, 1e-4, "x")] == ["true", "3", "0.0001", "x"]


@pytest.mark.parametrize(
    ("change", "message", "remedy"),
    [
        ("image: registry/x:latest", "is no image with its digest", None),
        ("timeout: 2 hours", "is no length of time", None),
        ("timeout: '10'", "'10' is no length of time: write, for example, 90 s", None),
        ("timeout: 10", "timeout needs a unit, is 10", "write timeout: 10 s, 10 min, 10 h or 10 d"),
        ("timeout: 1.5", "timeout needs a unit, is 1.5", "write timeout: 1.5 s, 1.5 min, 1.5 h or 1.5 d"),
        ("size: 500", "size needs a unit, is 500", "write size: 500 kB, 500 MB, 500 GB or 500 TB"),
        ("timeout: true", "timeout must be a string", 'quote it: "true"'),
        ("lock: 3", "lock must be a string", 'quote it: "3"'),
        ("folder: ../elsewhere", "is not a path below the project", None),
        ("folder: /absolute", "is not a path below the project", None),
        (
            "command: python train.py {seed} -n 'two words'",
            "must be a list",
            'write command: [python, train.py, "{seed}", "-n", two words]',
        ),
        (
            "command: python train.py don't",
            "must be a list",
            "write its words one by one, such as command: [python, train.py]",
        ),
        ("again: {when: [failed]}", "preempted or killed", None),
        ("again: {when: killed}", "when must be a list", "write when: [killed]"),
    ],
)
def test_what_a_program_can_t_be_is_refused(change: str, message: str, remedy: str | None) -> None:
    key = change.partition(":")[0]
    lines = {"command": "command: [x]", "lock": "lock: none", "timeout": "timeout: 1 h", key: change}
    root = read("\n".join(lines.values()).encode(), "x").root
    assert root is not None
    record, problems = validate(Program, root)
    assert record is None
    assert any(message in problem.message and problem.remedy == remedy for problem in problems), problems
