"""What a paper is written in: numbers with their marks, and everybody's text as LaTeX and Markdown show it."""

from __future__ import annotations

import re
import sys
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from harness import spec
from harness.paper import FORMS, find_marked, find_value, is_written, list_numbers, write_form
from harness.paper.characters import clean_number, escape_tex
from harness.paper.markup import Table, code, foreign, write_markdown, write_tex
from harness.paper.markup import _table_tex as write_table
from harness.paper.methods import list_components, tell_methods
from harness.paper.numbers import mark_number
from harness.paper.rendering import fill, find_folder
from harness.records import Hypothesis, Seeds, Stopping
from harness.records.tuning import Tuning
from tests.e2e.projects import REPOSITORY
from tests.paper.latex import compile_tex

HOSTILE = (
    r"\input{/etc/passwd} \write18{id} 100% #1 ## $x^2$ ~a_b^c {\bf x \\[2pt] \\* & \end{document} \csname",
    "--- -- ``quoted'' ,,low'' !` ?` << >> \"straight\" 'one' `tick` [a] *b* |c| \\verb|x|",
    "שלום مرحبا 日本語 😀 ﬁ Å é ế ß Ω α≤β → x̂ m̂/(√v̂ + ε) ² ₁ ‖h‖ ⟨a⟩ \u202eturned\u202c \x1b[31mred\x1b[0m \x00 \u200b",
    "0123456789" * 1000,
    "x" * 10_000,
    "a" + "\u0301" * 50,
)


@pytest.mark.parametrize(
    ("text", "value", "holds"),
    [
        ("0.1921", 0.19214290774491935, True), ("0.19", 0.19214290774491935, True), ("0.20", 0.19214, False),
        ("0.2921", 0.19214, False), ("-0.0126", -0.01262, True), ("0.0126", -0.01262, False), ("0", 0.19, False),
        ("10", 10, True), ("9", 10, False), ("90%", 0.9, True), ("95%", 0.9, False), ("0.9", 0.9, True),
        (".22", 0.218, True), (".00098", 0.0009765625, True), ("< 1e-6", 1.3e-7, True), ("< 1e-6", 2e-6, False),
        ("> .99", 0.997, True), ("> .99", 0.5, False), ("1.2e-8", 1.23e-8, True), ("1.2e-7", 1.23e-8, False),
        ("12346", 12345.6, True), ("", 0.1, False), ("about 3", 3.0, False), ("never", "Infinity", True),
        ("5", "Infinity", False), ("partial", "partial", True), ("confirmed", "partial", False), ("1", None, False),
        ("1", True, False), ("18.6 18.7", 18.6, False), ("nan", 0.1, False), ("1e999", 0.1, False),
    ],
)  # fmt: skip
def test_a_number_is_its_value_rounded_to_the_digits_that_are_shown(text: str, value: Any, holds: bool) -> None:
    assert is_written(text, value) is holds


def test_a_place_is_read_as_jq_reads_it() -> None:
    verdict = {"decision": {"p": 0.5, "decisions": [{"estimand": {"mean": 2}}], "exploratory_p": {"a_b": [1, 3]}}}
    assert find_value(verdict, "decision.p") == 0.5
    assert find_value(verdict, "decision.decisions[0].estimand.mean") == 2
    assert find_value(verdict, 'decision.exploratory_p["a_b"][1]') == 3
    for place in ("decision.q", "decision.decisions[1]", "decision.p.q", "decision..p", "decision.decisions[-1]", "$"):
        with pytest.raises(LookupError):
            find_value(verdict, place)


def test_a_mark_survives_both_languages_and_a_comment_is_none() -> None:
    sentence = f"It is {mark_number('65f2e4c2d262', 'decision.p', '< 1e-6')}, or {mark_number('a', 'b', '-0.5')} pp."
    for write, tex in ((write_tex, True), (write_markdown, False)):
        found = list(find_marked(f"one\n{write(sentence)}", tex=tex))
        assert [(one.run, one.place, one.text, one.line) for one in found] == [
            ("65f2e4c2d262", "decision.p", "< 1e-6", 2),
            ("a", "b", "-0.5", 2),
        ]
    assert not list(find_marked(r"% \fromtrail{a:b}{1}", tex=True))
    assert [one.text for one in find_marked(r"100\% \fromtrail{a:b}{1}", tex=True)] == ["1"]
    assert list_numbers("p = .05 at −0.3, 1e-6 of 1,024; 65f2e4c2d262") == [
        ".05", "-0.3", "1e-6", "1024", "65f2e4c2d262",
    ]  # fmt: skip


