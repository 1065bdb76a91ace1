"""Text as LaTeX: every character of everybody's text as itself, or by its number; nothing in it is obeyed."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from harness.wording import make_plain

SHORT = 12
"""Characters of a word up to which it is broken by rules of hyphenation only; a longer one behind its signs, too."""
LONGEST = 24
"""Characters without a sign from which on they may be broken anywhere, since no rule of hyphenation would."""
PIECE = 6
"""Characters between two places where such ones may be broken."""
ASCII = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"{\char34}", "`": r"\textasciigrave{}",
    # What some command before it would take for its own: \\ takes both, behind the blanks that follow it.
    "[": "{[}", "]": "{]}", "*": "{*}",
}  # fmt: skip
TEXT = {
    "“": "``", "”": "''", "‘": "`", "’": "'", "–": "--", "—": "---", "…": r"\ldots{}", "§": r"\S{}", "¶": r"\P{}",
    "©": r"\copyright{}", "£": r"\pounds{}", "ß": r"\ss{}", "æ": r"\ae{}", "Æ": r"\AE{}", "œ": r"\oe{}", "Œ": r"\OE{}",
    "ø": r"\o{}", "Ø": r"\O{}", "ł": r"\l{}", "Ł": r"\L{}", "ı": r"\i{}", "¡": r"!`", "¿": r"?`",
    "†": r"\dag{}", "‡": r"\ddag{}",
}  # fmt: skip
MATH = {
    "−": "-", "×": r"\times", "±": r"\pm", "∓": r"\mp", "·": r"\cdot", "⋅": r"\cdot", "÷": r"\div", "≤": r"\leq",
    "≥": r"\geq", "≠": r"\neq", "≈": r"\approx", "≡": r"\equiv", "∝": r"\propto", "∼": r"\sim", "→": r"\rightarrow",
    "←": r"\leftarrow", "↔": r"\leftrightarrow", "⇒": r"\Rightarrow", "↦": r"\mapsto", "↑": r"\uparrow",
    "↓": r"\downarrow", "∞": r"\infty", "∈": r"\in", "∉": r"\notin", "⊂": r"\subset", "⊆": r"\subseteq", "∪": r"\cup",
    "∩": r"\cap", "∅": r"\emptyset", "∀": r"\forall", "∃": r"\exists", "∂": r"\partial", "∇": r"\nabla", "∑": r"\sum",
    "∏": r"\prod", "∫": r"\int", "√": r"\surd", "‖": r"\|", "∥": r"\|", "⟨": r"\langle", "⟩": r"\rangle",
    "⌊": r"\lfloor", "⌋": r"\rfloor", "⌈": r"\lceil", "⌉": r"\rceil", "⊙": r"\odot", "⊗": r"\otimes", "⊕": r"\oplus",
    "∘": r"\circ", "∗": r"\ast", "⊤": r"\top", "⊥": r"\perp", "ℓ": r"\ell", "′": "{}'", "″": "{}''", "°": r"{}^{\circ}",
    "µ": r"\mu", "¬": r"\neg", "∧": r"\wedge", "∨": r"\vee", "≪": r"\ll", "≫": r"\gg", "½": r"\frac{1}{2}",
    "¼": r"\frac{1}{4}", "¾": r"\frac{3}{4}",
    "ϵ": r"\epsilon", "ϑ": r"\vartheta", "ϕ": r"\phi", "ς": r"\varsigma", "ο": "o",
    **dict(zip("αβγδεζηθικλμνξπρστυφχψω", (
        r"\alpha", r"\beta", r"\gamma", r"\delta", r"\varepsilon", r"\zeta", r"\eta", r"\theta", r"\iota", r"\kappa",
        r"\lambda", r"\mu", r"\nu", r"\xi", r"\pi", r"\rho", r"\sigma", r"\tau", r"\upsilon", r"\varphi", r"\chi",
        r"\psi", r"\omega"), strict=True)),
    **dict(zip("ΓΔΘΛΞΠΣΥΦΨΩ", (
        r"\Gamma", r"\Delta", r"\Theta", r"\Lambda", r"\Xi", r"\Pi", r"\Sigma", r"\Upsilon", r"\Phi", r"\Psi",
        r"\Omega"), strict=True)),
    **{character: rf"\mathrm{{{latin}}}" for character, latin in zip("ΑΒΕΖΗΙΚΜΝΟΡΤΧ", "ABEZHIKMNOPTX", strict=True)},
    **{one: f"{{}}^{{{plain}}}" for one, plain in zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿⁱᵀᵗˡ", "0123456789+-niTtl", strict=True)},
    **{one: f"{{}}_{{{plain}}}" for one, plain in zip("₀₁₂₃₄₅₆₇₈₉₊₋ₗₙₜₖᵢⱼ", "0123456789+-lntkij", strict=True)},
}  # fmt: skip
ACCENTS = {
    "\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0304": "=", "\u0306": "u", "\u0307": ".",
    "\u0308": '"', "\u030a": "r", "\u030b": "H", "\u030c": "v", "\u0327": "c", "\u0323": "d", "\u0331": "b",
}  # fmt: skip
"""Combining mark → the command that sets it over or under a Latin letter."""
KNOWN = {**ASCII, **TEXT, **{character: f"${text}$" for character, text in MATH.items()}}
JOINING = {"--", "''", ",,"}
"""Neighbours that a font would draw as one sign."""


def escape_tex(text: str, *, name: bool = False) -> str:
    """Return text for LaTeX, on one line: as it is written, with nothing in it that LaTeX, or a reader, would obey.

    What pdfTeX has no sign for is shown by its number, ``[U+05D0]``; what nobody sees, or turns the direction of
    reading, as elsewhere: ``\\u202e``. Long words may be broken, and a ``name`` behind each of its signs.
    """
    words = make_plain(" ".join(text.split())).split(" ")
    return " ".join(_write_word(unicodedata.normalize("NFC", word), name) for word in words)


def _write_word(word: str, name: bool) -> str:
    characters = list(_write_characters(word))
    run = max((len(part) for part in re.split(r"[\W_]+", word)), default=0)
    piece = PIECE if run > LONGEST else len(word)
    behind_signs = len(word) > SHORT or name
    pieces, since = [], 0
    for number, (text, character) in enumerate(characters, 1):
        pieces.append(text)
        since += 1
        following = characters[number][1] if number < len(characters) else ""
        behind = behind_signs and following.isalnum() and not character.isalnum()
        if following and (behind or since >= piece):
            pieces.append(r"\allowbreak{}")
            since = 0
    return "".join(pieces)


def _write_characters(word: str) -> Iterator[tuple[str, str]]:
    """Yield each character as LaTeX, with the marks that are on it, and the character itself."""
    at = 0
    while at < len(word):
        character = word[at]
        decomposed = unicodedata.normalize("NFD", character)
        base, marks = decomposed[0], list(decomposed[1:])
        at += 1
        while at < len(word) and unicodedata.combining(word[at]):
            marks.append(word[at])
            at += 1
        yield _write_character(character, base, marks, word[at : at + 1]), character


def _write_character(character: str, base: str, marks: list[str], following: str) -> str:
    accented = base.isascii() and base.isalpha() and marks and marks[0] in ACCENTS
    if accented:
        text, left = f"\\{ACCENTS[marks[0]]}{{{base}}}", marks[1:]
    else:
        known = KNOWN.get(character)
        plain = character.isascii() and character.isprintable()
        text = known if known is not None else character if plain else _write_number(character)
        left = marks if known is not None or plain else [one for one in marks if one not in character]
        left = [] if unicodedata.normalize("NFC", base + "".join(marks)) == character else left
    if character + following in JOINING:
        text += "{}"
    return text + "".join(map(_write_number, left))


def _write_number(character: str) -> str:
    return rf"\hchar{{{ord(character):04X}}}"


def clean_number(text: str) -> str:
    """Return a number as LaTeX or Markdown have it in plain characters: ``-0.19``, ``< 1e-6``, ``90%``."""
    for marked, plain in (("\\textless{}", "<"), ("\\textgreater{}", ">"), ("&lt;", "<"), ("&gt;", ">"), ("$", ""),
                          ("\N{MINUS SIGN}", "-"), ("\\,", ""), ("\\ensuremath", ""), ("\\allowbreak", ""),
                          ("{", ""), ("}", ""), ("\\", "")):  # fmt: skip
        text = text.replace(marked, plain)
    return re.sub(r"(?<=\d),(?=\d{3})", "", " ".join(text.split()))
