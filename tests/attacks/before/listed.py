"""The attacks, by the lines of what they were found by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.attacks.before.codes import Code, Said

LINES = {
    1: "seeds rolled again",
    2: "repetitions",
    3: "amendments after a dry run",
    4: "pages against the ledger",
    5: "history",
    6: "code behind plug-ins",
    7: "multiplicity",
    8: "data, anchors, attempts, words, odd files",
    9: "documentation",
}


@dataclass(frozen=True)
class Attack:
    line: int
    """A key of ``LINES``."""
    words: str
    """What its author does."""
    carry_out: Callable[[Code, Path], Said]
    """Carries it out in an empty folder, with a version of harness, and asks that version."""

    @property
    def name(self) -> str:
        return self.carry_out.__name__


ATTACKS: list[Attack] = []


def attack(line: int, words: str) -> Callable[[Callable[[Code, Path], Said]], Callable[[Code, Path], Said]]:
    """Enter a function into the list."""

    def add(carry_out: Callable[[Code, Path], Said]) -> Callable[[Code, Path], Said]:
        ATTACKS.append(Attack(line, words, carry_out))
        return carry_out

    return add
