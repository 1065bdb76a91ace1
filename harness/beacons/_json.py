"""Reads what beacons answer as JSON, and writes it in one way only."""

from __future__ import annotations

import json
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints, ValidationError

from harness.wording import format_count

LONGEST_NUMBER = 19  # digits, as 2⁶³ − 1 has


class Answer(BaseModel):
    """Base of what is read: nothing is converted, nothing is left over."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, defer_build=True)


Hex = Annotated[str, StringConstraints(pattern=r"^([0-9a-fA-F]{2})*$"), AfterValidator(str.lower)]
"""Bytes as hexadecimal digits, kept as small ones."""
M = TypeVar("M", bound=Answer)


def split_documents(data: bytes, kind: type[M], count: int) -> list[M]:
    """Return ``count`` JSON documents that stand one after the other, with white space around them at most.

    Raises:
        ValueError: it is no such text; a key stands twice, a number is not whole or too long, a field is wrong.
    """
    text = data.decode("utf-8")
    decoder = json.JSONDecoder(
        object_pairs_hook=_refuse_repeated_keys,
        parse_int=_parse_whole_number,
        parse_float=_refuse_number,
        parse_constant=_refuse_number,
    )
    found: list[M] = []
    at = _skip_space(text, 0)
    while at < len(text):
        if len(found) == count:
            raise ValueError(f"something follows after {format_count(count, 'JSON document')}")
        try:
            value, at = decoder.raw_decode(text, at)
        except RecursionError:
            raise ValueError("it is nested too deeply") from None
        try:
            found.append(kind.model_validate(value))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(map(str, first["loc"])) or "the document"
            raise ValueError(f"{place}: {first['msg']}") from None
        at = _skip_space(text, at)
    if len(found) < count:
        wanted = f"{format_count(count, 'JSON document')} {'is' if count == 1 else 'are'} expected"
        raise ValueError(f"{wanted}, and there is {len(found) or 'none'}")
    return found


def write_documents(values: list[dict[str, Any]]) -> bytes:
    """Return JSON documents, one a line, keys sorted, without white space: the same values give the same bytes."""
    lines = [json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True) for value in values]
    return "".join(f"{line}\n" for line in lines).encode("ascii")


def _skip_space(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at


def _refuse_repeated_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def _parse_whole_number(digits: str) -> int:
    if len(digits) > LONGEST_NUMBER or digits.startswith("-"):
        raise ValueError("a number is negative or too long")
    return int(digits)


def _refuse_number(text: str) -> Any:
    raise ValueError(f"{text[:20]} is not a whole number")