def test_a_text_cannot_bring_a_mark_of_its_own() -> None:
    faked = foreign(mark_number("65f2e4c2d262", "decision.p", ".001") + code("x"))
    assert not list(find_marked(write_tex(faked), tex=True)) and "\\texttt" not in write_tex(faked)
    for text in (r"\fromtrail{65f2:decision.p}{.001}", "<!--fromtrail 65f2:decision.p-->.001<!--/-->"):
        assert not list(find_marked(write_tex(text), tex=True))
        assert not list(find_marked(write_markdown(text), tex=False))


def test_escaped_text_holds_no_command_but_our_own() -> None:
    """Without the commands that escape, nothing is left that TeX would not print as it stands."""
    for text in HOSTILE:
        bare = escape_tex(text).replace(r"\allowbreak{}", "")
        for command in (r"\textbackslash{}", r"\{", r"\}", r"\$", r"\&", r"\#", r"\%", r"\_"):
            bare = bare.replace(command, "")
        bare = re.sub(r"\$[^$]*\$", "", bare)  # our own signs
        assert not any(character in bare for character in "&#%_~") and "^^" not in bare
        assert all(ord(character) < 128 for character in bare)
    assert clean_number(escape_tex("−0.5")) == "-0.5"


def document(body: str) -> str:
    return (
        "\\documentclass{article}\n\\usepackage[T1]{fontenc}\n\\usepackage{lmodern}\n\\input{preamble}\n"
        f"\\emergencystretch=3em\n\\begin{{document}}\n{body}\n\\end{{document}}\n"
    )


@pytest.mark.latex
def test_hostile_text_and_every_character_compile_in_text_tables_and_headings(tmp_path: Path) -> None:
    folder = tmp_path / "tex"
    folder.mkdir()
    (folder / "preamble.tex").write_text((find_folder() / "preamble.txt").read_text())
    # Of every script some characters, and all of those that most texts have.
    every = [*range(0x20, 0x2500), *range(0x2500, sys.maxunicode, 1009)]
    printable = [chr(n) for n in every if unicodedata.category(chr(n)) not in ("Cs", "Cn")]
    lines = [" ".join(printable[at : at + 200]) for at in range(0, len(printable), 200)]
    rows = tuple((text, code(text), text[:300], text) for text in HOSTILE)
    table = Table("A table", "tab:a", ("a", "b", "c", "d"), (0.25, 0.25, 0.25, 0.25), (("Heading",), *rows))
    body = [write_tex(text) for text in (*HOSTILE, *map(code, HOSTILE), *lines)]
    body += [f"\\section{{{write_tex(HOSTILE[2])}}}", write_table(table), write_tex("The end of it.")]
    (folder / "paper.tex").write_text(document("\n\n".join(body)), encoding="utf-8")
    compiled = compile_tex(folder, tmp_path / "compiled")
    assert not [problem for problem in compiled.problems if not problem.startswith("overfull")]
    assert "The end of it." in compiled.text  # no \end{document} before it
    shown = compiled.text.replace("\n", " ")
    for literal in (r"\input{/etc/passwd}", "100% #1 ## $x^2$", "[U+05E9]", r"\u202eturned\u202c", r"\x1b[31mred"):
        assert literal.replace(" ", "") in shown.replace(" ", ""), literal
    assert "root:" not in compiled.text


def read_valid() -> list[Hypothesis]:
    files = sorted((REPOSITORY / "tests/corpus/valid").glob("*.yaml"))
    return [spec.load(file).hypothesis for file in files if file.name != "claims.yaml"]


