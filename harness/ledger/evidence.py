"""The result of checking a piece of outside evidence: a time stamp or a signature over a head."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Found(NamedTuple):
    """The result of one check."""

    status: Literal["verified", "unchecked", "wrong"]
    """verified: by a root or signer that the reader named; unchecked: it fits the head, but nobody vouches for who made
    it; wrong: it does not fit, or is missing."""
    problem: str | None = None
    """The reason that it is not verified."""
    time: str | None = None
    """UTC, by the authority's clock."""
