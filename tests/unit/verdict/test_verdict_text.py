from __future__ import annotations

import math

import pytest
from markdown_it import MarkdownIt

from harness.verdict.text import (
    append_unit,
    escape,
    format_code,
    format_duration,
    format_number,
    format_p,
    format_p_equals,
    format_percent,
    format_plus_minus,
    format_together,
    format_verbatim,
    join_words,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0123, "0.0123"),
        (1.2e-8, "1.2e-08"),
        (27.4, "27.4"),
        (0, "0"),
        (-0.0, "0"),
        (999.7, "1,000"),
        (12345.6, "12,346"),
        (5.12e8, "5.12e+08"),
    ],
)
def test_number(value: float, text: str) -> None:
    assert format_number(value) == text


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (0.0019354, ".0019"),
        (0.23549, ".24"),
        (1.0, "1"),
        (0.9999, "> .99"),
        (0.0, "< 1e-6"),
        (1.2e-5, "1.2e-5"),
        (0.5, ".50"),
    ],
)
def test_p(p: float, text: str) -> None:
    assert format_p(p) == text


@pytest.mark.parametrize("p", [0.0500001, 0.0499999, 0.051, 0.05])
def test_p_is_printed_on_its_side_of_alpha(p: float) -> None:
    printed = float(format_p(p, 0.05))
    assert math.copysign(1, printed - 0.05) == math.copysign(1, p - 0.05) and (printed == 0.05) == (p == 0.05)


def test_p_in_a_sentence() -> None:
    assert format_p_equals(0.0019354) == "p = .0019"
    assert format_p_equals(1e-9) == "p < 1e-6"


def test_numbers_side_by_side_share_their_decimals() -> None:
    assert format_together([30.62, 28.8847, 32.3553]) == ["30.62", "28.88", "32.36"]
    assert format_together([-0.00041, -0.01, 0.02]) == ["-0.0004", "-0.0100", "0.0200"]
    assert format_together([4e-10, 5e-10]) == ["4.00e-10", "5.00e-10"]
    assert format_together([2e-9, 5.0]) == ["2.00e-09", "5.00e+00"]
    assert format_together([0.0]) == ["0"]
    assert format_together([-0.0001, 5.0]) == ["0.00", "5.00"]  # no minus zero


def test_no_number_is_rounded_onto_a_cut() -> None:
    (low, high) = format_together([0.01, 0.0499996], cuts=[0.05])
    assert float(high) < 0.05 and high != "0.050" and len(low) == len(high)


def test_mean_and_spread() -> None:
    assert format_plus_minus(0.36312, 0.00412) == "0.3631 ± 0.0041"
    assert format_plus_minus(5.1e8, 2.04e7) == "5.10e+08 ± 2.0e+07"
    assert format_plus_minus(0.5, None) == "0.5"
    assert format_plus_minus(None, None) == "–"


def test_small_things() -> None:
    assert [format_duration(4.21), format_duration(200), format_duration(7501)] == ["4.21 s", "3 min 20 s", "2 h 5 min"]
    assert [join_words([]), join_words(["a"]), join_words(["a", "b", "c"])] == ["", "a", "a, b and c"]
    assert [append_unit("3", "pp"), append_unit("3", ""), append_unit("3", "log10")] == ["3 pp", "3", "3 (log10)"]
    assert format_percent(0.259) == "25.9%"


HOSTILE = [
    "{{ 7*7 }} {% raw %}",
    "<script>alert(1)</script> <b>x</b> &lt;",
    "a | b || c",
    "`code` ``x`` \\` $x^2$ ~~gone~~ *a* _b_ **c**",
    "[link](http://example.org) ![i](x) <http://example.org> https://example.org www.example.org",
    "# head",
    "- item",
    "1. item",
    "1) item",
    "> quote",
    "---",
    "===",
    "+ plus",
    "    indented",
    "line one\nline two\r\n\r\n# three",
    "a\\",
    "&amp; &#35;",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_escaped_text_stays_text(text: str) -> None:
    """As a paragraph and as a table cell, a Markdown parser finds the text, and nothing else."""
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    expected = " ".join(text.split())
    for source, wrapper in (
        (f"{escape(text)}\n", "paragraph_open"),
        (f"| h |\n|---|\n| {escape(text)} |\n", "table_open"),
    ):
        tokens = parser.parse(source)
        assert tokens[0].type == wrapper
        inline = [token for token in tokens if token.type == "inline"]
        assert len(inline) == (1 if wrapper == "paragraph_open" else 2)
        children = inline[-1].children or []
        assert {child.type for child in children} <= {"text", "text_special"}
        assert "".join(child.content for child in children).strip() == expected


def test_unprintable_characters_are_shown_as_replaced() -> None:
    assert escape("a\x00b\ud800\u202ec") == "a\ufffdb\ufffd\ufffdc"


@pytest.mark.parametrize("text", ["plain", "a`b", "``", "x\ny"])
def test_code_span_holds_anything(text: str) -> None:
    (child,) = MarkdownIt("commonmark").parse(format_code(text))[1].children or []
    assert child.type == "code_inline" and child.content == text.replace("\n", " ")


def test_no_text_becomes_a_command_of_a_log_that_shows_the_page() -> None:
    assert escape("::error::forged") == "\\::error::forged"
    assert escape(" ::error::forged") == " \\::error::forged"
    assert escape("a ::b::, ::c") == "a ::b::, ::c"
    assert format_verbatim("::error::forged") == "\\x3a:error::forged"
    assert "##[" not in escape("##[error]forged") and "##[" not in format_verbatim("##[error]forged")
