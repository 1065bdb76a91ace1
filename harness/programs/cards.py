"""Cards of this machine, which replicas of a program are given each some of."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

VISIBLE = "CUDA_VISIBLE_DEVICES"


def find_cards(environment: Mapping[str, str], devices: Path = Path("/dev")) -> tuple[str, ...]:
    """Return the names of the cards that a user's environment shows, or of all NVIDIA cards, if it says nothing.

    As CUDA does, what comes after a name that is no card's (-1) is left out.
    """
    told = environment.get(VISIBLE)
    if told is None:
        numbers = (path.name.removeprefix("nvidia") for path in devices.glob("nvidia*"))
        return tuple(map(str, sorted(int(number) for number in numbers if number.isdigit())))
    names = [name.strip() for name in told.split(",")]
    shown = names[: next((at for at, name in enumerate(names) if not name or name.startswith("-")), len(names))]
    return tuple(dict.fromkeys(shown))
