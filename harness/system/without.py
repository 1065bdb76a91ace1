"""What this computer cannot give and harness does without: each said once, to whoever listens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

_said: dict[str, None] = {}
_listener: list[Callable[[str], None]] = []


def do_without(text: str) -> None:
    """Say what cannot be had here and what is done instead: one sentence without a full stop, said once in a process.

    Nothing is printed here. What is said before anybody listens is kept for the listener.
    """
    if text not in _said:
        _said[text] = None
        for tell in _listener:
            tell(text)


def listen(tell: Callable[[str], None]) -> None:
    """Let ``tell`` have what was said so far and what will be said, instead of whoever listened before."""
    _listener[:] = [tell]
    for text in _said:
        tell(text)


@contextmanager
def aside() -> Iterator[list[str]]:
    """What is said inside, for whoever tries what there is: it is told to nobody else, and may be said again later."""
    said, listener = dict(_said), list(_listener)
    found: list[str] = []
    _said.clear()
    _listener[:] = [found.append]
    try:
        yield found
    finally:
        _said.clear()
        _said.update(said)
        _listener[:] = listener
