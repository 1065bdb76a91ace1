"""Contrasts and ratios of arms: what the file says, ``(a - b) - (c - d)``, and the weight of each arm that it comes to.

    sum    := [+|-] term ((+|-) term)*
    term   := factor ((*|/) factor | factor)*      a number may stand before an arm or a bracket without a sign: 2 a
    factor := number | arm | mean(sum, …) | (sum)

The value is linear in the arms. Weights are added up as fractions, so that 0.1 a + 0.2 b - 0.3 c sums to zero. A ratio,
``(a / b) / (c / d)``, has arms, brackets, * and / alone; its weights are those of the arms' logarithms.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Annotated, Any, NamedTuple, NoReturn

from pydantic import BeforeValidator, Field, PlainSerializer

from harness.records.base import Name

TOKEN = re.compile(
    r"(?P<number>(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)|(?P<name>[a-z][a-z0-9_]*)|(?P<sign>[-+*/(),])", re.ASCII
)
LONGEST, DEEPEST, SHOWN = 2_000, 20, 80
SMALLEST_WEIGHT, LARGEST_WEIGHT = 1e-6, 1e6
EXAMPLE = "write, for example, a - b, mean(a, b) - c, or (a - b) - (c - d)"
RATIO_EXAMPLE = "write, for example, a / b, or (a / b) / (c / d)"
UNCLOSED = 'close it; in {…}, where a comma ends a text, put the whole in quotes: "mean(a, b) - c"'
ROUNDING = 1e-9  # of the largest weight: a sum below it is zero


class NotAContrast(ValueError):
    """Something that isn't a contrast of arms, with a remedy."""

    def __init__(self, message: str, remedy: str = EXAMPLE) -> None:
        super().__init__(message)
        self.remedy = remedy


class _Token(NamedTuple):
    kind: str
    text: str
    at: int
    """Position in the text, from 1."""


class _Sum(NamedTuple):
    """A number plus a weighted sum of arms."""

    number: Fraction
    weights: dict[str, Fraction]

    def times(self, factor: Fraction) -> _Sum:
        return _Sum(self.number * factor, {arm: weight * factor for arm, weight in self.weights.items()})

    def plus(self, other: _Sum) -> _Sum:
        arms = dict.fromkeys([*self.weights, *other.weights])
        weights = {arm: self.weights.get(arm, Fraction()) + other.weights.get(arm, Fraction()) for arm in arms}
        return _Sum(self.number + other.number, weights)


class Reader:
    """A text in tokens, and the errors that name a place in it."""

    def __init__(self, text: str, noun: str, example: str) -> None:
        self.text, self.noun, self.example = text, noun, example
        if len(text) > LONGEST:
            raise NotAContrast(f"the {noun} is longer than {LONGEST:,} characters", "compare fewer arms")
        self.tokens = self._split()
        self.next = 0
        self.depth = 0

    def _split(self) -> list[_Token]:
        tokens, at = [], 0
        while at < len(self.text):
            found = TOKEN.match(self.text, at)
            if found is not None:
                tokens.append(_Token(str(found.lastgroup), found[0], at + 1))
            elif not self.text[at].isspace():
                wrong = self.text[at]
                hint = "write -" if wrong in "\N{MINUS SIGN}\N{EN DASH}\N{EM DASH}" else None
                self.fail(f"{wrong!r} does not belong in a {self.noun}", at + 1, hint)
            at = at + 1 if found is None else found.end()
        return tokens

    def fail(self, problem: str, at: int | None, remedy: str | None = None) -> NoReturn:
        """Raise an error about a character, or about the text as a whole."""
        whole = self.text.strip()
        shown = repr(whole if len(whole) <= SHOWN else f"{whole[: SHOWN - 1]}…")
        place = "" if at is None else f", at character {at}"
        raise NotAContrast(f"{shown} is not a {self.noun}: {problem}{place}", remedy or self.example)

    def peek(self) -> _Token | None:
        """Return the next token; None at the end."""
        return self.tokens[self.next] if self.next < len(self.tokens) else None

    def accept(self, *signs: str) -> _Token | None:
        """Return the next token and go on if it is one of these signs."""
        token = self.peek()
        if token is None or token.kind != "sign" or token.text not in signs:
            return None
        self.next += 1
        return token

    def close(self, opened: _Token) -> None:
        """Read the bracket that closes another."""
        if self.accept(")") is None:
            token = self.peek()
            if token is None:
                self.fail(f"the bracket opened at character {opened.at} is not closed", None, UNCLOSED)
            self.fail(f"expected an operator or ')', found {token.text!r}", token.at)
        self.depth -= 1

    def open(self, opened: _Token) -> None:
        """Note an open bracket."""
        self.depth += 1
        if self.depth > DEEPEST:
            self.fail(f"more than {DEEPEST} brackets are open", opened.at)

    def end(self) -> None:
        """Require the end of the text."""
        if (token := self.peek()) is not None:
            what = "no bracket is open here" if token.text == ")" else f"expected an operator, found {token.text!r}"
            self.fail(what, token.at)


