"""The order of events: ancestry in the hash DAG, and never a clock."""

from __future__ import annotations

from collections.abc import Iterable

from harness.ledger.event import Event


class Ancestry:
    """Answers to "is this event provably before that one?" over a ledger's events, parents first."""

    def __init__(self, events: Iterable[Event]) -> None:
        # One integer per event, with a bit for each of its ancestors: 5,000 events take 3 MB and 20 ms.
        self._place: dict[str, int] = {}
        self._ancestors: list[int] = []
        for event in events:
            above = 0
            for parent in event.parents:
                if (place := self._place.get(parent)) is not None:  # an audit goes on over a ledger with holes
                    above |= self._ancestors[place] | 1 << place
            self._place[event.digest] = len(self._ancestors)
            self._ancestors.append(above)

    def before(self, earlier: str, later: str) -> bool:
        """Tell whether ``later`` was appended in knowledge of ``earlier``: an event is not before itself.

        Raises:
            KeyError: a digest of no event.
        """
        return bool(self._ancestors[self._place[later]] >> self._place[earlier] & 1)
