"""SVG as text: elements with everything escaped, and axes with round ticks. Colours are classes of the style sheet."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

from markupsafe import Markup, escape

from harness.verdict.canvas import shorten
from harness.wording import format_exact, make_plain_line

Point = tuple[float, float]
FEW_DECADES = 3
"""Decades of a log axis below which 2 and 5 have ticks too."""
PLAIN = re.compile(r"[A-Za-z0-9 .,;()/%_+-]*")
"""Text in which nothing has to be escaped: nearly all classes, places and numbers."""
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Scale:
    """The map from values to places along an axis."""

    low: float
    high: float
    start: float
    """Place of ``low``."""
    end: float
    """Place of ``high``."""
    log: bool = False
    """True if the axis is logarithmic; then ``low`` is positive."""

    def place(self, value: float) -> float:
        """Return the place of a value."""
        low, stretch = self._measure
        return self.start + stretch * ((math.log10(value) if self.log else value) - low)

    def place_all(self, values: Iterable[float]) -> list[float]:
        """Return the places of several values."""
        low, stretch = self._measure
        if self.log:
            return [self.start + stretch * (math.log10(value) - low) for value in values]
        return [self.start + stretch * (value - low) for value in values]

    @cached_property
    def _measure(self) -> Point:
        """Return the value at the start, or its logarithm, and the length that one unit takes."""
        low, high = (math.log10(self.low), math.log10(self.high)) if self.log else (self.low, self.high)
        return low, (self.end - self.start) / (high - low)

    def list_ticks(self, about: int = 5) -> list[float]:
        """Return about so many round values on the axis."""
        return list_log_ticks(self.low, self.high, about) if self.log else list_ticks(self.low, self.high, about)

    def write(self, value: float) -> str:
        """Return the label of a tick."""
        if self.log and (math.log10(self.high / self.low) >= FEW_DECADES or not 1e-3 <= value < 1e5):
            power = math.floor(math.log10(value) + 1e-9)
            times = round(value / 10.0**power)
            return f"{'' if times == 1 else f'{times}·'}10{str(power).translate(SUPERSCRIPTS)}"
        return format_exact(float(f"{value:.6g}"))


def list_ticks(low: float, high: float, about: int = 5, *, whole: bool = False) -> list[float]:
    """Return multiples of 1, 2 or 5 times a power of ten between two values, about so many; ``whole``: integers."""
    rough = (high - low) / max(1, about)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(times * power for times in (1, 2, 5, 10) if times * power >= rough * 0.7)
    step = max(1.0, step) if whole else step
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [float(f"{number * step:.12g}") for number in range(first, last + 1)]


def list_log_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Return powers of ten between two positive values, of few decades also 2 and 5 times these."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    if math.log10(high / low) >= FEW_DECADES:
        stride = max(1, -(-(last - first) // (about + 1)))
        found = [10.0**power for power in range(first, last + 1) if power % stride == 0]
    else:
        found = [times * 10.0**power for power in range(first, last + 1) for times in (1, 2, 5)]
    found = [value for value in found if low * (1 - 1e-9) <= value <= high * (1 + 1e-9)]
    if len(found) < 2:  # within 1 and 2, say
        return list_ticks(low, high, about)
    return found[:: -(-len(found) // (about + 3))]


def pad(values: Iterable[float], *, log: bool = False, share: float = 0.06) -> Point:
    """Return the ends of an axis with room beside all values."""
    found = list(values)
    low, high = min(found), max(found)
    if log:
        low, high = pad((math.log10(low), math.log10(high)), share=share)
        return 10.0 ** max(-300.0, low), 10.0 ** min(300.0, high)
    room = share * ((high - low) or abs(high) or 1.0)
    return low - room, high + room


def number(value: float) -> str:
    """Return a coordinate, to a tenth of a pixel."""
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text


def path(points: Sequence[Point], *, closed: bool = False) -> str:
    """Return the ``d`` of a line through points, to a tenth of a pixel as far as a figure goes."""
    return "M" + "L".join([f"{x:.4g} {y:.4g}" for x, y in points]) + ("Z" if closed else "")


def element(name: str, content: str | Markup | None = None, **attributes: object) -> Markup:
    """Return an element; attributes that are None are left out, and underscores in their names are hyphens.

    Floats are coordinates. All text is escaped, and of other people's text nothing is obeyed.
    """
    written = "".join(
        [f' {_name_attribute(key)}="{_write_attribute(one)}"' for key, one in attributes.items() if one is not None]
    )
    if content is None:
        return Markup(f"<{name}{written}/>")
    inner = content if isinstance(content, Markup) else _write_text(content)
    return Markup(f"<{name}{written}>{inner}</{name}>")


@cache
def _name_attribute(key: str) -> str:
    return key.rstrip("_").replace("_", "-")


def _write_attribute(value: object) -> str:
    if isinstance(value, str):
        return _write_text(value)
    return number(value) if isinstance(value, float) else str(value)


def _write_text(text: str) -> str:
    """Return text escaped, with nothing in it that anybody would obey; most of it is plain, and taken as it is."""
    return text if PLAIN.fullmatch(text) else escape(make_plain_line(text))


def join(parts: Iterable[Markup]) -> Markup:
    """Return elements one after the other."""
    return Markup("".join(parts))


def group(*parts: Markup, **attributes: object) -> Markup:
    """Return a group of elements."""
    return element("g", join(parts), **attributes)


def label(x: float, y: float, text: str, *, length: int = 60, **attributes: object) -> Markup:
    """Return text on one line, cut to a number of characters."""
    return element("text", shorten(text, length), x=x, y=y, **attributes)


def wrap(text: str, width: int, lines: int) -> list[str]:
    """Return text broken into at most so many lines of so many characters, the last one cut if there is more."""
    import textwrap

    found = textwrap.wrap(make_plain_line(" ".join(text.split())), width)
    return found if len(found) <= lines else [*found[: lines - 1], shorten(" ".join(found[lines - 1 :]), width)]


def figure(name: str, alt: str, width: float, height: float, *parts: Markup, **attributes: object) -> Markup:
    """Return a figure with a description for readers who can't see it; ``name`` is unique on its page."""
    described = element("title", alt, id=f"{name}-title")
    return element(
        "svg",
        join((described, *parts)),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {number(width)} {number(height)}",
        role="img",
        **{"aria_labelledby": f"{name}-title", **attributes},
    )
