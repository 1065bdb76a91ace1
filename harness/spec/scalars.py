"""Unquoted scalars: the YAML 1.2 core schema, with an error for spellings that YAML versions read differently."""

from __future__ import annotations

import json
import math
import re
from functools import lru_cache
from typing import Any

INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
LARGEST = 2**53
"""Limit from which on integers are not exact in JSON."""
PLAIN = re.compile(r"[A-Za-z0-9]([A-Za-z0-9 _./()+-]*[A-Za-z0-9.)])?")
"""A pattern of strings that certainly need no quotes; all others are quoted."""

NUMERIC = frozenset("+-.0123456789")
"""Characters with which a number, date or time can begin."""
LONGEST_WORD = len("false")
WORDS = {"null": None, "true": True, "false": False}
SURPRISES = (
    (r"~", "'~' means null to YAML", "write null for nothing, or quote it if the string is meant"),
    (r"(?i:null)", "YAML readers disagree on this spelling of null", "write null, or quote it if the string is meant"),
    (
        r"(?i:true|false)",
        "YAML readers disagree on this spelling of true and false",
        "write true or false, or quote it if the string is meant",
    ),
    (
        r"(?i:yes|no|on|off|y|n)",
        "YAML 1.1 reads this word as true or false",
        "write true or false, or quote it if the string is meant",
    ),
    (r"[-+]?\.(?i:inf)|\.(?i:nan)", "not a finite number", 'give a number; a band\'s "inf" stands in quotes'),
    (r"[-+]?0[xX][0-9a-fA-F_]+", "hexadecimal to some YAML readers", "write it as a decimal number, or quote it"),
    (r"[-+]?0[oO][0-7_]+", "octal to some YAML readers", "write it as a decimal number, or quote it"),
    (r"[-+]?0[bB][01_]+", "binary to some YAML readers", "write it as a decimal number, or quote it"),
    (
        r"[-+]?0[0-9]+(\.[0-9]*)?([eE][-+]?[0-9]+)?",
        "a leading zero makes this number octal to some YAML readers",
        "leave out the leading zeros, or quote it",
    ),
    (
        r"[-+]?[0-9][0-9_]*_[0-9_]*(\.[0-9_]*)?([eE][-+]?[0-9]+)?|[-+]?[0-9]+\.[0-9]*_[0-9_]*([eE][-+]?[0-9]+)?",
        "underscores in numbers mean nothing to YAML 1.2",
        "leave out the underscores, or quote it",
    ),
    (
        r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt \t].*)?",
        "YAML 1.1 reads this as a date",
        "quote it",
    ),
    (r"[-+]?[0-9]+(:[0-5]?[0-9])+(\.[0-9]*)?", "YAML 1.1 reads this as a number in base 60", "quote it"),
)
PATTERNS = tuple((re.compile(pattern), message, remedy) for pattern, message, remedy in SURPRISES)


class Surprising(ValueError):
    """A scalar that is refused; ``remedy`` says what to write instead."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


@lru_cache(maxsize=1024)  # keys and settings recur
def resolve(text: str) -> str | int | float | bool | None:
    """Return the value of an unquoted scalar: null, true, false, an integer, a float, or else the string itself.

    An empty scalar is null.

    Raises:
        Surprising: YAML versions read the spelling differently, or the number can't be represented.
    """
    if text == "":
        return None
    if text in WORDS:
        return WORDS[text]
    if len(text) > LONGEST_WORD and text[0] not in NUMERIC:
        return text  # most strings: neither a number nor a word that any version reads as something else
    if INTEGER.fullmatch(text):
        if len(text) > 17 or abs(int(text)) >= LARGEST:
            raise Surprising(f"{_shorten(text)} is too large to be represented exactly", "give an integer below 2^53")
        return int(text)
    if FLOAT.fullmatch(text):
        return _parse_float(text)
    for pattern, message, remedy in PATTERNS:
        if pattern.fullmatch(text):
            raise Surprising(f"{_shorten(text)}: {message}", remedy)
    return text


def write_scalar(value: Any) -> str:
    """Return a value as it is written in a file, on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {write_scalar(child)}" for key, child in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(write_scalar, value)) + "]"
    if isinstance(value, str):
        return value if PLAIN.fullmatch(value) and not _is_surprising(value) else json.dumps(value, ensure_ascii=False)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def _parse_float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise Surprising(f"{_shorten(text)}: not a finite number", "give a number within the range of 64-bit floats")
    if number == 0 and re.search(r"[1-9]", re.split("[eE]", text)[0]):
        raise Surprising(
            f"{_shorten(text)}: too close to zero to be represented", "give a number within the range of 64-bit floats"
        )
    return number


def _is_surprising(text: str) -> bool:
    try:
        return resolve(text) != text
    except Surprising:
        return True


def _shorten(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}…"
