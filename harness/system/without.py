"""Notes about features that this computer lacks and harness does without, each reported once to a listener."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

_reported: dict[str, None] = {}
_listener: list[Callable[[str], None]] = []


def do_without(text: str) -> None:
    """Report what is missing here and what is done instead: one sentence without a full stop, once per process.

    Nothing is printed here. Notes that come before anybody listens are kept for the listener.
    """
    if text not in _reported:
        _reported[text] = None
        for receive in _listener:
            receive(text)


def listen(receive: Callable[[str], None]) -> None:
    """Send all notes, past and future, to ``receive`` instead of the previous listener."""
    _listener[:] = [receive]
    for text in _reported:
        receive(text)


@contextmanager
def collect_notes() -> Iterator[list[str]]:
    """Collect the notes of this context for a caller that tries out the system; they may be reported again later."""
    reported, listener = dict(_reported), list(_listener)
    found: list[str] = []
    _reported.clear()
    _listener[:] = [found.append]
    try:
        yield found
    finally:
        _reported.clear()
        _reported.update(reported)
        _listener[:] = listener
