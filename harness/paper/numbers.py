"""Numbers of a paper: each is marked with the run that it comes from, and can be held against that run's verdict.

A mark names the run, and the place in its verdict.json as jq writes it: of ``65f2e4c2d262:decision.p`` it is what
``jq .decision.p verdicts/*/65f2e4c2d262/verdict.json`` prints. LaTeX has ``\\fromtrail{mark}{number}``, Markdown
``<!--fromtrail mark-->number<!--/-->``. Whoever takes the number with its mark into a text of their own has it checked.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NamedTuple

from harness.paper.characters import clean_number

OPEN, BETWEEN, CLOSE = "\ue002", "\ue003", "\ue004"
"""Characters that enclose a marked number in a text that is neither LaTeX nor Markdown yet."""
TEX = re.compile(r"\\fromtrail\s*\{([^{}]*)\}\s*")
"""Mark of a number in LaTeX, which allows white space before either argument; the second follows."""
COMMENT = re.compile(r"(?<!\\)%.*")
MARKDOWN = re.compile(r"<!--fromtrail ([^>]*?)-->(.*?)<!--/-->")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?")
ANY_NUMBER = re.compile(
    r"(?<![\w.])[0-9a-f]{12,}\b|(?:\$-\$|[-\N{MINUS SIGN}])?(?<![\w.])\d+(?:[.,]\d+)*(?:e-?\d+)?|\.\d+"
)
STEP = re.compile(r"([A-Za-z_][\w-]*)|\[(\d+)\]|\[\"([^\"]*)\"\]")
FAMILY = "family.adjusted"
"""Place of the p-value after Holm, which is in no verdict: it follows from those of all members."""
LONGEST_NUMBER = 1000
"""Characters within which the braces of a marked number have to close."""
LEAST_DIGITS = 2
"""Digits that a rounded number has at the least."""


class Marked(NamedTuple):
    """A marked number as a file has it."""

    run: str
    """The run that it comes from, by its first digits."""
    place: str
    """The place in the run's verdict.json."""
    text: str
    """Text that is written there."""
    line: int
    """Line of the file, from 1."""


def mark_number(run: str, place: str, text: str) -> str:
    """Return a number with its mark, for a sentence or a cell of a table."""
    return f"{OPEN}{run}:{place}{BETWEEN}{text}{CLOSE}"


def find_marked(text: str, *, tex: bool) -> Iterator[Marked]:
    """Yield the marked numbers of a LaTeX or Markdown file; not those in LaTeX's comments, which nobody reads."""
    text = COMMENT.sub("", text) if tex else text
    for found in (TEX if tex else MARKDOWN).finditer(text):
        run, _, place = found[1].partition(":")
        number = _read_group(text, found.end()) if tex else found[2]
        yield Marked(run.strip(), place.strip(), clean_number(number), text.count("\n", 0, found.start()) + 1)


def _read_group(text: str, at: int) -> str:
    """Return what LaTeX's braces enclose from a place on, braces within and all; nothing if none do."""
    depth = 0
    for place in range(at, min(len(text), at + LONGEST_NUMBER)):
        if text[place] in "{}" and text[place - 1] != "\\":
            depth += 1 if text[place] == "{" else -1
        if depth == 0:
            return text[at + 1 : place]
    return ""


def list_numbers(text: str) -> list[str]:
    """Return all numbers and digests of a text, marked or not, in their order."""
    whole = text.replace("\\allowbreak{}", "")
    return [clean_number(found[0]) for found in ANY_NUMBER.finditer(whole)]


def find_value(verdict: Any, place: str) -> Any:
    """Return what a verdict.json has at a place.

    Raises:
        LookupError: It has no such place.
    """
    at = 0
    while at < len(place):
        at += place[at] == "."
        step = STEP.match(place, at)
        if step is None:
            raise LookupError(place)
        name, index, quoted = step.groups()
        try:
            verdict = verdict[int(index)] if index is not None else verdict[name if quoted is None else quoted]
        except (TypeError, KeyError, IndexError) as error:
            raise LookupError(place) from error
        at = step.end()
    return verdict


def is_written(text: str, value: Any) -> bool:
    """Tell whether a text is a value, or a number rounded to the digits that are shown, of which there are two or more.

    ``text`` is clean (``clean_number``). A bound holds if it does, and words are to be the same.
    """
    if isinstance(value, str) or value is None or isinstance(value, bool):
        is_infinite = isinstance(value, str) and value.lstrip("-").lower().startswith("inf")
        return text == value or (is_infinite and bool(text) and not re.search(r"\d", text))
    if not isinstance(value, int | float):
        return False
    if not math.isfinite(value):
        return bool(text) and not re.search(r"\d", text)
    bound = re.fullmatch(r"([<>]) ?(.*)", text)
    if bound is not None:
        limit = NUMBER.fullmatch(bound[2])
        return limit is not None and (value < float(limit[0]) if bound[1] == "<" else value > float(limit[0]))
    share = text.endswith("%")
    found = NUMBER.fullmatch(text.removesuffix("%").strip())
    if found is None:
        return False
    shown, true = Decimal(found[0]), Decimal(repr(value)) * (100 if share else 1)
    if shown == true or abs(shown - true) <= abs(true) * Decimal("1e-12"):
        return True
    exponent = shown.as_tuple().exponent
    digits = len(found[1].replace(".", "").lstrip("0"))
    half = Decimal(1).scaleb(exponent if isinstance(exponent, int) else 0) / 2
    return digits >= LEAST_DIGITS and abs(shown - true) <= half * Decimal("1.000000001")
