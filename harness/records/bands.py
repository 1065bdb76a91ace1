"""Intervals and bands: the parts of the real line that carry the names of outcomes."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from harness.plugins.fields import Unit
from harness.records.base import Record

NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]?inf"
INTERVAL = re.compile(rf"\s*([\[(])\s*({NUMBER})\s*,\s*({NUMBER})\s*([\])])\s*", re.ASCII)
ONE = rf"\s*[\[(]\s*(?:{NUMBER})\s*,\s*(?:{NUMBER})\s*[\])]\s*"
JOINED = rf"^{ONE}(?:\|{ONE})*$"
"""A regular expression for a JSON Schema that matches intervals joined by ``|``."""


class Interval(Record):
    """One interval of a band. An infinite end is None and open."""

    lower: Annotated[float | None, Unit("the estimand's unit")]
    """Lower end; None means minus infinity."""
    upper: Annotated[float | None, Unit("the estimand's unit")]
    """Upper end; None means infinity."""
    lower_closed: bool
    """True if the lower end belongs to the interval."""
    upper_closed: bool
    """True if the upper end belongs to the interval."""

    @classmethod
    def parse(cls, text: str) -> Interval:
        """Parse an interval such as ``[5, 25)`` or ``(-inf, 0.2]``.

        Raises:
            ValueError: The text is not an interval, the interval is empty, or an infinite end is closed.
        """
        match = INTERVAL.fullmatch(text)
        if match is None:
            raise ValueError(
                f"{text.strip()!r} is not an interval; write, for example, [5, 25), (-inf, 0.2] or (25, inf)"
            )
        left, low, high, right = match.groups()
        lower, upper = float(low), float(high)
        if (
            lower == math.inf
            or upper == -math.inf
            or not (lower < upper or (lower == upper and left == "[" and right == "]"))
        ):
            raise ValueError(f"{text.strip()!r} is empty: its lower end must lie below its upper end")
        if (math.isinf(lower) and left == "[") or (math.isinf(upper) and right == "]"):
            raise ValueError(f"{text.strip()!r} closes an infinite end; write ( before -inf and ) after inf")
        return cls(
            lower=None if math.isinf(lower) else lower,
            upper=None if math.isinf(upper) else upper,
            lower_closed=left == "[",
            upper_closed=right == "]",
        )

    def contains(self, value: float) -> bool:
        """Tell whether ``value`` lies in the interval."""
        above = self.lower is None or value > self.lower or (self.lower_closed and value == self.lower)
        below = self.upper is None or value < self.upper or (self.upper_closed and value == self.upper)
        return above and below

    def __str__(self) -> str:
        low = "-inf" if self.lower is None else write_shortest(self.lower)
        high = "inf" if self.upper is None else write_shortest(self.upper)
        return f"{'[' if self.lower_closed else '('}{low}, {high}{']' if self.upper_closed else ')'}"


class Band(tuple[Interval, ...]):
    """A union of intervals, written as ``"(-0.20, -0.05] | [0.05, 0.20)"``."""

    @classmethod
    def parse(cls, text: str) -> Band:
        """Parse intervals joined by ``|``.

        Raises:
            ValueError: ``Interval.parse`` rejects one of them.
        """
        return cls(Interval.parse(part) for part in text.split("|"))

    def mirror(self) -> Band:
        """Return the numbers whose absolute value lies in the band.

        A statement about |θ| thereby becomes one about θ.
        """
        parts: list[Interval] = []
        for part in self:
            if part.contains(0.0) and (part.upper is None or part.upper > 0):
                lower = None if part.upper is None else -part.upper
                parts.append(part.model_copy(update={"lower": lower, "lower_closed": part.upper_closed}))
            elif part.contains(0.0):
                parts.append(Interval(lower=0.0, upper=0.0, lower_closed=True, upper_closed=True))
            elif part.lower is not None and part.lower >= 0:
                flipped = Interval(
                    lower=None if part.upper is None else -part.upper,
                    upper=-part.lower or 0.0,
                    lower_closed=part.upper_closed,
                    upper_closed=part.lower_closed,
                )
                parts += [flipped, part]
        return Band(parts)

    def contains(self, value: float) -> bool:
        """Tell whether ``value`` lies in one of the intervals."""
        return any(interval.contains(value) for interval in self)

    def __str__(self) -> str:
        return " | ".join(str(interval) for interval in self)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(
            lambda value: value if isinstance(value, Band) else cls.parse(_require_string(value)),
            core_schema.is_instance_schema(cls),
            serialization=core_schema.plain_serializer_function_ser_schema(str),
            json_schema_input_schema=core_schema.str_schema(pattern=JOINED),
        )


def find_cuts(bands: Mapping[str, Band]) -> tuple[float, ...]:
    """Return every boundary of the bands once, in ascending order."""
    ends = [end for band in bands.values() for part in band for end in (part.lower, part.upper)]
    return tuple(sorted({end for end in ends if end is not None}))


def write_shortest(number: float) -> str:
    """Return the shortest notation that reads back as the same number.

    A threshold that was moved must never print like the old one.
    """
    short = f"{number:g}"
    return short if float(short) == number else repr(number)


def _require_string(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError('a band is a string such as "[5, 25)"')
    return value
