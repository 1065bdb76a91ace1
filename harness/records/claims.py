"""What an outcome does to the claims: computed by ``harness.claims``, printed by ``harness.verdict``."""

from __future__ import annotations

from pydantic import Field

from harness.records.base import Record


class Consequences(Record):
    """What one outcome does to the claims in hypotheses/claims.yaml, each tuple in the file's order."""

    supported: tuple[str, ...] = ()
    """Claims that the outcome supports."""
    walked_back: tuple[str, ...] = ()
    """Claims that it walks back."""
    restored: tuple[str, ...] = ()
    """Claims that it restores."""
    in_question: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Claim → the walked-back claims that it stands on, directly or through others."""

    @property
    def moves(self) -> bool:
        """Whether any claim is touched."""
        return bool(self.supported or self.walked_back or self.restored or self.in_question)
