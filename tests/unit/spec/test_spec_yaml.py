"""Reading YAML strictly: values, places, and refusals that must come before they cost anything."""

from __future__ import annotations

import math

import pytest

from harness.spec import yaml
from harness.spec.scalars import Surprising, resolve


def findings(text: str | bytes) -> list[tuple[int, int, str]]:
    data = text if isinstance(text, bytes) else text.encode()
    document = yaml.read(data, "x.yaml")
    return [(finding.line, finding.column, finding.message) for finding in document.findings]


def plain(text: str) -> object:
    document = yaml.read(text.encode(), "x.yaml")
    assert document.findings == ()
    assert document.root is not None
    return document.root.plain()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("null", None),
        ("", None),
        ("true", True),
        ("false", False),
        ("0", 0),
        ("-12", -12),
        ("+5", 5),
        ("1e-3", 0.001),
        ("1.0E+2", 100.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("0.0", 0.0),
        ("9007199254740991", 2**53 - 1),
        ("nope", "nope"),
        ("inf", "inf"),
        ("1.2.3", "1.2.3"),
        ("2026", 2026),
        ("a1", "a1"),
        ("-", "-"),
    ],
)
def test_plain_scalars_follow_yaml_1_2(text: str, value: object) -> None:
    result = resolve(text)
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "~",
        "Null",
        "NULL",
        "True",
        "FALSE",
        "yes",
        "No",
        "ON",
        "off",
        "y",
        "N",
        ".inf",
        "-.INF",
        ".nan",
        ".NaN",
        "1e999",
        "-1e999",
        "1e-999",
        "0x1F",
        "-0xff",
        "0o17",
        "0b11",
        "012",
        "00",
        "00.5",
        "1_000",
        "1_0.5",
        "1.0_1",
        "2026-01-31",
        "2026-1-1T10:00:00Z",
        "1:30",
        "12:30:45.5",
        "9007199254740992",
        "123456789012345678901",
    ],
)
def test_surprises_are_refused_with_a_remedy(text: str) -> None:
    with pytest.raises(Surprising) as refused:
        resolve(text)
    assert text[:8] in str(refused.value)
    assert refused.value.remedy


def test_quoted_scalars_are_texts() -> None:
    assert plain("""{a: "no", b: '012', c: "2026-01-31", d: ''}""") == {
        "a": "no",
        "b": "012",
        "c": "2026-01-31",
        "d": "",
    }


def test_sequences_become_tuples_and_order_is_kept() -> None:
    value = plain("b: [1, [2.5, x]]\na: {}\n")
    assert value == {"b": (1, (2.5, "x")), "a": {}}
    assert list(value) == ["b", "a"]  # type: ignore[call-overload]


def test_places_count_characters_from_one() -> None:
    root = yaml.read("ä: {ö: [x, 'y']}\r\nb:\r\n  - ü\n".encode(), "x.yaml").root
    assert root is not None
    inner, _ = root.nearest(("ä", "ö", 1))
    assert (inner.at, inner.key_at) == ((1, 12), (1, 12))
    assert root.nearest(("ä", "ö"))[0].key_at == (1, 5)
    assert root.nearest(("ä", "ö"))[0].at == (1, 8)
    assert root.nearest(("b", 0))[0].at == (3, 5)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"a: \xff\n", (1, 4, "not UTF-8: byte 0xFF")),
        ("ä: 1\nbb: ".encode() + b"\xc3", (2, 5, "not UTF-8: byte 0xC3")),
        (b"\xef\xbb\xbfa: 1\n", (1, 1, "control character U+FEFF")),
        (b"a: 1\nb: \x1b[31m\n", (2, 4, "control character U+001B")),
        ("a: b\u2028c\n".encode(), (1, 5, "control character U+2028")),
        ("a: \u202eb\n".encode(), (1, 4, "control character U+202E")),
        (b"", (1, 1, "the file is empty")),
        (b"# only this\n", (1, 1, "the file is empty")),
        (b"a: [1, 2\n", (2, 1, "not YAML: expected ',' or ']'")),
        (b"a: 1\na: 2\n", (2, 1, "the key 'a' stands here twice (first on line 1)")),
        (b"? [a]\n: 1\n", (1, 3, "a key must be a string")),
        (b"1: x\n", (1, 1, "a key must be a string")),
        (b"null: x\n", (1, 1, "a key must be a string")),
    ],
)
def test_what_is_refused(data: bytes, expected: tuple[int, int, str]) -> None:
    assert findings(data) == [expected]


def test_a_refused_control_character_does_not_reach_the_terminal() -> None:
    (finding,) = yaml.read(b"a: \x1b[31m\n", "x.yaml").findings
    assert "\x1b" not in str(finding)


def test_several_findings_come_together() -> None:
    assert [line for line, _, _ in findings("a: no\nb: &x 1\nc: *x\nd: !!int 5\na: 012\n")] == [1, 2, 3, 4, 5, 5]


def test_depth_is_allowed_up_to_its_limit() -> None:
    limit = yaml.MAX_DEPTH
    assert findings("[" * limit + "]" * limit) == []
    assert findings("[" * (limit + 1) + "]" * (limit + 1)) == [(1, limit + 1, f"nested more than {limit} levels deep")]


@pytest.mark.parametrize(
    "bomb",
    [
        "[\n" * 100_000,
        "{a:\n" * 100_000,
        "- " * 4_000,
        "\n".join("[" * 5_000 for _ in range(20)),
        "{" * 9_000,
        "a: " + "[{" * 1_500,
    ],
    ids=["sequences", "mappings", "one-line", "wide-lines", "wide-mappings", "mixed"],
)
def test_deep_nesting_is_refused_before_it_is_composed(bomb: str) -> None:
    ((_, _, message),) = findings(bomb)
    assert message == "nested more than 40 levels deep"


def test_an_alias_bomb_is_not_expanded() -> None:
    names = [f"a{level}" for level in range(30)]
    lines = [f"{name}: &{name} [{', '.join([f'*{below}'] * 9)}]" for name, below in zip(names[1:], names, strict=False)]
    found = findings("a0: &a0 [x]\n" + "\n".join(lines))
    assert found[-1][2] == "more than 100 findings"
    assert len(found) == 102
    assert all("is not allowed" in message for _, _, message in found[:-1])


def test_too_much_of_anything_is_refused() -> None:
    assert findings(b"a: b\n" * 300_000) == [(1, 1, "the file is over 1 MiB")]
    assert findings("[" + "1,\n" * 25_000 + "]")[-1][2] == "more than 20,000 values"
    assert findings("a: " + "x" * 10_000) == [(1, 10_001, "a line of more than 10,000 characters")]


def test_the_largest_integers_and_floats_stay_exact() -> None:
    value = plain("a: 9007199254740991\nb: 1.7976931348623157e308\nc: 5e-324\n")
    assert value == {"a": 2**53 - 1, "b": math.nextafter(math.inf, 0), "c": 5e-324}
