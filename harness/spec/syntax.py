"""Syntax errors of YAML in plain words. libyaml and PyYAML's own scanner word the same mistake differently."""

from __future__ import annotations

import re
from dataclasses import dataclass

import yaml

from harness.spec.tree import Place

TAB = ("a tab where spaces are expected", "indent with spaces, not with tabs")
INDENT = "check the indentation: the keys of one mapping, and the dashes of one list, start in the same column"
PLAIN = (
    (
        r"mapping values are not allowed",
        "': ' can't stand here",
        "quote a string that contains ': ', and check indentation",
    ),
    (r"a tab character", *TAB),
    (r"sequence entries are not allowed", "a list item '- ' can't start here", "start the list on a line of its own"),
    (r"mapping keys are not allowed", "'? ' can't start here", "quote a string that begins with '?'"),
    (r"',' or '\]'", "expected ',' or ']'", "close the list's bracket, and put commas between its items"),
    (r"',' or '\}'", "expected ',' or '}'", "close the mapping's brace, and put commas between its entries"),
    (r"expected ':'", "expected ':' after this key", "write key: value, with a space after the colon"),
    (r"expected '-' indicator", "expected '- ', the list's next item", INDENT),
    (r"expected key|<block end>|expected <block", "expected a key of the mapping above", INDENT),
    (r"unknown escape", "an unknown escape after \\", "double the backslash, or write the string in single quotes"),
    (r"escape code|escape sequence|hexd?ecimal|hexadecimal", "an escape is out of range", "write the character itself"),
    (r"unexpected end of stream", "this quoted string never ends", "close the quote"),
    (
        r"unexpected document (indicator|separator)",
        "'---' or '...' inside a quoted string",
        "close the quote before it",
    ),
    (
        r"<document start>",
        "expected the document to start",
        "remove what stands before ---, and any %YAML or %TAG line",
    ),
    (r"version|directive|incompatible", "a directive that can't be read", "remove the line that starts with %"),
    (r"tag|'>'", "a tag that can't be read", "quote a string that begins with '!'"),
    (r"alphabetic or numeric", "& or * needs a name", "quote a string that begins with & or *"),
    (r"expected node content|node content", "a value is missing here", "write the value, or null"),
    (r"indentation indicator|comment or line break", "| or > must end its line", "start the string on the next line"),
)


@dataclass(frozen=True)
class Wrong:
    """A syntax error: its place (None if unknown), its description, and a remedy."""

    place: Place | None
    message: str
    remedy: str


def describe_error(error: yaml.MarkedYAMLError, lines: tuple[str, ...]) -> Wrong:
    """Return a scanner's or parser's error in the words of a reader of the file."""
    problem = error.problem or error.context or ""
    mark = error.problem_mark or error.context_mark
    if "end of stream" in problem and "quoted" in (error.context or "") and error.context_mark:
        mark = error.context_mark  # the opening quote tells more than the end of the file
    if "simple key" in (error.context or "") and error.context_mark:
        mark = error.context_mark  # the key that lacks its colon, not the line after it
    place = (mark.line + 1, mark.column + 1) if mark else None
    if "start any token" in problem:
        return _describe_bad_start(place, lines)
    for pattern, message, remedy in PLAIN:
        if re.search(pattern, problem):
            return Wrong(place, message, remedy)
    return Wrong(
        place, problem or "it can't be parsed", "check indentation, brackets and quotes just before this place"
    )


def _describe_bad_start(place: Place | None, lines: tuple[str, ...]) -> Wrong:
    line, column = place or (0, 0)
    text = lines[line - 1] if 0 < line <= len(lines) else ""
    character = text[column - 1 : column]
    if character == "\t":
        return Wrong(place, *TAB)
    return Wrong(place, f"{character!r} can't start a value", "quote the string")
