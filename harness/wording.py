"""The notation of numbers, p-values and names, the same on a page, in a sentence and on a terminal."""

from __future__ import annotations

import difflib
import math
import re
import unicodedata
from collections.abc import Iterable, Sequence

WATERMARK = "not pre-registered: exploratory"
"""Words that stand wherever an exploration is shown."""

SMALLEST_P = 1e-6
OWN = frozenset({"inconclusive", "invalid"})
"""Outcomes that harness itself defines. They are words of the language, whereas a file's names are only names."""
CARDINALS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
COMMAND = re.compile(r"^(?P<before>[ \t]*):(?=:)|#(?=#\w*\[)", re.MULTILINE)
"""The first character of what GitHub, Azure or TeamCity would take for a command, with the blanks before it."""
RATIO_UNIT = "ratio"
"""Unit of ratios of arms, which needs no word beside a number. Their standard deviations are those of the log10."""
LONGEST = 100
"""Characters of a wrong name that are compared with known ones."""
NEIGHBOURS = 500
"""Maximum number of names that are compared with a wrong one; each comparison costs about 20 μs."""
DIGIT = re.compile(r"\d")
NO_COMMIT = {
    "no git": "there was no git on the machine",
    "no repository": "the project is in no git repository",
    "no commit yet": "the git repository had no commit yet",
    "git says no": "git refused to say",
    "outside the repository": "the project is outside its repository's files",
}
"""Reason that a run has no commit, as the ledger has it → the reason in words."""
LARGEST_POWER = 300  # of ten that is written as a number


def format_p(p: float, alpha: float | None = None) -> str:
    """Return a p-value without the leading zero: .0019, 7.7e-6, < 1e-6.

    It has enough digits to lie on its side of ``alpha``.
    """
    if p < SMALLEST_P:
        return "< 1e-6"
    digits = 2
    while alpha is not None and digits < 17 and find_side(float(f"{p:.{digits}g}"), alpha) != find_side(p, alpha):
        digits += 1
    if 0.995 <= p < 1:
        return "> .99"
    if p == 1:
        return "1"
    return shorten_exponents(
        f"{p:.{digits}g}" if p < 1e-4 else f"{p:.{digits - 1 - math.floor(math.log10(p))}f}"
    ).removeprefix("0")


def format_p_equals(p: float, alpha: float | None = None) -> str:
    """Return ``p = .0019`` or ``p < 1e-6``."""
    text = format_p(p, alpha)
    return f"p {text}" if text[0] in "<>" else f"p = {text}"


def format_level(alpha: float) -> str:
    """Return a registered level in full, in the notation of p-values: .05, .025."""
    return format_exact(alpha).removeprefix("0")


def format_number(value: float, digits: int = 3) -> str:
    """Return a number as a person would write it: 0.0123, −27.4, 12,346, 1.2e-8."""
    return typeset(round_number(value, digits))


def round_number(value: float, digits: int = 3) -> str:
    """Return a number as ``format_number`` does before it is typeset: -27.4, 1.2e-08."""
    if value == 0:
        return "0"
    return f"{value:,.0f}" if 999.5 <= abs(value) < 1e6 else f"{value:.{digits}g}"


def shorten_exponents(text: str) -> str:
    """Return ``text`` with the exponents of its numbers as people write them: 1e-8 for 1e-08, 2e6 for 2e+06."""
    return re.sub(r"(?<=\d)e(?:\+|(-))0*(?=\d)", lambda found: f"e{found[1] or ''}", text)


def typeset(text: str) -> str:
    """Return ``text`` with its numbers as people write them: exponents in short, and minus signs, which hyphens aren't.

    Whatever people read is written so: −0.5, (−inf, −2], 1e-8. What programs read keeps the hyphen: files, JSON and
    commands.
    """
    return re.sub(r"(?<![\w.)\]\-])\\?-(?=\.?\d|inf\b)", "\N{MINUS SIGN}", shorten_exponents(text))