class _ContrastReader(Reader):
    """The grammar of contrasts."""

    def sum(self) -> _Sum:
        first = self.accept("+", "-")
        value = self.term().times(Fraction(-1 if first is not None and first.text == "-" else 1))
        while (sign := self.accept("+", "-")) is not None:
            value = value.plus(self.term().times(Fraction(-1 if sign.text == "-" else 1)))
        return value

    def term(self) -> _Sum:
        value = self.factor()
        while True:
            sign, token = self.accept("*", "/"), self.peek()
            if sign is not None:
                value = self._combine(value, sign)
            elif token is not None and (token.kind == "name" or token.text == "(") and not value.weights:
                value = self.factor().times(value.number)
            else:
                return value

    def _combine(self, value: _Sum, sign: _Token) -> _Sum:
        other = self.factor()
        if sign.text == "*":
            if value.weights and other.weights:
                self.fail("arms are multiplied, but a contrast is a weighted sum", sign.at)
            return value.times(other.number) if value.weights else other.times(value.number)
        if other.weights:
            remedy = "write ratio: first / second instead of contrast, or transform: log10 with a contrast"
            self.fail("something is divided by an arm, but a contrast is a weighted sum", sign.at, remedy)
        if other.number == 0:
            self.fail("nothing can be divided by zero", sign.at)
        return value.times(1 / other.number)

    def factor(self) -> _Sum:
        token = self.peek()
        if token is None:
            self.fail("expected an arm, a number or '(' at the end", None)
        self.next += 1
        if token.kind == "number":
            return _Sum(self._number(token), {})
        if token.kind == "name":
            if token.text == "mean" and (opened := self.accept("(")) is not None:
                return self._mean(opened)
            return _Sum(Fraction(), {token.text: Fraction(1)})
        if token.text != "(":
            self.fail(f"expected an arm, a number or '(', found {token.text!r}", token.at)
        self.open(token)
        value = self.sum()
        self.close(token)
        return value

    def _mean(self, opened: _Token) -> _Sum:
        self.open(opened)
        parts = [self.sum()]
        while (comma := self.accept(",")) is not None:
            part = self.sum()
            if part in parts:
                self.fail("the mean has the same twice, which would count twice", comma.at + 1, "name each arm once")
            parts.append(part)
        self.close(opened)
        value = parts[0]
        for part in parts[1:]:
            value = value.plus(part)
        return value.times(Fraction(1, len(parts)))

    def _number(self, token: _Token) -> Fraction:
        value = float(token.text)
        if len(token.text) > 30 or (value and not SMALLEST_WEIGHT <= value <= LARGEST_WEIGHT):
            self.fail(f"{token.text[:30]} is not a weight between {SMALLEST_WEIGHT:g} and {LARGEST_WEIGHT:g}", token.at)
        return Fraction(token.text)


def parse_contrast(text: str) -> dict[str, float]:
    """Return arm → weight of a contrast, in the order in which the text names them; 0 for an arm that cancels out.

    Raises:
        NotAContrast: The text is not a weighted sum of arms.
    """
    reader = _ContrastReader(text, "contrast", EXAMPLE)
    value = reader.sum()
    reader.end()
    if value.number != 0 or not value.weights:
        reader.fail(f"its number {float(value.number):g} belongs to no arm", None)
    return put_first_first({arm: float(weight) for arm, weight in value.weights.items()})


