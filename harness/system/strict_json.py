"""JSON as the standard has it, and no more: Python's own reader also takes NaN, and of a key that comes twice the last.

Files of other people's programs are read by this; whoever asks says what they are called in messages.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn


class NotStrict(ValueError):
    """Text that is no such JSON."""

    def __init__(self, holds: str = "") -> None:
        """Take what the text ``holds`` that it may not; nothing if it is not JSON at all."""
        super().__init__(f"it holds {holds}" if holds else NO_JSON)
        self.holds = holds


NO_JSON = "it is not JSON: cut off, or not written as such"


def read_strict(text: str | bytes) -> Any:
    """Return the value that a text tells.

    Raises:
        NotStrict: It is not JSON, holds NaN or Infinity, or a key twice.
    """
    try:
        return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_pair_once)
    except NotStrict:
        raise
    except (ValueError, RecursionError) as error:
        raise NotStrict from error


def _refuse_constant(name: str) -> NoReturn:
    raise NotStrict(f"{name}, which is no number in JSON: write null")


def _pair_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise NotStrict("a key twice")
    return found