def format_together(
    values: Sequence[float], cuts: Iterable[float] = (), never: tuple[str, str] | None = None
) -> list[str]:
    """Return numbers that are read side by side in one notation, with enough digits to distinguish them.

    No number is rounded onto or over a cut, because a reader could no longer see on which side it lies. With ``never``,
    the numbers are epochs, which are written in full, and minus infinity and infinity are written in these words.
    """
    if never is not None:
        return [format_for_file(value) if math.isfinite(value) else never[value > 0] for value in values]
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
    while digits < 17 and any(find_side(float(write(v)), cut) != find_side(v, cut) for v in values for cut in kept):
        digits += 1
    return [write(value) for value in values]


def find_side(value: float, cut: float) -> int:
    """Return -1 below the cut, 0 on it, 1 above it."""
    return (value > cut) - (value < cut)


def describe_without_log(
    value: float, interval: tuple[float, float] | None, *, ratio: bool, mean: bool, per: str = ""
) -> str | None:
    """Return a log10 without its logarithm: ``a ratio of 3.2 (2.9 to 3.6)``; None if it is too large to write.

    ``ratio`` marks a difference of logarithms. Otherwise it is one arm's own, and the ``mean`` of logarithms is that of
    a geometric mean. ``per`` says what a slope is taken over: the value is then a factor per layer, epoch or step.
    """
    powers = [value, *(interval or ())]
    if max(abs(power) for power in powers) > LARGEST_POWER:
        return None
    texts = [shorten_exponents(text) for text in format_together([10**power for power in powers])]
    span = f" ({texts[1]} to {texts[2]})" if interval is not None else ""
    if per:
        return f"a {'ratio of factors' if ratio else 'factor'} of {texts[0]} {per}{span}"
    if ratio or mean:
        return f"a {'ratio' if ratio else 'geometric mean'} of {texts[0]}{span}"
    return f"{texts[0]}{span} without the logarithm"


def describe_as_log(value: float, interval: tuple[float, float] | None) -> str | None:
    """Return the log10 of a ratio and of its interval, for readers of its standard deviation; None if it has none."""
    ends = (value, *(interval or ()))
    if min(ends) <= 0:
        return None
    texts = [typeset(text) for text in format_together([math.log10(end) for end in ends])]
    span = f" ({texts[1]} to {texts[2]})" if interval is not None else ""
    return f"{texts[0]}{span} in log10, the scale of the test and of the standard deviation"


def name_target(target: str) -> str:
    """Return the parameter that a criterion tests in words: mean, median, pseudomedian, interquartile mean."""
    return "interquartile mean" if target == "iqm" else target


def quote_outcome(outcome: str) -> str:
    """Return an outcome or a band as written in a sentence: in quotation marks, except inconclusive and invalid."""
    return outcome if outcome in OWN else f'"{outcome}"'


def format_exact(value: float) -> str:
    """Return a number that somebody chose, in full: 0.001, −25, 1e-9."""
    return typeset(format_for_file(value))


def format_for_file(value: float) -> str:
    """Return a number in full as one writes it into a file or a command: 0.001, -25, 1e-9."""
    return shorten_exponents(write_in_full(value))


def write_in_full(value: float) -> str:
    """Return a number in full as Python writes it: 0.001, -25, 1e-09."""
    return f"{value:.12g}"


def format_chance(chance: float, draws: int | None = None) -> str:
    """Return a probability as a percentage that is never rounded to 0 or 100: 80.3%, < 0.1%, > 99.9%.

    It was computed or simulated, and neither shows that something is impossible or certain. Of ``draws`` simulated
    samples, less than one is the bound.
    """
    bound = 0.001 if draws is None else max(0.001, 1 / draws)
    if chance < bound:
        return f"< {100 * bound:.2g}%"
    if chance > 1 - bound:
        return f"> {100 - float(f'{100 * bound:.2g}'):.4g}%"
    return f"{100 * chance:.1f}%"


