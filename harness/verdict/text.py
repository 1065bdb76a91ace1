"""Conversion of numbers and of other people's words to Markdown."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from harness import wording

SPECIAL = re.compile(r"([\\`*_\[\]{}|~$#!])")
HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


class Markdown(str):
    """Text that is Markdown already, or contains no Markdown syntax."""

    __slots__ = ()


def join_lines(text: str) -> str:
    """Return ``text`` on one line: white space becomes one space, unprintable characters become U+FFFD."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in re.sub(r"\s+", " ", text))


def escape(text: str) -> Markdown:
    """Escape ``text`` so that Markdown shows it unchanged: no markup, HTML, table cell, formula, link or list.

    A comparison sign between spaces, as in "p < 1e-6", is no markup and stays.
    """
    text = re.sub(r"(?<=\S) (?:&lt;|&gt;) (?=\S)", lambda found: html.unescape(found[0]), _without_html(text))
    return _escape_rest(text)


def escape_before(text: str) -> Markdown:
    """Escape as ``escape`` does, but replace every comparison sign, for pages of form 1 or 2."""
    return _escape_rest(_without_html(text))


def _without_html(text: str) -> str:
    return "".join(HTML.get(c, c) for c in join_lines(text))


def _escape_rest(text: str) -> Markdown:
    text = SPECIAL.sub(r"\\\1", text)
    text = text.replace("://", "\\://").replace("www.", "www\\.")  # otherwise a bare address would become a link
    text = re.sub(r"^( ?)([-+=]|:(?=:))", r"\1\\\2", text)  # a list, a rule, or a command of a log
    return Markdown(re.sub(r"^( ?\d+)([.)])(?=\s|$)", r"\1\\\2", text))


def format_code(text: str) -> Markdown:
    """Return ``text`` as a code span, whatever backticks it holds; not for table cells with a | in it."""
    text = join_lines(text)
    runs = [len(run) for run in re.findall(r"`+", text)]
    fence = "`" * (max(runs, default=0) + 1)
    space = " " if runs else ""
    return Markdown(f"{fence}{space}{text}{space}{fence}")


def format_verbatim(text: str) -> Markdown:
    """Return ``text`` on one line, for an indented code block."""
    return Markdown(wording.make_plain(join_lines(text)))


def shorten_digest(digest: str) -> Markdown:
    """Return the first twelve digits of a digest."""
    return format_code(digest[:12])


def format_number(value: float, digits: int = 3) -> Markdown:
    """Format a number as a person would write it: 0.0123, 27.4, 12,346, 1.2e-08."""
    return Markdown(wording.round_number(value, digits))


def format_exact(value: float) -> Markdown:
    """Format a registered number in full: 0.001, 25."""
    return Markdown(wording.write_in_full(value))


def format_percent(value: float) -> Markdown:
    """Format a fraction as a percentage."""
    return Markdown(f"{format_number(100 * value)}%")


def format_chance(value: float, draws: int | None = None) -> Markdown:
    """Format a probability as a percentage that is never rounded to 0 or 100: 80.3%, < 0.1%, > 99.9%."""
    return Markdown(wording.format_chance(value, draws))


def format_chance_before(value: float) -> Markdown:
    """Format as ``format_chance`` does on pages of form 1 or 2: 0.0% for what is nothing in floating point."""
    if 0 < value < 0.001:
        return Markdown("< 0.1%")
    if 0.999 < value < 1:
        return Markdown("> 99.9%")
    return Markdown(f"{100 * value:.1f}%")


def format_p(p: float, alpha: float | None = None) -> Markdown:
    """Format a p value, with enough digits to lie on its side of ``alpha``: .0019, < 1e-6."""
    return Markdown(wording.format_p(p, alpha))


def format_p_equals(p: float, alpha: float | None = None) -> Markdown:
    """Format a p value for a sentence: ``p = .0019`` or ``p < 1e-6``."""
    return Markdown(wording.format_p_equals(p, alpha))


def format_p_before(p: float, alpha: float | None = None) -> Markdown:
    """Format as ``format_p`` does on pages of form 1 or 2: 7.7e-06."""
    return Markdown(re.sub(r"e-(\d)$", r"e-0\1", text) if (text := wording.format_p(p, alpha))[0] != "<" else text)


def format_p_equals_before(p: float, alpha: float | None = None) -> Markdown:
    """Format as ``format_p_equals`` does on pages of form 1 or 2."""
    text = format_p_before(p, alpha)
    return Markdown(f"p {text}" if text[0] in "<>" else f"p = {text}")