def write_methods(form: Hypothesis, *, tex: bool) -> str:
    context = {"methods": [("H1", tell_methods(form))], "components": list_components(form), "software": ["One."]}
    return fill("methods.txt", context, tex=tex)


def test_every_valid_file_has_methods_and_forms_in_whole_sentences() -> None:
    for form in read_valid():
        texts = [write_methods(form, tex=False), *(write_form(name, form, "A note.") for name in FORMS)]
        command = " ".join(form.program.command) if form.program is not None else "\0"
        for text in (text.replace(command, "a command") for text in texts):
            odd = re.findall(r".*(?:\bNone\b(?!\.| beside)|  |\.\.(?!\.)| ,|\(\)|\{\{|<harness).*", text)
            assert odd == [], (form.id, odd)
            assert all(line.rstrip().endswith((".", ":", "?", "!", "”")) or line.startswith(("#", "- "))
                       or len(line.split()) < 20 for line in text.splitlines())  # fmt: skip
        for owed in (*form.decisions, *form.guards, *(arm.label for arm in form.arms.values())):
            assert owed in texts[0].replace("\\", ""), (form.id, owed)


def test_of_a_programs_arms_nothing_is_told_that_only_harness_own_have() -> None:
    forms = [form for form in read_valid() if form.program is not None]
    assert {form.built_in is None for form in forms} == {True, False}
    for form in forms:
        assert form.program is not None
        methods = write_methods(form, tex=False)
        for text in (methods, *(write_form(name, form, "A note.") for name in FORMS)):
            assert "rule `program`" not in text and "harness. records" not in text and "`declared`" not in text
            of_harness = [word in text for word in ("test images", "optimizer", "cross entropy", "augmentations")]
            assert not any(of_harness) or form.built_in is not None
            assert all(of_harness) or form.built_in is None or text is not methods
            assert "the program fails" in text
        assert f"its command is `{' '.join(form.program.command)}`" in methods
        assert "Optimizer `program`" not in methods and "Metric `declared`" not in methods
        for name, arm in form.programmed.items():
            (line,) = (line for line in methods.splitlines() if line.startswith("- ") and f"(`{name}`)" in line)
            assert "is the program with" in line and all(f"`{given}`" in line for given in arm.parameters or {})
        for metric in form.metrics:
            assert f"`{metric}`" in methods
        own = len(form.arms) - len(form.programmed)
        assert own > 1 or "its own settings" not in methods, "one arm alone differs from no other"


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({}, "3 seeds in each of 2 arms: 6 trained models."),
        ({"stopping": {"kind": "looks", "at": [2, 3]}}, "At most 3 seeds in each of 2 arms: at most 6 trained models."),
        (
            {
                "tuning": {
                    "select": "validation_accuracy", "seeds": 2, "unequal": "Time.",
                    "space": {"one": {"setup.epochs": [1, 2, 3]}, "another": {"setup.epochs": [1]}},
                }
            },
            "6 trained models. Beside these, 8 that serve the choice of settings alone.",
        ),
    ],
    ids=["fixed", "looks", "tuned"],
)  # fmt: skip
def test_the_sample_counts_all_that_is_trained(more: dict[str, Any], told: str) -> None:
    form = next(form for form in read_valid() if form.tuning is None and len(form.arms) == 2)
    parts = {"stopping": Stopping, "tuning": Tuning}
    update = {key: parts[key].model_validate(value) for key, value in more.items()}
    plain = form.model_copy(update=update | {"seeds": Seeds(count=3)})
    for name in FORMS:
        assert told in write_form(name, plain, "A note.").replace("\n", " ")


@pytest.mark.latex
def test_the_methods_of_every_valid_file_compile_within_their_margins(tmp_path: Path) -> None:
    folder = tmp_path / "tex"
    folder.mkdir()
    (folder / "preamble.tex").write_text((find_folder() / "preamble.txt").read_text())
    body = "\n\n".join(write_methods(form, tex=True) for form in read_valid())
    body = body.replace("\\begin{document}", "")
    (folder / "paper.tex").write_text(document(body).replace("{article}", "[a4paper,11pt]{article}"), encoding="utf-8")
    assert compile_tex(folder, tmp_path / "compiled").problems == []