def format_rough_duration(seconds: float) -> str:
    """Return a duration that nobody knows exactly: ``40 s``, ``12 min``, ``1.5 h``."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def format_count(count: int, noun: str, plural: str | None = None) -> str:
    """Return ``1 seed``, ``10 seeds``, ``1,200 seeds``; ``plural`` is for nouns that do not just take an s."""
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


def append_unit(text: str, unit: str, *, titled: bool = False) -> str:
    """Return a number with its unit; ``titled`` means that a title beside it already says that it is a logarithm.

    Words in place of a number, such as "never", have none.
    """
    if not unit or unit == RATIO_UNIT or (titled and unit == "log10") or not DIGIT.search(text):
        return text
    if unit == "epochs" and text in ("1", "-1", "\N{MINUS SIGN}1"):
        unit = "epoch"
    return f"{text} ({unit})" if unit == "log10" else f"{text} {unit}"


def write_span(low: str, high: str, unit: str, *, titled: bool = False) -> str:
    """Return an interval from the texts of its ends: ``29.2 to 32.0 pp``, ``5 epochs to never``."""
    if DIGIT.search(low) and DIGIT.search(high):
        return append_unit(f"{low} to {high}", unit, titled=titled)
    return f"{append_unit(low, unit, titled=titled)} to {append_unit(high, unit, titled=titled)}"


def write_possible(low: float, high: float, unit: str) -> str:
    """Return what an onset may be, in words: ``26 to 30 epochs``, ``7 epochs or more``, ``anything``."""
    least, greatest = format_for_file(low), format_for_file(high)
    if math.isinf(low) and math.isinf(high):
        return "anything"
    if math.isinf(high):
        return f"{append_unit(least, unit)} or more"
    return f"{append_unit(greatest, unit)} or less" if math.isinf(low) else write_span(least, greatest, unit)


def describe_tree(commit: str | None, *, dirty: bool | None, reason: str | None) -> str:
    """Return the state of a project's files against its commit, or the ``reason`` that there is none, in words."""
    if commit is None:
        return NO_COMMIT.get(reason or "", "the reason was not recorded")
    return "not known whether changed" if dirty is None else "with uncommitted changes" if dirty else "unchanged"


def join_words(names: Sequence[str], word: str = "and") -> str:
    """Return ``a, b and c``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {word} {names[-1]}"


def suggest(name: str, known: Iterable[str]) -> str:
    """Return ``, did you mean 'x'?``, or an empty string if no known name is similar, whatever its case."""
    names = {other.lower(): other for other in reversed([*known][:NEIGHBOURS])}
    close = difflib.get_close_matches(name[:LONGEST].lower(), names, n=1)
    return f", did you mean {names[close[0]]!r}?" if close else ""


def spell_count(count: int) -> str:
    """Return ``two`` for 2, up to nine."""
    return CARDINALS[count] if 0 <= count < len(CARDINALS) else f"{count:,}"


def capitalise(text: str) -> str:
    """Return ``text`` with its first letter capitalised."""
    return f"{text[:1].upper()}{text[1:]}"


def make_plain(text: str) -> str:
    """Return other people's text with nothing in it that whoever shows it would obey; its line ends stay.

    Control characters, those that turn the direction of reading, and others that nobody sees are written as escapes
    (``\\x1b``, ``\\u202e``). So is the first character of what a log of continuous integration takes for a command:
    ``::error::`` where a line begins, and ``##[error]``.
    """
    if text.isprintable() and "::" not in text and "##" not in text:
        return text  # nearly always, and pages have many texts
    seen = "\n".join(_escape_unseen(line) for line in text.split("\n"))
    return COMMAND.sub(lambda found: f"{found['before'] or ''}\\x{ord(found[0][-1]):02x}", seen)


def make_plain_line(text: str) -> str:
    """Return other people's text as ``make_plain`` does, on one line: no part of it may pass for a line of our own."""
    return make_plain(text.replace("\n", "\\n"))


def _escape_unseen(line: str) -> str:
    if line.isprintable():
        return line
    return "".join(c if c.isprintable() or c == "\t" else _escape(c) for c in line)


def _escape(character: str) -> str:
    if unicodedata.category(character) == "Zs":  # a blank that joins, or is narrow
        return " "
    return character.encode("unicode_escape").decode()