def format_level(alpha: float) -> Markdown:
    """Format a registered level like the p values beside it: .05."""
    return Markdown(wording.format_level(alpha))


def format_count(count: int, noun: str, plural: str | None = None) -> Markdown:
    """Format a count with its noun: ``1 seed``, ``10 seeds``."""
    return Markdown(wording.format_count(count, noun, plural))


def quote_outcome(outcome: str) -> Markdown:
    """Format an outcome's or band's name for a sentence: in quotation marks, unless it is one of harness's own."""
    return escape(wording.quote_outcome(outcome))


def format_band(parts: object) -> Markdown:
    """Format a band or one of its intervals: [−1e-8, 2)."""
    return escape(wording.typeset(str(parts)))


def format_band_before(parts: object) -> Markdown:
    """Format as ``format_band`` does on pages of form 1 or 2: [-1e-8, 2)."""
    return escape(wording.shorten_exponents(str(parts)))


def format_together(
    values: Sequence[float], cuts: Iterable[float] = (), never: tuple[str, str] | None = None
) -> list[Markdown]:
    """Format numbers that are read side by side, as ``harness.wording.format_together`` does."""
    return [Markdown(text) for text in wording.format_together(values, cuts, never)]


def format_plus_minus(mean: float | None, sd: float | None) -> Markdown:
    """Format ``0.3631 ± 0.0041``, with two digits of the standard deviation; a dash where nothing was measured."""
    if mean is None:
        return Markdown("–")
    if not sd:
        return format_number(mean, 4)
    if max(abs(mean), sd) >= 1e6 or max(abs(mean), sd) < 1e-3:
        return Markdown(f"{mean:.2e} ± {sd:.1e}")
    digits = max(0, 1 - math.floor(math.log10(sd)))
    return Markdown(f"{mean:.{digits}f} ± {sd:.{digits}f}")


def append_unit(text: str, unit: str) -> Markdown:
    """Join a formatted number and its unit."""
    return Markdown(wording.append_unit(text, escape(unit)))


def write_span(low: str, high: str, unit: str) -> Markdown:
    """Join the formatted ends of an interval and their unit."""
    return Markdown(wording.write_span(low, high, escape(unit)))


def format_duration(seconds: float) -> Markdown:
    """Format a duration: ``2 h 5 min``, ``3 min 20 s``, ``4.2 s``."""
    if seconds < 60:
        return Markdown(f"{format_number(seconds)} s")
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return Markdown(f"{minutes} min {rest} s")
    return Markdown(f"{minutes // 60} h {minutes % 60} min")


def join_words(items: Iterable[str]) -> Markdown:
    """Join items, each escaped: ``a``, ``a and b``, ``a, b and c``."""
    parts = [item if isinstance(item, Markdown) else escape(item) for item in items]
    return Markdown(wording.join_words(parts) if parts else "")


def typeset(value: Any) -> Any:
    """Write the numbers in a text, or a list, tuple or dictionary of texts, as ``harness.wording.typeset`` does."""
    if isinstance(value, str):
        return type(value)(wording.typeset(value))
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(typeset(item) for item in value))
    if isinstance(value, list | tuple):
        return type(value)(typeset(item) for item in value)
    if isinstance(value, dict):
        return {key: typeset(item) for key, item in value.items()}
    return value


def _make_typesetter(write: Callable[..., Markdown]) -> Callable[..., Markdown]:
    """Return a filter that writes numbers as people do."""
    return lambda *arguments: Markdown(wording.typeset(write(*arguments)))


FILTERS: dict[str, Callable[..., Markdown]] = {
    "text": escape,
    "code": format_code,
    "verbatim": format_verbatim,
    "short": shorten_digest,
    "number": _make_typesetter(format_number),
    "exact": _make_typesetter(format_exact),
    "percent": _make_typesetter(format_percent),
    "chance": format_chance,
    "p": format_p,
    "p_equals": format_p_equals,
    "level": format_level,
    "counted": format_count,
    "named": quote_outcome,
    "band": format_band,
    "with_unit": append_unit,
    "duration": format_duration,
    "listing": join_words,
}
FILTERS_BEFORE: dict[str, Callable[..., Markdown]] = FILTERS | {
    "text": escape_before,
    "number": format_number,
    "exact": format_exact,
    "percent": format_percent,
    "p": format_p_before,
    "p_equals": format_p_equals_before,
    "chance": format_chance_before,
    "band": format_band_before,
}
"""Filters for pages of form 1 or 2, which are written again unchanged."""
