"""How numbers and other people's words become Markdown."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence

SPECIAL = re.compile(r"([\\`*_\[\]{}|~$#!])")
HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


class Markdown(str):
    """Text that is Markdown already, or holds nothing that Markdown would read as more than text."""

    __slots__ = ()


def one_line(text: str) -> str:
    """``text`` on one line: runs of white space become one space, what cannot be printed becomes U+FFFD."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in re.sub(r"\s+", " ", text))


def escape(text: str) -> Markdown:
    """``text`` so that it reads the same after Markdown: no markup, HTML, table cell, formula, link or list."""
    text = "".join(HTML.get(c, c) for c in one_line(text))
    text = SPECIAL.sub(r"\\\1", text)
    text = text.replace("://", "\\://").replace("www.", "www\\.")  # a bare address would become a link
    text = re.sub(r"^( ?)([-+=])", r"\1\\\2", text)
    return Markdown(re.sub(r"^( ?\d+)([.)])(?=\s|$)", r"\1\\\2", text))


def code(text: str) -> Markdown:
    """``text`` as a code span, whatever backticks it holds; not for table cells with a | in it."""
    text = one_line(text)
    runs = [len(run) for run in re.findall(r"`+", text)]
    fence = "`" * (max(runs, default=0) + 1)
    space = " " if runs else ""
    return Markdown(f"{fence}{space}{text}{space}{fence}")


def verbatim(text: str) -> Markdown:
    """``text`` on one line, for an indented code block."""
    return Markdown(one_line(text))


def short(digest: str) -> Markdown:
    """The first twelve digits of a digest."""
    return code(digest[:12])


def number(value: float, digits: int = 3) -> Markdown:
    """A number as a person would write it: 0.0123, 27.4, 12,346, 1.2e-08."""
    if value == 0:
        return Markdown("0")
    if 999.5 <= abs(value) < 1e6:
        return Markdown(f"{value:,.0f}")
    return Markdown(f"{value:.{digits}g}")


def exact(value: float) -> Markdown:
    """A registered number, in full: 0.001, 25."""
    return Markdown(f"{value:.12g}")


def percent(value: float) -> Markdown:
    """A share as a percentage."""
    return Markdown(f"{number(100 * value)}%")


def chance(value: float) -> Markdown:
    """A probability as a percentage that never says 0 or 100 where there is a rest: 80.3%, < 0.1%, > 99.9%."""
    if 0 < value < 0.001:
        return Markdown("< 0.1%")
    if 0.999 < value < 1:
        return Markdown("> 99.9%")
    return Markdown(f"{100 * value:.1f}%")


def p_value(p: float, alpha: float | None = None) -> Markdown:
    """A p value: .0019, < 1e-6; with enough digits to lie on its side of ``alpha``."""
    if p < 1e-6:
        return Markdown("< 1e-6")
    digits = 2
    while alpha is not None and digits < 17 and _side(float(f"{p:.{digits}g}"), alpha) != _side(p, alpha):
        digits += 1
    if 0.995 <= p < 1:
        return Markdown("> .99")
    text = f"{p:.{digits}g}" if p < 1e-4 else f"{p:.{digits - 1 - math.floor(math.log10(p))}f}"
    return Markdown("1" if p == 1 else text.removeprefix("0"))


def p_equals(p: float, alpha: float | None = None) -> Markdown:
    """``p = .0019`` or ``p < 1e-6``, for a sentence."""
    text = p_value(p, alpha)
    return Markdown(f"p {text}" if text[0] in "<>" else f"p = {text}")


def together(values: Sequence[float], cuts: Iterable[float] = ()) -> list[Markdown]:
    """Numbers that are read side by side, in one form: digits enough to tell them apart.

    None is rounded onto or over a cut: a reader could no longer see on which side it lies.
    """
    largest = max(abs(value) for value in values)
    spread = max(values) - min(values)
    if largest == 0:
        digits, form = 0, "f"
    elif largest >= 1e6 or largest < 1e-3 or (min(values) > 0 and largest > 1e4 * min(values)):
        digits, form = 2, "e"
    else:
        digits, form = max(0, 2 - math.floor(math.log10(spread or largest))), "f"

    def write(value: float) -> str:
        text = f"{value:.{digits}{form}}"
        return text.removeprefix("-") if float(text) == 0 else text

    kept = list(cuts)
    while digits < 17 and any(_side(float(write(v)), cut) != _side(v, cut) for v in values for cut in kept):
        digits += 1
    return [Markdown(write(value)) for value in values]


def _side(value: float, cut: float) -> int:
    return (value > cut) - (value < cut)


def plus_minus(mean: float | None, sd: float | None) -> Markdown:
    """``0.3631 ± 0.0041``, two digits of the standard deviation; a dash where nothing was measured."""
    if mean is None:
        return Markdown("–")
    if not sd:
        return number(mean, 4)
    if max(abs(mean), sd) >= 1e6 or max(abs(mean), sd) < 1e-3:
        return Markdown(f"{mean:.2e} ± {sd:.1e}")
    digits = max(0, 1 - math.floor(math.log10(sd)))
    return Markdown(f"{mean:.{digits}f} ± {sd:.{digits}f}")


def with_unit(text: str, unit: str) -> Markdown:
    """A formatted number and its unit."""
    if not unit:
        return Markdown(text)
    return Markdown(f"{text} ({escape(unit)})" if unit == "log10" else f"{text} {escape(unit)}")


def duration(seconds: float) -> Markdown:
    """``2 h 5 min``, ``3 min 20 s``, ``4.2 s``."""
    if seconds < 60:
        return Markdown(f"{number(seconds)} s")
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return Markdown(f"{minutes} min {rest} s")
    return Markdown(f"{minutes // 60} h {minutes % 60} min")


def listing(items: Iterable[str]) -> Markdown:
    """``a``, ``a and b``, ``a, b and c``, each escaped."""
    parts = [item if isinstance(item, Markdown) else escape(item) for item in items]
    return Markdown(f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else "".join(parts))


FILTERS: dict[str, Callable[..., Markdown]] = {
    "text": escape,
    "code": code,
    "verbatim": verbatim,
    "short": short,
    "number": number,
    "exact": exact,
    "percent": percent,
    "chance": chance,
    "p": p_value,
    "p_equals": p_equals,
    "with_unit": with_unit,
    "duration": duration,
    "listing": listing,
}
