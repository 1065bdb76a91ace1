"""JSON in canonical form (RFC 8785), several times as fast as the library that ``harness.ledger`` writes events with.

Near-copies are found by the canonical bytes of thousands of small forms; there the library takes most of the time.
"""

from __future__ import annotations

from json.encoder import encode_basestring as _quote
from typing import Any

import rfc8785

SAFE = 2**53 - 1
"""Largest integer that RFC 8785 knows."""


def dumps(value: Any) -> bytes:
    """Return exactly the bytes that ``rfc8785.dumps`` returns; whatever is rare it is asked for.

    Raises:
        ValueError: as ``rfc8785.dumps``.
    """
    try:
        return _write(value).encode()
    except UnicodeEncodeError:
        return rfc8785.dumps(value)  # which says so in its own way


def _write(value: Any) -> str:
    kind = type(value)
    if kind is str:
        return _quote(value)
    if kind is float:
        return _write_float(value)
    if kind is dict:
        keys = sorted(value) if all(type(key) is str and key.isascii() for key in value) else None
        if keys is not None:  # others are sorted by their UTF-16
            return "{" + ",".join([f"{_quote(key)}:{_write(value[key])}" for key in keys]) + "}"
    elif kind is list or kind is tuple:
        return "[" + ",".join([_write(child) for child in value]) + "]"
    elif value is None:
        return "null"
    elif kind is bool:
        return "true" if value else "false"
    elif kind is int and -SAFE <= value <= SAFE:
        return str(value)
    return rfc8785.dumps(value).decode()


def _write_float(value: float) -> str:
    text = repr(value)
    if text.endswith(".0"):
        return text[:-2] if value else "0"
    return rfc8785.dumps(value).decode() if "e" in text or "n" in text else text  # exponents, and what is no number
