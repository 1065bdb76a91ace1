"""Differences between the code of a run and what was registered, by what they can do: docs/decisions/0033."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Literal

from harness.ledger.code import MEANING, Kind, find_plugin_kind
from harness.ledger.pins import Pins
from harness.records import Record

COULD: Mapping[Kind, str] = {"numbers": "the numbers could differ", "judgement": "the judgement could differ"}
WORDS_ONLY = "only what is meant for words differs: "
"""Beginning of the sentence that names what is no deviation."""
ABOUT_WORDS = re.compile(
    r"the template \S+ "
    r"(?:differs from the registered one|is used and was not registered|was registered and is not used)"
    rf"(?:, amended .*)?|(?:{WORDS_ONLY}|only words differ: ).*",
    re.DOTALL,
)
"""Lines on words among stored deviations. Runs and amendments from before words were told apart name templates there; a
line on harness's own code or version from then is not among these, because nobody knows in what the code differed."""


class CodeDifferences(Record):
    """Differences in the code, one sentence for each kind of difference; None where nothing does.

    A kind says what code is meant for, which is not what it could do: any file that is imported could change a number.
    """

    numbers: str | None = None
    """Differences in code that trains and measures, or whose purpose is not known."""
    judgement: str | None = None
    """Differences in code that decides."""
    words: str | None = None
    """Differences in what is meant for neither: templates, and code that reports, checks and keeps records. A list, no
    sentence."""

    @property
    def deviations(self) -> tuple[str, ...]:
        """Return what differs in code that makes what comes out."""
        return tuple(line for line in (self.numbers, self.judgement) if line is not None)

    @property
    def in_words(self) -> tuple[str, ...]:
        """Return what differs in all else, as a sentence."""
        return (f"{WORDS_ONLY}{self.words}",) if self.words else ()


def keep_meaningful(deviations: Iterable[str]) -> tuple[str, ...]:
    """Return those of a stored event's deviations that are more than a difference in words, whatever its form.

    Every reader of stored runs and amendments asks this, so that all of them call the same runs deviating.
    """
    return tuple(line for line in deviations if ABOUT_WORDS.fullmatch(line) is None)


def compare_code(before: Pins, now: Pins) -> CodeDifferences:
    """Say what ``now`` runs otherwise than ``before`` fixed. Another version of the same code is no difference."""
    own = compare_own_code(before.code, before.code_kinds, now.code, now.code_kinds)
    templates = [f"the template {text}" for text in _list_changed(before.templates, now.templates)]
    plugins = [_select_plugins(pins, "words") for pins in (before, now)]
    words = [*templates, *_list_changed(*plugins), *(f"{MEANING['words']} ({text})" for text in own.get("words", ()))]
    version = f"; harness {before.harness} → {now.harness}" if before.harness != now.harness else ""
    return CodeDifferences(
        numbers=_write_line("numbers", own.get("numbers", []), before, now),
        judgement=_write_line("judgement", own.get("judgement", []), before, now),
        words=f"{', '.join(words)}{version}" if words else None,
    )


def compare_own_code(
    before: str | None, before_kinds: Mapping[str, str], now: str | None, now_kinds: Mapping[str, str]
) -> dict[Kind, list[str]]:
    """Return, by kind, what differs in this package's own code; where kinds were not noted, all may train and measure.

    Built-in plug-ins are left out: a registration pins those that it uses one by one.
    """
    if before is None or before == now:
        return {}
    if not before_kinds or not now_kinds:
        return {"numbers": [f"{show_change(before, now)}, and what changed in it is not known"]}
    return {
        kind: [show_change(before_kinds.get(kind), now_kinds.get(kind))]
        for kind in MEANING
        if kind != "plugins" and before_kinds.get(kind) != now_kinds.get(kind)
    }


def _write_line(kind: Literal["numbers", "judgement"], own: list[str], before: Pins, now: Pins) -> str | None:
    plugins = [_select_plugins(pins, kind) for pins in (before, now)]
    if kind == "numbers":  # a package may hold anything, and what may train counts as that
        for named, noted in zip(plugins, list_packages(before, now), strict=True):
            named |= noted
    details = [*(f"harness's own code {text}" for text in own), *_list_changed(plugins[0], plugins[1])]
    if not details:
        return None
    return f"{MEANING[kind]} differs from the registered one ({'; '.join(details)}): {COULD[kind]}"


def _select_plugins(pins: Pins, kind: Kind) -> dict[str, str]:
    """Return the pinned plug-ins that are meant for one thing, with their digests."""
    return {name: digest for name, digest in pins.plugins.items() if find_plugin_kind(name) == kind}


def list_packages(before: Pins, now: Pins) -> tuple[dict[str, str], dict[str, str]]:
    """Return the packages behind plug-ins, as a deviation names them, with their digests; none if one side noted none.

    Registrations from before packages were noted did not fix them.
    """
    if before.packages is None or now.packages is None:
        return {}, {}
    one, other = (
        {f"the package {name}": digest for name, digest in packages.items()}
        for packages in (before.packages, now.packages)
    )
    return one, other


def _list_changed(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """List what changed: ``rules/dfa``, ``rules/bp, which was not registered``."""
    found = []
    for name in sorted({*before, *now}):
        if name not in now:
            found.append(f"{name}, which was registered and is not used")
        elif name not in before:
            found.append(f"{name}, which was not registered")
        elif before[name] != now[name]:
            found.append(name)
    return found


def show_change(before: str | None, now: str | None) -> str:
    """Write two digests by their first digits: ``0123456789ab → ba9876543210``."""
    return f"{(before or 'none')[:12]} → {(now or 'none')[:12]}"