class _RatioReader(Reader):
    """The grammar of ratios: the weight of an arm is its exponent."""

    def product(self) -> dict[str, int]:
        value = self.factor()
        while (sign := self.accept("*", "/")) is not None:
            for arm, power in self.factor().items():
                value[arm] = value.get(arm, 0) + (power if sign.text == "*" else -power)
        return value

    def factor(self) -> dict[str, int]:
        token = self.peek()
        if token is None:
            self.fail("expected an arm or '(' at the end", None)
        self.next += 1
        if token.kind == "name":
            if (following := self.peek()) is not None and following.text == "(":
                self.fail("expected an operator, found '('", following.at)
            return {token.text: 1}
        if token.kind == "number":
            self.fail(f"a ratio has no numbers, found {token.text}", token.at, "write thresholds into the bands")
        if token.text != "(":
            self.fail(f"expected an arm or '(', found {token.text!r}", token.at)
        self.open(token)
        value = self.product()
        self.close(token)
        return value

    def end(self) -> None:
        token = self.peek()
        if token is not None and token.text in ("+", "-"):
            remedy = "write contrast instead of ratio for a difference, or / for a quotient"
            self.fail(f"a ratio divides arms and adds none, found {token.text!r}", token.at, remedy)
        super().end()

    def close(self, opened: _Token) -> None:
        token = self.peek()
        if token is not None and token.text in ("+", "-"):
            self.end()
        super().close(opened)


def parse_ratio(text: str) -> dict[str, float]:
    """Return arm → weight of its logarithm in that of a ratio, in the order in which the text names the arms.

    Raises:
        NotAContrast: The text is not a ratio of arms.
    """
    reader = _RatioReader(text, "ratio", RATIO_EXAMPLE)
    value = reader.product()
    reader.end()
    return {arm: float(power) for arm, power in value.items()}


def put_first_first(weights: dict[str, Any]) -> dict[str, Any]:
    """Return the weights of ``- b + a`` as those of ``a - b``, and all others as they are."""
    if len(weights) == 2 and list(weights.values()) == [-1, 1]:
        return dict(reversed(weights.items()))
    return weights


def read_contrast(value: Any) -> Any:
    """Return a contrast in one of its forms as arm → weight: text, a list of two arms, or the weights themselves.

    Raises:
        NotAContrast: A text is not a contrast, or a list does not hold two arms.
    """
    return parse_contrast(value) if isinstance(value, str) else read_weights(value)


def read_ratio(value: Any) -> Any:
    """Return a ratio as ``read_contrast`` does a contrast.

    Raises:
        NotAContrast: A text is not a ratio, or a list does not hold two arms.
    """
    return parse_ratio(value) if isinstance(value, str) else read_weights(value)


def read_weights(value: Any) -> Any:
    """Return a list of two arms as arm → weight, and anything else as it is.

    Raises:
        NotAContrast: A list does not hold two arms.
    """
    if isinstance(value, list | tuple):
        if len(value) != 2 or not all(isinstance(arm, str) for arm in value):
            raise NotAContrast("compared arms as a list are [first, second]", "list two arms, or write an expression")
        return {value[0]: 1.0, value[1]: -1.0} if value[0] != value[1] else {value[0]: 0.0}
    return put_first_first(value) if isinstance(value, dict) else value


def write_contrast(weights: dict[str, float]) -> list[str] | dict[str, float]:
    """Return the canonical form: ``[first, second]``, or arm → weight if it is more than first minus second."""
    return list(weights) if is_difference(weights) else weights


def is_difference(weights: Mapping[str, float]) -> bool:
    """Tell whether a contrast is one arm minus another."""
    return tuple(weights.values()) == (1, -1)


def average_contrasts(contrasts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return arm → weight in the mean of several contrasts, in the order in which they name the arms."""
    arms = dict.fromkeys(arm for contrast in contrasts for arm in contrast)
    return {arm: math.fsum(one.get(arm, 0.0) for one in contrasts) / len(contrasts) for arm in arms}


def sums_to_zero(weights: Mapping[str, float]) -> bool:
    """Tell whether weights sum to zero, but for rounding."""
    largest = max((abs(weight) for weight in weights.values()), default=0.0)
    return abs(math.fsum(weights.values())) <= ROUNDING * largest


Weights = dict[Name, Annotated[float, Field(ge=-LARGEST_WEIGHT, le=LARGEST_WEIGHT)]]
Contrast = Annotated[Weights, Field(min_length=1), BeforeValidator(read_contrast), PlainSerializer(write_contrast)]
"""Arm → weight, in the order of the text. A plain difference of two arms is stored as ``[first, second]``."""
Ratio = Annotated[Weights, Field(min_length=1), BeforeValidator(read_ratio), PlainSerializer(write_contrast)]
"""Arm → weight of its logarithm, in the order of the text. A plain ratio of two arms is stored as ``[first, second]``.
"""
